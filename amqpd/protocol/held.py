"""A channel that waits for the disk before it answers, and what comes for it meanwhile.

RabbitMQ's channels do nothing else while they declare or commit; other channels of the connection go on. So here too:
the frames are kept, and processed in their order once the answer has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from mypy_extensions import i64

from amqpd.broker.queues.sink import MessageSink
from amqpd.log.commit import Waiter
from amqpd.protocol.confirms import any_broken

if TYPE_CHECKING:
    from amqpd.protocol.channel import Channel

# A connection is not read while its channels keep more octets than this.
MOST_KEPT: Final = 1024 * 1024


@final
class Held(Waiter):
    """One answer that is held back.

    Args:
        answer: the frame.
        sinks: where messages went that the answer says are safe.
    """

    def __init__(self, channel: Channel, answer: bytes, sinks: list[list[MessageSink]]) -> None:
        self._channel = channel
        self.answer = answer
        self._sinks = sinks
        self.frames: list[tuple[i64, bytes]] = []  # type and payload
        self._octets: i64 = 0
        self._slows = False

    @property
    def lost(self) -> bool:
        """The answer is not true: the disk failed."""
        return any_broken(self._sinks)

    def keep(self, kind: i64, payload: bytes) -> None:
        """A frame came for the channel."""
        self.frames.append((kind, payload))
        self._octets += len(payload)
        if self._octets > MOST_KEPT and not self._slows:
            self._slows = True
            self._channel.throttle.wait()

    def committed(self) -> None:
        channel = self._channel
        if self._slows:
            channel.throttle.waited()
        if channel.held is self:  # else the channel was closed meanwhile
            channel.held = None
            channel.resumed(self)
