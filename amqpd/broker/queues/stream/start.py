"""Where a stream's consumer starts: what x-stream-offset means at this moment (RabbitMQ, streams).

Rule: what may live here turns the argument into an offset. What it may be is checked in argument_checks.py.
"""

from __future__ import annotations

from mypy_extensions import i64

from amqpd.broker import erlang
from amqpd.broker.argument_checks import age_in_ms, integer_of
from amqpd.broker.queues.stream.store import StreamStore
from amqpd.wire.table import Field

_LARGEST: i64 = 1 << 60  # behind every stream's end


def start_of(wanted: Field | None, store: StreamStore, now: i64) -> i64:
    """The offset of the first record that is meant; it may be behind the end.

    Args:
        wanted: x-stream-offset; None is "next".
        now: milliseconds since the epoch.
    """
    if wanted is None:
        return store.next_offset
    number = integer_of(wanted)
    if number is not None:
        return max(i64(min(number, int(_LARGEST))) if number > 0 else 0, store.first)
    value = wanted.value
    if wanted.tag == "T" and isinstance(value, int):
        return store.offset_at(min(value, int(_LARGEST) // 1000) * 1000)
    return _start_of_word(erlang.plain(wanted), store, now)


def _start_of_word(word: str, store: StreamStore, now: i64) -> i64:
    if word == "first":
        return store.first
    if word == "last":
        return max(store.end - 1, store.first)
    age = age_in_ms(word)
    return store.next_offset if age is None else store.offset_at(max(now - min(age, int(_LARGEST)), 0))
