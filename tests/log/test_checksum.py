"""The CRC of records is zlib's, whoever computes it: files go from one machine to another."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from amqpd.log.checksum import crc32


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_it_is_that_of_zlib_whatever_the_length_and_the_place_in_memory(data: bytes, start: int, value: int) -> None:
    assert crc32(data) == zlib.crc32(data)
    assert crc32(memoryview(data)[start:], value) == zlib.crc32(data[start:], value)


def test_it_is_that_of_zlib_for_large_records() -> None:
    data = bytes(range(251)) * 1000
    for size in (4095, 4096, 65_535, 65_536, 65_537, len(data)):
        assert crc32(data[:size]) == zlib.crc32(data[:size])
