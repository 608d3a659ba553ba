"""The channel class, as far as an open channel handles it."""

from __future__ import annotations

from pamqp import commands

from tests.builders import Client


def test_the_channel_id_in_open_ok_is_empty(client: Client) -> None:
    opened = client.call(2, commands.Channel.Open, commands.Channel.OpenOk)
    assert opened.channel_id == b""  # type: ignore[comparison-overlap]  # longstrs are bytes


def test_flow_can_only_be_active(client: Client) -> None:
    assert client.call(1, commands.Channel.Flow, commands.Channel.FlowOk, active=True).active is True
    client.send(1, commands.Channel.Flow, active=False)
    close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.reply_text) == (540, "NOT_IMPLEMENTED - active=false")
    assert (close.class_id, close.method_id) == (20, 20)
