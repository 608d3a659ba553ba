"""The cursors of a stream that are in use: which reader moves which, and how far it has come.

Rule: what may live here knows readers and names. Where cursors stand on the disk, log/cursors.py knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from mypy_extensions import i64

if TYPE_CHECKING:
    from amqpd.broker.queues.stream.reader import Reader
    from amqpd.broker.queues.stream.store import StreamStore


@final
class CursorsInUse:
    """A cursor is moved by one reader at a time, its holder; what others settle late does not count.

    Args:
        store: where the cursors are kept.
    """

    def __init__(self, store: StreamStore) -> None:
        self._store = store
        self._holders: dict[str, Reader] = {}
        self._moved: dict[Reader, None] = {}  # have settled something since keep_places()

    def holder(self, name: str) -> Reader | None:
        """Who moves a cursor; perhaps it has gone meanwhile."""
        return self._holders.get(name)

    def hand_to(self, name: str, reader: Reader) -> None:
        """From now on this reader moves the cursor."""
        self._holders[name] = reader

    def free(self, name: str) -> None:
        """Nobody moves the cursor any more."""
        self._holders.pop(name, None)

    def settled(self, reader: Reader, position: i64) -> None:
        """A reader with a cursor has settled a message."""
        reader.settle(position)
        self._moved[reader] = None

    def keep_places(self) -> None:
        """Note how far those have come that have settled something."""
        if not self._moved:
            return
        moved, self._moved = self._moved, {}
        for reader in moved:
            name = reader.cursor
            if name is not None and self._holders.get(name) is reader:
                self.move(name, reader.place)

    def place(self, name: str) -> i64:
        """Where a cursor stands, -1 if there is none of that name. What was settled just now counts."""
        self.keep_places()
        return self._store.cursors.place(name)

    def all(self) -> dict[str, int]:
        """Every cursor, and the offset at which its consumer continues."""
        self.keep_places()
        return self._store.cursors.all()

    def move(self, name: str, offset: i64) -> None:
        """Let a cursor stand at an offset; one that is not there is made."""
        self._store.cursors.move(name, offset)
        self._store.changed()

    def remove(self, name: str) -> bool:
        """Forget a cursor; False if there is none of that name."""
        self.free(name)
        removed = self._store.cursors.remove(name)
        if removed:
            self._store.changed()
        return removed
