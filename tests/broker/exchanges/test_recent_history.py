"""amqpd/broker/exchanges/recent_history.py: a fanout that remembers."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.broker.exchanges.recent_history import RecentHistoryExchange
from amqpd.errors import PreconditionFailed
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import Field, Table
from tests.builders import Client, Content, World


@pytest.fixture
def client() -> Client:
    client = World().client()
    client.open()
    return client


def declare(client: Client, exchange: str, kind: str = "x-recent-history", **arguments: object) -> None:
    """Declare an exchange; arguments without their prefix."""
    table = {f"x-recent-history-{name}": value for name, value in arguments.items()}
    client.call(
        1,
        commands.Exchange.Declare,
        commands.Exchange.DeclareOk,
        exchange=exchange,
        exchange_type=kind,
        arguments=table,
    )


def bind(client: Client, queue: str, exchange: str, key: str = "") -> None:
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=queue, exchange=exchange, routing_key=key)


def publish(client: Client, exchange: str, *bodies: bytes, properties: Properties = EMPTY_PROPERTIES) -> None:
    for body in bodies:
        client.publish(1, exchange, "key of " + body.decode(), body, properties)


def contents(client: Client, queue: str) -> list[Content]:
    """Take everything out of a queue."""
    taken: list[Content] = []
    while True:
        client.send(1, commands.Basic.Get, queue=queue, no_ack=True)
        (_, item), *_ = client.received()
        if not isinstance(item, Content):
            return taken
        taken.append(item)


def bodies(client: Client, queue: str) -> list[bytes]:
    return [content.body for content in contents(client, queue)]


def test_it_is_a_fanout(client: Client) -> None:
    declare(client, "h")
    for queue in ("a", "b"):
        client.declare(queue)
        bind(client, queue, "h", queue)
    publish(client, "h", b"1", b"2")
    assert bodies(client, "a") == bodies(client, "b") == [b"1", b"2"]


def test_a_queue_bound_later_gets_the_last_twenty_messages_oldest_first(client: Client) -> None:
    declare(client, "h")
    sent = [b"%d" % number for number in range(30)]
    publish(client, "h", *sent)
    client.declare("q")
    bind(client, "q", "h", "any")
    got = contents(client, "q")
    assert [content.body for content in got] == sent[10:]
    assert [got[0].method.exchange, got[0].method.routing_key] == ["h", "key of 10"]


def test_what_was_remembered_stays_remembered(client: Client) -> None:
    declare(client, "h", length=2)
    publish(client, "h", b"1", b"2")
    for queue in ("a", "b"):
        client.declare(queue)
        bind(client, queue, "h")
    assert bodies(client, "a") == bodies(client, "b") == [b"1", b"2"]


def test_the_length_is_an_argument(client: Client) -> None:
    declare(client, "h", length=Field("l", 3))
    publish(client, "h", *[b"%d" % number for number in range(10)])
    client.declare("q")
    bind(client, "q", "h")
    assert bodies(client, "q") == [b"7", b"8", b"9"]


def test_binding_again_brings_nothing_and_another_binding_brings_all_again(client: Client) -> None:
    declare(client, "h")
    publish(client, "h", b"1")
    client.declare("q")
    bind(client, "q", "h", "k")
    assert bodies(client, "q") == [b"1"]
    bind(client, "q", "h", "k")
    assert bodies(client, "q") == []
    bind(client, "q", "h", "other")
    assert bodies(client, "q") == [b"1"]


@pytest.mark.parametrize(("value", "remembered"), [(True, False), (False, True), (1, True), ("true", True)])
def test_only_no_store_true_is_not_remembered(client: Client, value: object, remembered: bool) -> None:
    declare(client, "h")
    for queue in ("before", "after"):
        client.declare(queue)
    bind(client, "before", "h")
    headers = Table.of({"x-recent-history-no-store": value})
    publish(client, "h", b"1", properties=Properties.of(headers=headers))
    bind(client, "after", "h")
    assert bodies(client, "before") == [b"1"]
    assert bodies(client, "after") == ([b"1"] if remembered else [])


def test_blind_copies_stay_secret_in_what_is_remembered(client: Client) -> None:
    declare(client, "h")
    publish(client, "h", b"1", properties=Properties.of(headers={"BCC": ["secret"], "a": 1}))
    client.declare("q")
    bind(client, "q", "h")
    assert contents(client, "q")[0].properties == Properties.of(headers={"a": 1})


def test_an_exchange_bound_later_routes_what_is_remembered_by_its_keys(client: Client) -> None:
    declare(client, "h")
    declare(client, "d", "direct")
    client.declare("q")
    bind(client, "q", "d", "key of 2")
    publish(client, "h", b"1", b"2", b"3")
    bcc = Properties.of(headers={"BCC": ["key of 2"]})
    publish(client, "h", b"4", properties=bcc)
    client.call(1, commands.Exchange.Bind, commands.Exchange.BindOk, source="h", destination="d", routing_key="")
    assert bodies(client, "q") == [b"4", b"2"]  # unlike a queue, an exchange gets what came last first (RabbitMQ)


def test_a_cycle_of_histories_ends(client: Client) -> None:
    for exchange in ("a", "b"):
        declare(client, exchange)
    publish(client, "a", b"1")
    publish(client, "b", b"2")
    for source, destination in (("a", "b"), ("b", "a"), ("a", "a")):
        arguments = {"source": source, "destination": destination, "routing_key": ""}
        client.call(1, commands.Exchange.Bind, commands.Exchange.BindOk, **arguments)
    client.declare("q")
    bind(client, "q", "b")
    assert bodies(client, "q") == [b"2", b"1", b"1", b"2", b"2", b"1", b"1"]


def test_a_message_that_is_only_remembered_is_unroutable(client: Client) -> None:
    declare(client, "h")
    client.publish(1, "h", "k", b"1", mandatory=True)
    (returned,) = client.messages()
    assert isinstance(returned.method, commands.Basic.Return)


def test_the_alternate_exchange_gets_what_is_only_remembered() -> None:
    client = World().client()
    client.open()
    arguments = {"alternate-exchange": "amq.fanout"}
    client.call(
        1,
        commands.Exchange.Declare,
        commands.Exchange.DeclareOk,
        exchange="h",
        exchange_type="x-recent-history",
        arguments=arguments,
    )
    client.declare("q")
    bind(client, "q", "amq.fanout")
    publish(client, "h", b"1")
    assert bodies(client, "q") == [b"1"]


def test_a_new_exchange_of_the_same_name_remembers_nothing(client: Client) -> None:
    declare(client, "h")
    publish(client, "h", b"1")
    client.call(1, commands.Exchange.Delete, commands.Exchange.DeleteOk, exchange="h")
    declare(client, "h")
    client.declare("q")
    bind(client, "q", "h")
    assert bodies(client, "q") == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (-1, "-1"), ("a", '<<"a">>'), (True, "true"), (1.5, "1.5"), (None, "undefined"), (Field("T", 5), "5")],
)
def test_a_length_that_is_no_integer_above_0_is_refused(value: object, shown: str) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        RecentHistoryExchange.validate(Table.of({"x-recent-history-length": value}))
    expected = f"Invalid argument {shown}, 'x-recent-history-length' must be a positive integer"
    assert refused.value.explanation == expected


def test_the_largest_length_can_be_asked_for(client: Client) -> None:
    declare(client, "h", length=Field("l", (1 << 63) - 1))
    publish(client, "h", b"1")
    client.declare("q")
    bind(client, "q", "h")
    assert bodies(client, "q") == [b"1"]


def test_the_result_depends_on_more_than_keys() -> None:
    """Else the second message with the same key would not pass here, and not be remembered."""
    assert not RecentHistoryExchange.by_key
