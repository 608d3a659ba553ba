"""A hash for routing: the same on every machine and after every restart, so that keys keep their queues.

Python's own hash() is neither: it is salted anew in every process.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from mypy_extensions import i64

HASH_BITS: Final = 62  # what compiled code handles without making an object


def stable_hash(octets: bytes) -> i64:
    """A number of HASH_BITS bits, evenly spread whatever the octets have in common."""
    return int.from_bytes(blake2b(octets, digest_size=8).digest(), "big") >> (64 - HASH_BITS)


def octets_of(text: str) -> bytes:
    """Text from the wire as the octets it was there."""
    return text.encode("utf-8", "surrogateescape")
