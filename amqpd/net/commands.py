"""What a running broker can be told to do: names, arguments and answers of commands, as JSON has them.

Rule: what may live here checks arguments, calls the broker and puts answers together. What it refuses it refuses with
one sentence that names the way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from amqpd.broker.argument_checks import age_in_ms
from amqpd.broker.broker import Broker
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.queues.stream.queue import StreamQueue
from amqpd.broker.super_stream import (
    MOST_PARTITIONS,
    ROUTINGS,
    SuperStreamError,
    SuperStreamSpec,
    create_super_stream,
    delete_super_stream,
    numbered,
    partitions_of,
    routing_of,
    super_stream,
    super_streams,
)
from amqpd.broker.vhost import VHost
from amqpd.errors import AMQPError, NotFound
from amqpd.wire.table import Field

DEFAULT_PARTITIONS: Final = 3  # RabbitMQ's
OFFSETS: Final = "first, last, next, an offset, a time (2026-11-23T08:30:00) or an interval (1h, 7D)"
AGES: Final = "an age such as 7D or PT1H"
WAYS_OUT: Final = {
    "reference_already_exists": "; choose another name",
    "stream_not_found": "; `amqpd super-stream list` shows those there are",
}
_WORDS: Final = ("first", "last", "next")
_LARGEST: Final = (1 << 63) - 1
_DURATION: Final = re.compile(
    r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII
)
# Seconds, as RabbitMQ counts them: a year has 365 days, a month 30.
_DURATION_UNITS: Final = (31_536_000, 2_592_000, 604_800, 86_400, 3600, 60, 1)


class CommandError(Exception):
    """It cannot be done. Its text is one sentence with the way out."""


class Done(NamedTuple):
    """What a command has come to."""

    answer: object
    """For JSON."""
    changed: bool
    """The answer is to be given when the change is kept."""


class Arguments:
    """The arguments of one command, checked when they are asked for.

    Every method that returns one raises CommandError if it is missing without a default, or not of its kind.
    """

    def __init__(self, given: dict[str, object]) -> None:
        self._given = given

    def has(self, name: str) -> bool:
        """It was given, and not as null."""
        return self._given.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """A text that can be sent to clients."""
        value = self._given[name] if self.has(name) else default
        if not isinstance(value, str) or not is_text(value):
            raise CommandError(f"The argument {name} must be a text.")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of them."""
        value = self._given.get(name)
        if isinstance(value, list):
            found = [text for text in value if isinstance(text, str) and is_text(text)]
            if found and len(found) == len(value):
                return found
        raise CommandError(f"The argument {name} must be a list of texts.")

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number between two."""
        value = self._given[name] if self.has(name) else default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise CommandError(f"The argument {name} must be a whole number from {low} to {high}.")
        return value


class Commands:
    """The commands of one broker.

    Args:
        broker: which is told what to do.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._commands: dict[str, tuple[Callable[[VHost, Arguments], object], bool, tuple[str, ...]]] = {
            # What it does, whether that changes something, and what arguments it has beside vhost.
            "stream.cursors": (cursors, False, ("stream",)),
            "stream.reset_cursor": (reset_cursor, True, ("stream", "cursor", "offset")),
            "stream.delete_cursor": (delete_cursor, True, ("stream", "cursor")),
            "super_stream.add": (
                add_super_stream,
                True,
                ("name", "partitions", "binding_keys", "routing", *STREAM_ARGUMENTS),
            ),
            "super_stream.delete": (remove_super_stream, True, ("name",)),
            "super_stream.list": (list_super_streams, False, ()),
        }

    def execute(self, request: object) -> Done:
        """Do what a request asks for.

        Args:
            request: {"command": its name, "arguments": an object, which may be missing}

        Raises:
            CommandError: it cannot be done; nothing has changed.
        """
        command, arguments = self._read(request)
        function, changes, known = self._commands[command]
        unknown = sorted(arguments.keys() - {"vhost", *known})
        if unknown:
            raise CommandError(f"The command {command} has no argument {unknown[0]!r}.")
        checked = Arguments(arguments)
        try:
            return Done(function(self._vhost(checked), checked), changes)
        except NotFound as error:
            raise CommandError(f"There is {error.explanation}; is the name right, and the virtual host?") from None
        except AMQPError as error:
            raise CommandError(f"{error.reply_text}.") from None
        except SuperStreamError as error:
            raise CommandError(f"{error}{WAYS_OUT.get(error.reason, '')}.") from None

    def _read(self, request: object) -> tuple[str, dict[str, object]]:
        if not isinstance(request, dict):
            raise CommandError("A request is one line with one JSON object.")
        command, arguments = request.get("command"), request.get("arguments", {})
        if not isinstance(command, str) or command not in self._commands:
            raise CommandError(f"There is no such command; amqpd knows {', '.join(self._commands)}.")
        if not isinstance(arguments, dict):
            raise CommandError("The arguments of a command are one JSON object.")
        return command, arguments

    def _vhost(self, arguments: Arguments) -> VHost:
        name = arguments.text("vhost", "/")
        found = self._broker.vhosts.get(name)
        if found is None:
            raise CommandError(f"There is no virtual host '{name}'.")
        return found


# Cursors.


