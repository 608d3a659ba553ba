"""How often clients have tried to log in, by protocol.

Rule: what may live here counts. Nothing depends on the numbers.
"""

from __future__ import annotations


class Count:
    """The attempts over one protocol."""

    __slots__ = ("failed", "succeeded")

    def __init__(self) -> None:
        self.failed = 0
        self.succeeded = 0

    @property
    def all(self) -> int:
        """Both together."""
        return self.failed + self.succeeded


class Attempts:
    """All attempts since the start, or since reset()."""

    def __init__(self) -> None:
        self.by_protocol: dict[str, Count] = {}

    def succeeded(self, protocol: str) -> None:
        """Somebody was let in."""
        self._count(protocol).succeeded += 1

    def failed(self, protocol: str) -> None:
        """Somebody was not."""
        self._count(protocol).failed += 1

    def reset(self) -> None:
        """Count anew."""
        self.by_protocol.clear()

    def _count(self, protocol: str) -> Count:
        return self.by_protocol.setdefault(protocol, Count())
