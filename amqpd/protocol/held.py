"""A channel that waits for the disk before it answers, and what comes for it meanwhile.

RabbitMQ's channels do nothing else while they declare or commit; other channels of the connection go on. So here too:
the frames are kept, and processed in their order once the answer has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from mypy_extensions import i64

from amqpd.log.commit import Waiter
from amqpd.protocol.throttle import WAITING

if TYPE_CHECKING:
    from amqpd.protocol.channel import Channel

# A connection is not read while its channels keep more octets than this.
MOST_KEPT: Final = 1024 * 1024


@final
class Held(Waiter):
    """One answer that is held back.

    Args:
        answer: the frame.
    """

    def __init__(self, channel: Channel, answer: bytes) -> None:
        self._channel = channel
        self.answer = answer
        self.frames: list[tuple[i64, bytes]] = []  # type and payload
        self._octets: i64 = 0
        self._slows = False

    def keep(self, kind: i64, payload: bytes) -> None:
        """A frame came for the channel."""
        self.frames.append((kind, payload))
        self._octets += len(payload)
        if self._octets > MOST_KEPT and not self._slows:
            self._slows = True
            self._channel.throttle.add(WAITING)

    def committed(self) -> None:
        channel = self._channel
        if self._slows:
            channel.throttle.remove(WAITING)
        if channel.held is self:  # else the channel was closed meanwhile
            channel.held = None
            channel.resumed(self)
