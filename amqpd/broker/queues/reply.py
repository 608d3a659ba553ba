"""Direct reply-to: an address that leads straight to one consumer (RabbitMQ, direct reply-to).

A reply is delivered at once, without credit, or dropped: nothing is ever kept.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64, mypyc_attr

from amqpd.broker.message import Message
from amqpd.broker.queues.sink import MessageSink
from amqpd.log.commit import SAFE

REPLY_TO: Final = "amq.rabbitmq.reply-to"


def is_reply_name(name: str) -> bool:
    """The name is the pseudo-queue of direct reply-to, or an address made from it."""
    return name == REPLY_TO or name.startswith(REPLY_TO + ".")


@mypyc_attr(allow_interpreted_subclasses=True)
class ReplyTaker:
    """Whoever waits for replies."""

    def take(self, message: Message) -> None:
        """A reply."""
        raise NotImplementedError


@final
class ReplyQueue(MessageSink):
    """The address of one requester.

    Args:
        name: the address, hard to guess, at most 255 octets.
        tag: the consumer tag under which replies are delivered.
        taker: gets them.
    """

    def __init__(self, name: str, tag: str, taker: ReplyTaker) -> None:
        super().__init__(name)
        self.tag = tag
        self._taker = taker

    def publish(self, message: Message) -> i64:
        if not self.deleted:
            self._taker.take(message)
        return SAFE
