"""TLS contexts: which certificate a client sees, what it must show, and what is said of files that are of no use."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from amqpd.config import Config
from amqpd.net.tls import TLSError, settings_of
from tests.net.certificates import Authority, shaken


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def names(tls: ssl.SSLObject) -> set[str]:
    """The hosts that a peer's certificate is for."""
    known = tls.getpeercert()
    assert known is not None
    return {str(value) for _, value in known["subjectAltName"]}


def refusal(authority: Authority, **options: object) -> str:
    """Why these options cannot be used; one sentence."""
    with pytest.raises(TLSError) as refused:
        authority.certificates(**options)
    text = str(refused.value)
    assert re.fullmatch(r"[A-Za-z][^\n]*\.", text)
    return text


def split(path: Path) -> tuple[Path, Path]:
    """Certificate and key of one file as two."""
    text = path.read_text()
    end = text.index("-----BEGIN CERTIFICATE-----")
    key, certificate = path.with_suffix(".key"), path.with_suffix(".crt")
    key.write_text(text[:end])
    certificate.write_text(text[end:])
    return certificate, key


def test_a_client_that_trusts_the_authority_gets_in(authority: Authority) -> None:
    server, client = shaken(authority.certificates().context, authority.client())
    assert names(client) == {"localhost"}
    assert server.getpeercert() is None


def test_the_host_that_a_client_names_decides_what_it_sees(authority: Authority) -> None:
    shop, any_host = authority.issue("shop", "shop.example"), authority.issue("any", "*.wide.example")
    context = authority.certificates(tls_sni=(("shop.example", shop, None), ("*.wide.example", any_host, None))).context
    for host, expected in (("shop.example", "shop.example"), ("a.wide.example", "*.wide.example")):
        assert names(shaken(context, authority.client(), host)[1]) == {expected}
    unchecked = authority.client()
    unchecked.check_hostname = False
    for host in ("a.b.wide.example", "wide.example", "elsewhere.example"):
        assert names(shaken(context, unchecked, host)[1]) == {"localhost"}


def test_new_certificates_are_shown_after_reload_and_not_before(authority: Authority) -> None:
    certificates = authority.certificates()
    authority.issue("server", "localhost", "new.example")
    assert names(shaken(certificates.context, authority.client())[1]) == {"localhost"}
    certificates.reload()
    assert names(shaken(certificates.context, authority.client())[1]) == {"localhost", "new.example"}


