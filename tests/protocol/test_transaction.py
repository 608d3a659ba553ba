"""Transactions: what waits for the commit, what does not, and what a rollback undoes (RabbitMQ's semantics)."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from pamqp import base, commands

from amqpd.broker.message import make_message
from amqpd.protocol.transaction import HeldPublish, HeldSettlement, Outcome, Transaction
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from tests.builders import Client, Content, World, publish_bytes
from tests.stores import Store


@pytest.fixture
def client(client: Client) -> Client:
    """A client with the queue "q", whose channel 1 is in tx mode, and with channel 2 to look at the outcome."""
    client.open(2)
    client.declare("q")
    client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    return client


def ready(client: Client, queue: str = "q") -> int:
    """Messages ready in a queue."""
    return client.declare(queue, channel=2).message_count or 0


def commit(client: Client) -> None:
    client.call(1, commands.Tx.Commit, commands.Tx.CommitOk)


def rollback(client: Client) -> None:
    client.call(1, commands.Tx.Rollback, commands.Tx.RollbackOk)


def get(client: Client, no_ack: bool = False) -> bytes | None:
    """Fetch on channel 1."""
    client.send(1, commands.Basic.Get, queue="q", no_ack=no_ack)
    ((_, item),) = client.received()
    return item.body if isinstance(item, Content) else None


def test_what_was_gathered_can_be_taken_once() -> None:
    transaction = Transaction()
    publish = HeldPublish(make_message("", "q", EMPTY_PROPERTIES, b""), [], True)
    settlement = HeldSettlement([], Outcome.REJECT)
    transaction.publishes.append(publish)
    transaction.settlements.append(settlement)
    assert transaction.take_publishes() == [publish]
    assert transaction.take_publishes() == []
    assert transaction.take_settlements() == [settlement]
    assert transaction.take_settlements() == []


def test_a_queue_that_refuses_its_part_makes_the_commit_partial_and_all_else_takes_effect(client: Client) -> None:
    client.publish(2, "", "q", b"before")
    client.declare("full", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    assert get(client) == b"before"
    for key in ("q", "full", "q"):
        client.publish(1, "", key, b"m")
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    client.send(1, commands.Tx.Commit)
    close = client.receive_one(1, commands.Channel.Close)
    assert (close.reply_code, close.reply_text) == (406, "PRECONDITION_FAILED - partial tx completion")
    assert (close.class_id, close.method_id) == (90, 20)
    assert (ready(client), client.world.vhost.queue("full").message_count) == (2, 0)


def test_publishes_reach_their_queues_with_the_commit(client: Client) -> None:
    client.feed(publish_bytes(1, "", "q", b"0") + publish_bytes(1, "", "q", b"1"))
    assert ready(client) == 0
    commit(client)
    assert [get(client), get(client)] == [b"0", b"1"]


def test_a_rollback_drops_publishes(client: Client) -> None:
    client.publish(1, "", "q")
    rollback(client)
    commit(client)
    assert ready(client) == 0


def test_a_commit_commits_once(client: Client) -> None:
    client.publish(1, "", "q")
    commit(client)
    commit(client)
    assert ready(client) == 1


def test_publishes_are_checked_when_they_come(client: Client) -> None:
    client.publish(1, "missing", "key")
    assert client.channel_closed() == (404, "NOT_FOUND - no exchange 'missing' in vhost '/'")


def test_publishes_are_routed_when_they_come(client: Client) -> None:
    client.publish(1, "", "later")
    client.declare("later", channel=2)
    commit(client)
    assert ready(client, "later") == 0


def test_mandatory_messages_come_back_before_commit_ok(client: Client) -> None:
    client.publish(1, "", "nowhere", b"body", mandatory=True)
    assert client.take() == b""
    client.send(1, commands.Tx.Commit)
    (_, returned), (_, answer) = client.received()
    assert isinstance(returned, Content)
    assert returned.body == b"body"
    assert isinstance(answer, commands.Tx.CommitOk)


def test_further_keys_and_properties_are_those_of_the_publish(client: Client) -> None:
    client.declare("cc", channel=2)
    client.publish(1, "", "q", b"body", Properties.of(headers={"CC": ["cc"]}))
    commit(client)
    assert (ready(client), ready(client, "cc")) == (1, 1)


@pytest.mark.parametrize("mandatory", [True, False])
def test_a_queue_that_was_deleted_meanwhile_makes_the_commit_partial(client: Client, mandatory: bool) -> None:
    client.declare("kept", channel=2)
    client.publish(1, "", "q", mandatory=mandatory)
    client.publish(1, "", "kept")
    client.call(2, commands.Queue.Delete, commands.Queue.DeleteOk, queue="q")
    client.send(1, commands.Tx.Commit)
    close = client.receive_one(1, commands.Channel.Close)
    assert (close.reply_code, close.reply_text) == (406, "PRECONDITION_FAILED - partial tx completion")
    assert (close.class_id, close.method_id) == (90, 20)
    assert ready(client, "kept") == 1


@pytest.mark.parametrize("settle", ["ack", "nack", "reject"])
def test_settlements_take_effect_with_the_commit(client: Client, settle: str) -> None:
    client.publish(2, "", "q")
    get(client)
    if settle == "ack":
        client.send(1, commands.Basic.Ack, delivery_tag=1)
    elif settle == "nack":
        client.send(1, commands.Basic.Nack, delivery_tag=1, requeue=True)
    else:
        client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=True)
    assert ready(client) == 0
    commit(client)
    assert ready(client) == (0 if settle == "ack" else 1)
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
    assert ready(client) == (0 if settle == "ack" else 1)


def test_a_settled_tag_is_unknown_before_the_commit_already(client: Client) -> None:
    client.publish(2, "", "q")
    get(client)
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    assert client.channel_closed() == (406, "PRECONDITION_FAILED - unknown delivery tag 1")


def test_a_rollback_makes_settled_messages_unsettled_again_and_redelivers_nothing(client: Client) -> None:
    client.feed(publish_bytes(2, "", "q") * 3)
    for _ in range(3):
        get(client)
    client.send(1, commands.Basic.Ack, delivery_tag=2, multiple=True)
    client.send(1, commands.Basic.Nack, delivery_tag=3, requeue=True)
    rollback(client)
    assert ready(client) == 0
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    client.send(1, commands.Basic.Ack, delivery_tag=3)
    commit(client)
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
    assert ready(client) == 1


@pytest.mark.parametrize("how", ["close", "lose"])
def test_the_end_drops_publishes_and_returns_messages_settled_in_the_open_transaction(
    world: World, client: Client, how: str
) -> None:
    other = world.client()
    other.open(2)
    client.feed(publish_bytes(2, "", "q") * 2)
    get(client)
    get(client)
    client.publish(1, "", "q")
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    if how == "close":
        client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
    else:
        client.lose()
    assert ready(other) == 2


def test_the_end_of_the_channel_returns_everything_in_the_order_of_its_delivery(client: Client) -> None:
    """A quorum queue delivers what was returned in the order of its return."""
    client.declare("quorum", durable=True, arguments={"x-queue-type": "quorum"})
    for number in range(3):
        client.publish(2, "", "quorum", b"%d" % number)
    for _ in range(3):
        client.send(1, commands.Basic.Get, queue="quorum")
    client.send(1, commands.Basic.Ack, delivery_tag=2)
    client.bodies()
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
    for _ in range(3):
        client.send(2, commands.Basic.Get, queue="quorum")
    assert client.bodies() == [b"0", b"1", b"2"]


def test_recover_requeues_at_once_but_not_what_was_settled_in_the_transaction(client: Client) -> None:
    client.feed(publish_bytes(2, "", "q") * 2)
    get(client)
    get(client)
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    client.call(1, commands.Basic.Recover, commands.Basic.RecoverOk, requeue=True)
    assert ready(client) == 1
    commit(client)
    assert ready(client) == 1


def test_a_get_without_acknowledgement_is_not_part_of_it(client: Client) -> None:
    client.publish(2, "", "q")
    assert get(client, no_ack=True) == b""
    rollback(client)
    assert ready(client) == 0


def test_credit_comes_back_with_the_commit(client: Client) -> None:
    client.feed(publish_bytes(2, "", "q") * 2)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    client.send(1, commands.Basic.Consume, queue="q")
    assert sum(isinstance(item, Content) for _, item in client.received()) == 1
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    assert client.take() == b""
    client.send(1, commands.Tx.Commit)
    assert sum(isinstance(item, Content) for _, item in client.received()) == 1


# With a disk.


def stored_client(folder: Path) -> Client:
    """A client with the durable queue "q" and a channel in tx mode; commits are the test's to run."""
    client = World(store=Store(folder)).client()
    client.open()
    client.declare("q", durable=True)
    client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    client.world.hold_commits()
    return client


