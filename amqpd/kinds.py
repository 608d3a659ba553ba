"""The sorts of value that an option of the configuration can have.

Rule: what may live here turns a value of the TOML file, or text from the command line or the environment, into a
checked value, or says what it must be.
"""

from __future__ import annotations

import re
from pathlib import Path

UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
ORIGIN = r"\*|https?://[\w.-]+(:([0-9]{1,5}|\*))?|https?://\[[0-9A-Fa-f:.]+\](:([0-9]{1,5}|\*))?"
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})
NO_LIMIT = "none"


class Kind:
    """The sort of value an option has: text from outside goes in, a checked value comes out.

    ``read`` raises ValueError with what the value must be ("a whole number ..."), for the end of a ConfigError.
    """

    metavar = "TEXT"
    is_flag = False
    repeatable = False

    def read(self, value: object) -> object:
        """Check a value from the TOML file, or text from the command line or the environment."""
        if not isinstance(value, str) or not value:
            raise ValueError("text that is not empty")
        return value


class Whole(Kind):
    """A whole number in a range. ``zero`` is allowed beside the range where 0 has a meaning of its own."""

    def __init__(self, low: int, high: int, *, zero: str = "", metavar: str = "N") -> None:
        self.low, self.high, self.zero, self.metavar = low, high, zero, metavar

    def read(self, value: object) -> int:
        number = whole(value)
        if number is None or not (self.low <= number <= self.high or (number == 0 and self.zero)):
            raise ValueError(f"a whole number from {self.low} to {self.high}{self.zero}")
        return number


class Limit(Whole):
    """A whole number, or "none"."""

    def read(self, value: object) -> int | None:  # type: ignore[override] # a wider result, read by Config alone
        if value == NO_LIMIT:
            return None
        try:
            return super().read(value)
        except ValueError as error:
            raise ValueError(f'{error}, or "{NO_LIMIT}"') from None


class Size(Kind):
    """A number of bytes, with or without a unit (``16MiB``)."""

    metavar = "BYTES"

    def __init__(self, high: int) -> None:
        self.high = high

    def read(self, value: object) -> int:
        number = size(value)
        if number is None or not 1 <= number <= self.high:
            raise ValueError(f"a number of bytes from 1 to {self.high}, such as 1048576 or 1MiB")
        return number


class Watermark(Kind):
    """A part of the machine's memory (0.6), or a number of bytes (512MiB)."""

    metavar = "PART|BYTES"

    def read(self, value: object) -> float:
        number = decimal(value)
        if number is not None and 0 <= number <= 1:
            return number
        amount = size(value)
        if amount is None or amount < 0:
            raise ValueError("a part of the memory from 0.0 to 1.0, or a number of bytes such as 512MiB")
        return float(amount)


class Seconds(Kind):
    """A duration, above zero."""

    metavar = "SECONDS"

    def read(self, value: object) -> float:
        number = decimal(value)
        if number is None or not 0 < number <= 86_400:
            raise ValueError("a number of seconds above 0, at most 86400")
        return number


class Flag(Kind):
    """True or false."""

    is_flag = True

    def read(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in TRUE | FALSE:
            return value.lower() in TRUE
        raise ValueError("true or false")


class Choice(Kind):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.metavar = "|".join(words)

    def read(self, value: object) -> str:
        if isinstance(value, str) and value.lower() in self.words:
            return value.lower()
        raise ValueError(f"one of {', '.join(self.words)}")


class Hosts(Kind):
    """Addresses or names to listen on: options or an array, in the environment separated by commas."""

    metavar = "ADDRESS"
    repeatable = True

    def read(self, value: object) -> tuple[str, ...]:
        listed = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple) or not listed:
            raise ValueError("one address or more")
        if not all(isinstance(host, str) and re.fullmatch(r"[\w.:%-]+", host) for host in listed):
            raise ValueError("an address such as 127.0.0.1, ::1 or 0.0.0.0, or the name of one")
        return tuple(dict.fromkeys(listed))  # each once: listening twice on one address fails


class Words(Kind):
    """Several texts: options or an array, in the environment separated by commas. "none" alone is none of them.

    Args:
        allowed: the texts that they can be; empty for any.
    """

    repeatable = True

    def __init__(self, *allowed: str, metavar: str = "TEXT") -> None:
        self.allowed, self.metavar = allowed, metavar

    def read(self, value: object) -> tuple[str, ...]:
        listed = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple) or not all(isinstance(word, str) and word for word in listed):
            raise ValueError('one text or more, or "none"')
        if tuple(listed) == (NO_LIMIT,):
            return ()
        if self.allowed and not set(listed) <= set(self.allowed):
            raise ValueError(f"some of {', '.join(self.allowed)}")
        return tuple(dict.fromkeys(listed))


class Pattern(Kind):
    """A regular expression; the empty one, which matches nothing, among them."""

    metavar = "REGEX"

    def read(self, value: object) -> str:
        try:
            if isinstance(value, str):
                re.compile(value)
                return value
        except re.error as error:
            raise ValueError(f"a regular expression ({error})") from None
        raise ValueError("a regular expression")


class HostCertificates(Kind):
    """Certificates by host name: ``HOST=CERTIFICATE`` or ``HOST=CERTIFICATE:KEY``, several as with Hosts."""

    metavar = "HOST=CERT[:KEY]"
    repeatable = True

    def read(self, value: object) -> tuple[tuple[str, Path, Path | None], ...]:
        listed = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple) or not all(isinstance(entry, str) for entry in listed):
            raise ValueError("one entry such as shop.example=cert.pem:key.pem, or more")
        matches = [re.fullmatch(r"((?:\*\.)?[\w.-]+)=([^:\0]+)(?::([^:\0]+))?", entry) for entry in listed]
        found = [
            (m[1].lower(), Path(m[2]).expanduser(), Path(m[3]).expanduser() if m[3] else None) for m in matches if m
        ]
        if len(found) != len(listed) or not found:
            raise ValueError("HOST=CERTIFICATE or HOST=CERTIFICATE:KEY, where *.HOST is any one name in front of HOST")
        return tuple(found)


class Secret(Kind):
    """Text that no error and no log shows."""

    def read(self, value: object) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError("text that is not empty")
        return value


class Origins(Hosts):
    """Origins of web pages, spelled as Hosts are."""

    metavar = "ORIGIN"

    def read(self, value: object) -> tuple[str, ...]:
        listed = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple) or not listed:
            raise ValueError("one origin or more")
        if not all(isinstance(origin, str) and re.fullmatch(ORIGIN, origin) for origin in listed):
            raise ValueError("an origin such as http://localhost:3000, http://localhost:* for every port, or *")
        return tuple(dict.fromkeys(listed))


class File(Kind):
    """The path of a file or a directory; ``~`` is the home directory."""

    metavar = "PATH"

    def read(self, value: object) -> Path:
        if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
            raise ValueError("a path")
        return Path(value).expanduser()


def whole(value: object) -> int | None:
    """A whole number of at most 63 bits, or its text, as int; None for anything else, true and "1_000" among it."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def decimal(value: object) -> float | None:
    """A number, or its text, as float; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", value):
        return float(value)
    if isinstance(value, float):
        return value
    number = whole(value)
    return None if number is None else float(number)


def size(value: object) -> int | None:
    """A number of bytes, with or without a unit; None for anything else."""
    match = re.fullmatch(r"([0-9]{1,18}) ?([kKMG]?i?B|)", value) if isinstance(value, str) else None
    if match is None:
        return whole(value)
    return int(match[1]) * UNITS[match[2]] if match[2] in UNITS else None
