"""What a queue holds ready for delivery, whatever the order in which it leaves."""

from __future__ import annotations

from mypy_extensions import i64

from amqpd.broker.message import Message


class Ready:
    """Ready messages. take() removes the one that is delivered next: the head.

    take() leaves what is known of the message that it returned in ``position``, ``deliveries`` and ``deadline``: a
    tuple per message would cost more than the rest of the call.

    ``count`` is the number of messages, ``octets`` the sum of their bodies.
    """

    def __init__(self) -> None:
        self.count: i64 = 0
        self.octets: i64 = 0
        self.position: i64 = 0
        self.deliveries: i64 = 0
        self.deadline: i64 = 0

    def append(self, message: Message, deadline: i64) -> None:
        """Take a new message in, behind all others of its kind.

        Args:
            deadline: milliseconds since the epoch at which it expires; 0 is never.
        """
        raise NotImplementedError

    def put_back(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        """A message that was delivered returns to its place.

        Args:
            position: what take() said when it left.
            deliveries: how often it has been delivered by now.
            deadline: what take() said; it counts on while the message is away.
        """
        raise NotImplementedError

    def take(self) -> Message | None:
        """Remove the head. None when there is nothing."""
        raise NotImplementedError

    def head_deadline(self) -> i64:
        """The deadline of the head; 0 when it has none or there is nothing."""
        raise NotImplementedError

    def clear(self) -> int:
        """Remove everything; returns how many messages there were."""
        raise NotImplementedError
