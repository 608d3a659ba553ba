"""A virtual host: lookup, equivalence, and what goes along when something is deleted."""

from __future__ import annotations

import pytest

from amqpd.broker.binding import Destination
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.queues.base import Owner, Queue
from amqpd.broker.queues.reply import REPLY_TO, ReplyQueue, ReplyTaker
from amqpd.broker.vhost import PREDECLARED, VHost
from amqpd.errors import AMQPError, NotFound, PreconditionFailed, ResourceLocked
from amqpd.wire.table import EMPTY_TABLE, Table
from tests.broker.queues.takers import Taker, message, queue_spec
from tests.builders import World

FANOUT = ExchangeSpec("fanout", False, False, False)
AUTO_DELETE = ExchangeSpec("fanout", False, True, False)


@pytest.fixture
def vhost() -> VHost:
    return World().vhost


def new_queue(vhost: VHost, name: str = "q") -> Queue:
    """A queue without properties."""
    return vhost.create_queue(name, queue_spec())


def bind(vhost: VHost, source: Exchange, destination: Destination) -> None:
    """Bind with the key k."""
    vhost.bind(source, destination, "k", EMPTY_TABLE)


def routed(vhost: VHost, exchange: str, key: str) -> list[str]:
    """The names of the queues that a message would go to."""
    found = vhost.route(vhost.exchange(exchange), [key], message(b""))
    return [queue.name for queue in found.queues]


def text_of(refused: pytest.ExceptionInfo[AMQPError]) -> str:
    return refused.value.reply_text


# Lookup.


def test_what_is_missing_is_named_with_its_virtual_host(vhost: VHost) -> None:
    with pytest.raises(NotFound) as no_queue:
        vhost.queue("nope")
    assert text_of(no_queue) == "NOT_FOUND - no queue 'nope' in vhost '/'"
    with pytest.raises(NotFound) as no_exchange:
        vhost.exchange("nope")
    assert text_of(no_exchange) == "NOT_FOUND - no exchange 'nope' in vhost '/'"


def test_what_was_created_is_found(vhost: VHost) -> None:
    assert vhost.create_exchange("x", FANOUT) is vhost.exchange("x")
    assert new_queue(vhost) is vhost.queue("q")


def test_the_default_exchange_reaches_every_queue_by_its_name_until_it_is_deleted(vhost: VHost) -> None:
    queue = new_queue(vhost)
    assert routed(vhost, "", "q") == ["q"]
    vhost.delete_queue(queue)
    assert routed(vhost, "", "q") == []


def test_a_queue_type_that_amqpd_does_not_have_is_refused(vhost: VHost) -> None:
    with pytest.raises(PreconditionFailed):
        vhost.create_queue("q", queue_spec(True, arguments=Table.of({"x-queue-type": "nonsense"})))
    assert vhost.queues == {}


def test_a_refused_argument_leaves_no_queue_behind(vhost: VHost) -> None:
    owner = Owner()
    with pytest.raises(PreconditionFailed):
        vhost.create_queue("q", queue_spec(owner=owner, arguments=Table.of({"x-message-ttl": -1})))
    assert vhost.queues == {}
    assert routed(vhost, "", "q") == []
    assert owner.exclusive_queues == {}


# Exclusive queues.


def test_an_exclusive_queue_is_locked_for_everybody_but_its_owner(vhost: VHost) -> None:
    owner = Owner()
    queue = vhost.create_queue("q", queue_spec(owner=owner))
    assert vhost.unlocked_queue("q", owner) is queue
    with pytest.raises(ResourceLocked):
        vhost.unlocked_queue("q", Owner())


def test_with_its_connection_go_exactly_its_exclusive_queues(vhost: VHost) -> None:
    owner, other = Owner(), Owner()
    for number in range(3):
        vhost.create_queue(f"mine{number}", queue_spec(owner=owner))
    vhost.create_queue("theirs", queue_spec(owner=other))
    new_queue(vhost, "shared")
    vhost.delete_queue(vhost.queue("mine1"))
    vhost.delete_exclusive_queues(owner)
    assert list(vhost.queues) == ["theirs", "shared"]
    assert owner.exclusive_queues == {}


