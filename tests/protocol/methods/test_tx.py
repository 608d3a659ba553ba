"""The tx class: the mode. What a transaction does is in test_transaction."""

from __future__ import annotations

import pytest
from pamqp import base, commands

from tests.builders import Client


def test_select_is_answered_however_often_it_comes_and_keeps_what_was_gathered(client: Client) -> None:
    client.declare("q")
    client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    client.publish(1, "", "q")
    client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    client.call(1, commands.Tx.Commit, commands.Tx.CommitOk)
    assert client.declare("q").message_count == 1


def test_a_channel_in_confirm_mode_cannot_have_transactions(client: Client) -> None:
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    client.send(1, commands.Tx.Select)
    close = client.receive_one(1, commands.Channel.Close)
    assert (close.reply_code, close.reply_text) == (
        406,
        "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
    )
    assert (close.class_id, close.method_id) == (90, 10)


@pytest.mark.parametrize(("command", "method_id"), [(commands.Tx.Commit, 20), (commands.Tx.Rollback, 30)])
def test_commit_and_rollback_need_the_mode(client: Client, command: type[base.Frame], method_id: int) -> None:
    client.send(1, command)
    close = client.receive_one(1, commands.Channel.Close)
    assert (close.reply_code, close.reply_text) == (406, "PRECONDITION_FAILED - channel is not transactional")
    assert (close.class_id, close.method_id) == (90, method_id)


@pytest.mark.parametrize(
    ("command", "answer"),
    [(commands.Tx.Commit, commands.Tx.CommitOk), (commands.Tx.Rollback, commands.Tx.RollbackOk)],
)
def test_an_empty_transaction_can_be_ended(client: Client, command: type[base.Frame], answer: type[base.Frame]) -> None:
    client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    client.call(1, command, answer)
