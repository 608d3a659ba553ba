"""Metrics of the whole broker: messages that die count by reason, type of queue and what was to become of them."""

from __future__ import annotations

import pytest

from amqpd.broker.queues.base import Queue
from amqpd.management.metrics.totals import DEATHS_BY_LABELS
from tests.broker.queues.takers import accepts, make_queue, message
from tests.builders import World
from tests.management.metrics.scraper import Scraper

KINDS = ("classic", "quorum")
CAREFUL: dict[str, object] = {
    "queue_type": "quorum",
    "overflow": "reject-publish",
    "dead_letter_exchange": "",
    "dead_letter_strategy": "at-least-once",
}


@pytest.fixture
def world() -> World:
    return World()


def deaths(world: World, path: str = "/metrics") -> dict[tuple[str, str, str], float]:
    """What is not zero: the number by reason, type of queue and strategy."""
    return {key: value for key, value in everything(world, path).items() if value}


def everything(world: World, path: str = "/metrics") -> dict[tuple[str, str, str], float]:
    """The same with the zeros."""
    start, found = "rabbitmq_global_messages_dead_lettered_", {}
    for name, family in Scraper(world).metrics(path).items():
        if name.startswith(start):
            reason = name.removeprefix(start).removesuffix("_total")
            for sample in family.samples:
                kind = sample.labels["queue_type"].removeprefix("rabbit_").removesuffix("_queue")
                found[reason, kind, sample.labels["dead_letter_strategy"]] = sample.value
    return found


def expire(world: World, queue: Queue) -> None:
    """Two messages stay longer than they may."""
    for _ in range(2):
        queue.publish(message(b"m"))
    world.finish()
    world.advance(1)


def reject(world: World, queue: Queue) -> None:
    """Two messages are refused by a consumer."""
    for _ in range(2):
        queue.publish(message(b"m"))
        delivery = queue.get()
        assert delivery is not None
        queue.reject(delivery)
    world.finish()


def overflow(world: World, queue: Queue) -> None:
    """There are two more messages than there may be."""
    for _ in range(3):
        queue.publish(message(b"m"))
    world.finish()


def return_often(world: World, queue: Queue) -> None:
    """Two messages come back once more than they may."""
    for _ in range(2):
        queue.publish(message(b"m"))
        for _ in range(2):
            delivery = queue.get()
            assert delivery is not None
            queue.requeue(delivery)
    world.finish()


WAYS = {
    "expired": (expire, {"message_ttl": 10}),
    "rejected": (reject, {}),
    "maxlen": (overflow, {"max_length": 1}),
    "delivery_limit": (return_often, {"delivery_limit": 1}),
}


OF_BOTH = ("expired", "rejected", "maxlen")


def test_every_number_that_rabbitmq_has_is_there_from_the_beginning(world: World) -> None:
    expected = {(reason, *labels) for labels, reasons in DEATHS_BY_LABELS.items() for reason in reasons}
    for path in ("/metrics", "/metrics/per-object"):
        assert everything(world, path) == dict.fromkeys(expected, 0)


@pytest.mark.parametrize(("kind", "reason"), [("classic", way) for way in OF_BOTH] + [("quorum", way) for way in WAYS])
def test_a_message_that_dies_counts_once_under_its_reason(world: World, kind: str, reason: str) -> None:
    die, arguments = WAYS[reason]
    die(world, make_queue(world, "plain", queue_type=kind, **arguments))
    assert deaths(world) == {(reason, kind, "disabled"): 2}
    make_queue(world, "dead")
    die(world, make_queue(world, "q", queue_type=kind, dead_letter_exchange="", **arguments))
    assert deaths(world) == {(reason, kind, "disabled"): 2, (reason, kind, "at_most_once"): 2}


@pytest.mark.parametrize("kind", KINDS)
def test_an_exchange_that_does_not_exist_is_none(world: World, kind: str) -> None:
    reject(world, make_queue(world, "q", queue_type=kind, dead_letter_exchange="nowhere"))
    assert deaths(world) == {("rejected", kind, "disabled"): 2}


def test_a_publish_that_is_refused_counts_only_if_it_goes_to_the_dead_letters(world: World) -> None:
    for overflow_of in ("reject-publish", "reject-publish-dlx"):
        queue = make_queue(world, overflow_of, max_length=0, overflow=overflow_of)
        assert not accepts(queue, message(b"m"))
    world.finish()
    assert deaths(world) == {("maxlen", "classic", "disabled"): 1}


def test_dead_letters_that_may_not_get_lost_count_when_they_die_and_when_they_arrive(world: World) -> None:
    queue = make_queue(world, "q", dead_letter_routing_key="dead", **CAREFUL)
    reject(world, queue)
    assert deaths(world) == {("rejected", "quorum", "at_least_once"): 2}
    make_queue(world, "dead")
    world.advance(10)
    arrived = {("rejected", "quorum", "at_least_once"): 2, ("confirmed", "quorum", "at_least_once"): 2}
    assert deaths(world) == arrived


def test_what_is_purged_or_goes_with_its_queue_did_not_die(world: World) -> None:
    queue = make_queue(world, "q", dead_letter_exchange="")
    queue.publish(message(b"m"))
    queue.purge()
    queue.publish(message(b"m"))
    world.vhost.delete_queue(queue)
    world.finish()
    assert deaths(world) == {}


def test_what_died_stays_counted_when_its_virtual_host_is_gone(world: World) -> None:
    reject(world, make_queue(world, "q"))
    world.broker.delete_vhost("/")
    assert deaths(world) == {("rejected", "classic", "disabled"): 2}
