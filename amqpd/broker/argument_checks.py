"""What the value of an ``x-...`` argument may be: one check a kind of value, with RabbitMQ's words for what is wrong.

Rule: what may live here looks at one field (and at most at its neighbours in the table) and knows no queue. Which
argument is of which kind, and who knows it, stands in arguments.py.
"""

from __future__ import annotations

from typing import Final, final

from amqpd.broker import erlang
from amqpd.wire.table import Field, Table

_SECOND: Final = 1000  # ms
_AGE_UNITS: Final[dict[str, int]] = {
    "Y": 365 * 86_400 * _SECOND,
    "M": 30 * 86_400 * _SECOND,
    "D": 86_400 * _SECOND,
    "h": 3_600 * _SECOND,
    "m": 60 * _SECOND,
    "s": _SECOND,
}
_LONGEST_NAME: Final = 255
_AGE_DIGITS: Final = 18  # any more of them are eternity, and no integer worth building


class Check:
    """One kind of value."""

    def fault(self, field: Field, arguments: Table) -> str | None:
        """What is wrong with the value as an Erlang term, which closes RabbitMQ's reply text; None if nothing is.

        Args:
            field: the value.
            arguments: the table it stands in.
        """
        raise NotImplementedError


@final
class Anything(Check):
    """No constraint."""

    def fault(self, field: Field, arguments: Table) -> str | None:
        return None


@final
class Integer(Check):
    """An integer of any width.

    Args:
        lowest: 0 or 1, or None where negative numbers are fine as well.
        highest: the largest value, or None.
        excess: RabbitMQ's word for a larger one.
    """

    def __init__(self, lowest: int | None, highest: int | None = None, excess: str = "value_too_large") -> None:
        self.lowest = lowest
        self.highest = highest
        self.excess = excess

    def fault(self, field: Field, arguments: Table) -> str | None:
        value = integer_of(field)
        if value is None:
            return erlang.string(f"expected integer, got {field.type_name}")
        if self.lowest is not None and value < self.lowest:
            return f"{{{'value_zero' if value == 0 else 'value_negative'},{value}}}"
        if self.highest is not None and value > self.highest:
            return f"{{{self.excess},{value}}}"
        return None


_NOT_NEGATIVE: Final = Integer(0)


@final
class QueueVersion(Check):
    """1 or 2, the two storage formats that RabbitMQ's classic queues had; here they mean nothing."""

    def fault(self, field: Field, arguments: Table) -> str | None:
        value = integer_of(field)
        if value is None or value < 0:
            return _NOT_NEGATIVE.fault(field, arguments)
        return None if value in (1, 2) else erlang.string(f"unsupported queue version '{value}'")


@final
class Flag(Check):
    """A boolean."""

    def fault(self, field: Field, arguments: Table) -> str | None:
        return None if field.tag == "t" else _unacceptable(field)


@final
class Word(Check):
    """One of a few words.

    Args:
        words: those.
        atom: RabbitMQ's answer to any other, or "" where it answers with a sentence.
        noun: then, what the sentence is about.
    """

    def __init__(self, words: tuple[str, ...], atom: str = "", noun: str = "") -> None:
        self.words = words
        self.atom = atom
        self.noun = noun

    def fault(self, field: Field, arguments: Table) -> str | None:
        value = field.value
        if field.tag != "S" or not isinstance(value, str):
            return _unacceptable(field)
        if value in self.words:
            return None
        return self.atom or erlang.string(f"unsupported queue {self.noun} '{erlang.plain(field)}'")


@final
class Text(Check):
    """Any longstr."""

    def fault(self, field: Field, arguments: Table) -> str | None:
        return None if field.tag == "S" else _unacceptable(field)


@final
class Name(Check):
    """A longstr of 1 to 255 octets."""

    def fault(self, field: Field, arguments: Table) -> str | None:
        if field.tag != "S" or not isinstance(field.value, str):
            return _unacceptable(field)
        size = len(field.value.encode("utf-8", "surrogateescape"))
        return None if 1 <= size <= _LONGEST_NAME else erlang.string("a name has 1 to 255 octets")


@final
class DeadLetterRoutingKey(Check):
    """A longstr, beside a dead letter exchange."""

    def fault(self, field: Field, arguments: Table) -> str | None:
        if field.tag != "S":
            return _unacceptable(field)
        return None if "x-dead-letter-exchange" in arguments else "routing_key_but_no_dlx_defined"


@final
class MaxAge(Check):
    """An age, as age_in_ms reads it. RabbitMQ crashes on text without digits; here it is as wrong as any other."""

    def fault(self, field: Field, arguments: Table) -> str | None:
        value = field.value
        if field.tag != "S" or not isinstance(value, str):
            return _unacceptable(field)
        return "invalid_max_age" if age_in_ms(value) is None else None


@final
class StreamOffset(Check):
    """Where a stream's consumer starts: a word, an offset, a time or an age.

    RabbitMQ crashes on some of the values that are none of these; they get the text that it has for the others.
    """

    def fault(self, field: Field, arguments: Table) -> str | None:
        if field.is_integer or field.tag == "T":
            return None
        if field.tag in ("S", "x"):
            value = erlang.plain(field)
            if value in ("first", "last", "next") or (field.tag == "S" and age_in_ms(value) is not None):
                return None
        return f"{{invalid_stream_offset_arg,{erlang.typed(field)}}}"


def _unacceptable(field: Field) -> str:
    return f"{{unacceptable_type,{field.type_name}}}"


def age_in_ms(text: str) -> int | None:
    """Milliseconds in an age such as ``7D``: digits and one of Y M D h m s, with 365-day years and 30-day months.

    None when the text is no such age, or not above zero.
    """
    unit = _AGE_UNITS.get(text[-1:])
    digits = text[:-1]
    if unit is None or not (digits.isascii() and digits.isdigit()):
        return None
    significant = digits.lstrip("0")
    return int(significant[:_AGE_DIGITS]) * unit if significant else None


def integer_of(field: Field | None) -> int | None:
    """The value if it is an integer of any width; timestamps, decimals and booleans are none."""
    if field is None or not field.is_integer:
        return None
    value = field.value
    return value if isinstance(value, int) else None