def cursors(vhost: VHost, arguments: Arguments) -> object:
    """The named cursors of one stream, or of all."""
    if arguments.has("stream"):
        streams = [stream_of(vhost, arguments)]
    else:
        streams = [queue for _, queue in sorted(vhost.queues.items()) if isinstance(queue, StreamQueue)]
    return [
        {
            "stream": stream.name,
            "cursor": name,
            "offset": offset,
            "first_offset": stream.first_offset,
            "next_offset": stream.next_offset,
        }
        for stream in streams
        for name, offset in sorted(stream.cursor_places().items())
    ]


def reset_cursor(vhost: VHost, arguments: Arguments) -> object:
    """Let a cursor stand elsewhere."""
    stream, name = stream_of(vhost, arguments), arguments.text("cursor")
    offset = stream.reset_cursor(name, offset_field(arguments.text("offset")))
    return {"stream": stream.name, "cursor": name, "offset": int(offset)}


def delete_cursor(vhost: VHost, arguments: Arguments) -> object:
    """Forget a cursor."""
    stream, name = stream_of(vhost, arguments), arguments.text("cursor")
    if not stream.delete_cursor(name):
        raise CommandError(f"There is no cursor '{name}' of {stream}; `amqpd stream cursors` shows those there are.")
    return {"stream": stream.name, "cursor": name}


def stream_of(vhost: VHost, arguments: Arguments) -> StreamQueue:
    """The stream that is meant."""
    found = vhost.queue(arguments.text("stream"))
    if not isinstance(found, StreamQueue):
        raise CommandError(
            f"'{found.name}' in vhost '{vhost.name}' is a {found.kind} queue; only streams have cursors."
        )
    return found


def offset_field(text: str) -> Field:
    """What x-stream-offset would be for a text. A time without a time zone is one of UTC.

    Raises:
        CommandError: it is none of OFFSETS.
    """
    if text in _WORDS or age_in_ms(text) is not None:
        return Field("S", text)
    if text.isascii() and text.isdigit():
        significant = text.lstrip("0") or "0"
        return Field("l", int(significant[:20]) if int(significant[:20]) <= _LARGEST else _LARGEST)
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return Field("T", max(int(moment.timestamp()), 0))
    except (ValueError, OverflowError):
        raise CommandError(f"'{text}' is no place in a stream; give {OFFSETS}.") from None


# Super streams.


def add_super_stream(vhost: VHost, arguments: Arguments) -> object:
    """Make one."""
    if arguments.has("binding_keys") and arguments.has("partitions"):
        raise CommandError("Give either the number of partitions or their binding keys.")
    named = arguments.has("binding_keys")
    keys = (
        arguments.texts("binding_keys")
        if named
        else numbered(arguments.whole("partitions", 1, MOST_PARTITIONS, DEFAULT_PARTITIONS))
    )
    # Somebody who names keys wants to publish with them.
    routing = arguments.text("routing", "direct" if named else "hash")
    if routing not in ROUTINGS:
        raise CommandError(f"There is no routing '{routing}'; give {' or '.join(ROUTINGS)}.")
    name = arguments.text("name")
    return described(create_super_stream(vhost, SuperStreamSpec(name, keys, routing, stream_arguments(arguments))))


def remove_super_stream(vhost: VHost, arguments: Arguments) -> object:
    """Delete one with its streams; how many messages those had."""
    found = described(super_stream(vhost, arguments.text("name")))
    delete_super_stream(vhost, arguments.text("name"))
    return found


def list_super_streams(vhost: VHost, _arguments: Arguments) -> object:
    """All there are."""
    return [described(exchange) for exchange in super_streams(vhost)]


def described(exchange: Exchange) -> dict[str, object]:
    """A super stream and its partitions."""
    partitions: list[dict[str, object]] = []
    for binding in partitions_of(exchange):
        stream = binding.destination
        assert isinstance(stream, StreamQueue)  # partitions are streams
        offsets = {"first_offset": stream.first_offset, "next_offset": stream.next_offset}
        partitions.append(
            {"stream": stream.name, "binding_key": binding.key, "messages": stream.message_count, **offsets}
        )
    return {"name": exchange.name, "routing": routing_of(exchange), "partitions": partitions}


STREAM_ARGUMENTS: Final = {
    "max_length_bytes": "x-max-length-bytes",
    "max_segment_size_bytes": "x-stream-max-segment-size-bytes",
    "max_age": "x-max-age",
}
"""Arguments of super_stream.add, and what the streams are declared with for them."""


def stream_arguments(arguments: Arguments) -> dict[str, object]:
    """What the streams of a super stream are declared with."""
    found: dict[str, object] = {}
    for name, argument in STREAM_ARGUMENTS.items():
        if name == "max_age" and arguments.has(name):
            found[argument] = age(arguments.text(name))
        elif arguments.has(name):
            found[argument] = Field.long(arguments.whole(name, 1, _LARGEST, 0))
    return found


def age(text: str) -> str:
    """What x-max-age is for a text: RabbitMQ keeps ISO 8601 durations as seconds.

    Raises:
        CommandError: it is neither a duration nor an age.
    """
    if age_in_ms(text) is not None:
        return text
    matched = _DURATION.fullmatch(text) if len(text) < 100 else None
    if matched is not None:
        seconds = sum(int(number or 0) * unit for number, unit in zip(matched.groups(), _DURATION_UNITS, strict=True))
        if seconds > 0:
            return f"{seconds}s"
    raise CommandError(f"'{text}' is no age; give {AGES}.")


# Texts.


def is_text(value: str) -> bool:
    """True if it can be on the wire: JSON can have halves of surrogate pairs, which nothing else can."""
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
