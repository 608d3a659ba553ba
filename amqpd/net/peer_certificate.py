"""What TLS has agreed on with a peer, from the ssl module's words into RabbitMQ's.

Rule: what may live here reads an SSL object that has finished its handshake. Who may log in with a certificate is not
decided here.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from amqpd.auth.certificate import PeerCertificate
from amqpd.protocol.services import TLSInfo

# Python names attribute types as OpenSSL does at length; distinguished names are written with RFC 4514's short ones.
SHORT_NAMES: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
# What a modern suite's name ends with, where it does not say how a record is authenticated: it says it by itself.
AEAD: Final = ("GCM", "CCM", "CCM8", "CHACHA20", "POLY1305")

Name = tuple[tuple[tuple[str, str], ...], ...]


def tls_info(tls: ssl.SSLObject) -> TLSInfo:
    """What has been agreed on.

    Args:
        tls: the handshake is done.
    """
    name, version, _ = tls.cipher() or ("", "", 0)
    key_exchange, cipher, digest = suite(name)
    return TLSInfo((tls.version() or version).lower(), key_exchange, cipher, digest, peer_certificate(tls))


def peer_certificate(tls: ssl.SSLObject) -> PeerCertificate | None:
    """The certificate that the peer showed and that was verified; None if there was none."""
    known = tls.getpeercert()
    return certificate_of(known) if known else None


def certificate_of(known: Mapping[str, Any]) -> PeerCertificate:
    """A certificate as ``ssl.SSLObject.getpeercert`` describes it."""
    subject: Name = known["subject"]
    return PeerCertificate(
        distinguished_name(subject),
        common_name(subject),
        distinguished_name(known["issuer"]),
        f"{moment(known['notBefore'])} - {moment(known['notAfter'])}",
        tuple((str(kind), str(value)) for kind, value in known.get("subjectAltName", ())),
    )


def distinguished_name(name: Name) -> str:
    """A name as RFC 4514 writes it: the last part first."""
    parts = ("+".join(f"{SHORT_NAMES.get(kind, kind)}={escaped(value)}" for kind, value in part) for part in name)
    return ",".join(reversed(list(parts)))


def common_name(name: Name) -> str:
    """The most specific CN; empty if there is none."""
    found = [value for part in name for kind, value in part if kind == "commonName"]
    return found[-1] if found else ""


def escaped(value: str) -> str:
    """A value in a distinguished name (RFC 4514, section 2.4)."""
    value = re.sub(r'([,+"\\<>;=])', r"\\\1", value).replace("\0", r"\00")
    if value.startswith((" ", "#")):
        value = "\\" + value
    return value[:-1] + r"\ " if value.endswith(" ") and len(value) > 1 else value


def moment(text: str) -> str:
    """A certificate's time as RabbitMQ shows it."""
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def suite(name: str) -> tuple[str, str, str]:
    """Key exchange, cipher and hash of a cipher suite that OpenSSL names: ``ECDHE-RSA-AES256-GCM-SHA384``."""
    if name.startswith("TLS_"):  # TLS 1.3 agrees on the key exchange elsewhere
        cipher = name.removeprefix("TLS_").rsplit("_", 1)[0]
        return "any", cipher.lower(), "aead"
    exchange, rest = exchange_of(name.split("-"))
    authenticated = any(part in AEAD for part in rest)
    digest = "aead" if authenticated else rest[-1].lower()
    if rest[-1].startswith("SHA"):
        rest = rest[:-1]
    cipher = "_".join(re.sub(r"^(AES|CAMELLIA|ARIA)([0-9])", r"\1_\2", part) for part in rest).lower()
    return exchange, cipher if authenticated or cipher.endswith("cbc") else f"{cipher}_cbc", digest


def exchange_of(parts: list[str]) -> tuple[str, list[str]]:
    """The key exchange at the front of a suite's name, and what stands behind it. The old suites name none: RSA."""
    front = [part for part in parts[:2] if part in ("ECDHE", "DHE", "RSA", "ECDSA", "PSK", "ECDH", "DH", "SRP")]
    return "_".join(front).lower() or "rsa", parts[len(front) :]
