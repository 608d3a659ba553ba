"""The whole server: in part by itself, mostly as a process with real clients."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pika  # type: ignore[import-untyped] # it has no types
import pika.exceptions  # type: ignore[import-untyped] # as above
import pytest
from cryptography.x509 import load_pem_x509_certificate

import amqpd
from amqpd import __version__
from amqpd.catalog.catalog import Catalog
from amqpd.cli.control import NoAnswerError, exchanged
from amqpd.clock import ManualClock
from amqpd.config import Config
from amqpd.logs import configure
from amqpd.net.listeners import url_of
from amqpd.protocol.limits import Limits
from amqpd.server import SHUTDOWN_SECONDS, Server, limits_of, write_ready_file
from amqpd.turn import Work
from tests.builders import PROTOCOL_HEADER, World
from tests.net.certificates import Authority
from tests.net.peers import OPENING

START_SECONDS = 20.0
STOP_SECONDS = 10.0  # promised
GUEST_HASH = "9/1i+jKFRpbTRV1PtRnzFFYibT3cEpP92JeZ8YKGtflf4e/u"
SHUTDOWN = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"


class Process:
    """An amqpd process with its files in a directory of its own."""

    def __init__(self, home: Path, *options: str) -> None:
        self.ready_file = home / "ready.json"
        command = [sys.executable, "-m", "amqpd", "--no-management", "--ready-file", str(self.ready_file)]
        if "--data-dir" not in options:
            command.append("--memory")
        # The process has to import the amqpd that is tested, which need not be the one in the working directory.
        path = str(Path(amqpd.__file__).resolve().parent.parent)
        environment = {**os.environ, "AMQPD_CONFIG": os.devnull, "PYTHONPATH": path}
        self._process = subprocess.Popen(
            [*command, *options],
            cwd=home,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> dict[str, dict[str, object]]:
        """What the ready file says, once it is there."""
        deadline = time.monotonic() + START_SECONDS
        while not self.ready_file.exists():
            assert self._process.poll() is None, self._process.communicate()[1]
            assert time.monotonic() < deadline, "not ready in time"
            time.sleep(0.005)
        found: dict[str, dict[str, object]] = json.loads(self.ready_file.read_text())
        return found

    def port(self) -> int:
        """The AMQP port, once it accepts."""
        port = self.ready()["ports"]["amqp"]
        assert isinstance(port, int)
        return port

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of a process that is about to end."""
        output, errors = self._process.communicate(timeout=STOP_SECONDS)
        return self._process.returncode, output, errors

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


