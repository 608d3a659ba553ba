"""``amqpd tls dev-cert``: what it makes works, and what it says is what to do."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from amqpd.cli.command import cli
from amqpd.config import Config
from amqpd.net.peer_certificate import tls_info
from amqpd.net.tls import Certificates, settings_of
from tests.net.certificates import shaken


def made(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["tls", "dev-cert", "--dir", str(folder), *arguments])


def certificates(folder: Path) -> Certificates:
    """What a broker with these files has."""
    config = Config(
        tls_certificate=folder / "server.pem",
        tls_key=folder / "server.key",
        tls_ca=folder / "ca.pem",
        tls_verify="peer",
    )
    settings = settings_of(config)
    assert settings is not None
    return Certificates(settings)


def client(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context


def test_a_client_and_a_broker_with_these_files_trust_each_other(tmp_path: Path) -> None:
    assert made(tmp_path).exit_code == 0
    for host in ("localhost", "127.0.0.1", "::1"):
        server, _ = shaken(certificates(tmp_path).context, client(tmp_path), host)
    certificate = tls_info(server).certificate
    assert certificate is not None
    assert certificate.subject == "CN=guest,OU=client,O=amqpd development"


def test_it_says_what_was_made_and_what_to_do(tmp_path: Path) -> None:
    text = made(tmp_path, "shop.example", "--client", "billing").output
    assert text.startswith(
        f"A new authority in {tmp_path} made certificates for shop.example, valid for 730 days:\n\n"
        "  ca.pem                  the authority: clients trust it\n"
    )
    assert f"\n  amqpd --tls-certificate {tmp_path}/server.pem --tls-key {tmp_path}/server.key\n" in text
    assert "billing" in text


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    made(tmp_path / "new" / "folder")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new" / "folder").iterdir()}
    umask = os.umask(0)
    os.umask(umask)
    readable = 0o644 & ~umask
    assert modes == {
        "ca.pem": readable,
        "ca.key": 0o600,
        "server.pem": readable,
        "server.key": 0o600,
        "client.pem": readable,
        "client.key": 0o600,
    }


def test_an_authority_that_is_there_is_used_again(tmp_path: Path) -> None:
    made(tmp_path)
    before = (tmp_path / "ca.pem").read_text(), (tmp_path / "server.pem").read_text()
    text = made(tmp_path, "shop.example").output
    assert text.startswith("The authority that was there in ")
    assert (tmp_path / "ca.pem").read_text() == before[0]
    assert (tmp_path / "server.pem").read_text() != before[1]
    shaken(certificates(tmp_path).context, client(tmp_path), "shop.example")


def test_files_that_are_no_authority_are_left_alone(tmp_path: Path) -> None:
    for name in ("ca.pem", "ca.key"):
        (tmp_path / name).write_text("mine")
    result = made(tmp_path)
    assert result.exit_code == 1
    assert "remove them, or give another --dir." in result.output
    assert (tmp_path / "ca.pem").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = made(tmp_path / "file")
    assert result.exit_code == 1
    assert result.output == f"amqpd: {tmp_path / 'file'} cannot be written: File exists.\n"


def test_what_is_no_host_is_told(tmp_path: Path) -> None:
    result = made(tmp_path, "a..b")
    assert result.exit_code == 1
    assert result.output.startswith("amqpd: No certificate can be made for a..b: ")


def test_without_trustme_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amqpd.cli.dev_cert.find_spec", lambda _name: None)
    result = made(tmp_path)
    assert result.exit_code == 1
    assert result.output == "amqpd: amqpd tls dev-cert needs trustme: pip install 'amqpd[tls]'.\n"
