"""A publisher, as those see it who may have to slow it down."""

from __future__ import annotations

from mypy_extensions import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Publisher:
    """A connection, as those see it who may have to slow it down: crowded queues and resource alarms."""

    def hold(self) -> bool:
        """Stop reading. False when that would do harm: a connection that consumes must be able to acknowledge."""
        raise NotImplementedError

    def release(self) -> None:
        """Read again."""
        raise NotImplementedError

    def rest(self) -> None:
        """Leave the broker most of its time for others, until the end of the current read decides anew."""
        raise NotImplementedError

    def unblock(self) -> None:
        """No resource alarm is set any more."""
        raise NotImplementedError
