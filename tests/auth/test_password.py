"""RabbitMQ's password hashes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.auth.password import DEFAULT_ALGORITHM, hash_password, matches

# From RabbitMQ's documentation of the form: password test12, salt 908DC60A.
HASHING = [DEFAULT_ALGORITHM, "rabbit_password_hashing_sha512"]
DOCUMENTED = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_the_hash_is_the_one_that_rabbitmq_documents() -> None:
    assert hash_password(b"test12", bytes.fromhex("908DC60A")) == DOCUMENTED
    assert matches(b"test12", DOCUMENTED)


@given(st.binary(min_size=1), st.binary(min_size=4, max_size=4), st.sampled_from(HASHING), st.binary())
def test_only_the_password_that_was_hashed_matches(password: bytes, salt: bytes, algorithm: str, other: bytes) -> None:
    hashed = hash_password(password, salt, algorithm)
    assert matches(password, hashed, algorithm)
    assert matches(other, hashed, algorithm) == (other == password)


@given(st.binary(), st.text() | st.sampled_from(["", "AAAA", DOCUMENTED]))
def test_no_hash_however_broken_raises_or_matches_an_empty_password(password: bytes, text: str) -> None:
    assert matches(b"", text) is False
    assert matches(password, text) is (password == b"test12" and text == DOCUMENTED)


def test_the_hash_of_another_algorithm_does_not_match() -> None:
    assert not matches(b"test12", DOCUMENTED, "rabbit_password_hashing_sha512")
    assert not matches(b"test12", DOCUMENTED, "rabbit_password_hashing_rot13")


@pytest.mark.parametrize(
    ("password", "salt", "algorithm"),
    [
        (b"", b"salt", "rabbit_password_hashing_sha256"),
        (b"x", b"sal", "rabbit_password_hashing_sha256"),
        (b"x", b"salt", "rabbit_password_hashing_rot13"),
    ],
)
def test_what_could_never_match_is_not_hashed(password: bytes, salt: bytes, algorithm: str) -> None:
    with pytest.raises(ValueError, match=r"password|salt|algorithm"):
        hash_password(password, salt, algorithm)
