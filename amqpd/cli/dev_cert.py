"""Certificates for development, made by trustme: an authority, one for a broker, one for a client.

Rule: what may live here makes files. What is said of them is tls.py's.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from amqpd.clock import Clock

if TYPE_CHECKING:
    import trustme

DAYS: Final = 730  # more than some clients take of an authority that was added by hand
ORGANIZATION: Final = "amqpd development"


class CannotMake(Exception):
    """Certificates cannot be made. Its text is one sentence with the way out."""


class Made(NamedTuple):
    """What was made.

    Args:
        folder: where it is.
        hosts: whom the broker's certificate is for.
        client: the common name of the client's.
        new_authority: there was none before.
    """

    folder: Path
    hosts: tuple[str, ...]
    client: str
    new_authority: bool


def make_certificates(folder: Path, hosts: tuple[str, ...], client: str, clock: Clock) -> Made:
    """Make everything that TLS needs.

    Args:
        folder: is made if it is not there.
        hosts: names and addresses of the broker.
        client: common name of the client's certificate.
        clock: certificates begin a day before now, for clocks that go slow.

    Raises:
        CannotMake: trustme is missing, a host is none, or a file cannot be written.
    """
    if find_spec("trustme") is None:
        raise CannotMake("amqpd tls dev-cert needs trustme: pip install 'amqpd[tls]'.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        authority, new = _authority(folder)
        now = datetime.fromtimestamp(clock.time(), UTC)
        _issue(authority, folder, "server", hosts, hosts[0], now)
        _issue(authority, folder, "client", (client,), client, now)
    except OSError as error:
        raise CannotMake(f"{error.filename or folder} cannot be written: {error.strerror}.") from None
    return Made(folder, hosts, client, new)


def _authority(folder: Path) -> tuple[trustme.CA, bool]:
    """The authority of a folder, and whether it is new."""
    import trustme  # only this command waits for it

    certificate, key = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() and key.exists():
        try:
            return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes()), False
        except (ValueError, TypeError):
            raise CannotMake(
                f"{certificate} and {key} are no authority that can be used: remove them, or give another --dir."
            ) from None
    authority = trustme.CA(organization_name=ORGANIZATION, organization_unit_name="authority")
    write(certificate, authority.cert_pem.bytes(), secret=False)
    write(key, authority.private_key_pem.bytes(), secret=True)
    return authority, True


def _issue(
    authority: trustme.CA, folder: Path, name: str, identities: tuple[str, ...], common_name: str, now: datetime
) -> None:
    try:
        issued = authority.issue_cert(
            *identities,
            common_name=common_name,
            organization_name=ORGANIZATION,
            organization_unit_name=name,
            not_before=now - timedelta(days=1),
            not_after=now + timedelta(days=DAYS),
        )
    except ValueError as error:  # of idna too
        raise CannotMake(f"No certificate can be made for {', '.join(identities)}: {error}.") from None
    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
    write(folder / f"{name}.key", issued.private_key_pem.bytes(), secret=True)
    write(folder / f"{name}.pem", chain, secret=False)


def write(path: Path, content: bytes, *, secret: bool) -> None:
    """Write a file, complete or not at all: a broker may read it at any time.

    Args:
        secret: only its owner may read it.
    """
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)
