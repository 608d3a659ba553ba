"""The process: what the system says of it is plausible."""

from __future__ import annotations

import os
from pathlib import Path

from amqpd.management.process import cpu_seconds, gauges, memory, most_files, open_files, switches


def test_a_file_that_is_opened_is_counted(tmp_path: Path) -> None:
    before = open_files()
    with tmp_path.joinpath("file").open("w"):
        assert open_files() == before + 1
    assert open_files() == before
    assert before < most_files()


def test_time_and_memory_are_used() -> None:
    assert cpu_seconds() > 0
    assert switches() > 0
    assert memory() > 1_000_000


def test_gauges_have_rabbitmqs_names(tmp_path: Path) -> None:
    found = gauges(tmp_path, 3)
    assert found["sockets_used"] == 3
    assert found["disk_free"] <= os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize
    assert set(found) == {"mem_used", "fd_used", "sockets_used", "proc_used", "disk_free", "context_switches"}
