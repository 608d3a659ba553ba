"""Every method on a channel that is not open, open, in the middle of a message, or closing (AMQP 0-9-1, RabbitMQ)."""

from __future__ import annotations

import pytest
from pamqp import base, commands

from amqpd.protocol.dispatch import CONNECTION_HANDLERS, HANDLERS
from amqpd.protocol.state import LEGAL
from amqpd.wire.frames import BODY, HEARTBEAT_FRAME, METHOD, frame
from amqpd.wire.methods import AccessRequest, AccessRequestOk, encode, ids, make
from tests.builders import Client, header_bytes

COMMANDS: list[type[base.Frame]] = [*commands.INDEX_MAPPING.values(), AccessRequest, AccessRequestOk]
Command = type[base.Frame]

# What every method that a client may send on an open channel does when all its arguments are zero, empty or false: the
# method that answers it, the error that it meets, or nothing.
NO_QUEUE = (404, "NOT_FOUND - no previously declared queue")
DEFAULT_EXCHANGE = (403, "ACCESS_REFUSED - operation not permitted on the default exchange")
UNKNOWN_TAG = (406, "PRECONDITION_FAILED - unknown delivery tag 0")
NO_TRANSACTION = (406, "PRECONDITION_FAILED - channel is not transactional")
NO_REQUEUE = (540, "NOT_IMPLEMENTED - requeue=false")
ON_OPEN: dict[Command, Command | tuple[int, str] | None] = {
    commands.Channel.Open: (504, "CHANNEL_ERROR - second 'channel.open' seen"),
    commands.Channel.Flow: (540, "NOT_IMPLEMENTED - active=false"),
    commands.Channel.Close: commands.Channel.CloseOk,
    AccessRequest: AccessRequestOk,
    commands.Exchange.Declare: (406, "PRECONDITION_FAILED - invalid exchange type ''"),
    commands.Exchange.Delete: DEFAULT_EXCHANGE,
    commands.Exchange.Bind: DEFAULT_EXCHANGE,
    commands.Exchange.Unbind: DEFAULT_EXCHANGE,
    commands.Queue.Declare: commands.Queue.DeclareOk,
    commands.Queue.Bind: NO_QUEUE,
    commands.Queue.Unbind: NO_QUEUE,
    commands.Queue.Purge: NO_QUEUE,
    commands.Queue.Delete: NO_QUEUE,
    commands.Basic.Qos: commands.Basic.QosOk,
    commands.Basic.Consume: NO_QUEUE,
    commands.Basic.Cancel: commands.Basic.CancelOk,
    commands.Basic.CancelOk: None,
    commands.Basic.Publish: None,
    commands.Basic.Get: NO_QUEUE,
    commands.Basic.Ack: UNKNOWN_TAG,
    commands.Basic.Nack: UNKNOWN_TAG,
    commands.Basic.Reject: UNKNOWN_TAG,
    commands.Basic.Recover: NO_REQUEUE,
    commands.Basic.RecoverAsync: NO_REQUEUE,
    commands.Confirm.Select: commands.Confirm.SelectOk,
    commands.Tx.Select: commands.Tx.SelectOk,
    commands.Tx.Commit: NO_TRANSACTION,
    commands.Tx.Rollback: NO_TRANSACTION,
}
BY_THE_CONNECTION = {commands.Channel.Open, commands.Channel.Close, commands.Basic.Publish, commands.Basic.Ack}
SOFT = {403, 404, 405, 406}

every_method = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))


def assert_closed(client: Client, code: int, text: str, command: Command | None) -> None:
    """The channel or the connection was closed, whichever the code asks for, on account of this method."""
    if code in SOFT:
        soft = client.receive_one(1, commands.Channel.Close)
        told = (soft.reply_code, soft.reply_text, soft.class_id, soft.method_id)
    else:
        hard = client.receive_one(0, commands.Connection.Close)
        told = (hard.reply_code, hard.reply_text, hard.class_id, hard.method_id)
    assert told == (code, text, *(ids(make(command)) if command else (0, 0)))


def test_a_client_may_send_what_has_a_handler_and_the_four_methods_of_the_connection() -> None:
    assert set(HANDLERS) | BY_THE_CONNECTION == set(ON_OPEN)
    assert not set(HANDLERS) & BY_THE_CONNECTION


def test_what_some_state_allows_on_channel_0_has_a_handler_and_nothing_else_has() -> None:
    assert set(CONNECTION_HANDLERS) == frozenset().union(*LEGAL.values())


