"""How events become lines."""

from __future__ import annotations

import io
import json
import logging
import re

import pytest

from amqpd.logs import DEBUG, INFO, WARNING, configure, event

pytestmark = pytest.mark.usefixtures("loggers_as_before")


def logged(form: str, level: int = INFO, /, **fields: object) -> str:
    """What one event writes, at level info."""
    stream = io.StringIO()
    event(configure("info", form, stream).getChild("net"), level, "connection.opened", **fields)
    return stream.getvalue()


def test_a_text_line_has_time_level_event_and_fields_in_columns() -> None:
    line = logged("text", peer="127.0.0.1:40712", user="guest", channels=3)
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(time + r" INFO    connection\.opened {10}peer=127.0.0.1:40712 user=guest channels=3\n", line)


def test_a_json_line_is_one_object() -> None:
    line = json.loads(logged("json", WARNING, peer="127.0.0.1:40712", channels=3))
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warning", "event": "connection.opened", "peer": "127.0.0.1:40712", "channels": 3}


def test_a_field_that_is_none_is_left_out() -> None:
    assert "user" not in logged("text", user=None) + logged("json", user=None)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", ["a\nb", "a\r\x1b[31mb", "a\u2028b", "\udcff"])
def test_what_a_client_sent_cannot_forge_a_line_or_break_the_encoding(form: str, name: str) -> None:
    line = logged(form, name=name)
    assert line.isprintable() is False
    assert line[:-1].isprintable()
    line.encode("utf-8")


@pytest.mark.parametrize(
    ("value", "text"),
    [("a b", '"a b"'), ("a=b", '"a=b"'), ('a"b', '"a\\"b"'), ("", '""'), ("grün", "grün"), ("a\tb", '"a\\tb"')],
)
def test_a_text_value_that_could_be_mistaken_is_quoted(value: str, text: str) -> None:
    assert logged("text", name=value).endswith(f" name={text}\n")


def test_a_field_cannot_replace_the_events_own_keys() -> None:
    line = json.loads(logged("json", level="forged", event="forged", time="forged"))
    assert (line["level"], line["event"]) == ("info", "connection.opened")
    assert line["time"] != "forged"


def test_less_important_events_are_not_written() -> None:
    assert logged("text", DEBUG) == ""


def test_an_error_brings_its_traceback() -> None:
    try:
        raise KeyError("boom")
    except KeyError as error:
        text, line = logged("text", error=error), json.loads(logged("json", error=error))
    assert "\n    Traceback (most recent call last):\n" in text
    assert line["traceback"].endswith("KeyError: 'boom'")


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_the_event_loop_reports_comes_in_the_same_form(form: str) -> None:
    stream = io.StringIO()
    configure("error", form, stream)
    logging.getLogger("asyncio").warning("Exception in callback %s\nhandle: %s", "f", "<Handle>")
    assert stream.getvalue().count("\n") == 1
    assert '"Exception in callback f\\nhandle: <Handle>"' in stream.getvalue()


def test_configuring_again_replaces_the_output() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("info", "text", first)
    event(configure("info", "text", second), INFO, "server.started")
    assert (first.getvalue(), second.getvalue().count("\n")) == ("", 1)
