"""Where amqpd listens, and what is said when it cannot."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from amqpd.net.listeners import ListenError, bind
from tests.builders import World
from tests.net.peers import served

ELSEWHERE = "192.0.2.1"  # an address for documentation: no machine has it


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


class WithoutIPv6(socket.socket):
    """A socket on a machine whose kernel has no IPv6."""

    def __init__(self, family: int, kind: int, proto: int = 0) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, kind, proto)


@contextmanager
def bound(*hosts: str, port: int = 0) -> Iterator[list[socket.socket]]:
    """Sockets that are closed at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(sock) for sock in bind(hosts, port)]


def refusal(*hosts: str, port: int = 0) -> str:
    """What bind says when it cannot; one sentence."""
    with pytest.raises(ListenError) as refused:
        bind(hosts, port)
    text = str(refused.value)
    assert re.fullmatch(r"[A-Z][^\n]*\.", text)
    return text


def test_port_0_takes_a_free_one() -> None:
    with bound("127.0.0.1") as (first,), bound("127.0.0.1") as (second,):
        assert first.getsockname()[1] != second.getsockname()[1] != 0


@needs_ipv6
def test_all_addresses_get_the_same_port() -> None:
    with bound("127.0.0.1", "::1") as sockets:
        assert [sock.family for sock in sockets] == [socket.AF_INET, socket.AF_INET6]
        assert len({sock.getsockname()[1] for sock in sockets}) == 1


@needs_ipv6
def test_an_ipv6_address_does_not_take_ipv4_along() -> None:
    with bound("0.0.0.0") as (wide,), bound("::", port=wide.getsockname()[1]) as (sock,):
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_a_port_that_is_taken_is_told_in_one_sentence_with_the_way_out() -> None:
    with bound("127.0.0.1") as (sock,):
        port = sock.getsockname()[1]
        assert refusal("127.0.0.1", port=port) == (
            f"Cannot listen on 127.0.0.1 port {port}: Address already in use; "
            "stop what listens there, or give another --port."
        )


def test_a_port_that_is_free_again_can_be_taken_at_once() -> None:
    with bound("127.0.0.1") as (sock,):
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), sock.accept()[0]:
            pass
    with bound("127.0.0.1", port=port):
        pass


def test_an_address_that_the_machine_does_not_have_is_named() -> None:
    expected = f"Cannot listen on {ELSEWHERE}: this machine has no such address; give another --host."
    assert refusal(ELSEWHERE) == expected


@pytest.mark.parametrize("host", ["::g", "a..b", "x" * 64])
def test_what_is_no_address_is_named(host: str) -> None:
    assert refusal(host).startswith(f"Cannot listen on {host}: ")


def test_if_one_address_cannot_be_had_the_others_are_given_back() -> None:
    with bound("127.0.0.1") as (sock,):
        port = sock.getsockname()[1]
    refusal("127.0.0.1", ELSEWHERE, port=port)
    with bound("127.0.0.1", port=port):
        pass


def test_without_ipv6_the_address_that_is_a_default_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amqpd.net.listeners.socket.socket", WithoutIPv6)
    with bound("127.0.0.1", "::1") as sockets:
        assert [sock.family for sock in sockets] == [socket.AF_INET]
    assert refusal("::1") == "None of the addresses ::1 exists on this machine: give another --host."
    assert refusal("::").startswith("Cannot listen on ::: this machine has no such address")


def test_a_name_stands_for_all_its_addresses() -> None:
    with bound("localhost") as sockets:
        found = {(sock.family, sock.getsockname()[0]) for sock in sockets}
        ports = {sock.getsockname()[1] for sock in sockets}
    addresses = socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)
    assert found == {(family, address[0]) for family, _, _, _, address in addresses}
    assert len(ports) == 1


@pytest.mark.anyio
async def test_after_stop_nobody_can_connect_and_those_who_have_stay() -> None:
    async with served(World()) as broker:
        await broker.client()
        broker.listeners.stop()
        with pytest.raises(ConnectionRefusedError):
            await broker.connect()
        assert len(broker.listeners.open_sockets) == 1
