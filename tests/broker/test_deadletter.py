"""The way of dead letters: where they go, in which order, what consumers read of it, and chains of any length."""

from __future__ import annotations

import inspect

import pytest
from pamqp import commands

from amqpd.broker.deadletter import DeadLetters
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.reply import ReplyQueue, ReplyTaker
from amqpd.wire.properties import Properties
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.broker.queues.takers import drained, drained_deliveries, make_queue, message
from tests.builders import Client, Content, World


def dying(world: World, name: str, exchange: str, key: str | None = None, **arguments: object) -> Queue:
    """A queue with a dead-letter exchange."""
    letters: dict[str, object] = {"dead_letter_exchange": exchange}
    if key is not None:
        letters["dead_letter_routing_key"] = key
    return make_queue(world, name, **letters, **arguments)


def reject_all(queue: Queue) -> None:
    """Reject everything that is ready."""
    for delivery in drained_deliveries(queue):
        queue.reject(delivery)


def bodies(queue: Queue) -> list[bytes]:
    """The bodies of everything that is ready, which is taken out."""
    return [body for body, _ in drained(queue)]


def test_dead_letters_arrive_in_the_order_of_their_deaths_before_the_turn_ends() -> None:
    world = World()
    dead, queue = make_queue(world, "dead"), dying(world, "q", "", "dead")
    for number in range(3):
        queue.publish(message(b"%d" % number))
    reject_all(queue)
    assert dead.message_count == 0
    world.turn.finish()
    assert bodies(dead) == [b"0", b"1", b"2"]


def test_the_dead_letter_exchange_routes_by_the_messages_own_key_unless_the_queue_has_one() -> None:
    world = World()
    exchange = world.vhost.create_exchange("dlx", ExchangeSpec("direct", False, False, False))
    for key in ("q", "other"):
        world.vhost.bind(exchange, make_queue(world, f"dead.{key}"), key, EMPTY_TABLE)
    own, other = dying(world, "a", "dlx"), dying(world, "b", "dlx", "other")
    for queue in (own, other):
        queue.publish(message(b"m"))  # its key is q
        reject_all(queue)
    world.finish()
    found = {name: drained_deliveries(world.vhost.queue(name)) for name in ("dead.q", "dead.other")}
    assert {name: [each.message.routing_key for each in letters] for name, letters in found.items()} == {
        "dead.q": ["q"],
        "dead.other": ["other"],
    }
    assert all(each.message.exchange == "dlx" for letters in found.values() for each in letters)


@pytest.mark.parametrize("target", ["missing exchange", "no route", "full queue"])
def test_what_nobody_takes_is_lost_silently(target: str) -> None:
    """Conformance row N08."""
    world = World()
    make_queue(world, "full", max_length=0, overflow="reject-publish")
    exchange, key = {"missing exchange": ("nowhere", None), "no route": ("", "nobody")}.get(target, ("", "full"))
    queue = dying(world, "q", exchange, key)
    queue.publish(message(b"m"))
    reject_all(queue)
    world.finish()
    assert [each.message_count for each in world.vhost.queues.values()] == [0, 0]
    assert world.turn.idle


def test_the_exchange_is_looked_up_when_the_letter_is_sent() -> None:
    world = World()
    queue = dying(world, "q", "late")
    queue.publish(message(b"m"))
    reject_all(queue)
    exchange = world.vhost.create_exchange("late", ExchangeSpec("fanout", False, False, False))
    dead = make_queue(world, "dead")
    world.vhost.bind(exchange, dead, "", EMPTY_TABLE)
    world.finish()
    assert bodies(dead) == [b"m"]


def test_a_letter_of_a_queue_that_is_deleted_in_the_same_turn_is_still_sent() -> None:
    world = World()
    dead, queue = make_queue(world, "dead"), dying(world, "q", "", "dead")
    queue.publish(message(b"m"))
    reject_all(queue)
    world.vhost.delete_queue(queue)
    world.finish()
    assert bodies(dead) == [b"m"]