def test_a_commit_is_answered_when_its_messages_are_safe(tmp_path: Path) -> None:
    client = stored_client(tmp_path)
    for number in range(3):
        client.publish(1, "", "q", b"%d" % number, Properties.of(delivery_mode=2))
    assert client.world.held_commits == []
    client.send(1, commands.Tx.Commit)
    assert client.received() == []
    client.world.run_commit()
    client.receive_one(1, commands.Tx.CommitOk)
    assert client.world.killed().vhost.queue("q").message_count == 3


def test_a_commit_of_what_is_not_to_last_is_answered_at_once(tmp_path: Path) -> None:
    client = stored_client(tmp_path)
    client.publish(1, "", "q", b"m")
    client.call(1, commands.Tx.Commit, commands.Tx.CommitOk)


def test_the_next_transaction_begins_when_the_commit_was_answered(tmp_path: Path) -> None:
    client = stored_client(tmp_path)
    client.publish(1, "", "q", b"a", Properties.of(delivery_mode=2))
    client.send(1, commands.Tx.Commit)
    client.publish(1, "", "q", b"b", Properties.of(delivery_mode=2))
    client.send(1, commands.Tx.Rollback)
    client.world.run_commit()
    assert [item.name for _, item in client.received() if isinstance(item, base.Frame)] == [
        "Tx.CommitOk",
        "Tx.RollbackOk",
    ]
    assert client.world.vhost.queue("q").message_count == 1


def test_a_commit_for_a_queue_whose_disk_fails_is_not_answered_as_if_it_were_safe(tmp_path: Path) -> None:
    client = stored_client(tmp_path)
    assert client.world.store is not None
    client.publish(1, "", "q", b"a", Properties.of(delivery_mode=2))
    client.send(1, commands.Tx.Commit)
    client.world.store.memory.fail_at(1, errno.EIO)
    client.world.run_commit()
    code, text = client.channel_closed()
    assert (code, text) == (406, "PRECONDITION_FAILED - partial tx completion")
    client.send(1, commands.Channel.CloseOk)
    client.open()
