"""The operations of AMQP that need permissions, and what each of them needs, in the order in which it is looked at.

Rule: what may live here is one line an operation. Expectations follow from it; no broker is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import pika
from pika.adapters.blocking_connection import BlockingChannel

CONFIGURE: Final = "configure"
WRITE: Final = "write"
READ: Final = "read"
DEFAULT_EXCHANGE: Final = "amq.default"  # the name under which the exchange "" is checked


@dataclass(frozen=True)
class Need:
    """One permission.

    Args:
        access: configure, write or read.
        kind: queue or exchange.
        name: whose.
    """

    access: str
    kind: str
    name: str


@dataclass(frozen=True)
class Operation:
    """Something that a client does.

    Args:
        name: of the case.
        do: does it. What it needs beside permissions is there: the queue ``old``, the exchanges ``source``,
            ``target`` and ``topic``; ``new`` stands for names that are free.
        needs: the permissions, in the order in which they are looked at.
        missing: what it works on does not exist; with all permissions it fails with 404.
    """

    name: str
    do: Callable[[BlockingChannel], object]
    needs: tuple[Need, ...] = field(default=())
    missing: bool = False


def queue(access: str, name: str = "old") -> Need:
    return Need(access, "queue", name)


def exchange(access: str, name: str = "source") -> Need:
    return Need(access, "exchange", name)


def publish(name: str, key: str = "old", **properties: object) -> Callable[[BlockingChannel], object]:
    def do(channel: BlockingChannel) -> object:
        channel.confirm_delivery()  # so that a refusal is there when this returns
        return channel.basic_publish(name, key, b"m", pika.BasicProperties(**properties))

    return do


def publish_in_transaction(channel: BlockingChannel) -> object:
    channel.tx_select()
    channel.basic_publish("source", "old", b"m")
    return channel.tx_commit()


def get(channel: BlockingChannel) -> object:
    return channel.basic_get("old", auto_ack=True)


def consume(name: str) -> Callable[[BlockingChannel], object]:
    return lambda channel: channel.basic_consume(name, lambda *_: None, auto_ack=True)


DLX: Final = {"x-dead-letter-exchange": "target"}
AE: Final = {"alternate-exchange": "target"}
CC: Final = {"CC": ["other"], "BCC": ["another"]}

OPERATIONS: Final = (
    Operation("queue.declare", lambda c: c.queue_declare("new"), (queue(CONFIGURE, "new"),)),
    Operation("queue.declare of one that exists", lambda c: c.queue_declare("old"), (queue(CONFIGURE),)),
    Operation("queue.declare passive", lambda c: c.queue_declare("old", passive=True)),
    Operation("queue.declare passive of none", lambda c: c.queue_declare("none", passive=True), missing=True),
    Operation(
        "queue.declare with a dead letter exchange",
        lambda c: c.queue_declare("new", arguments=DLX),
        (queue(CONFIGURE, "new"), queue(READ, "new"), exchange(WRITE, "target")),
    ),
    Operation("queue.delete", lambda c: c.queue_delete("old"), (queue(CONFIGURE),)),
    Operation("queue.delete of none", lambda c: c.queue_delete("none"), (queue(CONFIGURE, "none"),)),
    Operation("queue.purge", lambda c: c.queue_purge("old"), (queue(READ),)),
    Operation("queue.purge of none", lambda c: c.queue_purge("none"), (queue(READ, "none"),), missing=True),
    Operation("queue.bind", lambda c: c.queue_bind("old", "source", "k"), (queue(WRITE), exchange(READ))),
    Operation(
        "queue.bind to no exchange",
        lambda c: c.queue_bind("old", "none", "k"),
        (queue(WRITE), exchange(READ, "none")),
        missing=True,
    ),
    Operation("queue.unbind", lambda c: c.queue_unbind("old", "source", "k"), (queue(WRITE), exchange(READ))),
    Operation("exchange.declare", lambda c: c.exchange_declare("new"), (exchange(CONFIGURE, "new"),)),
    Operation("exchange.declare of one that exists", lambda c: c.exchange_declare("source"), (exchange(CONFIGURE),)),
    Operation("exchange.declare passive", lambda c: c.exchange_declare("source", passive=True)),
    Operation(
        "exchange.declare with an alternate exchange",
        lambda c: c.exchange_declare("new", arguments=AE),
        (exchange(CONFIGURE, "new"), exchange(READ, "new"), exchange(WRITE, "target")),
    ),
    Operation("exchange.delete", lambda c: c.exchange_delete("source"), (exchange(CONFIGURE),)),
    Operation(
        "exchange.bind",
        lambda c: c.exchange_bind("target", "source", "k"),
        (exchange(WRITE, "target"), exchange(READ)),
    ),
    Operation(
        "exchange.unbind",
        lambda c: c.exchange_unbind("target", "source", "k"),
        (exchange(WRITE, "target"), exchange(READ)),
    ),
    Operation("basic.publish", publish("source"), (exchange(WRITE),)),
    Operation("basic.publish to the default exchange", publish(""), (exchange(WRITE, DEFAULT_EXCHANGE),)),
    Operation("basic.publish to no exchange", publish("none"), (exchange(WRITE, "none"),), missing=True),
    Operation("basic.publish with CC and BCC", publish("source", headers=CC), (exchange(WRITE),)),
    Operation("basic.publish in a transaction", publish_in_transaction, (exchange(WRITE),)),
    Operation("basic.get", get, (queue(READ),)),
    Operation("basic.consume", consume("old"), (queue(READ),)),
    Operation("basic.consume of replies", consume("amq.rabbitmq.reply-to")),
)


@dataclass(frozen=True)
class TopicOperation:
    """Something that a client does with a topic exchange on which it has every permission.

    Args:
        write: topic permission, None for no such row.
        read: likewise.
        refused: access and key that the refusal names; None if it is allowed.
    """

    name: str
    do: Callable[[BlockingChannel], object]
    write: str | None
    read: str | None
    refused: tuple[str, str] | None
    exchange: str = "topic"


def bind(key: str) -> Callable[[BlockingChannel], object]:
    return lambda channel: channel.queue_bind("old", "topic", key)


TOPIC_OPERATIONS: Final = (
    TopicOperation("publish without a row", publish("topic", "a.b"), None, None, None),
    TopicOperation("publish with a key that matches", publish("topic", "a.b"), "^a", "", None),
    TopicOperation("publish with another key", publish("topic", "b.a"), "^a", ".*", (WRITE, "b.a")),
    TopicOperation("publish where nothing matches", publish("topic", "a"), "", ".*", (WRITE, "a")),
    TopicOperation("publish to an exchange of another type", publish("source", "b"), "^a", "^a", None, "source"),
    TopicOperation("publish with the user's name", publish("topic", "matrix-x"), "^{username}-", "", None),
    TopicOperation("publish with another's name", publish("topic", "guest-x"), "^{username}-", "", (WRITE, "guest-x")),
    TopicOperation("publish with the vhost's name", publish("topic", "permissions.x"), r"^{vhost}\.", "", None),
    TopicOperation("bind without a row", bind("a.b"), None, None, None),
    TopicOperation("bind with a key that matches", bind("a.#"), "", r"^a\.#$", None),
    TopicOperation("bind with another key", bind("#"), ".*", r"^a\.#$", (READ, "#")),
    TopicOperation("unbind with another key", lambda c: c.queue_unbind("old", "topic", "#"), ".*", "^a", (READ, "#")),
    TopicOperation(
        "exchange.bind with another key",
        lambda c: c.exchange_bind("target", "topic", "#"),
        ".*",
        "^a",
        (READ, "#"),
    ),
)