@pytest.mark.parametrize("content", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_bad_new_certificates_change_nothing(authority: Authority, content: str) -> None:
    certificates = authority.certificates()
    (authority.folder / "server.pem").write_text(content)
    with pytest.raises(TLSError, match="server"):
        certificates.reload()
    assert names(shaken(certificates.context, authority.client())[1]) == {"localhost"}


def test_of_several_bad_files_none_is_taken(authority: Authority) -> None:
    shop = authority.issue("shop", "shop.example")
    certificates = authority.certificates(tls_sni=(("shop.example", shop, None),))
    authority.issue("server", "localhost", "new.example")
    shop.write_text("")
    with pytest.raises(TLSError, match="shop"):
        certificates.reload()
    assert names(shaken(certificates.context, authority.client())[1]) == {"localhost"}


def test_a_client_is_not_asked_for_a_certificate_unless_it_is_to_be_verified(authority: Authority) -> None:
    mine = authority.issue("client", "client.example")
    asked = authority.certificates(tls_ca=authority.path, tls_verify="peer").context
    unasked = authority.certificates(tls_ca=authority.path).context
    assert names(shaken(asked, authority.client(mine))[0]) == {"client.example"}
    assert shaken(asked, authority.client())[0].getpeercert() is None
    assert not shaken(unasked, authority.client(mine))[0].getpeercert()


def test_a_client_without_a_certificate_is_refused_where_it_must_show_one(authority: Authority) -> None:
    context = authority.certificates(tls_ca=authority.path, tls_verify="peer", tls_fail_if_no_peer_cert=True).context
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shaken(context, authority.client())


def test_a_certificate_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stranger = Authority(elsewhere).issue("client", "client.example")
    context = authority.certificates(tls_ca=authority.path, tls_verify="peer").context
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(context, authority.client(stranger))


def test_an_authority_that_is_new_after_reload_is_trusted_and_one_that_has_gone_is_not(
    authority: Authority, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = Authority(elsewhere)
    ours, theirs = authority.issue("client", "client.example"), other.issue("client", "client.example")
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(authority.path.read_text())
    certificates = authority.certificates(tls_ca=trusted, tls_verify="peer")
    shaken(certificates.context, authority.client(ours))
    trusted.write_text(other.path.read_text())
    certificates.reload()
    client = authority.client(theirs)
    shaken(certificates.context, client)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(certificates.context, authority.client(ours))


@pytest.mark.parametrize(("least", "version"), [("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)])
def test_a_version_older_than_the_oldest_is_refused(authority: Authority, least: str, version: ssl.TLSVersion) -> None:
    context = authority.certificates(tls_min_version=least).context
    client = authority.client()
    client.maximum_version = version
    assert shaken(context, client)[1].version() == f"TLSv{least}"
    if least == "1.3":
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
            shaken(context, client)


def test_ciphers_are_those_that_were_asked_for(authority: Authority) -> None:
    context = authority.certificates(tls_ciphers="ECDHE+CHACHA20").context
    client = authority.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    cipher = shaken(context, client)[1].cipher()
    assert cipher is not None
    assert "CHACHA20" in cipher[0]


def test_no_tickets_are_given_out(authority: Authority) -> None:
    """A client that came back with one would come back with a certificate that is trusted no more."""
    _, client = shaken(authority.certificates().context, authority.client())
    assert client.session is None or not client.session.has_ticket


def test_a_key_in_a_file_of_its_own_and_encrypted(authority: Authority) -> None:
    certificate, key = split(authority.issue("apart", "localhost"))
    secret = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a secret of mine"))
    )
    options = {"tls_certificate": certificate, "tls_key": key}
    shaken(authority.certificates(**options, tls_key_password="a secret of mine").context, authority.client())
    assert refusal(authority, **options) == (
        f"TLS cannot use the certificate {certificate}: the key {key} is encrypted; give tls_key_password."
    )
    text = refusal(authority, **options, tls_key_password="a wrong one")
    assert text.endswith("is encrypted; tls_key_password is not its password.")
    assert "a wrong one" not in text


def test_what_is_wrong_with_a_file_is_told_in_one_sentence(authority: Authority) -> None:
    good, other = split(authority.issue("one", "a.example")), split(authority.issue("two", "b.example"))
    missing = authority.folder / "missing.pem"
    nonsense = authority.folder / "nonsense.pem"
    nonsense.write_text("nonsense")
    assert refusal(authority, tls_certificate=missing) == f"TLS cannot read {missing}: No such file or directory."
    assert refusal(authority, tls_certificate=good[0], tls_key=missing) == (
        f"TLS cannot read {missing}: No such file or directory."
    )
    assert refusal(authority, tls_certificate=good[0], tls_key=other[1]) == (
        f"TLS cannot use the certificate {good[0]} with the key {other[1]}: the key is not that of the certificate."
    )
    assert "nonsense.pem" in refusal(authority, tls_certificate=nonsense)
    assert refusal(authority, tls_ca=nonsense) == (
        f"TLS cannot be used: tls_ca is {nonsense}, but there is no certificate in it."
    )
    assert refusal(authority, tls_ca=missing) == f"TLS cannot read {missing}: No such file or directory."
    assert "tls_ciphers is 'NONE-SUCH', but there is no such cipher" in refusal(authority, tls_ciphers="NONE-SUCH")


def careless(protocol: int) -> ssl.SSLContext:
    """What Debian's Python makes of SSLContext, and worse."""
    context = ssl.SSLContext(protocol)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize("weak", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-NULL-SHA"])
def test_weak_ciphers_are_refused_whatever_python_would_allow(
    authority: Authority, weak: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amqpd.net.tls.ssl", SimpleNamespace(**{**vars(ssl), "SSLContext": careless}))
    context = authority.certificates().context
    client = authority.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(f"{weak}:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match=r"NO_SHARED_CIPHER|HANDSHAKE_FAILURE|NO_CIPHERS_AVAILABLE"):
        shaken(context, client)


def test_ciphers_that_do_not_fit_the_certificate_are_found_at_the_start(authority: Authority) -> None:
    """trustme's keys are elliptic curves; these suites are for RSA keys."""
    path = authority.folder / "server.pem"
    assert refusal(authority, tls_ciphers="ECDHE-RSA-AES256-GCM-SHA384") == (
        f"TLS cannot use the certificate {path}: no cipher is left that fits the certificate."
    )
    authority.certificates(tls_ciphers="ECDHE-RSA-AES256-GCM-SHA384", tls_min_version="1.3")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"no_plain": True}, "no_plain leaves nothing to listen on without TLS: give --tls-certificate."),
        ({"tls_ca": Path("ca.pem")}, "tls_ca is of no use without tls_certificate: give --tls-certificate."),
        (
            {"tls_certificate": Path("c.pem"), "tls_verify": "peer"},
            "tls_verify is peer, but there is no authority to verify with: give --tls-ca.",
        ),
        (
            {"tls_certificate": Path("c.pem"), "tls_fail_if_no_peer_cert": True},
            "tls_fail_if_no_peer_cert asks for certificates that nobody verifies: give --tls-verify peer.",
        ),
    ],
)
def test_options_that_need_another_one_say_which(options: dict[str, object], expected: str) -> None:
    with pytest.raises(TLSError) as refused:
        settings_of(Config(**options))  # type: ignore[arg-type] # the parameters above
    assert str(refused.value) == expected


def test_without_a_certificate_there_is_no_tls() -> None:
    assert settings_of(Config()) is None


def test_the_end_of_each_certificate_is_known(authority: Authority) -> None:
    shop = authority.issue("shop", "shop.example")
    shown = authority.certificates(tls_sni=(("shop.example", shop, None),)).shown
    assert [(one.host, one.path.name, one.not_after.year) for one in shown] == [
        ("", "server.pem", 3000),
        ("shop.example", "shop.pem", 3000),
    ]
