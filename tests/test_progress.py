"""What is told of recovery: in the log, or as a bar on a terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from amqpd.clock import ManualClock
from amqpd.definitions.importing import Import
from amqpd.definitions.reading import read
from amqpd.log.damage import Damage
from amqpd.logs import configure
from amqpd.progress import ImportReport, StorageReport
from tests.builders import World

pytestmark = pytest.mark.usefixtures("loggers_as_before")

DAMAGE = Damage("queues/1/0/x.log", 8, 4, "a record is broken")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines as they look: what stands behind a carriage return is written over what was there."""
        lines = []
        for line in self.getvalue().split("\n"):
            shown = ""
            for part in line.split("\r"):
                shown = part + shown[len(part) :]
            lines.append(shown.rstrip())
        return lines


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal's width, whatever the tests are run on."""
    monkeypatch.setenv("COLUMNS", "80")


def reporting(clock: ManualClock, stream: io.StringIO) -> StorageReport:
    """Of two queues and two bindings."""
    report = StorageReport(clock, configure("info", "json", stream), stream)
    report.begin(2, 2)
    return report


def logged(stream: io.StringIO) -> list[dict[str, object]]:
    """The events, without time and level."""
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("time", "level")} for line in lines]


def recover(report: StorageReport, clock: ManualClock, seconds: float) -> None:
    """All of it, so slowly."""
    for _ in range(2):
        clock.advance(seconds)
        report.queue(1_000)
    for _ in range(2):
        clock.advance(seconds)
        report.binding()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_nothing_is_told_of_what_takes_less_than_a_second(clock: ManualClock, stream: io.StringIO) -> None:
    report = reporting(clock, stream)
    recover(report, clock, 0.24)
    report.end()
    assert stream.getvalue() == ""


def test_the_log_tells_after_a_second_then_every_five_and_at_the_end(clock: ManualClock) -> None:
    stream = io.StringIO()
    report = reporting(clock, stream)
    recover(report, clock, 2.6)
    report.end()
    totals = {"queues_total": 2, "bindings_total": 2}
    assert logged(stream) == [
        {"event": "storage.recovering", "queues": queues, "bindings": bindings, "messages": messages, **totals}
        for queues, bindings, messages in [(1, 0, 1_000), (2, 1, 2_000), (2, 2, 2_000)]
    ]


def test_a_terminal_gets_a_bar_that_is_drawn_over_and_stays_when_it_is_full(clock: ManualClock) -> None:
    terminal = Terminal()
    report = reporting(clock, terminal)
    seen = []
    for step in (lambda: report.queue(1_000), lambda: report.queue(0), report.binding, report.binding):
        clock.advance(1.1)
        step()
        seen += terminal.screen()
    report.end()
    assert seen == [
        "recovering [##########..............]  45 %  1 of 2 queues",
        "recovering [#####################...]  90 %  0 of 2 bindings",
        "recovering [######################..]  95 %  1 of 2 bindings",
        "recovering [########################] 100 %  2 queues, 1,000 messages",
    ]
    assert terminal.screen() == [seen[-1], ""]


def test_the_bar_makes_room_for_lines_of_the_log(clock: ManualClock) -> None:
    terminal = Terminal()
    report = reporting(clock, terminal)
    clock.advance(1.1)
    report.queue(1_000)
    report.damaged(DAMAGE)
    report.skipped("queue 'q'", "it is strange")
    clock.advance(1.1)
    report.queue(0)
    damaged, skipped, bar = terminal.screen()
    assert json.loads(damaged)["damage"] == str(DAMAGE)
    assert json.loads(skipped)["what"] == "queue 'q'"
    assert bar.startswith("recovering [#####################...]")


def test_what_ends_early_leaves_its_bar_and_a_new_line(clock: ManualClock) -> None:
    terminal = Terminal()
    report = reporting(clock, terminal)
    clock.advance(1.1)
    report.queue(0)
    report.end()
    assert terminal.screen() == ["recovering [##########..............]  45 %  1 of 2 queues", ""]


def test_a_narrow_terminal_is_not_overrun(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    report = reporting(clock, terminal)
    clock.advance(1.1)
    report.queue(0)
    assert terminal.screen() == ["recovering [#######"]


def test_later_damage_is_a_line_in_the_log(clock: ManualClock) -> None:
    stream = io.StringIO()
    reporting(clock, stream).damaged(DAMAGE)
    assert logged(stream) == [{"event": "storage.damaged", "damage": str(DAMAGE)}]


def importing(clock: ManualClock, stream: io.StringIO) -> None:
    """Import two queues, each of which takes 1.1 seconds."""
    world = World(clock=clock)
    definitions = read({"queues": [{"name": "a", "vhost": "/"}, {"name": "b", "vhost": "/"}]})
    report = ImportReport(Path("d.json"), clock, configure("info", "json", stream), stream)
    report.run(SlowImport(world.broker, world.users, definitions))


class SlowImport(Import):
    """An import that takes its time for every step."""

    def steps(self) -> Iterator[None]:
        for _ in super().steps():
            clock = self._broker.context.clock
            assert isinstance(clock, ManualClock)
            clock.advance(1.1)
            yield


def test_a_long_import_is_a_bar_on_a_terminal(clock: ManualClock) -> None:
    terminal = Terminal()
    importing(clock, terminal)
    bar, imported, _ = terminal.screen()
    assert bar == "importing [########################] 100 %  2 of 2 rows of d.json"
    assert json.loads(imported)["queues"] == 2


def test_a_long_import_is_told_in_the_log(clock: ManualClock) -> None:
    stream = io.StringIO()
    importing(clock, stream)
    assert [found["event"] for found in logged(stream)] == [
        "definitions.importing",
        "definitions.importing",
        "definitions.imported",
    ]
    assert logged(stream)[1] == {"event": "definitions.importing", "file": "d.json", "rows": 2, "rows_total": 2}
