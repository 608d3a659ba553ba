"""amqpd/broker/exchanges/hashing.py: a hash that is the same everywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.exchanges.hashing import HASH_BITS, octets_of, stable_hash


def test_the_hash_is_the_same_on_every_machine_and_after_every_restart() -> None:
    """Another value for the same octets would move the keys of everybody who updates."""
    assert stable_hash(b"") == 4119008146064567469
    assert stable_hash(b"key-1") == 1161451025192030711


@given(st.binary())
def test_a_hash_fits_into_what_compiled_code_handles(octets: bytes) -> None:
    assert 0 <= stable_hash(octets) < 1 << HASH_BITS


def test_every_bit_of_the_hash_is_used() -> None:
    seen_set, seen_clear = 0, 0
    for number in range(200):
        hashed = stable_hash(b"%d" % number)
        seen_set |= hashed
        seen_clear |= ~hashed
    assert seen_set & seen_clear & ((1 << HASH_BITS) - 1) == (1 << HASH_BITS) - 1


@given(st.binary())
def test_text_gives_back_the_octets_it_came_from(octets: bytes) -> None:
    assert octets_of(octets.decode("utf-8", "surrogateescape")) == octets
