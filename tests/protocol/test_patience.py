"""The acknowledgement timeout: who waits too long is closed with 406, whoever settles in time is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.broker.arguments import NEVER
from amqpd.broker.policy import Policy
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.delivery import Delivery
from amqpd.errors import PreconditionFailed
from amqpd.protocol.ledger import Ledger
from amqpd.protocol.limits import Limits
from amqpd.protocol.patience import LOOK_EVERY, Patience
from tests.broker.queues.takers import make_queue, message
from tests.builders import Client, World

MINUTE = 60.0
DEFAULT = 1_800_000
TEXT = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: {} ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)
QUEUE = make_queue(World())


def delivered(queue: Queue = QUEUE) -> Delivery:
    """An unsettled delivery."""
    return Delivery(queue, message(b""), 0, 0, 0, None)


def is_patient(patience: Patience, ledger: Ledger, now: float) -> bool:
    """Look at the channel; False if it is to be closed."""
    try:
        patience.check(1, ledger, now)
    except PreconditionFailed:
        return False
    return True


def test_with_everything_settled_any_time_may_pass() -> None:
    patience, ledger = Patience(1000), Ledger()
    for now in (0.0, 100.0, 1000.0):
        ledger.settle(ledger.add(delivered()))
        assert is_patient(patience, ledger, now)


def test_an_old_delivery_is_found_behind_newer_ones() -> None:
    patience, ledger = Patience(60_000), Ledger()
    ledger.add(delivered())
    found = []
    for look in range(9):
        ledger.settle(ledger.add(delivered()))
        ledger.add(delivered())
        found.append(is_patient(patience, ledger, look * 10.0))
    assert found == [True] * 7 + [False] * 2


def test_new_deliveries_do_not_inherit_the_age_of_old_ones() -> None:
    patience, ledger = Patience(60_000), Ledger()
    for look in range(100):
        tag = ledger.add(delivered())
        assert is_patient(patience, ledger, look * 10.0)
        if look % 5 == 4:
            ledger.settle_up_to(tag)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40), st.integers(1, 6))
def test_the_age_that_counts_is_at_most_one_look_less_than_the_true_one(
    looks: list[tuple[int, int]], allowed: int
) -> None:
    """Between two looks some are delivered, then some of the oldest are settled."""
    patience, ledger = Patience(allowed * 1000), Ledger()
    unsettled: list[tuple[int, int]] = []  # tag, the second of the next look after it was delivered
    for now, (arrive, leave) in enumerate(looks):
        unsettled += [(int(ledger.add(delivered())), now) for _ in range(arrive)]
        for tag, _ in unsettled[:leave]:
            ledger.settle(tag)
        unsettled = unsettled[leave:]
        too_old = bool(unsettled) and now - unsettled[0][1] > allowed
        assert is_patient(patience, ledger, float(now)) == (not too_old)
        if too_old:
            return


def test_marks_do_not_pile_up_while_deliveries_are_settled_in_order() -> None:
    patience, ledger = Patience(60_000), Ledger()
    for look in range(1000):
        ledger.add(delivered())
        if look >= 3:
            ledger.settle(look - 2)
        assert is_patient(patience, ledger, look * 10.0)
    assert len(patience._marks) < 10


@pytest.mark.parametrize(
    ("default", "arguments", "allowed"),
    [
        (DEFAULT, {}, DEFAULT),
        (None, {}, None),
        (DEFAULT, {"consumer_timeout": 5000}, 5000),
        (None, {"consumer_timeout": 5000}, 5000),
        (DEFAULT, {"consumer_timeout": 2 * DEFAULT}, 2 * DEFAULT),
        (DEFAULT, {"consumer_timeout": "never"}, None),
    ],
)
def test_the_queues_timeout_replaces_the_brokers(
    default: int | None, arguments: dict[str, object], allowed: int | None
) -> None:
    """A value that is no number is no timeout, as in RabbitMQ."""
    queue = make_queue(World(), **arguments)
    assert (queue.settings.consumer_timeout == NEVER) == (arguments.get("consumer_timeout") == "never")
    patience, ledger = Patience(default), Ledger()
    ledger.add(delivered(queue))
    assert is_patient(patience, ledger, 0.0)
    limit = 1e9 if allowed is None else allowed / 1000
    assert is_patient(patience, ledger, limit)
    assert is_patient(patience, ledger, limit + 1) == (allowed is None)


# From bytes to bytes.


def holding(world: World, no_ack: bool = False, **arguments: object) -> Client:
    """A client that consumes from q and has a message of it."""
    client = world.client()
    client.open()
    client.declare("q", arguments={"x-" + key.replace("_", "-"): value for key, value in arguments.items()})
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q", no_ack=no_ack, consumer_tag="c")
    client.publish(1, "", "q", b"m")
    assert client.bodies() == [b"m"]
    return client


def test_after_half_an_hour_the_channel_is_closed_and_the_message_returns(world: World) -> None:
    client = holding(world)
    world.advance(DEFAULT / 1000 - LOOK_EVERY)
    assert client.take() == b""
    world.advance(3 * LOOK_EVERY)
    close = client.receive_one(1, commands.Channel.Close)
    assert (close.reply_code, close.reply_text) == (406, TEXT.format(DEFAULT))
    assert (close.class_id, close.method_id) == (0, 0)
    queue = world.vhost.queue("q")
    assert (queue.message_count, len(queue.consumers)) == (1, 0)
    client.send(1, commands.Channel.CloseOk)
    client.open()
    client.send(1, commands.Basic.Get, queue="q")
    (item,) = client.messages()
    assert isinstance(item.method, commands.Basic.GetOk)
    assert item.method.redelivered


def test_the_close_is_sent_once_though_the_client_does_not_answer_it(world: World) -> None:
    client = holding(world, consumer_timeout=60_000)
    world.advance(10 * MINUTE)
    assert client.channel_closed() == (406, TEXT.format(60_000))


def test_a_fetched_message_counts_as_well(world: World) -> None:
    client = world.client()
    client.open()
    client.declare("q", arguments={"x-consumer-timeout": 60_000})
    client.publish(1, "", "q")
    client.send(1, commands.Basic.Get, queue="q")
    client.messages()
    world.advance(2 * MINUTE)
    assert client.channel_closed() == (406, TEXT.format(60_000))


def test_other_channels_and_connections_go_on(world: World) -> None:
    client, other = holding(world, consumer_timeout=60_000), world.client()
    client.open(2)
    other.open()
    world.advance(2 * MINUTE)
    client.channel_closed()
    assert client.declare("still", channel=2).queue == "still"
    assert other.declare("here").queue == "here"


def test_who_acknowledges_in_time_is_left_alone(world: World) -> None:
    client = holding(world, consumer_timeout=60_000)
    for tag in range(1, 20):
        world.advance(50.0)
        client.send(1, commands.Basic.Ack, delivery_tag=tag)
        client.publish(1, "", "q", b"m")
        assert client.bodies() == [b"m"]


def test_without_acknowledgements_there_is_nothing_to_wait_for(world: World) -> None:
    client = holding(world, no_ack=True, consumer_timeout=60_000)
    world.advance(10 * MINUTE)
    assert client.take() == b""


def test_a_policy_sets_the_timeout_of_deliveries_that_wait_already(world: World) -> None:
    client = holding(world)
    world.advance(MINUTE)
    world.vhost.set_policy(Policy("p", "^q$", {"consumer-timeout": 90_000}))
    world.advance(MINUTE)
    assert client.channel_closed() == (406, TEXT.format(90_000))


def test_an_operator_of_the_broker_can_switch_the_timeout_off() -> None:
    world = World(Limits(consumer_timeout=None))
    client = holding(world)
    world.advance(100 * 60 * MINUTE)
    assert client.take() == b""
    assert world.observer.crashes == []
