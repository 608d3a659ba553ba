"""A message arriving frame by frame: the slow path of basic.publish (AMQP 0-9-1 section 4.2.6).

A publish whose frames lie complete behind each other never comes here (wire.frames hands it on whole). This is for
bodies of several frames, for frames of several channels mixed, and for everything that is wrong.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, final

from librt.strings import read_i32_be, read_i64_be
from mypy_extensions import i64

from amqpd.errors import AMQPError, FrameError, InternalError, UnexpectedFrame
from amqpd.wire.frames import BASIC_CLASS, BODY, HEADER, frame

HARD_BODY_LIMIT: Final = 536870912  # RabbitMQ's own maximum, 512 MiB


class Awaiting(Enum):
    """What has to come next on the channel."""

    METHOD = "method"
    HEADER = "content header"
    BODY = "content body"


@final
class Content:
    """The one message that a channel may be receiving.

    Args:
        channel: the number for the frames that content() gives.
        size_limit: octets of body beyond which nothing is kept; such a message is still read to its end.
    """

    def __init__(self, channel: int, size_limit: int) -> None:
        self._channel = channel
        self._size_limit = size_limit
        self.awaiting = Awaiting.METHOD
        self.route = b""
        self.bits = 0
        self.body_size = 0
        self.largest_body = 0
        self.header_end = 0
        self._received = 0
        self._frames: list[bytes] = []

    def begin(self, route: bytes, bits: int) -> None:
        """A basic.publish came."""
        self.route = route
        self.bits = bits
        self.awaiting = Awaiting.HEADER

    def take(self, kind: int, payload: bytes) -> bool:
        """Take a frame that is not the first of its message. True when it completes the message.

        Args:
            kind: METHOD, HEADER or BODY.
            payload: of a header at least class, weight and body size.

        Raises:
            UnexpectedFrame: it is not the frame that has to come.
            FrameError: the body is larger than announced, or announced larger than allowed.
            InternalError: the header ends before its property flags.
        """
        if self.awaiting is Awaiting.HEADER:
            self._take_header(kind, payload)
        else:
            self._take_body(kind, payload)
        if self._received < self.body_size:
            return False
        self.awaiting = Awaiting.METHOD
        return True

    def content(self) -> bytes:
        """The complete message's frames in one piece; empty if the body was above size_limit."""
        joined = b"".join(self._frames)
        self._frames = []
        return joined

    def _take_header(self, kind: int, payload: bytes) -> None:
        if kind != HEADER:
            raise self._unexpected_header("got non content header frame")
        class_and_weight: i64 = i64(read_i32_be(payload, 0)) & 0xFFFFFFFF
        if class_and_weight & 0xFFFF:
            raise self._unexpected_header("got non content header frame")
        if class_and_weight >> 16 != BASIC_CLASS:
            raise self._unexpected_header(f"got one for class {class_and_weight >> 16}")
        if len(payload) < 14:
            raise InternalError(about_method=False)
        size: i64 = read_i64_be(payload, 4)  # unsigned on the wire: what is negative here is the largest there
        if size < 0 or size > HARD_BODY_LIMIT:
            announced = int.from_bytes(payload[4:12], "big")
            raise FrameError(f"content body size {announced} exceeds maximum allowed size {HARD_BODY_LIMIT}")
        header = frame(HEADER, self._channel, payload)
        self.body_size = int(size)
        self.header_end = len(header)
        self.largest_body = 0
        self._received = 0
        self._frames = [header] if self.body_size <= self._size_limit else []
        self.awaiting = Awaiting.BODY

    def _take_body(self, kind: int, payload: bytes) -> None:
        if kind != BODY:
            raise UnexpectedFrame("expected content body, got non content body frame instead")
        self._received += len(payload)
        if self._received > self.body_size:
            raise FrameError("content body frame exceeds remaining content size")
        if payload and self._frames:
            self._frames.append(frame(BODY, self._channel, payload))
            self.largest_body = max(self.largest_body, len(payload))

    def _unexpected_header(self, instead: str) -> AMQPError:
        return UnexpectedFrame(f"expected content header for class {BASIC_CLASS}, {instead} instead")
