"""A login whose check takes long: what the connection does meanwhile, and afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pamqp import commands

from amqpd.auth.login import LoginPolicy
from amqpd.auth.permissions import Permission
from amqpd.auth.users import User
from amqpd.protocol.state import ConnectionState
from amqpd.protocol.workers import Workers
from amqpd.wire.methods import encode, make
from tests.auth.passwords import BCRYPT_OF_SECRET
from tests.builders import ALL_CAPABILITIES, PROTOCOL_HEADER, Client, World


class LaterWorkers(Workers):
    """Workers that do what they were given when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Callable[[], None], Callable[[], None]]] = []

    def run(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        self.waiting.append((work, done))

    def finish(self, world: World) -> None:
        """Do the first."""
        work, done = self.waiting.pop(0)
        work()
        done()
        world.finish()


@pytest.fixture
def later() -> LaterWorkers:
    return LaterWorkers()


@pytest.fixture
def slow(later: LaterWorkers) -> World:
    """A broker with a user whose password, secret, is hashed with bcrypt."""
    return slow_world(later)


def slow_world(workers: Workers) -> World:
    world = World(workers=workers)
    world.users.put(User("slow", BCRYPT_OF_SECRET, "bcrypt"))
    world.users.permissions.set("slow", "/", Permission(".*", ".*", ".*"))
    return world


def start_ok(password: str, capabilities: dict[str, bool] | None = None) -> bytes:
    found = make(
        commands.Connection.StartOk,
        client_properties={"capabilities": ALL_CAPABILITIES if capabilities is None else capabilities},
        mechanism="PLAIN",
        response=f"\0slow\0{password}",
        locale="en_US",
    )
    return encode(0, found)


REST = (
    encode(0, make(commands.Connection.TuneOk, channel_max=2047, frame_max=131_072, heartbeat=0))
    + encode(0, make(commands.Connection.Open, virtual_host="/"))
    + encode(1, make(commands.Channel.Open))
)


def names(client: Client) -> list[str]:
    return [item.name for _, item in client.received() if hasattr(item, "name")]


def test_a_slow_check_holds_the_handshake_and_nothing_else(slow: World, later: LaterWorkers) -> None:
    client = slow.raw_client()
    client.feed(PROTOCOL_HEADER + start_ok("secret"))
    assert names(client) == ["Connection.Start"]
    assert (client.connection.state, client.wire.reading) == (ConnectionState.AUTHENTICATING, False)
    other = slow.client()
    other.open(1)
    later.finish(slow)
    assert names(client) == ["Connection.Tune"]
    assert (client.connection.state, client.wire.reading) == (ConnectionState.TUNING, True)
    assert slow.observer.events[-1] == ("authenticated", "slow")


@pytest.mark.parametrize("pieces", [1, 2])
def test_what_a_client_sends_ahead_is_kept_until_it_is_let_in(slow: World, later: LaterWorkers, pieces: int) -> None:
    client = slow.raw_client()
    if pieces == 1:
        client.feed(PROTOCOL_HEADER + start_ok("secret") + REST)
    else:
        client.feed(PROTOCOL_HEADER + start_ok("secret"))
        client.feed(REST)  # what the socket had when reading was paused
    assert names(client) == ["Connection.Start"]
    later.finish(slow)
    assert names(client) == ["Connection.Tune", "Connection.OpenOk", "Channel.OpenOk"]


def test_workers_that_are_done_at_once_change_nothing() -> None:
    world = slow_world(Workers())
    client = world.raw_client()
    client.feed(PROTOCOL_HEADER + start_ok("secret") + REST)
    assert names(client) == ["Connection.Start", "Connection.Tune", "Connection.OpenOk", "Channel.OpenOk"]
    assert world.observer.crashes == []


def test_a_wrong_password_is_told_to_who_understands_it(slow: World, later: LaterWorkers) -> None:
    client = slow.raw_client()
    client.feed(PROTOCOL_HEADER + start_ok("wrong"))
    assert names(client) == ["Connection.Start"]
    later.finish(slow)
    close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.class_id, close.method_id) == (403, 0, 0)
    assert close.reply_text.startswith("ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.")
    client.send(0, commands.Connection.CloseOk)
    assert client.wire.closed


def test_a_wrong_password_closes_the_socket_of_others_after_three_seconds(slow: World, later: LaterWorkers) -> None:
    client = slow.raw_client()
    client.feed(PROTOCOL_HEADER + start_ok("wrong", {}))
    later.finish(slow)
    assert names(client) == ["Connection.Start"]
    slow.advance(2.9)
    assert not client.wire.closed
    slow.advance(0.2)
    assert client.wire.closed


@pytest.mark.parametrize("ending", ["lost", "timeout", "force_close"])
def test_a_connection_that_ends_meanwhile_stays_ended_and_costs_no_check(
    slow: World, later: LaterWorkers, ending: str
) -> None:
    client = slow.raw_client()
    client.feed(PROTOCOL_HEADER + start_ok("secret"))
    client.take()
    if ending == "lost":
        client.connection.lost("gone")
    elif ending == "timeout":
        slow.advance(slow.services.limits.handshake_timeout)
    else:
        client.connection.force_close("by the test")
    work, done = later.waiting.pop()
    work()
    check = work.__self__  # type: ignore[attr-defined]  # the bound method of the check
    assert (check.abandoned, check.matched) == (True, False)
    done()
    slow.finish()
    assert client.connection.state is ConnectionState.CLOSED
    assert names(client) == []
    assert slow.observer.crashes == []


def test_the_outcome_is_counted(slow: World, later: LaterWorkers) -> None:
    for password in ("secret", "wrong"):
        slow.raw_client().feed(PROTOCOL_HEADER + start_ok(password))
        later.finish(slow)
    count = slow.services.login.attempts.by_protocol["amqp091"]
    assert (count.succeeded, count.failed) == (1, 1)


def test_the_mechanisms_that_are_offered_are_those_that_are_configured() -> None:
    client = World(login=LoginPolicy(["ANONYMOUS", "EXTERNAL"])).raw_client()
    client.feed(PROTOCOL_HEADER)
    assert client.receive_one(0, commands.Connection.Start).mechanisms == b"ANONYMOUS"