def test_an_exclusive_queue_takes_its_bindings_and_auto_delete_exchanges_along(vhost: VHost) -> None:
    owner = Owner()
    source = vhost.create_exchange("x", AUTO_DELETE)
    bind(vhost, source, vhost.create_queue("q", queue_spec(owner=owner)))
    vhost.delete_exclusive_queues(owner)
    assert "x" not in vhost.exchanges


# Deletion of queues.


def test_deleting_a_queue_tells_how_many_messages_were_ready(vhost: VHost) -> None:
    queue = new_queue(vhost)
    for _ in range(3):
        queue.publish(message(b""))
    queue.get()
    assert vhost.delete_queue(queue) == 2
    assert vhost.delete_queue(queue) == 0


def test_if_unused_is_checked_before_if_empty(vhost: VHost) -> None:
    queue = new_queue(vhost)
    queue.publish(message(b""))
    consumer = Taker("c", queue)
    queue.subscribe(consumer)
    with pytest.raises(PreconditionFailed) as in_use:
        vhost.delete_queue(queue, if_unused=True, if_empty=True)
    assert text_of(in_use) == "PRECONDITION_FAILED - queue 'q' in vhost '/' in use"
    queue.unsubscribe(consumer)
    with pytest.raises(PreconditionFailed) as not_empty:
        vhost.delete_queue(queue, if_unused=True, if_empty=True)
    assert text_of(not_empty) == "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty"
    assert vhost.queue("q") is queue


def test_messages_that_are_delivered_do_not_make_a_queue_not_empty(vhost: VHost) -> None:
    queue = new_queue(vhost)
    queue.publish(message(b""))
    queue.get()
    assert vhost.delete_queue(queue, if_unused=True, if_empty=True) == 0


def test_a_queue_of_the_same_name_starts_without_the_bindings_of_the_old_one(vhost: VHost) -> None:
    source = vhost.create_exchange("x", FANOUT)
    bind(vhost, source, new_queue(vhost))
    vhost.delete_queue(vhost.queue("q"))
    new_queue(vhost)
    assert routed(vhost, "x", "k") == []
    assert source.binding_count == 0


def test_a_deleted_queue_that_somebody_still_knows_does_not_harm_its_successor(vhost: VHost) -> None:
    """An acknowledgement that comes late belongs to the old queue."""
    old = new_queue(vhost)
    old.publish(message(b""))
    delivery = old.get()
    assert delivery is not None
    vhost.delete_queue(old)
    new = new_queue(vhost)
    old.requeue(delivery)
    assert (old.message_count, new.message_count) == (0, 0)


# Deletion of exchanges.


def test_an_exchange_that_leads_somewhere_is_in_use(vhost: VHost) -> None:
    source, destination = vhost.create_exchange("x", FANOUT), vhost.create_exchange("y", FANOUT)
    bind(vhost, source, destination)
    with pytest.raises(PreconditionFailed) as refused:
        vhost.delete_exchange(source, if_unused=True)
    assert text_of(refused) == "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use"
    vhost.delete_exchange(destination, if_unused=True)  # being led to is no use (C36)
    vhost.delete_exchange(source, if_unused=True)
    assert len(vhost.exchanges) == len(PREDECLARED) + 2  # the default and the event exchange


def test_an_auto_delete_exchange_goes_with_its_last_binding(vhost: VHost) -> None:
    exchange, queue = vhost.create_exchange("x", AUTO_DELETE), new_queue(vhost)
    bind(vhost, exchange, queue)
    vhost.bind(exchange, queue, "other", EMPTY_TABLE)
    vhost.unbind(exchange, queue, "other", EMPTY_TABLE)
    assert vhost.exchange("x") is exchange
    vhost.unbind(exchange, queue, "k", EMPTY_TABLE)
    assert "x" not in vhost.exchanges


