"""The errors that AMQP 0-9-1 knows, each carrying its reply code.

Rule: what may live here is the mapping from "what went wrong" to reply code, name and scope. An error is raised where
it is found, and caught once, in the connection, which adds the ids of the method being processed and closes the channel
or the connection. Nothing here knows frames or sockets.
"""

from __future__ import annotations

from typing import ClassVar

REPLY_TEXT_LIMIT = 255


class AMQPError(Exception):
    """A violation that is answered with channel.close or connection.close (AMQP 0-9-1 section 1.1, constants).

    Args:
        explanation: the part of the reply text behind ``NAME - ``; empty gives the bare name.
        about_method: False when the error does not belong to the method being processed; class and method id are
            then 0.
    """

    code: ClassVar[int] = 541
    name: ClassVar[str] = "INTERNAL_ERROR"
    closes_connection: ClassVar[bool] = True

    def __init__(self, explanation: str = "", about_method: bool = True) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.about_method = about_method

    @property
    def reply_text(self) -> str:
        """``NAME - explanation``, cut to the 255 octets of a shortstr as RabbitMQ cuts it (252 and three dots)."""
        text = f"{self.name} - {self.explanation}" if self.explanation else self.name
        raw = text.encode("utf-8", "surrogateescape")
        if len(raw) <= REPLY_TEXT_LIMIT:
            return text
        return raw[: REPLY_TEXT_LIMIT - 3].decode("utf-8", "ignore") + "..."


class SoftError(AMQPError):
    """An error whose code closes the channel it happened on, not the connection."""

    closes_connection: ClassVar[bool] = False


class AccessRefused(SoftError):
    """403: no permission, reserved name, default exchange, exclusive consumer, login."""

    code: ClassVar[int] = 403
    name: ClassVar[str] = "ACCESS_REFUSED"


class NotFound(SoftError):
    """404: no such queue or exchange."""

    code: ClassVar[int] = 404
    name: ClassVar[str] = "NOT_FOUND"


class ResourceLocked(SoftError):
    """405: an exclusive queue of another connection."""

    code: ClassVar[int] = 405
    name: ClassVar[str] = "RESOURCE_LOCKED"


class PreconditionFailed(SoftError):
    """406: inequivalent or invalid arguments, unknown delivery tag, misuse of tx and confirm."""

    code: ClassVar[int] = 406
    name: ClassVar[str] = "PRECONDITION_FAILED"


class ConnectionForced(AMQPError):
    """320: an operator or the broker itself closes the connection."""

    code: ClassVar[int] = 320
    name: ClassVar[str] = "CONNECTION_FORCED"


class FrameError(AMQPError):
    """501: malformed frame or undecodable method fields."""

    code: ClassVar[int] = 501
    name: ClassVar[str] = "FRAME_ERROR"


class CommandInvalid(AMQPError):
    """503: a method that is not implemented, or not for servers."""

    code: ClassVar[int] = 503
    name: ClassVar[str] = "COMMAND_INVALID"


class ChannelError(AMQPError):
    """504: channel not open, opened twice, or a method that the connection's state does not allow."""

    code: ClassVar[int] = 504
    name: ClassVar[str] = "CHANNEL_ERROR"


class UnexpectedFrame(AMQPError):
    """505: header or body frames out of sequence, heartbeat on a channel other than 0."""

    code: ClassVar[int] = 505
    name: ClassVar[str] = "UNEXPECTED_FRAME"


class NotAllowed(AMQPError):
    """530: vhost problems, limits, a consumer tag used twice."""

    code: ClassVar[int] = 530
    name: ClassVar[str] = "NOT_ALLOWED"


class NotImplementedByServer(AMQPError):
    """540: immediate, prefetch_size, recover without requeue, what a queue type does not support."""

    code: ClassVar[int] = 540
    name: ClassVar[str] = "NOT_IMPLEMENTED"


class InternalError(AMQPError):
    """541: what the broker did not expect; the reply text is then the bare name."""


class LoginRefused(AccessRefused):
    """403 during the handshake; it closes the connection, there is no channel yet."""

    closes_connection: ClassVar[bool] = True


class Disconnect(Exception):
    """A violation that AMQP has no answer for: the socket is closed without a close method.

    Args:
        reason: for the log.
        linger: seconds to wait before closing. RabbitMQ waits 3 s where a client may be guessing (failed logins,
            refused tuning) and closes at once where the bytes make no sense.
    """

    def __init__(self, reason: str, linger: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.linger = linger
