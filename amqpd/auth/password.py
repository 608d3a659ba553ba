"""Password hashes in RabbitMQ's form, so that exported definitions work in both directions.

A hash is base64(salt + digest(salt + password)) with a salt of four octets; or what bcrypt makes, as other brokers keep
it.

Rule: what may live here is the form of hashes and the rules for new passwords. Nothing here knows users.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Final, NamedTuple

SALT_LENGTH: Final = 4
DEFAULT_ALGORITHM: Final = "rabbit_password_hashing_sha256"
BCRYPT: Final = "bcrypt"
_MD5: Final = "rabbit_password_hashing_md5"
_DIGESTS: Final[Mapping[str, Callable[[bytes], hashlib._Hash]]] = {
    DEFAULT_ALGORITHM: hashlib.sha256,
    "rabbit_password_hashing_sha512": hashlib.sha512,
    # Of passwords from before RabbitMQ 3.6. None is made with it any more.
    _MD5: lambda data: hashlib.md5(data, usedforsecurity=False),
}
ALGORITHMS: Final = (*_DIGESTS, BCRYPT)
_BCRYPT_OCTETS: Final = 72  # of a password; bcrypt heeds no more
_BCRYPT_HASH: Final = re.compile(r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}")


class PasswordError(ValueError):
    """A password or hash that cannot be taken; its text says why, and never shows it."""


class PasswordRules(NamedTuple):
    """What a new password has to be like; RabbitMQ's credential validators.

    Args:
        min_length: octets.
        pattern: a regular expression that is searched in it; None for any.
    """

    min_length: int = 0
    pattern: re.Pattern[str] | None = None

    def check(self, password: bytes) -> None:
        """Raises PasswordError if the password is not allowed. The texts are RabbitMQ's."""
        if len(password) < self.min_length:
            raise PasswordError(f"minimum required password length: {self.min_length}")
        if self.pattern is not None and self.pattern.search(password.decode("utf-8", "replace")) is None:
            raise PasswordError("provided password does not match the validation regular expression")


def hash_password(password: bytes, salt: bytes, algorithm: str = DEFAULT_ALGORITHM) -> str:
    """The hash of a password.

    Args:
        password: not empty.
        salt: four octets from a source of randomness.
        algorithm: one of SHA-256 and SHA-512.

    Raises:
        PasswordError: no password, a salt of another length, or an algorithm that makes no hashes here.
    """
    if not password:
        raise PasswordError("an empty password never matches, so it cannot be set")
    if len(salt) != SALT_LENGTH:
        raise PasswordError(f"the salt must have {SALT_LENGTH} octets")
    if algorithm not in _DIGESTS or algorithm == _MD5:
        raise PasswordError(f"passwords are not hashed with {algorithm}")
    return base64.b64encode(salt + _DIGESTS[algorithm](salt + password).digest()).decode("ascii")


def check_hash(password_hash: str, algorithm: str) -> None:
    """See whether a hash from elsewhere can be kept. An empty one is: nobody logs in with it.

    Raises:
        PasswordError: it is not of the algorithm's form, the algorithm is unknown, or its library is missing.
    """
    if algorithm not in ALGORITHMS:
        raise PasswordError(f"there is no password hashing algorithm {algorithm}")
    if not password_hash:
        return
    if algorithm == BCRYPT:
        if not _BCRYPT_HASH.fullmatch(password_hash):
            raise PasswordError("the password hash is not one of bcrypt")
        require_bcrypt()
    elif _octets(password_hash) is None:
        raise PasswordError("the password hash is not base64")


def require_bcrypt() -> None:
    """Raises PasswordError, with the way out, if the library is not installed."""
    if find_spec("bcrypt") is None:
        raise PasswordError(
            "the password is hashed with bcrypt, which is not installed; run: pip install 'amqpd[bcrypt]'"
            " (or set the password anew)"
        )


def is_slow(algorithm: str) -> bool:
    """True if matches() takes so long (tenths of a second) that nothing else may wait for it."""
    return algorithm == BCRYPT


def matches(password: bytes, password_hash: str, algorithm: str = DEFAULT_ALGORITHM) -> bool:
    """True if the password is the one that was hashed. An empty password or hash never matches.

    Takes the same time for every password, right or wrong. May be called in any thread.

    Raises:
        PasswordError: the library that this takes is not installed.
    """
    if not password or not password_hash:
        return False
    if algorithm == BCRYPT:
        return _matches_bcrypt(password, password_hash)
    raw = _octets(password_hash)
    if raw is None or algorithm not in _DIGESTS:
        return False
    salt, digest = raw[:SALT_LENGTH], raw[SALT_LENGTH:]
    return hmac.compare_digest(_DIGESTS[algorithm](salt + password).digest(), digest)


def _matches_bcrypt(password: bytes, password_hash: str) -> bool:
    require_bcrypt()
    bcrypt = import_module("bcrypt")  # mypyc would insist that it is there, which it need not be where amqpd is built
    try:
        return bool(bcrypt.checkpw(password[:_BCRYPT_OCTETS], password_hash.encode()))
    except ValueError:  # not a hash of bcrypt, or a password with NUL
        return False


def _octets(password_hash: str) -> bytes | None:
    try:
        return base64.b64decode(password_hash, validate=True)
    except (binascii.Error, ValueError):
        return None
