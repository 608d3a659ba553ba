"""Events of the broker: which there are, what they say, and that nobody pays for those that nobody wants."""

from __future__ import annotations

import pytest

from amqpd.broker.alarms import MEMORY
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.events import EVENT_EXCHANGE
from amqpd.broker.metadata import VHostMetadata
from amqpd.broker.policy import Policy
from amqpd.broker.queues.base import Owner, QueueSpec
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.builders import World
from tests.listener import Listener

PLAIN = QueueSpec(False, None, False, EMPTY_TABLE)
DIRECT = ExchangeSpec("direct", True, False, False)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def listener(world: World) -> Listener:
    return Listener(world)


def all_that_the_broker_tells(world: World) -> None:
    """Let something happen for every event that is not about a client."""
    vhost = world.vhost
    queue = vhost.create_queue("q", PLAIN)
    exchange = vhost.create_exchange("x", DIRECT)
    vhost.bind(exchange, queue, "k", EMPTY_TABLE)
    vhost.set_policy(Policy("p", "^q$", {"max-length": 5}))
    vhost.delete_policy("p")
    vhost.unbind(exchange, queue, "k", EMPTY_TABLE)
    vhost.delete_exchange(exchange)
    vhost.delete_queue(queue)
    world.broker.create_vhost("other")
    world.broker.alarms.set(MEMORY)
    world.broker.alarms.clear(MEMORY)


def test_every_change_is_told_in_the_order_in_which_it_happens(world: World, listener: Listener) -> None:
    all_that_the_broker_tells(world)
    keys = [key for key in listener.heard_keys() if key != "exchange.created"]
    assert keys == [
        "queue.created",
        "binding.created",
        "policy.set",
        "queue.policy.updated",
        "policy.cleared",
        "queue.policy.cleared",
        "binding.deleted",
        "exchange.deleted",
        "queue.deleted",
        "vhost.created",
        "alarm.set",
        "alarm.cleared",
    ]


def test_without_a_binding_no_message_is_made(world: World) -> None:
    """Work for the turn would be the sign: queues that are pumped put some there, so none is asked for here."""
    assert not world.broker.events.wanted
    world.vhost.create_exchange("x", DIRECT)
    world.vhost.delete_exchange(world.vhost.exchange("x"))
    world.users.add("u", b"p")
    world.broker.alarms.set(MEMORY)
    world.broker.events.emit("some.event", {"no field can hold it": object()})
    assert world.turn.idle


def test_events_are_wanted_while_there_is_a_binding(world: World, listener: Listener) -> None:
    vhost, events = world.vhost, world.broker.events
    assert events.wanted
    vhost.unbind(vhost.exchange(EVENT_EXCHANGE), listener.queue, "#", EMPTY_TABLE)
    assert not events.wanted
    vhost.bind(vhost.exchange("amq.fanout"), listener.queue, "", EMPTY_TABLE)
    vhost.set_policy(Policy("p", "^amq.rabbitmq.event$", {"alternate-exchange": "amq.fanout"}))
    assert events.wanted, "events without a route go to the alternate exchange"
    vhost.create_queue("q", PLAIN)
    assert listener.heard_keys()[-1] == "queue.created"


def test_a_binding_picks_events_by_their_key(world: World) -> None:
    listener = Listener(world, key="exchange.*")
    all_that_the_broker_tells(world)
    assert set(listener.heard_keys()) == {"exchange.created", "exchange.deleted"}


def test_an_event_is_persistent_dated_and_has_no_body(world: World, listener: Listener) -> None:
    world.clock.advance(1.5)
    world.vhost.create_queue("q", PLAIN)
    (event,) = listener.heard()
    properties = event.message.properties
    assert (event.message.exchange, event.message.body) == (EVENT_EXCHANGE, b"")
    assert (properties.delivery_mode, properties.timestamp) == (2, 1_700_000_001)
    assert [name for name, _ in properties.items()] == ["headers", "delivery_mode", "timestamp"]
    assert event.headers.get("timestamp_in_ms") == Field.long(1_700_000_001_500)


def test_an_event_arrives_before_the_turn_ends_and_not_sooner(world: World, listener: Listener) -> None:
    world.vhost.create_queue("q", PLAIN)
    assert listener.queue.message_count == 0
    world.turn.finish()
    assert listener.queue.message_count == 1