def test_an_auto_delete_exchange_that_was_never_bound_stays(vhost: VHost) -> None:
    exchange, queue = vhost.create_exchange("x", AUTO_DELETE), new_queue(vhost)
    vhost.unbind(exchange, queue, "k", EMPTY_TABLE)
    vhost.delete_queue(queue)
    assert vhost.exchange("x") is exchange


def test_being_a_destination_does_not_keep_or_end_an_auto_delete_exchange(vhost: VHost) -> None:
    """Conformance row C61."""
    source, exchange = vhost.create_exchange("s", FANOUT), vhost.create_exchange("x", AUTO_DELETE)
    bind(vhost, source, exchange)
    vhost.unbind(source, exchange, "k", EMPTY_TABLE)
    assert vhost.exchange("x") is exchange


@pytest.mark.parametrize("ends_with", ["exchange", "queue"])
def test_auto_delete_cascades_upwards_however_long_the_chain_is(vhost: VHost, ends_with: str) -> None:
    """Conformance row K15; a chain as long as this would end a recursion."""
    last: Destination
    last = vhost.create_exchange("end", FANOUT) if ends_with == "exchange" else new_queue(vhost, "end")
    for number in range(2000):
        exchange = vhost.create_exchange(f"x{number}", AUTO_DELETE)
        bind(vhost, exchange, last)
        last = exchange
    if ends_with == "exchange":
        vhost.delete_exchange(vhost.exchange("end"))
    else:
        vhost.delete_queue(vhost.queue("end"))
    assert len(vhost.exchanges) == len(PREDECLARED) + 2  # the default and the event exchange
    assert vhost._sources == {}


def test_a_cascade_stops_at_an_exchange_that_still_leads_somewhere(vhost: VHost) -> None:
    a, b = vhost.create_exchange("a", AUTO_DELETE), vhost.create_exchange("b", AUTO_DELETE)
    queue, other = new_queue(vhost, "q"), new_queue(vhost, "other")
    bind(vhost, a, b)
    bind(vhost, a, other)
    bind(vhost, b, queue)
    vhost.delete_queue(queue)
    assert ("a" in vhost.exchanges, "b" in vhost.exchanges) == (True, False)
    assert routed(vhost, "a", "k") == ["other"]


def test_an_auto_delete_exchange_that_leads_to_itself_can_be_deleted(vhost: VHost) -> None:
    exchange = vhost.create_exchange("x", AUTO_DELETE)
    bind(vhost, exchange, exchange)
    vhost.delete_exchange(exchange)
    assert "x" not in vhost.exchanges
    assert vhost._sources == {}


def test_two_ways_up_to_the_same_exchange_delete_it_once(vhost: VHost) -> None:
    top, left, right = (vhost.create_exchange(name, AUTO_DELETE) for name in ("top", "left", "right"))
    queue = new_queue(vhost)
    for source, destination in ((top, left), (top, right), (left, queue), (right, queue)):
        bind(vhost, source, destination)
    vhost.delete_queue(queue)
    assert len(vhost.exchanges) == len(PREDECLARED) + 2  # the default and the event exchange


# Direct reply-to.


def test_a_reply_address_is_reached_by_name_but_is_no_queue(vhost: VHost) -> None:
    reply = ReplyQueue(f"{REPLY_TO}.a", "tag", ReplyTaker())
    vhost.add_reply_queue(reply)
    assert routed(vhost, "", reply.name) == [reply.name]
    assert reply.name not in vhost.queues
    vhost.remove_reply_queue(reply)
    vhost.remove_reply_queue(reply)
    assert routed(vhost, "", reply.name) == []


def test_a_queue_is_no_reply_address(vhost: VHost) -> None:
    new_queue(vhost)
    assert vhost.reply_queue("q") is None


def test_reply_addresses_come_and_go_in_what_is_remembered_of_routing(vhost: VHost) -> None:
    reply = ReplyQueue(f"{REPLY_TO}.a", "tag", ReplyTaker())
    before = vhost.generation
    vhost.add_reply_queue(reply)
    between = vhost.generation
    vhost.remove_reply_queue(reply)
    assert before < between < vhost.generation