class End(ReplyTaker):
    """Whoever waits where a chain ends: keeps the message, and measures how deep the stack is when it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.message: Message | None = None
        self.depth = 0

    def take(self, message: Message) -> None:
        self.message = message
        self.depth = len(inspect.stack(0))


def end_of_chain(hops: int) -> End:
    """Send a message through queues in each of which it expires at once: q0 to q1 to q2..."""
    world, end = World(), End()
    for hop in range(hops):
        dying(world, f"q{hop}", "", f"q{hop + 1}", message_ttl=0)
    world.vhost.add_reply_queue(ReplyQueue(f"q{hops}", "", end))
    world.vhost.queue("q0").publish(message(b"m"))
    while not world.turn.idle:
        world.turn.finish()
    assert all(queue.message_count == 0 for queue in world.vhost.queues.values())
    return end


def test_a_chain_of_1000_dead_letter_hops_is_a_loop_and_tells_of_all_of_them() -> None:
    short, long = end_of_chain(2), end_of_chain(1000)
    assert long.depth == short.depth > 0
    assert long.message is not None
    history = long.message.deaths
    assert history is not None
    assert [death.queue for death in history.deaths] == [f"q{hop}" for hop in reversed(range(1000))]
    assert (history.first.queue, history.last.queue) == ("q0", "q999")
    headers = long.message.properties.headers
    assert headers is not None
    deaths = headers.get("x-death")
    assert deaths is not None
    assert isinstance(deaths.value, tuple)
    assert len(deaths.value) == 1000


def test_letters_of_one_turn_are_one_piece_of_work() -> None:
    world = World()
    queue = dying(world, "q", "", "dead")
    for _ in range(100):
        queue.publish(message(b"m"))
    world.finish()
    reject_all(queue)
    assert sum(isinstance(work, DeadLetters) for work in world.turn._work) == 1


def test_a_message_that_comes_back_to_its_queue_by_itself_is_dropped_there() -> None:
    """Conformance row G15. A rejection would be somebody's wish (G14)."""
    world = World()
    queue = dying(world, "q", "", "q", message_ttl=1000)
    queue.publish(message(b"m"))
    world.finish()
    world.advance(1.5)
    assert queue.message_count == 0
    queue.publish(message(b"n"))
    for _ in range(5):
        reject_all(queue)
        world.finish()
        assert queue.message_count == 1


def test_in_a_cycle_only_the_queue_that_was_there_before_is_left_out() -> None:
    world = World()
    exchange = world.vhost.create_exchange("dlx", ExchangeSpec("fanout", False, False, False))
    queue, other = dying(world, "q", "dlx", message_ttl=1000), make_queue(world, "other")
    for each in (queue, other):
        world.vhost.bind(exchange, each, "", EMPTY_TABLE)
    queue.publish(message(b"m"))
    world.finish()
    world.advance(1.5)
    assert (queue.message_count, other.message_count) == (0, 1)


# From bytes to bytes.


def plain(field: Field) -> object:
    """A field with its tag, deeply; tables as lists of pairs, for their order is RabbitMQ's."""
    value = field.value
    if isinstance(value, Table):
        return field.tag, [(name, plain(each)) for name, each in value.items()]
    if isinstance(value, tuple):
        return field.tag, [plain(each) if isinstance(each, Field) else each for each in value]
    return field.tag, value


def headers_of(item: Content) -> dict[str, object]:
    """The headers of a received message."""
    headers = item.properties.headers
    assert headers is not None
    return {name: plain(field) for name, field in headers.items()}


def death(
    queue: str, reason: str, time: int, exchange: str, keys: list[str], count: int, expiration: str | None = None
) -> object:
    """One entry of x-death, as plain() shows it."""
    fields: list[tuple[str, object]] = [] if expiration is None else [("original-expiration", ("S", expiration))]
    fields += [
        ("count", ("l", count)),
        ("reason", ("S", reason)),
        ("queue", ("S", queue)),
        ("time", ("T", time)),
        ("exchange", ("S", exchange)),
        ("routing-keys", ("A", [("S", key) for key in keys])),
    ]
    return "F", fields


def fetch(client: Client, queue: str) -> Content:
    """basic.get the one message of a queue."""
    client.send(1, commands.Basic.Get, queue=queue)
    (item,) = client.messages()
    return item


