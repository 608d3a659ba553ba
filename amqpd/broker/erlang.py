"""Values as Erlang prints them, because they stand in RabbitMQ's reply texts and client libraries match on those.

Rule: what may live here turns a value into the text of an Erlang term and decides nothing. The terms are what io_lib's
~p makes of them, but on one line however long they are: a reply text ends after 255 octets.
"""

from __future__ import annotations

import re
from typing import Final

from amqpd.wire.table import Field, Table

_ESCAPES: Final[dict[int, str]] = {
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0B: "\\v",
    0x0C: "\\f",
    0x0D: "\\r",
    0x1B: "\\e",
    0x22: '\\"',
    0x5C: "\\\\",
}
_PLAIN_ATOM: Final = re.compile("[a-z][A-Za-z0-9_@]*")
_EXACT_INTEGERS: Final = float(1 << 53)  # beyond it Erlang writes every float with an exponent


def string(text: str) -> str:
    """An Erlang string: in double quotes when every character is printable Latin-1, else a list of code points."""
    if not text:
        return "[]"
    code_points = [ord(character) for character in text]
    quoted = _quoted(code_points)
    return quoted if quoted is not None else "[" + ",".join(map(str, code_points)) + "]"


def binary(octets: bytes) -> str:
    """``<<"abc">>`` when every octet is printable, else ``<<1,2,3>>``."""
    if not octets:
        return "<<>>"
    quoted = _quoted(list(octets))
    return f"<<{quoted if quoted is not None else ','.join(map(str, octets))}>>"


def atom(text: str) -> str:
    """An Erlang atom: in single quotes unless it is a plain word."""
    return text if _PLAIN_ATOM.fullmatch(text) else f"'{text}'"


def typed(field: Field) -> str:
    """Type and value as RabbitMQ keeps them: ``{longstr,<<"abc">>}``."""
    return f"{{{field.type_name},{term(field)}}}"


def term(field: Field) -> str:
    """The value alone: ``5``, ``true``, ``<<"abc">>``, ``[{signedint,1}]``."""
    value = field.value
    if isinstance(value, str):
        return binary(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, bytes):
        return binary(value)
    if isinstance(value, Table):
        return "[" + ",".join([_entry(name, entry) for name, entry in value.items()]) + "]"
    if isinstance(value, tuple):
        return _tuple(field.tag, value)
    return _scalar(value)


def plain(field: Field) -> str:
    """The value with binaries as the text they hold, which is how it stands between single quotes in RabbitMQ's texts.

    Octets that are no UTF-8 are read as Latin-1, as Erlang does: a reply text has to be UTF-8.
    """
    value = field.value
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes):
        return term(field)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _entry(name: str, field: Field) -> str:
    return f"{{{binary(name.encode('utf-8', 'surrogateescape'))},{field.type_name},{term(field)}}}"


def _tuple(tag: str, value: tuple[int, int] | tuple[Field, ...]) -> str:
    parts = [typed(element) if isinstance(element, Field) else str(element) for element in value]
    return ("{%s}" if tag == "D" else "[%s]") % ",".join(parts)


def _scalar(value: float | None) -> str:
    if value is None:
        return "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _float(value)


def _quoted(code_points: list[int]) -> str | None:
    """The characters in double quotes, or None if one of them is not printable."""
    parts: list[str] = []
    for code_point in code_points:
        escape = _ESCAPES.get(code_point)
        if escape is not None:
            parts.append(escape)
        elif 0x20 <= code_point <= 0x7E or 0xA0 <= code_point <= 0xFF:
            parts.append(chr(code_point))
        else:
            return None
    return '"' + "".join(parts) + '"'


def _float(value: float) -> str:
    """The shortest digits that read back as the same float, with an exponent where that makes the text shorter."""
    mantissa, _, exponent = repr(value).partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).strip("0")
    if not digits.isdigit():  # 0.0 has no digits left, and inf and nan (which Erlang does not know) never had any
        return sign + mantissa.lstrip("-")
    leading_zeros = len(whole + fraction) - len((whole + fraction).lstrip("0"))
    place = len(whole) - leading_zeros + int(exponent or "0")  # where the point goes, counted from the first digit
    return sign + _with_point(digits, place, abs(value) < _EXACT_INTEGERS)


def _with_point(digits: str, place: int, exact: bool) -> str:
    if 0 < place < len(digits):
        return f"{digits[:place]}.{digits[place:]}"
    scientific = f"{digits[0]}.{digits[1:] or '0'}e{place - 1}"
    if place > 0:
        positional = f"{digits}{'0' * (place - len(digits))}.0"
        return positional if exact and len(positional) <= len(scientific) else scientific
    positional = f"0.{'0' * -place}{digits}"
    return positional if len(positional) <= len(scientific) else scientific
