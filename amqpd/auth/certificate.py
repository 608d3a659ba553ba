"""The certificate that a client showed, as far as accounts and listings need it. How it was checked is net/tls.py's."""

from __future__ import annotations

from typing import NamedTuple


class PeerCertificate(NamedTuple):
    """A certificate that TLS has verified.

    Args:
        subject: the distinguished name as RFC 4514 writes it, the most specific part first: ``CN=shop,O=Example``.
        common_name: the most specific CN of the subject; empty if there is none.
        issuer: the issuer's distinguished name.
        validity: from when to when, as RabbitMQ shows it: ``2026-01-01T00:00:00Z - 2027-01-01T00:00:00Z``.
        alternative_names: kind and value of each subject alternative name: ``("DNS", "shop.example")``.
    """

    subject: str
    common_name: str
    issuer: str
    validity: str
    alternative_names: tuple[tuple[str, str], ...] = ()
