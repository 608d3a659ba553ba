"""Where a consumer starts: every form of x-stream-offset against a plain list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amqpd.broker.message import make_message
from amqpd.broker.queues.stream.queue import StreamQueue
from amqpd.broker.queues.stream.start import start_of
from amqpd.clock import ManualClock
from amqpd.wire.properties import EMPTY_PROPERTIES
from amqpd.wire.table import Field
from tests.broker.queues.takers import make_queue
from tests.builders import World

SECONDS = {"s": 1, "m": 60, "h": 3600, "D": 86_400, "M": 30 * 86_400, "Y": 365 * 86_400}
SEGMENT = 300  # octets: a few records
LARGE = 30_000  # octets of a body, of which two fill a block


def stream(world: World, **arguments: object) -> StreamQueue:
    queue = make_queue(world, durable=True, queue_type="stream", **arguments)
    assert isinstance(queue, StreamQueue)
    return queue


class Written:
    """A stream, and the moments at which its records were written.

    Args:
        pauses: seconds before each record.
        large: the records fill blocks, not segments.
    """

    def __init__(self, pauses: list[float], large: bool, **arguments: object) -> None:
        self.world = World(clock=ManualClock(1_700_000_000.0))
        size = 4 * LARGE if large else SEGMENT
        self.stream = stream(self.world, stream_max_segment_size_bytes=size, **arguments)
        self.times: list[int] = []
        for pause in pauses:
            self.world.advance(pause)
            self.times.append(self.now)
            self.stream.publish(make_message("", "q", EMPTY_PROPERTIES, bytes(LARGE if large else 10)))
            self.world.finish()

    @property
    def now(self) -> int:
        return int(self.world.clock.time() * 1000)

    def start(self, wanted: Field | None) -> int:
        return int(start_of(wanted, self.stream._store, self.now))

    def since(self, moment: float) -> int:
        """The naive way."""
        there = [
            offset for offset, time in enumerate(self.times) if offset >= self.stream.first_offset and time >= moment
        ]
        return min(there, default=len(self.times))


# Binary fractions, so that sums of them are exact.
pauses = st.lists(st.sampled_from([0.0, 0.0, 0.25, 1.0, 7.5, 3600.0, 90_000.0]), max_size=25)
streams = st.builds(Written, pauses, st.booleans(), stream_max_length=st.sampled_from([1, 5, 1000]))


@settings(max_examples=150)
@given(streams, st.data())
def test_every_form_of_offset_means_what_it_says(written: Written, data: st.DataObject) -> None:
    first, end = written.stream.first_offset, len(written.times)
    assert first == 0 or first < end
    assert written.start(None) == end
    assert written.start(Field("S", "next")) == end
    assert written.start(Field("S", "first")) == first
    assert written.start(Field("S", "last")) == max(end - 1, 0)
    number = data.draw(st.integers(-3, end + 5))
    tag = data.draw(st.sampled_from(["b", "s", "I", "l"]))
    assert written.start(Field(tag, number)) == max(number, first)
    moment = data.draw(st.sampled_from([*[time // 1000 for time in written.times], written.now // 1000 + 10, 0]))
    moment += data.draw(st.sampled_from([0, 0, 1, -1])) if moment else 0
    assert written.start(Field("T", moment)) == written.since(moment * 1000)
    count, unit = data.draw(st.integers(1, 200)), data.draw(st.sampled_from(sorted(SECONDS)))
    assert written.start(Field("S", f"{count}{unit}")) == written.since(written.now - count * SECONDS[unit] * 1000)


@pytest.mark.parametrize("wanted", [Field("T", 2**63), Field("T", 2**64 - 1), Field("l", 2**63 - 1), Field("T", 2**40)])
def test_what_is_in_the_far_future_waits_there(wanted: Field) -> None:
    written = Written([0.0, 1.0, 1.0], False)
    written.world.advance(1.0)
    assert written.start(wanted) >= 3


@pytest.mark.parametrize("wanted", [Field("S", "999999999999999999Y"), Field("l", -(2**63)), Field("T", 0)])
def test_what_is_in_the_far_past_is_the_first(wanted: Field) -> None:
    assert Written([0.0, 1.0, 1.0], False).start(wanted) == 0


def test_a_clock_that_was_set_back_hides_nothing() -> None:
    """The first record whose time is not below, in the order of offsets."""
    written = Written([100.0] * 8, False)
    clock = ManualClock(1_700_000_000.0)
    for number in range(4):
        clock.advance(130.0)
        now = int(clock.time() * 1000)
        written.times.append(now)
        written.stream._store.append(make_message("", "q", EMPTY_PROPERTIES, b"%d" % number), now)
        written.world.finish()
    for second in range(0, 1000, 10):
        moment = 1_700_000_000 + second
        assert written.start(Field("T", moment)) == written.since(moment * 1000)


def test_what_is_under_way_to_the_disk_counts_for_next_and_not_for_last() -> None:
    written = Written([0.0, 1.0], False)
    written.world.hold_commits()
    for _ in range(3):
        written.stream.publish(make_message("", "q", EMPTY_PROPERTIES, b""))
        written.world.finish()
    assert (written.start(None), written.start(Field("S", "last"))) == (5, 1)
    while written.world.held_commits:
        written.world.run_commit()
    assert (written.start(None), written.start(Field("S", "last"))) == (5, 4)