@every_method
def test_on_a_channel_that_is_not_open_only_channel_open_is_expected(client: Client, command: Command) -> None:
    client.feed(encode(5, make(command)) + HEARTBEAT_FRAME)
    if command is commands.Channel.Open:
        client.receive_one(5, commands.Channel.OpenOk)
    else:
        assert_closed(client, 504, "CHANNEL_ERROR - expected 'channel.open'", command)


@every_method
def test_on_an_open_channel_each_method_is_handled_or_not_for_servers(client: Client, command: Command) -> None:
    client.send(1, command)
    expected = ON_OPEN.get(command, (503, "COMMAND_INVALID - unimplemented method"))
    if expected is None:
        assert client.take() == b""
    elif isinstance(expected, tuple):
        assert_closed(client, *expected, command)
    else:
        client.receive_one(1, expected)


@every_method
@pytest.mark.parametrize("header", [b"", header_bytes(1, 5)], ids=["header", "body"])
def test_in_the_middle_of_a_message_no_method_is_expected(client: Client, header: bytes, command: Command) -> None:
    publish = encode(1, make(commands.Basic.Publish))
    client.feed(publish + header + encode(1, make(command)) + HEARTBEAT_FRAME)
    text = (
        "expected content body, got non content body frame instead"
        if header
        else "expected content header for class 60, got non content header frame instead"
    )
    assert_closed(client, 505, f"UNEXPECTED_FRAME - {text}", commands.Basic.Publish)


@every_method
def test_on_a_closing_channel_all_is_discarded_but_the_two_closing_methods(client: Client, command: Command) -> None:
    client.send(1, commands.Queue.Purge, queue="missing")
    client.channel_closed()
    client.feed(encode(1, make(command)) + HEARTBEAT_FRAME)
    if command is commands.Channel.Close:
        client.receive_one(1, commands.Channel.CloseOk)
        client.send(1, commands.Channel.CloseOk)
    elif command is not commands.Channel.CloseOk:
        client.send(1, commands.Channel.CloseOk)
    assert client.take() == b""
    client.open(1)


@pytest.mark.parametrize("body", [b"", b"abc", b"x" * 9000], ids=len)
def test_publishes_and_acks_on_a_closing_channel_are_discarded_whole(client: Client, body: bytes) -> None:
    client.send(1, commands.Queue.Purge, queue="missing")
    client.channel_closed()
    client.publish(1, "no such exchange", "a long routing key", body)
    client.send(1, commands.Basic.Ack, delivery_tag=77, multiple=True)
    assert client.take() == b""
    client.send(1, commands.Channel.CloseOk)
    client.open(1)


@pytest.mark.parametrize("body", [b"", b"abc"], ids=len)
def test_a_whole_publish_on_a_channel_that_is_not_open_is_answered_once(client: Client, body: bytes) -> None:
    client.publish(5, "an exchange", "a routing key", body)
    assert_closed(client, 504, "CHANNEL_ERROR - expected 'channel.open'", commands.Basic.Publish)


@pytest.mark.parametrize("body", [b"", b"abc"], ids=len)
def test_a_whole_publish_in_the_middle_of_another_is_unexpected(client: Client, body: bytes) -> None:
    client.feed(encode(1, make(commands.Basic.Publish)) + header_bytes(1, 5))
    client.publish(1, "an exchange", "a routing key", body)
    text = "UNEXPECTED_FRAME - expected content body, got non content body frame instead"
    assert_closed(client, 505, text, commands.Basic.Publish)


def test_an_undecodable_method_on_a_closing_channel_is_an_error_all_the_same(client: Client) -> None:
    client.send(1, commands.Queue.Purge, queue="missing")
    client.channel_closed()
    client.feed(frame(METHOD, 1, b"\x00\x32\x00\x0a\x00"))
    assert_closed(client, 501, "FRAME_ERROR - cannot decode <<0>>", commands.Queue.Declare)


def test_content_frames_on_a_closing_channel_are_discarded(client: Client) -> None:
    client.send(1, commands.Queue.Purge, queue="missing")
    client.channel_closed()
    client.feed(header_bytes(1, 5) + frame(BODY, 1, b"abcde"))
    assert client.take() == b""


@pytest.mark.parametrize("arguments", [b"\0" * 8, b"\0" * 10])
def test_an_ack_of_the_wrong_length_is_undecodable(client: Client, arguments: bytes) -> None:
    """The only sort that the frame reader does not take apart itself."""
    client.feed(frame(METHOD, 1, b"\x00\x3c\x00\x50" + arguments))
    shown = ",".join(["0"] * len(arguments))
    assert_closed(client, 501, f"FRAME_ERROR - cannot decode <<{shown}>>", commands.Basic.Ack)
