"""Who has come and is not in yet: how many may be, and who makes room."""

from __future__ import annotations

from amqpd.clock import ManualClock
from amqpd.net.gate import PATIENCE, Arrival, Gate


def came(gate: Gate, gone: list[str], name: str) -> Arrival:
    arrival = gate.enter()
    arrival.cut = lambda: gone.append(name)
    return arrival


def test_below_the_limit_there_is_room() -> None:
    gate = Gate(ManualClock(), 2)
    came(gate, [], "a")
    assert gate.make_room() == 0.0
    assert len(gate) == 1


def test_at_the_limit_the_oldest_goes_when_it_has_had_its_time() -> None:
    clock, gone = ManualClock(), list[str]()
    gate = Gate(clock, 2)
    came(gate, gone, "a")
    clock.advance(PATIENCE / 2)
    came(gate, gone, "b")
    assert gate.make_room() == PATIENCE / 2
    assert gone == []
    clock.advance(PATIENCE / 2)
    assert gate.make_room() == 0.0
    assert gone == ["a"]
    assert gate.turned_out == 1


def test_who_is_in_takes_no_room() -> None:
    gone: list[str] = []
    gate = Gate(ManualClock(), 1)
    arrival = came(gate, gone, "a")
    arrival.leave()
    arrival.leave()
    assert gate.make_room() == 0.0
    assert gone == []


def test_at_the_end_all_go() -> None:
    gone: list[str] = []
    gate = Gate(ManualClock(), 5)
    came(gate, gone, "a")
    came(gate, gone, "b")
    gate.close()
    assert gone == ["a", "b"]
    assert len(gate) == 0
