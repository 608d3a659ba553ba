"""Connections in the log."""

from __future__ import annotations

import io
import json

import pytest
from pamqp import commands

from amqpd.logs import configure
from amqpd.net.observer import LogObserver
from tests.builders import PROTOCOL_HEADER, Client, World

pytestmark = pytest.mark.usefixtures("loggers_as_before")

NAME = "127.0.0.1:40000 -> 127.0.0.1:5672"


class Logged:
    """A world whose connections are logged as JSON."""

    def __init__(self, level: str = "info") -> None:
        self._stream = io.StringIO()
        self.world = World()
        observer = LogObserver(configure(level, "json", self._stream))
        self.world.services = self.world.services._replace(observer=observer)

    def events(self) -> list[dict[str, object]]:
        """What was logged, without the time; every event names its connection."""
        events = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        for event in events:
            assert event.pop("connection") == NAME
            assert event.pop("time")
        return events

    def names(self) -> list[tuple[object, object]]:
        return [(event["level"], event["event"]) for event in self.events()]


def test_a_connection_is_logged_when_it_is_authenticated_opened_and_closed() -> None:
    logged = Logged()
    logged.world.client().lose()
    assert logged.events() == [
        {"level": "info", "event": "connection.authenticated", "user": "guest", "mechanism": "PLAIN"},
        {"level": "info", "event": "connection.opened", "user": "guest", "vhost": "/"},
        {"level": "info", "event": "connection.closed", "reason": "dropped by the test"},
    ]


def test_what_the_client_calls_itself_is_logged() -> None:
    logged = Logged()
    client = logged.world.raw_client()
    client.feed(PROTOCOL_HEADER)
    properties = {"product": "pika", "connection_name": "billing"}
    start_ok = {"mechanism": "PLAIN", "response": b"\0guest\0guest", "locale": "en_US"}
    client.send(0, commands.Connection.StartOk, client_properties=properties, **start_ok)
    client.send(0, commands.Connection.TuneOk, channel_max=1, frame_max=4096, heartbeat=0)
    client.send(0, commands.Connection.Open, virtual_host="/")
    opened = logged.events()[-1]
    assert (opened["client"], opened["client_name"]) == ("pika", "billing")


def test_a_refused_login_is_a_warning_and_does_not_tell_the_password() -> None:
    logged = Logged()
    client = logged.world.raw_client()
    client.feed(PROTOCOL_HEADER)
    client.start_ok(response=b"\0guest\0secret")
    assert logged.names() == [("warning", "connection.refused")]
    assert "secret" not in json.dumps(logged.events())


def test_bytes_that_are_no_amqp_are_a_warning() -> None:
    logged = Logged()
    logged.world.raw_client().feed(b"GET / HTTP/1.1\r\n")
    assert logged.names() == [("warning", "connection.refused")]


def opened(logged: Logged) -> Client:
    """A client with a channel."""
    client = logged.world.client()
    client.open()
    return client


def test_a_channel_that_the_broker_closes_is_logged_with_number_and_reason() -> None:
    logged = Logged("warning")
    opened(logged).send(1, commands.Queue.Delete)
    reason = "NOT_FOUND - no previously declared queue"
    assert logged.events() == [{"level": "warning", "event": "channel.failed", "channel": 1, "reason": reason}]


def test_a_connection_that_the_broker_closes_is_logged_with_the_reason() -> None:
    logged = Logged("warning")
    opened(logged).send(1, commands.Channel.Open)
    reason = "CHANNEL_ERROR - second 'channel.open' seen"
    assert logged.events() == [{"level": "warning", "event": "connection.failed", "reason": reason}]


def test_a_fault_of_the_brokers_own_is_an_error_with_its_traceback() -> None:
    logged = Logged("error")
    client = opened(logged)
    try:
        raise ValueError("fault")
    except ValueError as fault:
        logged.world.services.observer.crashed(client.connection, fault)
    (event,) = logged.events()
    assert (event["level"], event["event"]) == ("error", "connection.crashed")
    assert str(event["traceback"]).endswith("ValueError: fault")


def test_nothing_is_logged_below_the_level() -> None:
    logged = Logged("error")
    opened(logged).lose()
    assert logged.events() == []
