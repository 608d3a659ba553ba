"""The attacks: each is one thing that a hostile client, or a broken one, does to a broker.

Rule: what may live here attacks and checks what the broker answers. Memory and latency are measured by whoever calls.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from interop.differential import codec
from interop.security.speech import (
    CLOSE,
    OPEN_OK,
    PROTOCOL_HEADER,
    client,
    connect,
    declare,
    header_of,
    login,
    nested,
    publish,
    read_to_end,
    read_until,
)
from interop.security.target import Target

HEARTBEAT: Final = codec.frame(8, 0, b"")
AMQP_1_0: Final = b"AMQP\x00\x01\x00\x00"
CLIENT_HELLO: Final = bytes.fromhex("16030100c4010000c00303") + bytes(186)
GARBAGE: Final = bytes(range(256)) * 16


@dataclass(frozen=True)
class Attack:
    """One attack.

    Args:
        name: in the table.
        run: attacks; returns what it did. The number says how much.
        short: how much in a short run.
        long: how much in a long one.
        memory: MiB that the broker may take for it.
        options: of the broker.
        files: the broker may open no more; 0 is as many as usual.
    """

    name: str
    run: Callable[[Target, int], str]
    short: int
    long: int
    memory: int
    options: tuple[str, ...] = ()
    files: int = 0


@contextmanager
def many(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many sockets that have connected."""
    with ExitStack() as stack:
        yield [stack.enter_context(connect(port)) for _ in range(count)]


def nobody(target: Target, count: int) -> str:
    """No attack: what a quiet broker looks like."""
    time.sleep(count / 1000)
    return "nothing happens"


