"""The confirm class."""

from __future__ import annotations

from pamqp import commands

from tests.builders import Client


def test_select_is_answered_however_often_it_comes(client: Client) -> None:
    for _ in range(2):
        client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)


def test_with_nowait_it_is_not_answered_but_done(client: Client) -> None:
    client.send(1, commands.Confirm.Select, nowait=True)
    assert client.take() == b""
    client.publish(1, "", "nowhere")
    assert client.receive_one(1, commands.Basic.Ack).delivery_tag == 1


def test_a_channel_in_tx_mode_cannot_confirm(client: Client) -> None:
    client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    client.send(1, commands.Confirm.Select)
    close = client.receive_one(1, commands.Channel.Close)
    assert (close.reply_code, close.reply_text) == (
        406,
        "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
    )
    assert (close.class_id, close.method_id) == (85, 10)


def test_without_select_nothing_is_confirmed(client: Client) -> None:
    client.publish(1, "", "nowhere")
    assert client.take() == b""
