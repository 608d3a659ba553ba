"""Retention: which segments of a stream have had their time.

Rule: what may live here counts and compares; what goes, the store takes out. Whole segments go, from the oldest on, and
the last one never (RabbitMQ, streams).
"""

from __future__ import annotations

from typing import final

from mypy_extensions import i64

from amqpd.broker.settings import QueueSettings
from amqpd.log.segment import Segment


@final
class Retention:
    """What a stream keeps; None is no limit.

    Args:
        settings: of which max_age (ms), max_length_bytes (octets of the log) and max_records count.
    """

    def __init__(self, settings: QueueSettings) -> None:
        self._age = settings.max_age
        self._octets = settings.max_length_bytes
        self._records = settings.max_records

    @property
    def any(self) -> bool:
        """There is a limit."""
        return self._age is not None or self._octets is not None or self._records is not None

    def outlived(self, segments: list[Segment], now: i64) -> int:
        """How many segments, from the first on, are to go.

        Args:
            segments: all of them, in order.
            now: milliseconds since the epoch.
        """
        octets: i64 = 0
        records: i64 = 0
        for segment in segments:
            octets += segment.size
            records += segment.records
        count = 0
        for segment in segments[:-1]:
            if not (self._too_much(octets, records) or self._too_old(segment, now)):
                break
            octets -= segment.size
            records -= segment.records
            count += 1
        return count

    def next_moment(self, segments: list[Segment]) -> int | None:
        """When the first segment gets too old, in milliseconds since the epoch; None if it never does."""
        if self._age is None or len(segments) < 2:
            return None
        return int(segments[0].latest) + self._age + 1

    def _too_much(self, octets: i64, records: i64) -> bool:
        if self._octets is not None and octets > self._octets:
            return True
        return self._records is not None and records > self._records

    def _too_old(self, segment: Segment, now: i64) -> bool:
        return self._age is not None and segment.latest < now - self._age
