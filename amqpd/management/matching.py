"""Names that match a regular expression of a client, which must not be able to hang the broker.

A pattern such as ``(a|a)*b`` takes a time that doubles with every character. So matching has a time limit, and runs in
a worker thread that lets the event loop go on; the library ``regex`` can do both, ``re`` neither. That costs 5 us a
name, which is most of the time that it takes, and far more where the event loop is busy. So what cannot take long is
done without: a pattern that is a plain text, and one that repeats a single thing at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio.to_thread

from amqpd.clock import Clock
from amqpd.management.errors import BadRequest
from amqpd.management.slices import Slices

if TYPE_CHECKING:
    import regex

SECONDS: Final = 1.0  # for all names together
LONGEST: Final = 1000  # characters of a pattern
SHORT: Final = 255  # characters of a name: as many as one of a queue has at most
STEP: Final = 8  # names between two looks at the clock
METACHARACTERS: Final = frozenset(".^$*+?{}[]|()\\")

Compiled: TypeAlias = "regex.Pattern[str]"


async def matching(pattern: str, names: Sequence[str], clock: Clock, slices: Slices) -> list[int]:
    """The places of the names in which the pattern is found, upper and lower case alike.

    Raises:
        BadRequest: it is no regular expression, too long, or takes too much time.
    """
    if len(pattern) > LONGEST:
        raise BadRequest(f"A regular expression has at most {LONGEST} characters here.")
    if METACHARACTERS.isdisjoint(pattern):
        return await containing(pattern, names, slices)
    compiled = await anyio.to_thread.run_sync(compiled_of, pattern)
    if is_tame(pattern) and max(map(len, names), default=0) <= SHORT:
        return await found_at_once(compiled, names, clock, slices)
    return await anyio.to_thread.run_sync(found, compiled, names, clock)


async def containing(text: str, names: Sequence[str], slices: Slices) -> list[int]:
    """The places of the names in which a text stands, upper and lower case alike."""
    folded = text.casefold()
    places = (place if folded in name.casefold() else -1 for place, name in enumerate(names))
    return [place for place in await slices.all_of(places) if place >= 0]


def is_tame(pattern: str) -> bool:
    """Matching takes no longer than the square of a name's length: it repeats one character, or set of them, at most.

    Braces may be a repetition, or ask for what is nearly the same; an X behind a backslash repeats something, too.
    """
    repetitions = sum(pattern.count(sign) for sign in "*+?")
    return repetitions <= 1 and not any(sign in pattern for sign in ("(", "{", "\\X"))


def compiled_of(pattern: str) -> Compiled:
    """The pattern, ready for use. The first one takes some hundredths of a second, so a worker thread ought to ask.

    Raises:
        BadRequest: it is none.
    """
    import regex  # 1.5 MB of memory, and most brokers see no pattern

    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except (regex.error, RecursionError, OverflowError) as error:
        raise BadRequest(f"Invalid regular expression: {error}.") from None


async def found_at_once(compiled: Compiled, names: Sequence[str], clock: Clock, slices: Slices) -> list[int]:
    """What matching() does with a tame pattern: on the event loop, a slice at a time."""
    places: list[int] = []
    spent = 0.0
    for start in range(0, len(names), STEP):
        begun = clock.monotonic()
        some = enumerate(names[start : start + STEP], start)
        places += [place for place, name in some if compiled.search(name)]
        spent += clock.monotonic() - begun
        if spent > SECONDS:
            raise too_slow()
        await slices.next()
    return places


def found(compiled: Compiled, names: Sequence[str], clock: Clock) -> list[int]:
    """What matching() does with any other pattern, in whatever thread."""
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
        raise too_slow() from None
    return places


def too_slow() -> BadRequest:
    """The refusal of a pattern that takes too long."""
    return BadRequest(f"The regular expression takes more than {SECONDS:g} s.")