def test_a_queue_is_described(world: World, listener: Listener) -> None:
    arguments = Table.of({"x-max-length": 5})
    world.vhost.create_queue("q", QueueSpec(True, None, True, arguments), "someone")
    event = listener.only("queue.created")
    assert event.plain == {
        "name": "q",
        "vhost": "/",
        "durable": True,
        "auto_delete": True,
        "exclusive": False,
        "owner_pid": "",
        "type": "rabbit_classic_queue",
        "arguments": {"x-max-length": 5},
        "user_who_performed_action": "someone",
    }
    assert event.tags == {
        "name": "S",
        "vhost": "S",
        "durable": "t",
        "auto_delete": "t",
        "exclusive": "t",
        "owner_pid": "S",
        "type": "S",
        "arguments": "F",
        "user_who_performed_action": "S",
        "timestamp_in_ms": "l",
    }


def test_an_exclusive_queue_names_its_owner(world: World, listener: Listener) -> None:
    world.vhost.create_queue("q", QueueSpec(False, Owner("a connection"), False, EMPTY_TABLE))
    event = listener.only("queue.created")
    assert (event["exclusive"], event["owner_pid"]) == (True, "a connection")


def test_an_exchange_is_described_with_the_policy_that_applies(world: World, listener: Listener) -> None:
    world.vhost.set_policy(Policy("p", "^x", {"alternate-exchange": "a"}))
    world.vhost.create_exchange("x", ExchangeSpec("topic", True, False, True), "someone")
    assert listener.only("exchange.created").plain == {
        "name": "x",
        "vhost": "/",
        "type": "topic",
        "durable": True,
        "auto_delete": False,
        "internal": True,
        "arguments": {},
        "policy": "p",
        "user_who_performed_action": "someone",
    }


def test_a_binding_is_described_when_it_comes_and_when_it_goes(world: World, listener: Listener) -> None:
    vhost = world.vhost
    source, queue, arguments = vhost.exchange("amq.topic"), vhost.create_queue("q", PLAIN), Table.of({"a": 1})
    vhost.bind(source, queue, "k.#", arguments, "someone")
    vhost.bind(source, queue, "k.#", arguments, "someone")  # binding twice is binding once
    vhost.unbind(source, queue, "k.#", arguments, "another")
    vhost.unbind(source, queue, "k.#", arguments, "another")
    created, deleted = (event for event in listener.heard() if event.key.startswith("binding."))
    described = {
        "source_name": "amq.topic",
        "source_kind": "exchange",
        "destination_name": "q",
        "destination_kind": "queue",
        "routing_key": "k.#",
        "arguments": {"a": 1},
        "vhost": "/",
    }
    assert created.plain == {**described, "user_who_performed_action": "someone"}
    assert deleted.plain == {**described, "user_who_performed_action": "another"}


def test_a_deleted_queue_takes_bindings_and_auto_delete_exchanges_along(world: World, listener: Listener) -> None:
    vhost = world.vhost
    exchange, queue = (
        vhost.create_exchange("x", ExchangeSpec("direct", False, True, False)),
        vhost.create_queue("q", PLAIN),
    )
    for key in ("a", "b"):
        vhost.bind(exchange, queue, key, EMPTY_TABLE)
    listener.heard()
    vhost.delete_queue(queue, actor="someone")
    events = listener.heard()
    assert [event.key for event in events] == ["binding.deleted"] * 2 + ["exchange.deleted", "queue.deleted"]
    assert [event.headers.text("routing_key") for event in events] == ["a", "b", None, None]
    assert {event["user_who_performed_action"] for event in events} == {"someone"}


def test_a_deleted_exchange_takes_bindings_on_both_sides_along(world: World, listener: Listener) -> None:
    vhost = world.vhost
    exchange, queue = vhost.create_exchange("x", DIRECT), vhost.create_queue("q", PLAIN)
    vhost.bind(exchange, queue, "k", EMPTY_TABLE)
    vhost.bind(vhost.exchange("amq.topic"), exchange, "t", EMPTY_TABLE)
    listener.heard()
    vhost.delete_exchange(exchange)
    events = listener.heard()
    assert [event.key for event in events] == ["exchange.deleted", "binding.deleted", "binding.deleted"]
    assert [event["source_name"] for event in events[1:]] == ["x", "amq.topic"]
    assert events[0]["user_who_performed_action"] == "rmq-internal"


