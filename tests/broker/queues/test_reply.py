"""Direct reply-to: addresses, and what becomes of replies."""

from __future__ import annotations

import pytest

from amqpd.broker.message import Message
from amqpd.broker.queues.reply import REPLY_TO, ReplyQueue, ReplyTaker, is_reply_name
from tests.broker.queues.takers import accepts, message
from tests.builders import World


class Requester(ReplyTaker):
    """Keeps its replies."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[bytes] = []

    def take(self, message: Message) -> None:
        self.replies.append(message.body)


def test_a_reply_is_handed_over_at_once_and_never_refused() -> None:
    requester = Requester()
    queue = ReplyQueue(f"{REPLY_TO}.a.b", "tag", requester)
    assert accepts(queue, message(b"reply"))
    assert requester.replies == [b"reply"]


def test_a_reply_to_somebody_who_is_gone_is_dropped() -> None:
    world, requester = World(), Requester()
    queue = ReplyQueue(f"{REPLY_TO}.a.b", "tag", requester)
    world.vhost.add_reply_queue(queue)
    assert world.vhost.reply_queue(queue.name) is queue
    world.vhost.remove_reply_queue(queue)
    assert accepts(queue, message(b"late"))
    assert requester.replies == []
    assert world.vhost.reply_queue(queue.name) is None


def test_replies_never_hold_a_publisher() -> None:
    queue = ReplyQueue(f"{REPLY_TO}.a.b", "tag", Requester())
    for _ in range(10_000):
        queue.publish(message(b""))
    assert not queue.crowded


@pytest.mark.parametrize(
    ("name", "is_one"),
    [(REPLY_TO, True), (f"{REPLY_TO}.x.y", True), (f"{REPLY_TO}x", False), ("amq.rabbitmq", False), ("", False)],
)
def test_reply_names_are_the_pseudo_queue_and_its_addresses(name: str, is_one: bool) -> None:
    assert is_reply_name(name) == is_one