def test_x_death_after_a_chain_tells_of_every_queue_the_latest_first() -> None:
    world = World()
    client = world.client()
    client.open()
    start = int(world.clock.time())
    client.declare("work", arguments={"x-dead-letter-exchange": "amq.direct", "x-dead-letter-routing-key": "retry"})
    client.declare("retry", arguments={"x-dead-letter-exchange": "amq.fanout", "x-message-ttl": 5000})
    client.declare("parked")
    bind = {"command": commands.Queue.Bind, "answer": commands.Queue.BindOk}
    client.call(1, **bind, queue="retry", exchange="amq.direct", routing_key="retry")
    client.call(1, **bind, queue="parked", exchange="amq.fanout")
    client.publish(1, "", "work", b"m", Properties.of(expiration="60000", priority=3, headers={"CC": ["elsewhere"]}))
    fetch(client, "work")
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=False)
    world.advance(6.0)
    item = fetch(client, "parked")
    method = item.method
    assert isinstance(method, commands.Basic.GetOk)
    assert (method.exchange, method.routing_key, method.redelivered) == ("amq.fanout", "retry", False)
    assert (item.properties.expiration, item.properties.priority, item.body) == (None, 3, b"m")
    assert headers_of(item) == {
        "CC": ("A", [("S", "elsewhere")]),
        "x-death": (
            "A",
            [
                death("retry", "expired", start + 5, "amq.direct", ["retry"], 1),
                death("work", "rejected", start, "", ["work", "elsewhere"], 1, "60000"),
            ],
        ),
        "x-first-death-exchange": ("S", ""),
        "x-first-death-queue": ("S", "work"),
        "x-first-death-reason": ("S", "rejected"),
        "x-last-death-exchange": ("S", "amq.direct"),
        "x-last-death-queue": ("S", "retry"),
        "x-last-death-reason": ("S", "expired"),
    }


def test_a_retry_loop_counts_its_rounds_and_keeps_the_time_of_the_first() -> None:
    """Conformance row G16."""
    world = World()
    client = world.client()
    client.open()
    start = int(world.clock.time())
    client.declare("work", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "retry"})
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "work", "x-message-ttl": 1000}
    client.declare("retry", arguments=arguments)
    client.publish(1, "", "work", b"m")
    for tag in range(1, 4):
        fetch(client, "work")
        client.send(1, commands.Basic.Reject, delivery_tag=tag, requeue=False)
        world.advance(1.5)
    headers = headers_of(fetch(client, "work"))
    assert headers["x-death"] == (
        "A",
        [
            death("retry", "expired", start + 1, "", ["retry"], 3),
            death("work", "rejected", start, "", ["work"], 3),
        ],
    )


def test_an_x_death_of_the_publishers_own_passes_until_the_message_dies() -> None:
    world = World()
    client = world.client()
    client.open()
    client.declare("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    client.declare("dead")
    client.publish(1, "", "q", b"m", Properties.of(headers={"x-death": "mine", "kept": 1}))
    assert headers_of(fetch(client, "q"))["x-death"] == ("S", "mine")
    client.send(1, commands.Basic.Nack, delivery_tag=1, requeue=False)
    headers = headers_of(fetch(client, "dead"))
    assert headers["x-death"] == ("A", [death("q", "rejected", int(world.clock.time()), "", ["q"], 1)])
    assert headers["kept"] == ("I", 1)


@pytest.mark.parametrize(("key", "reached"), [(None, ["blind", "copy", "q"]), ("fixed", ["fixed"])])
def test_blind_copies_keys_route_a_dead_letter_too_unless_the_queue_has_a_key(
    key: str | None, reached: list[str]
) -> None:
    world = World()
    client = world.client()
    client.open()
    letters = {"x-dead-letter-exchange": "amq.direct"} | ({} if key is None else {"x-dead-letter-routing-key": key})
    client.declare("q", arguments=letters)
    for name in ("blind", "copy", "q", "fixed"):
        client.declare(f"dead.{name}")
        arguments = {"queue": f"dead.{name}", "exchange": "amq.direct", "routing_key": name}
        client.call(1, commands.Queue.Bind, commands.Queue.BindOk, **arguments)
    client.publish(1, "", "q", b"m", Properties.of(headers={"CC": ["copy"], "BCC": ["blind"]}))
    fetch(client, "q")
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=False)
    found = sorted(name for name, queue in world.vhost.queues.items() if queue.message_count)
    assert found == [f"dead.{name}" for name in reached]
    assert "BCC" not in headers_of(fetch(client, found[0]))


def test_a_dead_letter_is_not_confirmed_and_not_returned() -> None:
    """Its publisher was answered when its first queue took it."""
    client = World().client()
    client.open()
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    client.declare("q", arguments={"x-dead-letter-exchange": "amq.direct", "x-max-length": 0})
    client.publish(1, "", "q", b"m", mandatory=True)
    assert client.receive_one(1, commands.Basic.Ack).delivery_tag == 1
