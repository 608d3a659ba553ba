"""What a queue holds ready for delivery, whatever the order in which it leaves."""

from __future__ import annotations

from mypy_extensions import i64

from amqpd.broker.message import Message


class Ready:
    """Ready messages. take() removes the one that is delivered next: the head.

    take() leaves what is known of the message that it returned in ``position``, ``deliveries`` and ``deadline``: a
    tuple per message would cost more than the rest of the call.

    ``count`` is the number of messages, ``octets`` the sum of their bodies. While ``stored`` is True, messages may be
    on the disk, so settle() has to be called for each one that is gone for good.
    """

    def __init__(self) -> None:
        self.count: i64 = 0
        self.octets: i64 = 0
        self.stored = False
        self.position: i64 = 0
        self.deliveries: i64 = 0
        self.deadline: i64 = 0

    def append(self, message: Message, deadline: i64) -> i64:
        """Take a new message in, behind all others of its kind.

        Args:
            deadline: milliseconds since the epoch at which it expires; 0 is never.

        Returns:
            The number of the commit with which the message is safe, or SAFE.
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

    def settle(self, position: i64) -> None:
        """A message that take() returned is gone for good."""
        raise NotImplementedError

    def entered(self) -> i64:
        """How many messages append() has taken since the queue was made or came back from the disk."""
        raise NotImplementedError

    def head(self) -> Message | None:
        """The head, if there is one in memory."""
        raise NotImplementedError

    def paged(self) -> tuple[i64, i64]:
        """Messages that are on the disk only, and octets of their bodies."""
        raise NotImplementedError

    def handed_out(self) -> i64:
        """Every position below this one was taken at least once, of a lane of its own."""
        return 0

    def progress(self) -> None:
        """Messages may have been taken since the last call: tell the disk, if there is one to tell."""

    def recover(self) -> None:
        """Take in what the disk has; called once, before everything else."""

    def close(self) -> None:
        """The queue is gone, or the broker ends: let go of the disk."""