class Amqpds:
    """Starts processes and sees to it that none survives the test."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._processes: list[Process] = []

    def start(self, *options: str, port: int = 0) -> Process:
        home = self._home / str(len(self._processes))
        home.mkdir()
        process = Process(home, "--port", str(port), *options)
        self._processes.append(process)
        return process

    def kill(self) -> None:
        for process in self._processes:
            process.kill()


@pytest.fixture
def amqpds(tmp_path: Path) -> Iterator[Amqpds]:
    amqpds = Amqpds(tmp_path)
    yield amqpds
    amqpds.kill()


@pytest.fixture
def process(amqpds: Amqpds) -> Process:
    """An amqpd on a free port of 127.0.0.1."""
    return amqpds.start("--host", "127.0.0.1")


def connect(port: int, host: str = "127.0.0.1") -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.ConnectionParameters(host, port))


def closed_by_broker(connection: pika.BlockingConnection) -> tuple[int, str]:
    """Reply code and text of the connection.close that is about to come; pika answers it."""
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        connection.process_data_events(time_limit=STOP_SECONDS)
    return closed.value.reply_code, closed.value.reply_text


# Start.


def test_when_the_ready_file_is_there_a_client_is_served(process: Process) -> None:
    port = process.port()
    assert process.ready() == {
        "pid": process.pid,
        "ports": {"amqp": port},
        "urls": {"amqp": [f"amqp://127.0.0.1:{port}"]},
    }
    connection = connect(port)
    channel = connection.channel()
    channel.queue_declare("q", exclusive=True)
    channel.basic_publish("", "q", b"hello")
    assert channel.basic_get("q", auto_ack=True)[2] == b"hello"
    connection.close()


def test_standard_output_gets_two_lines_when_it_is_ready_and_nothing_else(process: Process) -> None:
    port = process.port()
    process.signal(signal.SIGTERM)
    _, output, _ = process.ended()
    ready, complete = output.splitlines()
    assert re.fullmatch(rf"amqpd {re.escape(__version__)} ready in \d+ ms: amqp://127\.0\.0\.1:{port}", ready)
    assert complete == "Server startup complete; 0 plugins started."


def test_several_addresses_get_one_port_and_a_url_each(amqpds: Amqpds) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    process = amqpds.start()
    port = process.port()
    assert process.ready()["urls"]["amqp"] == [f"amqp://127.0.0.1:{port}", f"amqp://[::1]:{port}"]
    for host in ("127.0.0.1", "::1"):
        connect(port, host).close()


def test_a_port_that_is_taken_is_one_sentence_and_status_1(amqpds: Amqpds, process: Process) -> None:
    port = process.port()
    status, output, errors = amqpds.start("--host", "127.0.0.1", port=port).ended()
    assert (status, output) == (1, "")
    reason = "Address already in use; stop what listens there, or give another --port."
    assert errors == f"amqpd: Cannot listen on 127.0.0.1 port {port}: {reason}\n"


def test_an_address_that_cannot_be_had_leaves_no_ready_file(amqpds: Amqpds) -> None:
    process = amqpds.start("--host", "192.0.2.1")
    assert process.ended()[0] == 1
    assert not process.ready_file.exists()


def test_a_bad_configuration_is_one_sentence_and_status_2(amqpds: Amqpds) -> None:
    status, output, errors = amqpds.start("--heartbeat", "often").ended()
    assert (status, output) == (2, "")
    assert re.fullmatch(r"amqpd: --heartbeat is 'often', but must be [^\n]*\.\n", errors)


# Stop.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_and_is_logged(process: Process, number: signal.Signals) -> None:
    process.port()
    process.signal(number)
    status, _, errors = process.ended()
    assert status == 0
    events = [line.split()[2:] for line in errors.splitlines()]
    assert events == [["server.stopping", f"signal={number.name}"], ["server.stopped"]]


def test_what_only_others_need_is_not_in_its_memory(amqpds: Amqpds, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker in memory, without HTTP and definitions; PYTHONPROFILEIMPORTTIME lists every module it imports."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    process = amqpds.start()
    process.port()
    process.signal(signal.SIGTERM)
    modules = {line.rsplit("|", 1)[-1].strip() for line in process.ended()[2].splitlines()}
    assert "amqpd.server" in modules
    outside = r"starlette|uvicorn|prometheus_client|regex|sqlite3|shutil|difflib|secrets"
    own = r"amqpd\.(bench|check|loading|definitions\.importing|catalog\.catalog|cli\.(bench|check_data|stream|tls))"
    assert [module for module in modules if re.match(rf"({outside}|{own})(\.|$)", module)] == []


def test_clients_are_told_of_the_shutdown(process: Process) -> None:
    connections = [connect(process.port()) for _ in range(3)]
    begun = time.monotonic()
    process.signal(signal.SIGTERM)
    assert [closed_by_broker(connection) for connection in connections] == [(320, SHUTDOWN)] * 3
    assert process.ended()[0] == 0
    assert time.monotonic() - begun < SHUTDOWN_SECONDS, "they all agreed, so nothing was to be waited for"


def test_a_client_blocked_by_the_memory_alarm_is_told_as_well(amqpds: Amqpds) -> None:
    process = amqpds.start("--host", "127.0.0.1", "--memory-high-watermark", "0")
    connection = connect(process.port())
    blocked: list[str] = []
    connection.add_on_connection_blocked_callback(lambda _, frame: blocked.append(frame.method.reason))
    connection.channel().basic_publish("", "nowhere", b"m")
    connection.process_data_events(time_limit=STOP_SECONDS)
    assert blocked == ["low on memory"]
    begun = time.monotonic()
    process.signal(signal.SIGTERM)
    assert closed_by_broker(connection) == (320, SHUTDOWN)
    assert process.ended()[0] == 0
    assert time.monotonic() - begun < SHUTDOWN_SECONDS, "its answer was read"


def test_clients_that_do_not_answer_cannot_stop_the_shutdown(process: Process) -> None:
    """One in the middle of its handshake, one that has opened and reads nothing."""
    address = ("127.0.0.1", process.port())
    with socket.create_connection(address) as halfway, socket.create_connection(address) as deaf:
        halfway.sendall(PROTOCOL_HEADER[:4])
        deaf.sendall(OPENING)
        read_until(deaf, b"\x00\x0a\x00\x29")  # connection.open_ok
        process.signal(signal.SIGTERM)
        assert process.ended()[0] == 0


# Commands.


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_commands_are_taken_while_it_runs_and_what_they_did_outlives_a_kill(amqpds: Amqpds, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    process = amqpds.start("--data-dir", str(directory))
    process.ready()
    made = exchanged(directory, {"command": "super_stream.add", "arguments": {"name": "orders"}})
    moved = {"stream": "orders-1", "cursor": "billing", "offset": "first"}
    exchanged(directory, {"command": "stream.reset_cursor", "arguments": moved})
    process.signal(signal.SIGKILL)
    process.ended()
    with pytest.raises(NoAnswerError, match="No amqpd is running"):
        exchanged(directory, {"command": "super_stream.list"})
    process = amqpds.start("--data-dir", str(directory))
    process.ready()
    assert exchanged(directory, {"command": "super_stream.list"}) == [made]
    (cursor,) = exchanged(directory, {"command": "stream.cursors"})
    assert (cursor["stream"], cursor["cursor"], cursor["offset"]) == ("orders-1", "billing", 0)
    process.signal(signal.SIGTERM)
    assert process.ended()[0] == 0
    assert not (directory / "control.sock").exists()


def test_a_broker_that_keeps_nothing_makes_no_socket_either(amqpds: Amqpds, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    amqpds.start("--data-dir", str(directory), "--memory").ready()
    assert not directory.exists()


# Accounts.


def login(process: Process, user: str, password: str, vhost: str) -> pika.BlockingConnection:
    credentials = pika.PlainCredentials(user, password)
    port = process.ready()["ports"]["amqp"]
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, vhost, credentials))


def test_the_first_user_of_a_data_directory_is_as_configured_and_stays(amqpds: Amqpds, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    first = ("--default-user", "admin", "--default-pass", "s3cret", "--default-vhost", "shop")
    process = amqpds.start("--data-dir", str(directory), *first, "--default-write", "^a")
    connection = login(process, "admin", "s3cret", "shop")
    channel = connection.channel()
    channel.queue_declare("q")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="write access to queue 'q' in vhost 'shop'"):
        channel.queue_bind("q", "amq.topic", "k")
    connection.close()
    process.signal(signal.SIGKILL)
    process.ended()
    process = amqpds.start("--data-dir", str(directory), "--default-user", "other", "--default-pass", "other")
    login(process, "admin", "s3cret", "shop").close()
    process.signal(signal.SIGTERM)
    _, _, log = process.ended()
    assert "s3cret" not in log
    catalog = Catalog.open(directory / "catalog.sqlite", syncs=False)
    found = catalog.load()
    catalog.close()
    assert [row.name for row in found.users] == ["admin"]
    assert [row.name for row in found.vhosts] == ["shop"]


@pytest.mark.parametrize("login_from", ["common_name", "distinguished_name"])
def test_a_certificate_is_a_login(amqpds: Amqpds, tmp_path: Path, login_from: str) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("client", "shop.example", common_name="shop")
    subject = load_pem_x509_certificate(certificate.read_bytes()).subject.rfc4514_string()
    assert subject.startswith("CN=shop,OU=")
    user = "shop" if login_from == "common_name" else subject
    process = amqpds.start(
        *("--tls-certificate", str(authority.issue("server", "localhost")), "--tls-port", "0"),
        *("--tls-ca", str(authority.path), "--tls-verify", "peer"),
        *("--auth-mechanisms", "EXTERNAL", "--ssl-cert-login-from", login_from, "--default-user", user),
    )
    tls = pika.SSLOptions(authority.client(certificate), "localhost")
    credentials = pika.credentials.ExternalCredentials()
    port = process.ready()["ports"]["amqps"]
    connection = pika.BlockingConnection(
        pika.ConnectionParameters("127.0.0.1", port, credentials=credentials, ssl_options=tls)
    )
    connection.channel().basic_publish("", "q", b"m", pika.BasicProperties(user_id=user))
    connection.close()


def read_until(sock: socket.socket, octets: bytes) -> None:
    """Read until these octets have come."""
    sock.settimeout(STOP_SECONDS)
    seen = b""
    while octets not in seen:
        data = sock.recv(4096)
        assert data, "closed before"
        seen += data


# Parts.


def server() -> Server:
    """A server that does not listen, and keeps nothing."""
    return Server(Config(memory=True), ManualClock(), logging.getLogger("amqpd"))


def test_out_of_the_box_guest_may_log_in_from_the_machine_itself_only() -> None:
    users = server().users
    guest = users.find("guest")
    assert guest is not None
    loopback = {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"}
    elsewhere = {"10.0.0.1", "192.0.2.1", "fe80::1", "::ffff:10.0.0.1", ""}
    assert {address for address in loopback | elsewhere if users.may_connect_from(guest, address)} == loopback


def test_a_guest_from_elsewhere_does_not_get_beyond_the_login() -> None:
    world = World()
    stranger = world.raw_client("10.0.0.1")
    stranger.feed(PROTOCOL_HEADER)
    stranger.take()
    stranger.start_ok()
    assert stranger.connection_closed()[0] == 403
    assert [name for name, _ in world.observer.events] == ["refused"]


@pytest.mark.usefixtures("loggers_as_before")
def test_a_fault_in_the_work_of_a_turn_is_logged_with_its_traceback() -> None:
    class Broken(Work):
        def run(self) -> None:
            raise ValueError("fault")

    stream = io.StringIO()
    faulty = Server(Config(memory=True), ManualClock(), configure("info", "json", stream))
    faulty.context.turn.defer(Broken())
    faulty.context.turn.finish()
    logged = json.loads(stream.getvalue())
    assert (logged["level"], logged["event"]) == ("error", "server.fault")
    assert logged["traceback"].endswith("ValueError: fault")


def test_the_protocol_gets_every_limit_of_the_configuration() -> None:
    config = Config(
        channel_max=1,
        frame_max=4097,
        heartbeat=2,
        handshake_timeout=3.0,
        max_message_size=4,
        consumer_max_per_channel=5,
    )
    expected = Limits(
        channel_max=1, frame_max=4097, heartbeat=2, handshake_timeout=3.0, max_message_size=4, consumer_max=5
    )
    assert limits_of(config) == expected


@pytest.mark.parametrize(
    ("family", "host", "url"),
    [
        (socket.AF_INET, "127.0.0.1", "amqp://127.0.0.1:{}"),
        (socket.AF_INET6, "::1", "amqp://[::1]:{}"),
    ],
)
def test_a_url_has_ipv6_addresses_in_brackets(family: socket.AddressFamily, host: str, url: str) -> None:
    try:
        sock = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with sock:
        assert url_of(sock, "amqp") == url.format(sock.getsockname()[1])


def test_the_ready_file_is_complete_or_not_there(tmp_path: Path) -> None:
    """Also when one is there from an earlier run."""
    path = tmp_path / "ready.json"
    path.write_text("old")
    write_ready_file(path, server())
    assert json.loads(path.read_text()) == {"pid": os.getpid(), "ports": {}, "urls": {}}
    assert list(tmp_path.iterdir()) == [path]


def test_definitions_are_there_when_the_first_client_comes(amqpds: Amqpds, tmp_path: Path) -> None:
    path = tmp_path / "definitions.json"
    document = {
        "users": [{"name": "app", "tags": "administrator", "password_hash": GUEST_HASH}],
        "vhosts": [{"name": "shop"}],
        "permissions": [{"user": "app", "vhost": "shop", "configure": "", "write": "", "read": ".*"}],
        "queues": [{"name": "orders", "vhost": "shop", "type": "quorum"}],
    }
    path.write_text(json.dumps(document))
    process = amqpds.start("--definitions", str(path), "--data-dir", str(tmp_path / "data"))
    parameters = pika.ConnectionParameters(
        "127.0.0.1", process.port(), "shop", pika.PlainCredentials("app", "guest"), socket_timeout=10
    )
    with pika.BlockingConnection(parameters) as connection:
        assert connection.channel().queue_declare("orders", passive=True).method.queue == "orders"
    guest = pika.ConnectionParameters("127.0.0.1", process.port(), socket_timeout=10)
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        pika.BlockingConnection(guest)
    process.signal(signal.SIGTERM)
    status, _, errors = process.ended()
    assert status == 0
    assert "not created, for the definitions bring users" in errors


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ('{"queues": [{"name": "q", "vhost": "nope"}]}', "queues[0] \"q\": there is no virtual host 'nope'."),
        ("{", "not JSON: Expecting property name enclosed in double quotes (line 1, column 2)."),
    ],
)
def test_definitions_that_cannot_be_imported_stop_the_start(
    amqpds: Amqpds, tmp_path: Path, document: str, reason: str
) -> None:
    path = tmp_path / "definitions.json"
    path.write_text(document)
    process = amqpds.start("--definitions", str(path))
    status, output, errors = process.ended()
    assert (status, output) == (2, "")
    assert errors.splitlines()[-1] == f"amqpd: The definitions file {path} cannot be imported: {reason}"
