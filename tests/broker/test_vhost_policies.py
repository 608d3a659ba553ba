"""Policies take effect on what exists, at once, and let go of it just as well."""

from __future__ import annotations

import pytest

from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.policy import Policy
from amqpd.broker.queues.base import Queue
from amqpd.wire.table import EMPTY_TABLE, Table
from tests.broker.queues.takers import drained, drained_deliveries, make_queue, message
from tests.builders import World


def set_policy(world: World, definition: dict[str, object], is_operator: bool = False) -> None:
    """Set the policy p for queues and exchanges whose names begin with q, and let the turn end."""
    world.vhost.set_policy(Policy("p", "^q", definition, is_operator=is_operator))
    world.finish()


def filled(world: World, count: int, **arguments: object) -> Queue:
    """A queue with messages 0, 1, 2..."""
    queue = make_queue(world, **arguments)
    for number in range(count):
        queue.publish(message(b"%d" % number))
    world.finish()
    return queue


def bodies(queue: Queue) -> list[bytes]:
    """The bodies of everything that is ready, which is taken out."""
    return [body for body, _ in drained(queue)]


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_lower_limit_drops_what_is_too_much(kind: str) -> None:
    world = World()
    queue = filled(world, 5, queue_type=kind)
    set_policy(world, {"max-length": 2})
    assert bodies(queue) == [b"3", b"4"]


def test_a_limit_that_goes_lets_the_queue_grow() -> None:
    world = World()
    set_policy(world, {"max-length": 1})
    queue = filled(world, 3)
    assert world.vhost.delete_policy("p")
    assert not world.vhost.delete_policy("p")
    queue.publish(message(b"3"))
    assert bodies(queue) == [b"2", b"3"]


def test_of_argument_user_policy_and_operator_policy_the_lowest_limit_counts() -> None:
    world = World()
    queue = filled(world, 9, max_length=7)
    assert queue.message_count == 7
    set_policy(world, {"max-length": 5})
    assert queue.message_count == 5
    set_policy(world, {"max-length": 3}, is_operator=True)
    assert queue.message_count == 3
    set_policy(world, {"max-length": 8}, is_operator=True)
    queue.publish(message(b""))
    queue.publish(message(b""))
    queue.publish(message(b""))
    world.finish()
    assert queue.message_count == 5


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_ttl_concerns_only_messages_that_come_after_it(kind: str) -> None:
    """Conformance row N04."""
    world = World()
    queue = filled(world, 1, queue_type=kind)
    set_policy(world, {"message-ttl": 1000})
    queue.publish(message(b"new"))
    world.finish()
    world.advance(5.0)
    assert queue.message_count == 2, "the old one stands before it"
    assert bodies(queue) == [b"0"]


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_ttl_that_goes_leaves_messages_the_deadline_that_they_have(kind: str) -> None:
    """Conformance row N04."""
    world = World()
    set_policy(world, {"message-ttl": 1000})
    queue = filled(world, 1, queue_type=kind)
    world.vhost.delete_policy("p")
    queue.publish(message(b"lasting"))
    world.finish()
    world.advance(5.0)
    assert bodies(queue) == [b"lasting"]


def test_expires_starts_with_the_policy_and_ends_with_it() -> None:
    world = World()
    queue = filled(world, 0)
    world.advance(100.0)
    set_policy(world, {"expires": 1000})
    world.advance(0.75)
    world.vhost.delete_policy("p")
    world.advance(100.0)
    assert not queue.deleted
    set_policy(world, {"expires": 1000})
    world.advance(1.0)
    assert queue.deleted


def test_a_dead_letter_exchange_comes_and_goes_and_the_argument_is_above_it() -> None:
    """Each of exchange and key counts on its own: conformance row H43."""
    world = World()
    first, second = make_queue(world, "first"), make_queue(world, "second")
    queue, told = filled(world, 2), make_queue(world, "q.told", dead_letter_exchange="")
    told.publish(message(b"told"))
    reject_one(queue)
    set_policy(world, {"dead-letter-exchange": "", "dead-letter-routing-key": "first"})
    reject_one(queue)
    reject_one(told)
    world.finish()
    assert (bodies(first), bodies(second)) == ([b"1", b"told"], [])


def reject_one(queue: Queue) -> None:
    """Reject the head."""
    delivery = queue.get()
    assert delivery is not None
    queue.reject(delivery)


