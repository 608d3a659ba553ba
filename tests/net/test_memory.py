"""The memory alarm: looked at once a second, whatever the system says."""

from __future__ import annotations

import gc
import io
import logging
from pathlib import Path

import pytest

from amqpd.broker.alarms import MEMORY
from amqpd.logs import configure
from amqpd.net import memory
from amqpd.net.memory import LOOK_EVERY, MemoryWatch, resident_memory, total_memory
from tests.builders import World

LIMIT = 1000


class Used:
    """Stands in for resident_memory."""

    def __init__(self) -> None:
        self.octets = 0
        self.broken = False

    def __call__(self) -> int:
        if self.broken:
            raise OSError("Too many open files")
        return self.octets


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> Used:
    used = Used()
    monkeypatch.setattr(memory, "resident_memory", used)
    return used


def watch(world: World, logger: logging.Logger | None = None) -> MemoryWatch:
    return MemoryWatch(world.broker, LIMIT, logger or logging.getLogger("amqpd.memory"))


def test_a_broker_that_starts_above_the_limit_starts_with_the_alarm(used: Used) -> None:
    world = World()
    used.octets = LIMIT + 1
    watch(world)
    assert world.broker.alarms.active


def test_the_limit_itself_is_allowed(used: Used) -> None:
    world = World()
    used.octets = LIMIT
    watch(world)
    assert not world.broker.alarms.active


def test_the_alarm_comes_and_goes_within_a_second(used: Used) -> None:
    world, seen = World(), []
    watch(world)
    for octets in (LIMIT + 1, LIMIT + 2, LIMIT, LIMIT + 1):
        used.octets = octets
        world.advance(LOOK_EVERY)
        seen.append(world.broker.alarms.active)
    assert seen == [True, True, False, True]
    assert world.broker.alarms.reason == f"low on {MEMORY}"


def test_one_look_that_fails_changes_nothing_and_is_not_the_last(used: Used) -> None:
    world = World()
    used.octets = LIMIT + 1
    watch(world)
    used.broken = True
    world.advance(3 * LOOK_EVERY)
    assert world.broker.alarms.active
    used.broken, used.octets = False, 0
    world.advance(LOOK_EVERY)
    assert not world.broker.alarms.active


@pytest.mark.usefixtures("loggers_as_before")
def test_setting_and_clearing_is_logged_once_each(used: Used) -> None:
    world, stream = World(), io.StringIO()
    used.octets = 2 * LIMIT
    watch(world, configure("info", "text", stream))
    world.advance(5 * LOOK_EVERY)
    used.octets = 0
    world.advance(5 * LOOK_EVERY)
    first, second = stream.getvalue().splitlines()
    assert first.split(maxsplit=1)[1].split() == ["WARNING", "alarm.set", "resource=memory", "used=2000", "limit=1000"]
    assert second.split(maxsplit=1)[1].split() == ["INFO", "alarm.cleared", "resource=memory", "used=0", "limit=1000"]


def test_resident_memory_grows_with_what_is_used() -> None:
    gc.collect()
    before = resident_memory()
    block = bytearray(b"x") * 100_000_000
    assert resident_memory() - before > 90_000_000
    assert before + len(block) < total_memory()


def test_where_the_system_does_not_tell_the_peak_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = resident_memory()
    monkeypatch.setattr(memory, "STATM", tmp_path / "missing")
    assert resident_memory() >= now * 0.9


@pytest.mark.parametrize(("text", "expected"), [("1000000\n", 1_000_000), ("max\n", None), (None, None)])
def test_a_control_group_may_allow_less_than_the_machine_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, expected: int | None
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CGROUP_LIMIT", limit)
    machine = total_memory()
    if text is not None:
        limit.write_text(text)
    assert total_memory() == (machine if expected is None else expected)
    assert machine > 1_000_000
