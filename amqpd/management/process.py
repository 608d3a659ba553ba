"""The process: what the operating system says of it.

Rule: what may live here asks the system, and answers 0 where it does not tell.
"""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from amqpd.net.disk import free_octets
from amqpd.net.memory import resident_memory

OPEN_FILES: Final = Path("/proc/self/fd")


def open_files() -> int:
    """File descriptors in use."""
    try:
        return len(os.listdir(OPEN_FILES)) - 1  # one of them is that of the listing
    except OSError:
        return 0


def most_files() -> int:
    """File descriptors that there may be."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def memory() -> int:
    """Octets in memory."""
    try:
        return resident_memory()
    except OSError:
        return 0


def cpu_seconds() -> float:
    """Seconds of processor time that the process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def switches() -> int:
    """How often the process has left a processor."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_nvcsw + used.ru_nivcsw


def gauges(data_dir: Path | None, sockets: int) -> Mapping[str, int]:
    """What RabbitMQ samples of a node.

    Args:
        data_dir: where the data is; None for nowhere.
        sockets: clients that are connected.
    """
    return {
        "mem_used": memory(),
        "fd_used": open_files(),
        "sockets_used": sockets,
        "proc_used": threading.active_count(),
        "disk_free": free_octets(data_dir or Path.cwd()),
        "context_switches": switches(),
    }
