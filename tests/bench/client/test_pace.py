"""Messages are due when the schedule says so, however late their publisher is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amqpd.bench.client.pace import LEAST_TICK, NS, Pace


def take_all(pace: Pace, now: int) -> list[tuple[int, int]]:
    """The moments that are due, each with its messages, all of them sent."""
    taken = []
    while pace.advance(now):
        taken.append((pace.moment, pace.left))
        pace.left = 0
    return taken


@given(st.floats(0.5, 500_000), st.integers(1, 40))
def test_the_rate_is_kept(rate: float, tenths: int) -> None:
    begin = 12_345
    span = tenths * NS // 10
    messages = sum(count for _, count in take_all(Pace(rate, begin), begin + span - 1))
    tick = max(LEAST_TICK, NS / rate)
    assert abs(messages - rate * span / NS) <= rate * tick / NS + 1


def test_slow_messages_are_due_one_by_one() -> None:
    pace = Pace(10, 0)
    assert take_all(pace, NS // 2) == [(tick * NS // 10, 1) for tick in range(6)]
    assert pace.moment == 6 * NS // 10


def test_fast_messages_are_due_every_millisecond() -> None:
    assert take_all(Pace(5_000, 0), 3 * LEAST_TICK) == [(tick * LEAST_TICK, 5) for tick in range(4)]


def test_a_late_publisher_finds_the_moments_that_it_missed() -> None:
    pace = Pace(1_000, 0)
    assert pace.advance(0)
    pace.left = 0
    assert not pace.advance(LEAST_TICK // 2)
    assert pace.due(50 * LEAST_TICK) == 50
    assert [moment for moment, _ in take_all(pace, 3 * LEAST_TICK)] == [tick * LEAST_TICK for tick in (1, 2, 3)]


def test_what_is_left_of_a_tick_stays_due() -> None:
    pace = Pace(10_000, 0)
    assert pace.advance(5 * LEAST_TICK)
    pace.left -= 4
    assert pace.advance(5 * LEAST_TICK)
    assert (pace.moment, pace.left) == (0, 6)
