"""At-least-once dead lettering: a quorum queue keeps its dead letters until they have arrived."""

from __future__ import annotations

from amqpd.broker.policy import Policy
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.shelf import RETRY_SECONDS
from amqpd.wire.table import EMPTY_TABLE
from tests.broker.queues.takers import drained, drained_deliveries, make_queue, message
from tests.builders import World

ARGUMENTS: dict[str, object] = {
    "queue_type": "quorum",
    "overflow": "reject-publish",
    "dead_letter_exchange": "",
    "dead_letter_routing_key": "dead",
    "dead_letter_strategy": "at-least-once",
}


def keeping(world: World, **arguments: object) -> Queue:
    """A quorum queue that must not lose its dead letters."""
    return make_queue(world, **{**ARGUMENTS, **arguments})


def reject(queue: Queue, *bodies: bytes) -> None:
    """Let messages with these bodies die."""
    for body in bodies:
        assert queue.publish(message(body))
        delivery = queue.get()
        assert delivery is not None
        queue.reject(delivery)


def bodies(queue: Queue) -> list[bytes]:
    """The bodies of everything that is ready, which is taken out."""
    return [body for body, _ in drained(queue)]


def test_dead_letters_arrive_in_the_order_of_their_deaths() -> None:
    world = World()
    dead, queue = make_queue(world, "dead"), keeping(world)
    reject(queue, b"0", b"1", b"2")
    world.finish()
    assert bodies(dead) == [b"0", b"1", b"2"]
    assert world.timers.next_deadline() is None


def test_a_letter_without_a_route_is_tried_again_until_there_is_one() -> None:
    world = World()
    queue = keeping(world)
    reject(queue, b"0")
    world.finish()
    world.advance(10 * RETRY_SECONDS)
    dead = make_queue(world, "dead")
    assert dead.message_count == 0
    world.advance(RETRY_SECONDS)
    assert bodies(dead) == [b"0"]
    world.advance(RETRY_SECONDS)
    assert bodies(dead) == []
    assert world.timers.next_deadline() is None


def test_a_letter_that_its_target_refuses_is_tried_again() -> None:
    world = World()
    dead, queue = make_queue(world, "dead", max_length=1, overflow="reject-publish"), keeping(world)
    reject(queue, b"0", b"1")
    world.finish()
    assert bodies(dead) == [b"0"]
    world.advance(RETRY_SECONDS)
    assert bodies(dead) == [b"1"]


def fan_out(world: World, **full: object) -> tuple[Queue, Queue, Queue]:
    """A keeping queue whose dead letters go to two queues: one that refuses what is too much, and one that does not."""
    targets = make_queue(world, "full", overflow="reject-publish", **full), make_queue(world, "free")
    for target in targets:
        world.vhost.bind(world.vhost.exchange("amq.fanout"), target, "", EMPTY_TABLE)
    return keeping(world, dead_letter_exchange="amq.fanout"), *targets


def test_a_letter_is_tried_again_until_every_target_has_it_once() -> None:
    world = World()
    queue, full, free = fan_out(world, max_length=1)
    full.publish(message(b"in the way"))
    reject(queue, b"0")
    world.finish()
    world.advance(3 * RETRY_SECONDS)
    assert (bodies(full), bodies(free)) == ([b"in the way"], [b"0"])
    world.advance(RETRY_SECONDS)
    assert (bodies(full), bodies(free)) == ([b"0"], [])
    assert world.timers.next_deadline() is None


def test_a_retry_goes_where_the_exchange_leads_by_then() -> None:
    world = World()
    queue, full, free = fan_out(world, max_length=0)
    reject(queue, b"0")
    world.finish()
    world.vhost.delete_queue(full)
    again = make_queue(world, "again")
    world.vhost.bind(world.vhost.exchange("amq.fanout"), again, "", EMPTY_TABLE)
    world.advance(RETRY_SECONDS)
    assert (bodies(again), bodies(free)) == ([b"0"], [b"0"])
    assert world.timers.next_deadline() is None


def test_a_letter_has_arrived_when_the_queue_that_refused_it_is_gone() -> None:
    world = World()
    queue, full, free = fan_out(world, max_length=0)
    reject(queue, b"0")
    world.finish()
    world.vhost.delete_queue(full)
    world.advance(RETRY_SECONDS)
    assert bodies(free) == [b"0"]
    assert world.timers.next_deadline() is None


def test_x_death_tells_when_the_message_died_and_not_when_its_letter_arrived() -> None:
    world = World()
    queue = keeping(world)
    died = int(world.clock.time())
    reject(queue, b"0")
    world.finish()
    dead = make_queue(world, "dead")
    world.advance(RETRY_SECONDS)
    (delivery,) = drained_deliveries(dead)
    history = delivery.message.deaths
    assert history is not None
    assert history.first.time == died


def test_however_many_letters_wait_one_timer_is_for_all() -> None:
    world = World()
    queue = keeping(world)
    for number in range(10):
        reject(queue, b"%d" % number)
        world.finish()
    assert len(world.timers._heap) == 1
    world.advance(RETRY_SECONDS)
    assert sum(timer.pending for _, _, timer in world.timers._heap) == 1


def test_with_the_exchange_missing_nothing_is_lost() -> None:
    world = World()
    queue = keeping(world, dead_letter_exchange="missing")
    reject(queue, b"0")
    world.finish()
    world.advance(10 * RETRY_SECONDS)
    assert queue.message_count == 0
    assert world.timers.next_deadline() is not None


def test_letters_that_have_not_arrived_count_against_the_limits_of_their_queue() -> None:
    world = World()
    queue = keeping(world, max_length=1)
    reject(queue, b"0")
    world.finish()
    assert [queue.publish(message(b"n")) for _ in range(2)] == [True, False]
    make_queue(world, "dead")
    world.advance(RETRY_SECONDS)
    assert queue.get() is not None
    assert queue.publish(message(b"n"))


def test_letters_are_not_ready_messages() -> None:
    world = World()
    queue = keeping(world)
    reject(queue, b"0")
    assert queue.message_count == 0
    assert queue.purge() == 0
    make_queue(world, "dead")
    world.advance(RETRY_SECONDS)
    world.finish()
    assert world.vhost.queue("dead").message_count == 1, "a purge must not touch them"


def test_they_go_with_their_queue() -> None:
    world = World()
    queue = keeping(world)
    reject(queue, b"0")
    world.finish()
    world.vhost.delete_queue(queue)
    dead = make_queue(world, "dead")
    world.advance(10 * RETRY_SECONDS)
    assert dead.message_count == 0
    assert world.timers.next_deadline() is None


def test_a_policy_that_ends_at_least_once_ends_the_keeping() -> None:
    """As in RabbitMQ: the letters that have not arrived are lost, and take no room any more."""
    world = World()
    queue = keeping(world, max_length=1)
    reject(queue, b"0", b"1")
    world.finish()
    assert not queue.publish(message(b"2"))
    world.vhost.set_policy(Policy("p", "^q$", {"overflow": "drop-head"}))
    world.finish()
    assert world.timers.next_deadline() is None
    world.vhost.delete_policy("p")
    dead = make_queue(world, "dead")
    world.advance(10 * RETRY_SECONDS)
    assert dead.message_count == 0
    assert queue.publish(message(b"2"))


def test_a_drop_head_queue_falls_back_to_losing_them() -> None:
    world = World()
    queue = keeping(world, overflow="drop-head")
    reject(queue, b"0")
    world.finish()
    assert world.timers.next_deadline() is None