def test_a_policy_is_described_and_so_are_the_queues_for_which_it_changes(world: World, listener: Listener) -> None:
    for name in ("q", "other"):
        world.vhost.create_queue(name, PLAIN)
    listener.heard()
    world.vhost.set_policy(Policy("p", "^q$", {"max-length": 5}, priority=7, apply_to="queues"), "someone")
    policy, queue = listener.heard()
    described = {"pattern": "^q$", "apply-to": "queues", "priority": 7, "definition": {"max-length": 5}}
    actor = {"user_who_performed_action": "someone"}
    assert policy.plain == {"name": "p", "vhost": "/", **described, **actor}
    assert policy.headers.get("priority") == Field.long(7)
    assert policy.headers.get("definition") == Field("F", Table.of({"max-length": Field.long(5)}))
    assert queue.plain == {"name": "q", "vhost": "/", "policy": "p", **described, **actor}


def test_a_policy_in_the_shadow_of_another_changes_no_queue(world: World, listener: Listener) -> None:
    world.vhost.create_queue("q", PLAIN)
    world.vhost.set_policy(Policy("high", "q", {"max-length": 5}, priority=1))
    listener.heard()
    world.vhost.set_policy(Policy("low", "q", {"max-length": 6}))
    assert listener.heard_keys() == ["policy.set"]
    world.vhost.delete_policy("high")
    assert listener.heard_keys() == ["policy.cleared", "queue.policy.updated"]


def test_a_policy_that_does_not_exist_is_not_cleared(world: World, listener: Listener) -> None:
    assert not world.vhost.delete_policy("p")
    assert listener.heard_keys() == []


@pytest.mark.parametrize(
    ("priority", "field"), [(1 << 70, Field("S", str(1 << 70))), (0.5, Field("d", 0.5))], ids=["huge", "float"]
)
def test_any_priority_can_be_told(world: World, listener: Listener, priority: float, field: Field) -> None:
    world.vhost.set_policy(Policy("p", "q", {"max-length": 5}, priority=priority))
    assert listener.only("policy.set").headers.get("priority") == field


def test_arguments_too_deep_to_be_nested_once_more_are_shown_empty(world: World, listener: Listener) -> None:
    deep: dict[str, object] = {}
    for _ in range(63):
        deep = {"a": deep}
    world.vhost.create_exchange("x", ExchangeSpec("direct", True, False, False, Table.of(deep)))
    event = listener.only("exchange.created")
    assert (event["name"], event["arguments"]) == ("x", {})


def test_an_alarm_is_told_once(world: World, listener: Listener) -> None:
    alarms = world.broker.alarms
    for change in (alarms.set, alarms.set, alarms.clear, alarms.clear):
        change(MEMORY)
    events = listener.heard()
    assert [event.key for event in events] == ["alarm.set", "alarm.cleared"]
    told = {"alarm": "resource_limit", "resource": "memory", "node": "amqpd@test"}
    assert [event.plain for event in events] == [told, told]


def test_a_virtual_host_comes_with_its_exchanges(world: World, listener: Listener) -> None:
    world.broker.create_vhost("other", VHostMetadata("another", ["a"], "quorum"), "someone")
    *exchanges, created = listener.heard()
    assert {event["vhost"] for event in exchanges} == {"other"}
    assert created.plain == {
        "name": "other",
        "description": "another",
        "tags": ["a"],
        "default_queue_type": "quorum",
        "tracing": False,
        "user_who_performed_action": "someone",
    }


def test_fields_that_are_none_and_lists_are_told_as_rabbitmq_would(world: World, listener: Listener) -> None:
    world.broker.events.emit("some.event", {"none": None, "list": [1, "a", True]})
    event = listener.only("some.event")
    assert event.tags == {"list": "A", "timestamp_in_ms": "l"}
    assert event.headers.get("list") == Field("A", (Field.long(1), Field.of("a"), Field.of(True)))
