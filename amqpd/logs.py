"""Structured logging over the standard library's: an event has a name and fields, and is written as text or as JSON.

    event(logger, INFO, "connection.opened", peer="127.0.0.1:40712")

    2026-11-23T05:59:12.123Z INFO    connection.opened          peer=127.0.0.1:40712
    {"time": "2026-11-23T05:59:12.123Z", "level": "info", "event": "connection.opened", "peer": "127.0.0.1:40712"}

Rule: what may live here turns events into lines. What is an event is decided where it happens; on the path of a message
nothing is logged.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from logging import DEBUG, ERROR, INFO, WARNING
from typing import TextIO

__all__ = ["DEBUG", "ERROR", "INFO", "WARNING", "configure", "event"]

ROOT = "amqpd"
LOOP = "asyncio"
EVENT_WIDTH = 26  # most events' names fit, so that their fields start in one column


def event(logger: logging.Logger, level: int, name: str, /, **fields: object) -> None:
    """Log that something happened.

    Args:
        logger: whose event it is.
        level: DEBUG, INFO, WARNING or ERROR of this module.
        name: ``noun.participle``, such as ``connection.closed``; never built from values.
        fields: what is to be known of it. None is left out. An ``error`` that is an exception comes with its traceback.
    """
    if not logger.isEnabledFor(level):
        return
    error = fields.get("error")
    known = {key: value for key, value in fields.items() if value is not None}
    logger.log(level, name, extra={"fields": known}, exc_info=error if isinstance(error, BaseException) else None)


def configure(level: str, form: str, stream: TextIO) -> logging.Logger:
    """Send what amqpd logs to a stream, with what its event loop reports (callbacks that failed), and nothing else.

    Args:
        level: the least important level written: debug, info, warning or error.
        form: "text" or "json".
        stream: written to line by line.

    Returns:
        The logger whose children (``logger.getChild("net")``) are handed to the parts of the broker.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONLines() if form == "json" else TextLines())
    for name, least in ((ROOT, level.upper()), (LOOP, logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(least)
    return logging.getLogger(ROOT)


def timestamp(record: logging.LogRecord) -> str:
    """When the event happened: ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """The fields that event() attached; none for a line that came from elsewhere."""
    fields: dict[str, object] = getattr(record, "fields", {})
    return fields


class TextLines(logging.Formatter):
    """One line an event, in columns; a traceback follows indented."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()  # an event's name; the loop's messages have several lines
        name = message if message.isprintable() else text_value(message)
        head = f"{timestamp(record)} {record.levelname:<7} {name:<{EVENT_WIDTH}}"
        pairs = (f"{key}={text_value(value)}" for key, value in fields_of(record).items())
        line = " ".join([head, *pairs]).rstrip()
        if record.exc_info:
            line += "\n    " + self.formatException(record.exc_info).replace("\n", "\n    ")
        return line


class JSONLines(logging.Formatter):
    """One JSON object an event. ASCII only, so that nothing a client sent can break a line or a decoder."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": timestamp(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {key: value for key, value in fields_of(record).items() if key not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def text_value(value: object) -> str:
    """A field's value in a line of text. What clients send (names, reasons) cannot forge lines or fields."""
    text = str(value)
    if text and text.isprintable() and not any(mark in text for mark in ' "=\\'):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
