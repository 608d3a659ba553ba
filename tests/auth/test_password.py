"""RabbitMQ's password hashes."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.auth.password import DEFAULT_ALGORITHM, PasswordError, PasswordRules, check_hash, hash_password, matches
from tests.auth.passwords import BCRYPT_OF_SECRET

# From RabbitMQ's documentation of the form: password test12, salt 908DC60A.
MD5 = "rabbit_password_hashing_md5"
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


def test_md5_is_verified_and_not_made() -> None:
    """A hash as RabbitMQ before 3.6 made it: salt 908DC60A, password test12."""
    raw = bytes.fromhex("908DC60A")
    hashed = base64.b64encode(raw + hashlib.md5(raw + b"test12").digest()).decode()
    assert matches(b"test12", hashed, MD5)
    assert not matches(b"test13", hashed, MD5)
    with pytest.raises(PasswordError, match="not hashed with"):
        hash_password(b"test12", raw, MD5)


def test_guest_of_a_definitions_file_is_guest() -> None:
    assert matches(b"guest", "9/1i+jKFRpbTRV1PtRnzFFYibT3cEpP92JeZ8YKGtflf4e/u")


@pytest.mark.parametrize(
    ("password", "right"),
    [(b"secret", True), (b"Secret", False), (b"", False), (b"secret\0", False), (b"x" * 100, False), (b"\xff", False)],
)
def test_bcrypt_is_verified(password: bytes, right: bool) -> None:
    assert matches(password, BCRYPT_OF_SECRET, "bcrypt") is right


def test_a_broken_hash_of_bcrypt_matches_nothing() -> None:
    assert not matches(b"secret", BCRYPT_OF_SECRET[:-1], "bcrypt")
    assert not matches(b"secret", "", "bcrypt")


@pytest.mark.parametrize(
    ("text", "algorithm", "fault"),
    [
        (DOCUMENTED, DEFAULT_ALGORITHM, ""),
        ("", DEFAULT_ALGORITHM, ""),
        ("", "bcrypt", ""),
        ("!!", DEFAULT_ALGORITHM, "not base64"),
        (BCRYPT_OF_SECRET, "bcrypt", ""),
        (BCRYPT_OF_SECRET, DEFAULT_ALGORITHM, "not base64"),
        (DOCUMENTED, "bcrypt", "not one of bcrypt"),
        (DOCUMENTED, "rot13", "no password hashing algorithm rot13"),
    ],
)
def test_a_hash_from_elsewhere_must_have_its_algorithms_form(text: str, algorithm: str, fault: str) -> None:
    if not fault:
        check_hash(text, algorithm)
        return
    with pytest.raises(PasswordError, match=fault) as caught:
        check_hash(text, algorithm)
    assert text not in str(caught.value), "no hash is shown"


def test_without_the_library_a_bcrypt_hash_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amqpd.auth.password.find_spec", lambda name: None)
    with pytest.raises(PasswordError, match=re.escape("pip install 'amqpd[bcrypt]'")):
        check_hash(BCRYPT_OF_SECRET, "bcrypt")


@pytest.mark.parametrize(
    ("rules", "password", "fault"),
    [
        (PasswordRules(), b"", ""),
        (PasswordRules(3), b"abc", ""),
        (PasswordRules(3), b"ab", "minimum required password length: 3"),
        (PasswordRules(3), "ü".encode(), "minimum required password length: 3"),
        (PasswordRules(pattern=re.compile(r"\d")), b"a1", ""),
        (PasswordRules(pattern=re.compile(r"\d")), b"secret", "does not match the validation regular expression"),
    ],
)
def test_rules_for_new_passwords(rules: PasswordRules, password: bytes, fault: str) -> None:
    if not fault:
        rules.check(password)
        return
    with pytest.raises(PasswordError, match=fault) as caught:
        rules.check(password)
    assert password.decode() not in str(caught.value), "no password is shown"