def test_a_policys_reject_publish_refuses_from_now_on() -> None:
    world = World()
    queue = filled(world, 3)
    set_policy(world, {"max-length": 3, "overflow": "reject-publish"})
    assert not queue.publish(message(b"3"))
    assert bodies(queue) == [b"0", b"1", b"2"]


def test_a_delivery_limit_counts_for_messages_that_are_there() -> None:
    world = World()
    queue = filled(world, 1, queue_type="quorum")
    set_policy(world, {"delivery-limit": 1})
    for _ in range(2):
        delivery = queue.get()
        assert delivery is not None
        queue.requeue(delivery)
    assert queue.get() is None


def test_a_policy_with_a_key_that_the_type_does_not_know_does_not_concern_the_queue() -> None:
    """Conformance: the whole policy is ignored there, and the next one counts."""
    world = World()
    queue = filled(world, 5)
    world.vhost.set_policy(Policy("low", "^q", {"max-length": 4}, priority=1))
    world.vhost.set_policy(Policy("high", "^q", {"max-length": 1, "delivery-limit": 1}, priority=9))
    world.finish()
    assert queue.message_count == 4


def test_the_policy_of_the_highest_priority_counts_alone_and_the_next_when_it_goes() -> None:
    world = World()
    world.vhost.set_policy(Policy("low", "^q", {"max-length": 2, "message-ttl": 1000}, priority=1))
    world.vhost.set_policy(Policy("high", "^q", {"max-length": 4}, priority=2))
    queue = filled(world, 6)
    world.advance(5.0)
    assert queue.message_count == 4
    world.vhost.delete_policy("high")
    world.finish()
    assert queue.message_count == 2


def test_a_new_queue_works_with_the_policies_that_are_there() -> None:
    world = World()
    set_policy(world, {"max-length": 1})
    assert filled(world, 3).message_count == 1


def test_an_alternate_exchange_comes_and_goes_and_publishers_notice() -> None:
    world = World()
    client = world.client()
    client.open()
    client.declare("unrouted")
    vhost = world.vhost
    vhost.create_exchange("q.exchange", ExchangeSpec("direct", False, False, False))
    vhost.bind(vhost.exchange("amq.fanout"), vhost.queue("unrouted"), "", EMPTY_TABLE)
    client.publish(1, "q.exchange", "k", b"0")
    set_policy(world, {"alternate-exchange": "amq.fanout"})
    client.publish(1, "q.exchange", "k", b"1")
    vhost.delete_policy("p")
    client.publish(1, "q.exchange", "k", b"2")
    assert bodies(vhost.queue("unrouted")) == [b"1"]


def test_an_alternate_exchange_by_argument_is_above_the_policys() -> None:
    world = World()
    vhost = world.vhost
    arguments = Table.of({"alternate-exchange": "amq.direct"})
    created = vhost.create_exchange("q.exchange", ExchangeSpec("direct", False, False, False, arguments))
    set_policy(world, {"alternate-exchange": "amq.fanout"})
    assert created.alternate == "amq.direct"


def test_the_default_exchange_has_no_alternate_whatever_the_pattern() -> None:
    world = World()
    vhost = world.vhost
    unrouted = make_queue(world, "unrouted")
    vhost.bind(vhost.exchange("amq.fanout"), unrouted, "", EMPTY_TABLE)
    vhost.set_policy(Policy("p", r"^(amq\.direct)?$", {"alternate-exchange": "amq.fanout"}, apply_to="exchanges"))
    client = world.client()
    client.open()
    client.publish(1, "", "nobody", b"0")
    client.publish(1, "amq.direct", "nobody", b"1")
    assert bodies(unrouted) == [b"1"]


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_policy_for_others_does_not_start_the_time_of_an_idle_queue_anew(kind: str) -> None:
    world = World()
    queue = make_queue(world, queue_type=kind, expires=1000)
    for round in range(4):
        world.advance(0.3)
        world.vhost.set_policy(Policy("p", "^other", {"max-length": round}))
    assert queue.deleted


def test_a_policy_with_another_time_starts_it_anew() -> None:
    world = World()
    queue = make_queue(world, expires=1000)
    world.advance(0.9)
    set_policy(world, {"expires": 500})
    world.advance(0.4)
    assert not queue.deleted
    world.advance(0.2)
    assert queue.deleted


def test_what_the_pattern_does_not_find_is_left_alone() -> None:
    world = World()
    other = make_queue(world, "other")
    for _ in range(3):
        other.publish(message(b""))
    set_policy(world, {"max-length": 1})
    assert len(drained_deliveries(other)) == 3
