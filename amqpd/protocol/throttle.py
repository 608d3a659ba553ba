"""Whether a connection is read from: the reasons not to, each of which holds on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.publisher import Publisher
from amqpd.wire.frames import FrameReader
from amqpd.wire.output import Wire

HELD: Final = 1  # a crowded queue holds its publishers
BLOCKED: Final = 2  # a resource alarm is set, and the connection published
STALLED: Final = 4  # the peer asks for answers and does not read them
EXAMINED: Final = 32  # the client's password is being checked
WAITING: Final = 16  # its channels keep too much until the disk is done
RESTING: Final = 8  # others are to have their turn

# Reasons to stop in the middle of what was read.
STOPPING: Final = BLOCKED | STALLED | EXAMINED

# With so many octets of answers waiting, no more requests are processed.
ANSWERS_UNREAD: Final = 16 * 1024 * 1024


@final
class Throttle(Publisher):
    """The reading side's brake.

    Args:
        wire: paused while there is a reason.
        reader: stopped in the middle of its buffer when blocked or stalled; when held, what was read is processed.
        may_hold: False while the connection consumes: its acknowledgements must come through.
        on_change: told True when reading stops, False when it goes on.
    """

    def __init__(
        self, wire: Wire, reader: FrameReader, may_hold: Callable[[], bool], on_change: Callable[[bool], None]
    ) -> None:
        self._wire = wire
        self._reader = reader
        self._may_hold = may_hold
        self._on_change = on_change
        self._reasons: i64 = 0
        self._holds = 0
        self._waits = 0  # channels that keep too much
        self.on_unblock: Callable[[], None] | None = None
        self.on_unstall: Callable[[], None] | None = None
        self.tired = False  # a crowded queue asked for a rest since the last read

    @property
    def blocked(self) -> bool:
        """A resource alarm keeps this connection from being read."""
        return self._reasons & BLOCKED != 0

    @property
    def held(self) -> bool:
        """A crowded queue keeps this connection from being read."""
        return self._reasons & (HELD | RESTING) != 0

    def hold(self) -> bool:
        if not self._may_hold():
            return False
        self._holds += 1
        self.add(HELD)
        return True

    def release(self) -> None:
        self._holds -= 1
        if self._holds == 0:
            self.remove(HELD)

    def wait(self) -> None:
        """A channel keeps too much until the disk is done."""
        self._waits += 1
        self.add(WAITING)

    def waited(self) -> None:
        """It keeps nothing any more."""
        self._waits -= 1
        if self._waits == 0:
            self.remove(WAITING)

    def rest(self) -> None:
        self.tired = True

    def block(self) -> None:
        """Stop at once, in the middle of what was read."""
        self._reader.paused = True
        self.add(BLOCKED)

    def unblock(self) -> None:
        if not self.blocked:
            return
        self.remove(BLOCKED)
        self._reader.paused = self._reasons & STOPPING != 0
        if self.on_unblock is not None:
            self.on_unblock()

    def examine(self) -> None:
        """The client's password is being checked. Stop at once: what it sent ahead is for when it is let in."""
        self._reader.paused = True
        self.add(EXAMINED)

    def examined(self) -> None:
        """It was."""
        self.remove(EXAMINED)
        self._reader.paused = self._reasons & STOPPING != 0

    def stall(self) -> None:
        """Answers pile up. Stop at once: a few octets of requests can ask for gigabytes of messages."""
        self._reader.paused = True
        self.add(STALLED)

    def unstall(self) -> None:
        """The answers have left."""
        if not self._reasons & STALLED:
            return
        self.remove(STALLED)
        self._reader.paused = self._reasons & STOPPING != 0
        if self.on_unstall is not None:
            self.on_unstall()

    def add(self, reason: i64) -> None:
        """There is this reason not to read."""
        if not self._reasons:
            self._wire.pause_reading()
            self._on_change(True)
        self._reasons |= reason

    def remove(self, reason: i64) -> None:
        """The reason is gone."""
        if not self._reasons & reason:
            return
        self._reasons &= ~reason
        if not self._reasons:
            self._wire.resume_reading()
            self._on_change(False)
