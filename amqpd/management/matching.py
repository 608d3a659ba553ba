"""Names that match a regular expression of a client, which must not be able to hang the broker.

A pattern such as ``(a|a)*b`` takes a time that doubles with every character. So matching has a time limit, and runs in
a worker thread that lets the event loop go on; the library ``regex`` can do both, ``re`` neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import anyio.to_thread
import regex

from amqpd.clock import Clock
from amqpd.management.errors import BadRequest

SECONDS: Final = 1.0  # for all names together
LONGEST: Final = 1000  # characters of a pattern


async def matching(pattern: str, names: Sequence[str], clock: Clock) -> list[int]:
    """The places of the names in which the pattern is found, upper and lower case alike.

    Raises:
        BadRequest: it is no regular expression, too long, or takes too much time.
    """
    if len(pattern) > LONGEST:
        raise BadRequest(f"A regular expression has at most {LONGEST} characters here.")
    return await anyio.to_thread.run_sync(found, pattern, names, clock)


def found(pattern: str, names: Sequence[str], clock: Clock) -> list[int]:
    """The same, in whatever thread."""
    try:
        compiled = regex.compile(pattern, regex.IGNORECASE)
    except (regex.error, RecursionError, OverflowError) as error:
        raise BadRequest(f"Invalid regular expression: {error}.") from None
    end = clock.monotonic() + SECONDS
    places = []
    try:
        for place, name in enumerate(names):
            left = end - clock.monotonic()
            if left <= 0:
                raise TimeoutError
            if compiled.search(name, concurrent=True, timeout=left):
                places.append(place)
    except TimeoutError:
        raise BadRequest(f"The regular expression takes more than {SECONDS:g} s.") from None
    return places
