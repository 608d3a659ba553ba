"""The connection class, as far as a running connection handles it; test_handshake has what comes before."""

from __future__ import annotations

from pamqp import commands

from tests.builders import Client, World

CLOSE_SECONDS = 30


def test_update_secret_is_answered(client: Client) -> None:
    client.call(0, commands.Connection.UpdateSecret, commands.Connection.UpdateSecretOk, new_secret=b"\xff", reason="")


def test_a_client_s_close_is_answered_and_the_socket_left_to_the_client(world: World, client: Client) -> None:
    client.call(0, commands.Connection.Close, commands.Connection.CloseOk, reply_code=200)
    client.send(1, commands.Queue.Declare, queue="q")
    assert client.take() == b""
    world.advance(CLOSE_SECONDS - 1)
    assert not client.wire.closed
    world.advance(2)
    assert client.wire.closed


def test_close_ok_closes_the_socket_at_once(client: Client) -> None:
    client.connection.force_close("bye")
    client.world.finish()
    assert client.connection_closed() == (320, "CONNECTION_FORCED - bye")
    client.send(0, commands.Connection.CloseOk)
    assert client.wire.closed


def test_a_close_that_crosses_ours_is_answered(client: Client) -> None:
    client.connection.force_close("bye")
    client.world.finish()
    client.take()
    client.call(0, commands.Connection.Close, commands.Connection.CloseOk)
    client.send(0, commands.Connection.CloseOk)
    assert client.wire.closed
