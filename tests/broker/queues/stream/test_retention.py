"""Retention: whole segments from the oldest on, as long as a limit is exceeded, and never the last one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.queues.stream.retention import Retention
from amqpd.broker.settings import QueueSettings
from amqpd.log.segment import HEADER, Segment
from tests.broker.queues.takers import make_queue
from tests.builders import World

limits = st.fixed_dictionaries(
    {},
    optional={
        "x-max-age": st.sampled_from(["1s", "5s"]),
        "x-max-length-bytes": st.integers(0, 2000),
        "x-stream-max-length": st.integers(0, 20),
    },
)
# Of each segment: octets of its records, and their times, which need not ascend.
contents = st.lists(
    st.lists(st.tuples(st.integers(1, 200), st.integers(0, 10_000)), min_size=1, max_size=5), max_size=8
)


def settings_of(arguments: dict[str, object]) -> QueueSettings:
    names = {name.removeprefix("x-").replace("-", "_"): value for name, value in arguments.items()}
    return make_queue(World(), durable=True, queue_type="stream", **names).settings


def segments_of(sizes: list[list[tuple[int, int]]]) -> list[Segment]:
    segments: list[Segment] = []
    offset = 0
    for records in sizes:
        segment = Segment("folder", offset, 0)
        for size, time in records:
            segment.add(offset, time, size, False, size, 0)
            offset += 1
        segments.append(segment)
    for segment in segments[:-1]:
        segment.seal()
    return segments


def naive(arguments: dict[str, object], sizes: list[list[tuple[int, int]]], now: int) -> int:
    """Take segments away, one by one."""
    left = sizes[:]
    while len(left) > 1:
        octets = sum(HEADER + sum(size for size, _ in records) for records in left)
        records = sum(map(len, left))
        latest = max(time for _, time in left[0])
        age = {"1s": 1000, "5s": 5000}.get(str(arguments.get("x-max-age")))
        most_octets, most_records = arguments.get("x-max-length-bytes"), arguments.get("x-stream-max-length")
        if not (
            (isinstance(most_octets, int) and octets > most_octets)
            or (isinstance(most_records, int) and records > most_records)
            or (age is not None and latest < now - age)
        ):
            break
        del left[0]
    return len(sizes) - len(left)


@given(limits, contents, st.integers(0, 20_000))
def test_as_many_go_as_the_limits_say(
    arguments: dict[str, object], sizes: list[list[tuple[int, int]]], now: int
) -> None:
    retention = Retention(settings_of(arguments))
    segments = segments_of(sizes)
    assert retention.any == bool(arguments)
    assert retention.outlived(segments, now) == naive(arguments, sizes, now)


@given(st.sampled_from([{}, {"x-max-age": "1s"}]), contents)
def test_the_next_moment_is_the_first_at_which_something_goes(
    arguments: dict[str, object], sizes: list[list[tuple[int, int]]]
) -> None:
    retention = Retention(settings_of(arguments))
    segments = segments_of(sizes)
    moment = retention.next_moment(segments)
    if not arguments or len(segments) < 2:
        assert moment is None
        assert retention.outlived(segments, 1_000_000) == (max(len(segments) - 1, 0) if arguments else 0)
    else:
        assert moment is not None
        assert retention.outlived(segments, moment - 1) == 0
        assert retention.outlived(segments, moment) >= 1


@pytest.mark.parametrize("count", [0, 1])
def test_no_segment_and_one_segment_stay(count: int) -> None:
    retention = Retention(settings_of({"x-max-length-bytes": 0, "x-stream-max-length": 0, "x-max-age": "1s"}))
    assert retention.outlived(segments_of([[(100, 0)]] * count), 10**15) == 0
