"""Clients over TLS: with and without certificates of their own, by host name, and while certificates change."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import aio_pika
import pika
import pytest
from pika.exceptions import AMQPConnectionError, AMQPError

from interop.amqpd_server import ROOT, AmqpdServer
from interop.broker import Broker
from interop.names import unique
from interop.security.target import program
from interop.waiting import eventually

NODE = Path(__file__).resolve().parent / "node"
Start = Callable[..., Broker]


def dev_cert(folder: Path, *hosts: str) -> None:
    """Certificates as a developer makes them."""
    command = [*program(), "tls", "dev-cert", "--dir", str(folder), *hosts]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for localhost, in ``shop`` for shop.example, of one authority."""
    folder = tmp_path_factory.mktemp("certificates")
    dev_cert(folder)
    shop = folder / "shop"
    shop.mkdir()
    for name in ("ca.pem", "ca.key"):
        shutil.copy(folder / name, shop / name)
    dev_cert(shop, "shop.example")
    return folder


def options(folder: Path, *more: str) -> tuple[str, ...]:
    """TLS on any free port."""
    files = ("--tls-certificate", str(folder / "server.pem"), "--tls-key", str(folder / "server.key"))
    sni = f"shop.example={folder / 'shop/server.pem'}:{folder / 'shop/server.key'}"
    return ("--tls-port", "0", *files, "--tls-sni", sni, *more)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Broker]:
    """A broker that asks nobody for a certificate."""
    with AmqpdServer(options=options(folder)) as broker:
        yield broker


@pytest.fixture(scope="module")
def strict(folder: Path) -> Iterator[Broker]:
    """A broker that insists on certificates, and speaks nothing older than TLS 1.3 and nothing without TLS."""
    more = ("--tls-ca", str(folder / "ca.pem"), "--tls-verify", "peer", "--tls-fail-if-no-peer-cert")
    with AmqpdServer(options=options(folder, *more, "--tls-min-version", "1.3")) as broker:
        yield broker


def context(folder: Path, certificate: bool = False) -> ssl.SSLContext:
    """A client that trusts the authority."""
    made = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if certificate:
        made.load_cert_chain(folder / "client.pem", folder / "client.key")
    return made


def connect(broker: Broker, tls: ssl.SSLContext) -> pika.BlockingConnection:
    ssl_options = pika.SSLOptions(tls, "localhost")
    return pika.BlockingConnection(
        pika.ConnectionParameters("localhost", broker.ports["amqps"], ssl_options=ssl_options)
    )


def exchange_messages(connection: pika.BlockingConnection) -> None:
    """Small and large ones, there and back."""
    channel = connection.channel()
    channel.confirm_delivery()
    queue = unique("tls")
    channel.queue_declare(queue, exclusive=True)
    bodies = [b"", b"small", b"x" * 20_000, b"y" * 1_000_000]
    for body in bodies:
        channel.basic_publish("", queue, body)
    received = [body for _, (_, _, body) in zip(bodies, channel.consume(queue, auto_ack=True), strict=False)]
    assert received == bodies
    channel.cancel()


def test_pika(server: Broker, folder: Path) -> None:
    with connect(server, context(folder)) as connection:
        exchange_messages(connection)


def test_pika_with_a_certificate(strict: Broker, folder: Path) -> None:
    with connect(strict, context(folder, certificate=True)) as connection:
        exchange_messages(connection)


def test_pika_without_a_certificate_where_one_is_needed(strict: Broker, folder: Path) -> None:
    with pytest.raises((AMQPConnectionError, AMQPError, OSError)):
        connect(strict, context(folder))


def test_a_client_that_does_not_trust_the_authority_does_not_connect(server: Broker) -> None:
    with pytest.raises((AMQPConnectionError, ssl.SSLError)):
        connect(server, ssl.create_default_context())


