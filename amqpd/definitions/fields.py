"""One row of a document as JSON has it: values are checked when they are asked for.

Rule: what may live here checks one value of one row. What rows mean is sections.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from amqpd.wire.json_values import table_of_json
from amqpd.wire.table import EMPTY_TABLE, Table, TableError

_LONGEST_NAME: Final = 255  # octets of a name on the wire
_FLAGS: Final[Mapping[object, bool]] = {"true": True, "false": False}


class RowFault(ValueError):
    """A row cannot be used. Its text tells why, and does not name the row."""


class Fields:
    """The values of one row.

    Args:
        values: what JSON has for it.

    Every method raises RowFault when the value is not what it is asked for as. Missing and null are the same.

    Raises:
        RowFault: it is no object.
    """

    def __init__(self, values: object) -> None:
        if not isinstance(values, dict):
            raise RowFault("is not an object")
        self._values: dict[str, object] = values

    def has(self, key: str) -> bool:
        """The value is there."""
        return self._values.get(key) is not None

    def value(self, key: str) -> object:
        """Any JSON.

        Raises:
            RowFault: the key is missing.
        """
        if key not in self._values:
            raise RowFault(f"has no {key}")
        return self._values[key]

    def text(self, key: str, default: str | None = None) -> str:
        """A text; without a default it must be there."""
        value = self._values.get(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise RowFault(f"has no {key}")
        if not isinstance(value, str):
            raise RowFault(f"{key} is not a text")
        octets_of(key, value)
        return value

    def name(self, key: str = "name") -> str:
        """A name, as it can be on the wire."""
        value = self.text(key)
        if len(octets_of(key, value)) > _LONGEST_NAME:
            raise RowFault(f"{key} is longer than {_LONGEST_NAME} bytes")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false, also in quotes."""
        value = self._values.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value in _FLAGS:
            return _FLAGS[value]
        raise RowFault(f"{key} is neither true nor false")

    def mapping(self, key: str) -> dict[str, object]:
        """An object. RabbitMQ writes empty ones as []."""
        value = self._values.get(key)
        if value is None or value == []:
            return {}
        if not isinstance(value, dict):
            raise RowFault(f"{key} is not an object")
        return value

    def table(self, key: str) -> Table:
        """An object as a field table."""
        values = self.mapping(key)
        if not values:
            return EMPTY_TABLE
        try:
            return table_of_json(values)
        except TableError as error:
            raise RowFault(f"{key}: {error}") from None

    def words(self, key: str) -> tuple[str, ...]:
        """A list of texts, or one text with commas between them."""
        value = self._values.get(key)
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise RowFault(f"{key} is neither a list of texts nor a text with commas")
        words = [str(word).strip() for word in value]
        for word in words:
            octets_of(key, word)
        return tuple(word for word in words if word)

    def limits(self, key: str, known: tuple[str, ...]) -> dict[str, int]:
        """Limits by name; a negative one is none. Those that are not known are left out."""
        found: dict[str, int] = {}
        for name, value in self.mapping(key).items():
            if name in known:
                if not isinstance(value, int) or isinstance(value, bool):
                    raise RowFault(f"{key}: {name} is not a whole number")
                found[name] = value
        return found


def octets_of(key: str, text: str) -> bytes:
    """A text in UTF-8.

    Raises:
        RowFault: it has half a surrogate pair, as JSON can hold it.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise RowFault(f"{key} cannot be written in UTF-8") from None
