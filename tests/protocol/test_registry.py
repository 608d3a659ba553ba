"""The open connections: who is in the list, and the look at all of them from time to time."""

from __future__ import annotations

from pamqp import commands

from amqpd.protocol.patience import LOOK_EVERY
from tests.builders import PROTOCOL_HEADER, World


def test_a_connection_is_listed_once_it_is_open_and_not_before(world: World) -> None:
    connections = world.services.connections
    client = world.raw_client()
    client.feed(PROTOCOL_HEADER)
    client.start_ok()
    client.send(0, commands.Connection.TuneOk, channel_max=10, frame_max=8192, heartbeat=0)
    assert len(connections) == 0
    client.send(0, commands.Connection.Open, virtual_host="/")
    assert connections.all() == [client.connection]


def test_connections_are_listed_in_the_order_in_which_they_were_opened(world: World) -> None:
    clients = [world.client() for _ in range(3)]
    assert world.services.connections.all() == [client.connection for client in clients]


def test_a_connection_that_ends_in_any_way_is_gone(world: World) -> None:
    connections = world.services.connections
    closed, lost, failed, forced = (world.client() for _ in range(4))
    closed.call(0, commands.Connection.Close, commands.Connection.CloseOk)
    lost.lose()
    failed.send(0, commands.Connection.Open, virtual_host="/")
    forced.connection.force_close("bye")
    assert len(connections) == 0
    assert connections.all() == []


def test_there_is_one_timer_for_all_connections_and_none_without(world: World) -> None:
    assert world.timers.next_deadline() is None
    clients = [world.client() for _ in range(100)]
    world.advance(0.0)
    pending = [timer for _, _, timer in world.timers._heap if timer.pending]
    assert len(pending) == 1
    world.advance(3.5 * LOOK_EVERY)
    assert sum(timer.pending for _, _, timer in world.timers._heap) == 1
    for client in clients:
        client.lose()
    world.advance(LOOK_EVERY)
    assert world.timers.next_deadline() is None


def test_after_a_time_without_connections_the_next_ones_are_looked_at_again(world: World) -> None:
    world.client().lose()
    world.advance(2 * LOOK_EVERY)
    client = world.client()
    client.open()
    client.declare("q", arguments={"x-consumer-timeout": 1000})
    client.publish(1, "", "q")
    client.send(1, commands.Basic.Get, queue="q")
    client.messages()
    world.advance(3 * LOOK_EVERY)
    assert client.channel_closed()[0] == 406


def test_connections_that_end_while_all_are_looked_at_do_no_harm(world: World) -> None:
    """Two channels of two connections time out in the same look; the first close takes a queue of the other along."""
    clients = []
    for name in ("a", "b"):
        client = world.client()
        client.open()
        client.declare(name, exclusive=True, arguments={"x-consumer-timeout": 1000})
        client.publish(1, "", name)
        client.send(1, commands.Basic.Get, queue=name)
        client.messages()
        clients.append(client)
    world.advance(3 * LOOK_EVERY)
    assert [client.channel_closed()[0] for client in clients] == [406, 406]