@pytest.mark.anyio
async def test_aio_pika(server: Broker, folder: Path) -> None:
    url = f"amqps://guest:guest@localhost:{server.ports['amqps']}/"
    async with await aio_pika.connect(url, ssl_context=context(folder)) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(aio_pika.Message(b"z" * 100_000), queue.name)
        message = await queue.get()
        assert message.body == b"z" * 100_000
        await message.ack()


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.usefixtures("node_modules")
@pytest.mark.timeout(90)
@pytest.mark.parametrize("certificate", [False, True], ids=["TLS", "mutual TLS"])
def test_amqplib(server: Broker, strict: Broker, folder: Path, certificate: bool) -> None:
    port = (strict if certificate else server).ports["amqps"]
    environment = os.environ | {"AMQPS_PORT": str(port), "CA": str(folder / "ca.pem")}
    if certificate:
        environment |= {"CERT": str(folder / "client.pem"), "KEY": str(folder / "client.key")}
    done = subprocess.run(
        ["node", "tls.js"], cwd=NODE, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_new_certificates_are_shown_and_open_connections_stay(tmp_path: Path) -> None:
    dev_cert(tmp_path)
    shop = tmp_path / "shop"
    shop.mkdir()
    dev_cert(shop, "shop.example")
    server = AmqpdServer(options=options(tmp_path))
    with server as broker, connect(broker, context(tmp_path)) as connection:
        channel = connection.channel()
        dev_cert(tmp_path, "localhost", "new.example")
        os.kill(broker.pid, signal.SIGHUP)
        eventually(lambda: "tls.reloaded" in server.log.read_text(), "the certificates are read again")
        assert "new.example" in s_client(broker, tmp_path, "-servername", "localhost", show=True)
        channel.queue_declare(unique("still"), exclusive=True)
        exchange_messages(connection)
        (tmp_path / "server.pem").write_text("nonsense")
        os.kill(broker.pid, signal.SIGHUP)
        eventually(lambda: "tls.unchanged" in server.log.read_text(), "the log tells of the bad certificate")
        with connect(broker, context(tmp_path)) as other:
            exchange_messages(other)


def s_client(broker: Broker, folder: Path, *arguments: str, show: bool = False) -> str:
    """What openssl s_client says of a handshake; the certificate as text, if show."""
    command = ["openssl", "s_client", "-connect", f"localhost:{broker.ports['amqps']}"]
    command += ["-CAfile", str(folder / "ca.pem"), *arguments]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=20)
    if not show:
        return done.stdout + done.stderr
    x509 = ["openssl", "x509", "-noout", "-ext", "subjectAltName"]
    return subprocess.run(x509, input=done.stdout, capture_output=True, text=True, check=True).stdout


openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@openssl
def test_openssl_verifies_the_chain_and_gets_the_versions_that_are_allowed(
    server: Broker, strict: Broker, folder: Path
) -> None:
    for version, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        said = s_client(server, folder, version)
        assert "Verify return code: 0 (ok)" in said
        assert f"New, {name}" in said
    for old in ("-tls1", "-tls1_1"):
        assert "Cipher is (NONE)" in s_client(server, folder, old, "-cipher", "DEFAULT@SECLEVEL=0")
    assert "Cipher is (NONE)" in s_client(strict, folder, "-tls1_2")


@openssl
def test_openssl_gets_no_weak_cipher(server: Broker, folder: Path) -> None:
    said = s_client(server, folder, "-tls1_2", "-cipher", "ECDHE+AESGCM")
    assert "Cipher is ECDHE-ECDSA-AES" in said
    for weak in ("NULL", "aNULL", "ECDHE-ECDSA-AES128-SHA"):
        assert "Cipher is (NONE)" in s_client(server, folder, "-tls1_2", "-cipher", f"{weak}:@SECLEVEL=0")


@openssl
def test_openssl_sees_the_certificate_of_the_host_that_it_names(server: Broker, folder: Path) -> None:
    assert "DNS:shop.example" in s_client(server, folder, "-servername", "shop.example", show=True)
    assert "DNS:localhost" in s_client(server, folder, "-servername", "elsewhere.example", show=True)
    assert "DNS:localhost" in s_client(server, folder, "-noservername", show=True)


@openssl
def test_openssl_is_asked_for_a_certificate_only_where_one_is_verified(
    server: Broker, strict: Broker, folder: Path
) -> None:
    own = ("-cert", str(folder / "client.pem"), "-key", str(folder / "client.key"))
    assert "No client certificate CA names sent" in s_client(server, folder, *own)
    assert "Requested Signature Algorithms" in s_client(strict, folder, *own)
    assert "Requested Signature Algorithms" not in s_client(server, folder, *own)


@openssl
def test_openssl_may_not_renegotiate(server: Broker, folder: Path) -> None:
    command = ["openssl", "s_client", "-connect", f"localhost:{server.ports['amqps']}", "-tls1_2"]
    done = subprocess.run(
        [*command, "-CAfile", str(folder / "ca.pem")],
        input="R\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert "no renegotiation" in done.stdout + done.stderr