def port_scan(target: Target, count: int) -> str:
    """What scanners and misled clients send to a port."""
    for number in range(count):
        first = (b"", GARBAGE, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", CLIENT_HELLO, AMQP_1_0)[number % 5]
        with connect(target.port) as sock:
            if first:
                sock.sendall(first)
                assert read_to_end(sock) in (PROTOCOL_HEADER, b""), "anything but a protocol header"
        with connect(target.broker.ports["amqps"]) as sock, suppress(OSError):
            if first:
                sock.sendall(first)
                sock.shutdown(socket.SHUT_WR)  # the hello is not complete
                read_to_end(sock)
    return f"{2 * count:,} connections"


def slow_loris(target: Target, count: int) -> str:
    """A handshake that comes octet by octet, and would take minutes."""
    with many(target.port, count) as sockets:
        begun = time.monotonic()
        open_sockets, octets = dict.fromkeys(sockets), iter(login() * 100)
        while open_sockets:
            assert time.monotonic() - begun < 10, "the broker waits longer than --handshake-timeout"
            octet = bytes([next(octets)])
            for sock in list(open_sockets):
                if not alive(sock, octet):
                    del open_sockets[sock]
            time.sleep(0.05)
    return f"{count:,} connections, all closed after {time.monotonic() - begun:.1f} s"


def alive(sock: socket.socket, data: bytes) -> bool:
    """Send something; False if the broker has closed the connection."""
    sock.setblocking(False)
    try:
        sock.send(data)
        return sock.recv(1 << 16) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def half_open(target: Target, count: int) -> str:
    """Connections that say nothing."""
    with many(target.port, count):
        waited = target.newcomer()
    assert waited < 8, f"a new client waited {waited:.1f} s"
    return f"{count:,} connections; a new client waited {waited * 1000:.0f} ms"


def half_open_tls(target: Target, count: int) -> str:
    """TLS handshakes that do not begin, or stop after the first octets."""
    port = target.broker.ports["amqps"]
    with many(port, count) as sockets:
        for sock in sockets[::2]:
            sock.sendall(CLIENT_HELLO[:100])
        begun = time.monotonic()
        with connect(port) as plain, untrusting().wrap_socket(plain, server_hostname="localhost") as sock:
            sock.sendall(login())
            read_until(sock, OPEN_OK)
        waited = time.monotonic() - begun
    assert waited < 8, f"a new client waited {waited:.1f} s"
    return f"{count:,} connections; a new client waited {waited * 1000:.0f} ms"


def untrusting() -> ssl.SSLContext:
    """A client's context for whom any certificate will do."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def tls_handshakes(target: Target, count: int) -> str:
    """Whole TLS handshakes, which cost the broker a signature each, and nothing behind them."""
    context = untrusting()
    for _ in range(count):
        with connect(target.broker.ports["amqps"]) as plain, context.wrap_socket(plain, server_hostname="localhost"):
            pass
    return f"{count:,} handshakes"


def announced_body(target: Target, count: int) -> str:
    """Headers that announce bodies of 4 GB and of 8 EB, and the first part of one."""
    for number in range(count):
        with client(target.port) as sock:
            sock.sendall(header_of((1 << 32, 1 << 63)[number % 2]) + codec.frame(codec.BODY, 1, bytes(100_000)))
            assert b"exceeds maximum allowed size" in closed(sock), "the announcement was believed"
    return f"{count:,} announcements"


def closed(sock: socket.socket) -> bytes:
    """What the broker says until it closes the connection, or says that it does."""
    received = b""
    with suppress(ConnectionError):
        while CLOSE not in received and (data := sock.recv(1 << 16)):
            received += data
    return received


def deep_tables(target: Target, count: int) -> str:
    """Tables within tables, 10,000 deep, in a method and in a message's headers."""
    table = nested(10_000)
    header = b"\x00\x3c\x00\x00" + bytes(8) + b"\x20\x00" + len(table).to_bytes(4, "big") + table
    message = codec.method_frame(1, "basic.publish", {"routing_key": "nowhere"}) + codec.frame(codec.HEADER, 1, header)
    for number in range(count):
        with client(target.port) as sock:
            sock.sendall(message if number % 2 else declare(table))
            sock.sendall(codec.method_frame(0, "connection.close", {}))
            read_to_end(sock) if number % 2 == 0 else closed_orderly(sock)
    return f"{count:,} tables"


def closed_orderly(sock: socket.socket) -> None:
    """The broker closes the connection, or agrees to it."""
    with suppress(ConnectionError):
        read_until(sock, b"\x00\x0a\x00")


def absurd_lengths(target: Target, count: int) -> str:
    """Lengths that point behind the end: of tables, texts and frames."""
    frames = [
        declare(b"", 0xFFFFFFFF),
        declare(b"\x01aS\xff\xff\xff\xff", 7),
        declare(b"\xffa", 2),
        declare(b"\x01aA\x7f\xff\xff\xff", 7),
        b"\x01\x00\x01\xff\xff\xff\xff" + bytes(1000),
        b"\x03\x00\x01\x7f\xff\xff\xff" + bytes(1000),
    ]
    for number in range(count):
        with client(target.port) as sock:
            sock.sendall(frames[number % len(frames)])
            closed(sock)
    return f"{count:,} frames"


def tiny_frames(target: Target, count: int) -> str:
    """Heartbeats without end."""
    with client(target.port) as sock:
        block = HEARTBEAT * 10_000
        for _ in range(count // 10_000):
            sock.sendall(block)
        sock.sendall(codec.method_frame(1, "queue.declare", {"queue": "after", "exclusive": True}))
        read_until(sock, b"after")
    return f"{count:,} frames"


def never_reads(target: Target, count: int) -> str:
    """A consumer that never reads, on a queue to which messages of 10 KB are published all the time."""
    limits = {"x-max-length-bytes": 10_000_000}
    with client(target.port) as consumer, client(target.port) as publisher:
        publisher.sendall(codec.method_frame(1, "queue.declare", {"queue": "unread", "arguments": limits}))
        read_until(publisher, b"unread")
        consumer.sendall(codec.method_frame(1, "basic.consume", {"queue": "unread", "no_ack": True}))
        block = publish("unread", bytes(10_000)) * 10
        for _ in range(count // 10):
            publisher.sendall(block)
        publisher.sendall(codec.method_frame(1, "queue.declare", {"queue": "after", "exclusive": True}))
        read_until(publisher, b"after")
    return f"{count / 100:,.0f} MB published"


def unread_returns(target: Target, count: int) -> str:
    """A publisher of mandatory messages that go nowhere, which never reads what comes back."""
    block = publish("nowhere", bytes(10_000), mandatory=True) * 10
    with client(target.port) as sock:
        sock.settimeout(2)
        sent = 0
        with suppress(TimeoutError):
            for _ in range(count // 10):
                sock.sendall(block)
                sent += len(block)
    return f"{sent / 1_000_000:,.0f} MB sent, then the broker read no more"


def silent_hearts(target: Target, count: int) -> str:
    """Clients that promise a heartbeat every second and send none."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(client(target.port, heartbeat=1)) for _ in range(count)]
        begun = time.monotonic()
        for sock in sockets:
            read_to_end(sock)
    return f"{count:,} clients, all closed after {time.monotonic() - begun:.1f} s"


def channel_churn(target: Target, count: int) -> str:
    """Channels that are opened and closed, as fast as it goes."""
    one = codec.method_frame(2, "channel.open", {}) + codec.method_frame(2, "channel.close", {})
    with client(target.port) as sock:
        answers = b"\x01\x00\x02\x00\x00\x00\x08\x00\x14\x00\x0b", b"\x00\x14\x00\x29"
        for _ in range(count // 500):
            sock.sendall(one * 500)
            received = b""
            while received.count(answers[1]) < 500:
                received += sock.recv(1 << 16)
    return f"{count:,} channels"


def wrong_passwords(target: Target, count: int) -> str:
    """Logins with a wrong password, on many connections at once."""
    refused, begun = 0, time.monotonic()
    while refused < count:
        with many(target.port, min(50, count - refused)) as sockets:
            for sock in sockets:
                sock.sendall(login(f"wrong{refused}"))
            for sock in sockets:
                read_until(sock, b"ACCESS_REFUSED")
                refused += 1
    return f"{count:,} logins, {count / (time.monotonic() - begun):,.0f} a second"


def huge_http_header(target: Target, count: int) -> str:
    """A header of HTTP that does not end."""
    with connect(target.broker.ports["management"]) as sock:
        sock.sendall(b"GET /api/overview HTTP/1.1\r\nHost: x\r\nX-Long: ")
        sent = 0
        try:
            for _ in range(count):
                sock.sendall(b"a" * 1_000_000)
                sent += 1
        except OSError:
            return f"closed after at most {sent + 1:,} of {count:,} MB"
        assert read_to_end(sock).startswith(b"HTTP/1.1 4"), "the header was taken"
    return f"{count:,} MB, refused"


def slow_http(target: Target, count: int) -> str:
    """Requests over HTTP whose bodies never come to their end."""
    with many(target.broker.ports["management"], count) as sockets:
        for sock in sockets:
            sock.sendall(
                b"PUT /api/vhosts/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n"
                b"Content-Length: 1000000\r\n\r\n{"
            )
        for _ in range(20):
            time.sleep(0.1)
            for sock in sockets:
                with suppress(OSError):
                    sock.sendall(b" ")
        waited = target.newcomer()
    return f"{count:,} requests; a new AMQP client waited {waited * 1000:.0f} ms"


def half_open_http(target: Target, count: int) -> str:
    """Connections for HTTP and HTTPS that say nothing, or stop in the middle of a request or of a TLS handshake."""
    ports = target.broker.ports["management"], target.broker.ports["management-tls"]
    with many(ports[0], count // 2) as plain, many(ports[1], count // 2) as secure:
        for sock in plain[::2]:
            sock.sendall(b"GET /api/overview HTTP/1.1\r\nHost: x\r\nX-Long: ")
        for sock in secure[::2]:
            sock.sendall(CLIENT_HELLO[:100])
        waited = target.newcomer()
        waited_http = target.http_newcomer()
        most = target.files()
    assert most < 512, "they get more files than is their share"
    assert waited < 4, f"a new AMQP client waited {waited:.1f} s"
    clients = f"AMQP {waited * 1000:.0f} ms, HTTP {waited_http * 1000:.0f} ms"
    return f"{count:,} connections, {most} files; new clients waited: {clients}"


def no_more_files(target: Target, count: int) -> str:
    """More connections than the broker may have files."""
    with many(target.port, count):
        time.sleep(2)  # it tries again four times a second
        most = target.files()
    assert most < 256, "the broker's own files are not kept"
    waited = target.newcomer()
    log = target.server.log.read_text()
    assert 1 <= log.count("accept.paused") <= 3, "the log is silent, or flooded"
    return f"{count:,} connections, {most} files; then a new client waited {waited * 1000:.0f} ms"


ATTACKS: Final = (
    Attack("nobody", nobody, 1500, 10_000, 8),
    Attack("port scan", port_scan, 250, 5_000, 16),
    Attack("slow handshakes", slow_loris, 200, 2_000, 32, ("--handshake-timeout", "2")),
    Attack("half open", half_open, 2_000, 10_000, 128),
    Attack("half open, TLS", half_open_tls, 500, 4_000, 128),
    Attack("TLS handshakes", tls_handshakes, 200, 5_000, 24),
    Attack("announced bodies", announced_body, 100, 2_000, 16),
    Attack("deep tables", deep_tables, 50, 1_000, 32),
    Attack("absurd lengths", absurd_lengths, 120, 2_400, 16),
    Attack("tiny frames", tiny_frames, 1_000_000, 20_000_000, 16),
    Attack("never reads", never_reads, 10_000, 100_000, 64),
    Attack("unread returns", unread_returns, 10_000, 100_000, 64),
    Attack("silent hearts", silent_hearts, 100, 1_000, 32),
    Attack("channel churn", channel_churn, 10_000, 200_000, 16),
    Attack("wrong passwords", wrong_passwords, 100, 2_000, 16),
    Attack("huge HTTP header", huge_http_header, 50, 1_000, 48),
    Attack("slow HTTP bodies", slow_http, 200, 900, 64),
    Attack("half open, HTTP", half_open_http, 1_000, 3_000, 32, (), 2048),
    Attack("no more files", no_more_files, 400, 1_000, 32, (), 256),
)
