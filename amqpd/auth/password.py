"""Password hashes in RabbitMQ's form, so that exported definitions work in both directions.

A hash is base64(salt + digest(salt + password)) with a salt of four octets.

Rule: what may live here is that form. Nothing here knows users.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping

SALT_LENGTH = 4
DEFAULT_ALGORITHM = "rabbit_password_hashing_sha256"
ALGORITHMS: Mapping[str, Callable[[bytes], hashlib._Hash]] = {
    DEFAULT_ALGORITHM: hashlib.sha256,
    "rabbit_password_hashing_sha512": hashlib.sha512,
}


def hash_password(password: bytes, salt: bytes, algorithm: str = DEFAULT_ALGORITHM) -> str:
    """The hash of a password.

    Args:
        password: not empty.
        salt: four octets from a source of randomness.
        algorithm: a key of ALGORITHMS.

    Raises:
        ValueError: no password, a salt of another length, or an unknown algorithm.
    """
    if not password:
        raise ValueError("an empty password never matches, so it cannot be set")
    if len(salt) != SALT_LENGTH:
        raise ValueError(f"the salt must have {SALT_LENGTH} octets")
    if algorithm not in ALGORITHMS:
        raise ValueError(f"unknown hashing algorithm {algorithm}")
    return base64.b64encode(salt + ALGORITHMS[algorithm](salt + password).digest()).decode("ascii")


def matches(password: bytes, password_hash: str, algorithm: str = DEFAULT_ALGORITHM) -> bool:
    """True if the password is the one that was hashed. An empty password or hash never matches.

    Takes the same time for every password, right or wrong.
    """
    if not password or algorithm not in ALGORITHMS:
        return False
    try:
        raw = base64.b64decode(password_hash, validate=True)
    except (binascii.Error, ValueError):
        return False
    salt, digest = raw[:SALT_LENGTH], raw[SALT_LENGTH:]
    return hmac.compare_digest(ALGORITHMS[algorithm](salt + password).digest(), digest)
