"""What TLS has agreed on, in RabbitMQ's words."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from amqpd.net.peer_certificate import certificate_of, distinguished_name, suite, tls_info
from tests.net.certificates import Authority, shaken


def test_a_verified_certificate_comes_with_its_names(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine = authority.issue("client", "client.example", common_name="billing")
    server, _ = shaken(authority.certificates(tls_ca=authority.path, tls_verify="peer").context, authority.client(mine))
    info = tls_info(server)
    assert info[:4] == ("tlsv1.3", "any", "aes_256_gcm", "aead")
    assert info.certificate is not None
    assert info.certificate.common_name == "billing"
    assert info.certificate.subject.startswith("CN=billing,")
    assert info.certificate.subject.endswith(",O=Example")
    assert info.certificate.issuer.endswith(",O=trustme v1.2.1")
    assert info.certificate.alternative_names == (("DNS", "client.example"),)


def test_without_a_certificate_there_is_none(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    client = authority.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    server, _ = shaken(authority.certificates().context, client)
    assert tls_info(server) == ("tlsv1.2", "ecdhe_ecdsa", "aes_256_gcm", "aead", None)


def test_names_are_written_as_rfc_4514_says() -> None:
    name = (
        (("countryName", "DE"),),
        (("organizationName", 'Bolt, Nut + "Co"'),),
        (("commonName", "#a"), ("userId", " b ")),
        (("emailAddress", "x@example"),),
    )
    assert distinguished_name(name) == ('emailAddress=x@example,CN=\\#a+UID=\\ b\\ ,O=Bolt\\, Nut \\+ \\"Co\\",C=DE')
    assert distinguished_name(()) == ""


def test_validity_is_written_as_rabbitmq_does() -> None:
    known = {
        "subject": (),
        "issuer": (),
        "notBefore": "Jan  5 09:34:43 2018 GMT",
        "notAfter": "Dec 31 23:59:59 2029 GMT",
    }
    assert certificate_of(known).validity == "2018-01-05T09:34:43Z - 2029-12-31T23:59:59Z"
    assert certificate_of(known).common_name == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TLS_AES_256_GCM_SHA384", ("any", "aes_256_gcm", "aead")),
        ("TLS_CHACHA20_POLY1305_SHA256", ("any", "chacha20_poly1305", "aead")),
        ("ECDHE-RSA-AES256-GCM-SHA384", ("ecdhe_rsa", "aes_256_gcm", "aead")),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", ("ecdhe_ecdsa", "chacha20_poly1305", "aead")),
        ("ECDHE-RSA-AES128-SHA256", ("ecdhe_rsa", "aes_128_cbc", "sha256")),
        ("DHE-RSA-AES256-CCM8", ("dhe_rsa", "aes_256_ccm8", "aead")),
        ("AES128-SHA", ("rsa", "aes_128_cbc", "sha")),
    ],
)
def test_cipher_suites_are_taken_apart(name: str, expected: tuple[str, str, str]) -> None:
    assert suite(name) == expected
