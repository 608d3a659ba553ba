"""The memory alarm: publishers are blocked while the process uses more than its watermark."""

from __future__ import annotations

import logging
import os
import resource
import sys
from pathlib import Path
from typing import Final

from amqpd.broker.alarms import MEMORY
from amqpd.broker.broker import Broker
from amqpd.logs import INFO, WARNING, event

LOOK_EVERY: Final = 1.0  # seconds
CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")
STATM: Final = Path("/proc/self/statm")


class MemoryWatch:
    """Looks at the process's memory once a second and sets or clears the broker's alarm.

    Args:
        limit: octets of resident memory.
    """

    def __init__(self, broker: Broker, limit: int, logger: logging.Logger) -> None:
        self._broker = broker
        self._limit = limit
        self._logger = logger
        self._look()

    def _look(self) -> None:
        self._broker.context.timers.call_later(LOOK_EVERY, self._look)
        try:
            used = resident_memory()
        except OSError:  # no descriptor is free at the moment; the next look may find one
            return
        if used > self._limit:
            if self._broker.alarms.set(MEMORY):
                event(self._logger, WARNING, "alarm.set", resource=MEMORY, used=used, limit=self._limit)
        elif self._broker.alarms.clear(MEMORY):
            event(self._logger, INFO, "alarm.cleared", resource=MEMORY, used=used, limit=self._limit)


def resident_memory() -> int:
    """Octets of memory that the process has in use; where the system does not tell, the most it ever had."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def total_memory() -> int:
    """Octets of memory that the process may use: the machine's, or its control group's if that is less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(machine, int(CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no control groups, or "max"
        return machine
