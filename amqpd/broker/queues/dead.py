"""Messages that a restart finds not to be ready any more: dead letters on their way, and what was delivered too often.

Rule: what may live here looks at a backlog once, when it is opened.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.readback import ReadBack
from amqpd.log.acks import Acks
from amqpd.log.ranges import Ranges

NO_REASON: Final = 255  # the mark of what was delivered too often, until its queue has dealt with it


@final
class Dead:
    """A message that a restart has found not to be ready any more.

    Args:
        reason: which died() was told: it was to go elsewhere, and had not arrived. None: it was delivered too often.
    """

    def __init__(self, position: i64, message: Message, reason: int | None) -> None:
        self.position: i64 = position
        self.message = message
        self.reason = reason


def find_dead(acks: Acks, reading: ReadBack, most_deliveries: i64) -> list[Dead]:
    """Read what is dead; what cannot be read is gone.

    Args:
        most_deliveries: a message that was delivered more often is one of them. It gets a mark, which page() and the
            purge heed, and which does not stay.
    """
    found: list[Dead] = []
    positions = set(acks.marks)
    positions.update(position for position, count in acks.counts.items() if count > most_deliveries)
    if most_deliveries < 1:  # a single delivery is not counted
        delivered = Ranges()
        delivered.add(0, acks.delivered - 1)
        for first, last in delivered.without(acks.gone).intervals():
            positions.update(range(first, last + 1))
    for position in sorted(positions):
        stored = reading.one(position)
        if stored is None:
            acks.settle_range(position, position)
            continue
        found.append(Dead(position, stored.message, acks.marks.get(position)))
        if position not in acks.marks:
            acks.mark(position, NO_REASON)
    return found
