"""The tx class (section 1.9)."""

from __future__ import annotations

from mypy_extensions import i64
from pamqp import commands

from amqpd.broker.queues.sink import REFUSED
from amqpd.errors import PreconditionFailed
from amqpd.log.commit import SAFE
from amqpd.protocol.channel import Channel
from amqpd.protocol.transaction import Transaction, incomplete
from amqpd.wire.methods import make


def select(channel: Channel, method: commands.Tx.Select) -> None:
    """Publishes and settlements wait for commits from now on."""
    if channel.confirms is not None:
        raise PreconditionFailed("cannot switch from confirm to tx mode")
    if channel.transaction is None:
        channel.transaction = Transaction()
    channel.send(make(commands.Tx.SelectOk))


def commit(channel: Channel, method: commands.Tx.Commit) -> None:
    """Let everything take effect. It is not atomic: a queue that refuses its part does not undo the others'."""
    transaction = open_transaction(channel)
    complete = True
    commit: i64 = SAFE
    publishes = transaction.take_publishes()
    for publish in publishes:
        if any(sink.deleted for sink in publish.sinks):
            complete = False
        outcome = channel.publishing.deliver(publish.message, publish.sinks, publish.mandatory)
        if outcome == REFUSED:
            complete = False
        commit = max(commit, outcome)
    commits = channel.context.storage.commits
    commits.moving = bool(publishes)  # what is settled must not be gone before what came with it is safe
    for settlement in transaction.take_settlements():
        channel.apply(settlement.deliveries, settlement.outcome)
    commits.moving = False
    if not complete:
        raise incomplete()
    channel.send_after(commit, make(commands.Tx.CommitOk), [publish.sinks for publish in publishes])


def rollback(channel: Channel, method: commands.Tx.Rollback) -> None:
    """Forget the publishes; what was settled is unsettled again, and nothing is redelivered."""
    transaction = open_transaction(channel)
    transaction.take_publishes()
    for settlement in transaction.take_settlements():
        channel.ledger.restore(settlement.deliveries)
    channel.send(make(commands.Tx.RollbackOk))


def open_transaction(channel: Channel) -> Transaction:
    """The channel's transaction.

    Raises:
        PreconditionFailed: it is not in tx mode.
    """
    if channel.transaction is None:
        raise PreconditionFailed("channel is not transactional")
    return channel.transaction
