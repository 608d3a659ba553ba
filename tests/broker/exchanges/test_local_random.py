"""amqpd/broker/exchanges/local_random.py: random over queues of this node."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.broker.binding import Destination
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.queues.base import QueueSpec
from amqpd.broker.vhost import VHost
from amqpd.errors import PreconditionFailed
from amqpd.wire.table import EMPTY_TABLE, Table
from tests.builders import World, message


@pytest.fixture
def vhost() -> VHost:
    return World().vhost


@pytest.fixture
def exchange(vhost: VHost) -> Exchange:
    return vhost.create_exchange("x", ExchangeSpec("x-local-random", False, False, False))


def queue(vhost: VHost, name: str, kind: str = "classic") -> Destination:
    return vhost.create_queue(name, QueueSpec(True, None, False, Table.of({"x-queue-type": kind})))


def test_each_message_goes_to_one_queue_whatever_its_key(exchange: Exchange, vhost: VHost) -> None:
    queues = {queue(vhost, name) for name in ("a", "b", "c")}
    for destination in queues:
        exchange.bind(destination, "", EMPTY_TABLE)
    reached = set()
    for number in range(60):
        found: dict[Destination, None] = {}
        exchange.match([f"key-{number}"], message(), found)
        assert len(found) == 1
        reached |= found.keys()
    assert reached == queues


def refusal(exchange: Exchange, destination: Destination, key: str = "") -> str:
    with pytest.raises(PreconditionFailed) as refused:
        exchange.bind(destination, key, EMPTY_TABLE)
    assert exchange.binding_count == 0
    return refused.value.explanation


def test_a_binding_key_is_refused(exchange: Exchange, vhost: VHost) -> None:
    assert refusal(exchange, queue(vhost, "q"), "k") == "Non empty binding 'k' key not permitted"
    assert refusal(exchange, queue(vhost, "q2", "quorum"), "k") == "Non empty binding 'k' key not permitted"


def test_a_queue_that_other_nodes_share_is_refused(exchange: Exchange, vhost: VHost) -> None:
    expected = "Queue type rabbit_quorum_queue not valid for this exchange type"
    assert refusal(exchange, queue(vhost, "q", "quorum")) == expected


def test_an_exchange_is_refused(exchange: Exchange, vhost: VHost) -> None:
    assert refusal(exchange, vhost.exchanges["amq.fanout"]) == "Destination not found"


def test_a_client_is_told_as_rabbitmq_tells_it() -> None:
    client = World().client()
    client.open()
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, exchange="x", exchange_type="x-local-random")
    client.declare("q", durable=True, arguments={"x-queue-type": "quorum"})
    client.send(1, commands.Queue.Bind, queue="q", exchange="x", routing_key="")
    text = "PRECONDITION_FAILED - Queue type rabbit_quorum_queue not valid for this exchange type"
    assert client.channel_closed() == (406, text)
