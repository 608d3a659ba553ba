"""Confirms: every published number is answered exactly once, in order, with its own outcome."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import base, commands

from amqpd.broker.queues.sink import REFUSED
from amqpd.clock import ManualClock, Timers
from amqpd.log.commit import SAFE, Commits
from amqpd.protocol.confirms import Confirms
from amqpd.turn import Turn
from amqpd.wire.methods import decode, encode, make
from amqpd.wire.output import Output
from tests.builders import Client, FakeWire, publish_bytes, split_frames


class Bench:
    """Confirms of channel 1 with an output and a turn to themselves."""

    def __init__(self) -> None:
        self.wire = FakeWire()
        self.turn = Turn()
        self.output = Output(self.wire, self.turn)
        self.commits = Commits(self.turn, Timers(ManualClock()))
        self.confirms = Confirms(1, self.output, self.turn, self.commits)

    def answer(self, accepted: bool) -> None:
        """The next publish was safe at once, or refused."""
        self.confirms.answer(SAFE if accepted else REFUSED, [])

    def answers(self) -> list[commands.Basic.Ack | commands.Basic.Nack]:
        """What was sent so far."""
        return [answer(decode(payload)) for _, _, payload in split_frames(self.wire.written)]


def answer(method: base.Frame) -> commands.Basic.Ack | commands.Basic.Nack:
    """The method, which must be a confirm."""
    assert isinstance(method, (commands.Basic.Ack, commands.Basic.Nack))
    return method


def outcomes(answers: list[commands.Basic.Ack | commands.Basic.Nack]) -> list[tuple[int, bool]]:
    """What a client makes of confirms: (number, accepted), each number once, ``multiple`` covering what is open."""
    told: list[tuple[int, bool]] = []
    open_from = 1
    for each in answers:
        assert each.delivery_tag >= open_from, "answered before"
        first = open_from if each.multiple else each.delivery_tag
        assert first == open_from, "a number was left out"
        told += [(number, isinstance(each, commands.Basic.Ack)) for number in range(first, each.delivery_tag + 1)]
        open_from = each.delivery_tag + 1
    return told


@given(st.lists(st.sampled_from([True, False, None]), max_size=40))
def test_every_number_is_answered_once_in_order_and_rightly(script: list[bool | None]) -> None:
    """True and False are publishes that were accepted or refused, None is the end of a turn."""
    bench = Bench()
    expected: list[tuple[int, bool]] = []
    for step in script:
        if step is None:
            bench.turn.finish()
            assert outcomes(bench.answers()) == expected
        else:
            bench.answer(step)
            expected.append((len(expected) + 1, step))
    bench.turn.finish()
    assert outcomes(bench.answers()) == expected


@given(st.lists(st.booleans(), max_size=40))
def test_a_turn_takes_one_answer_for_each_run_of_equal_outcomes(script: list[bool]) -> None:
    bench = Bench()
    for accepted in script:
        bench.answer(accepted)
    bench.turn.finish()
    changes = sum(left != right for left, right in itertools.pairwise(script))
    assert len(bench.answers()) == (changes + 1 if script else 0)


def test_a_single_ack_is_not_multiple_and_several_are() -> None:
    bench = Bench()
    bench.answer(True)
    bench.turn.finish()
    for _ in range(3):
        bench.answer(True)
    bench.turn.finish()
    assert [(each.delivery_tag, each.multiple) for each in bench.answers()] == [(1, False), (4, True)]


def test_a_nack_is_multiple_for_no_lower_number_is_open_and_has_the_requeue_bit() -> None:
    bench = Bench()
    bench.answer(True)
    bench.answer(False)
    bench.turn.finish()
    nack = bench.answers()[1]
    assert isinstance(nack, commands.Basic.Nack)
    assert (nack.delivery_tag, nack.multiple, nack.requeue) == (2, True, True)


def test_closing_sends_what_is_known_and_nothing_after_it() -> None:
    bench = Bench()
    bench.answer(True)
    bench.confirms.close()
    bench.answer(True)
    bench.turn.finish()
    assert outcomes(bench.answers()) == [(1, True)]


def test_closing_with_nothing_gathered_sends_nothing() -> None:
    bench = Bench()
    bench.confirms.close()
    bench.turn.finish()
    assert bench.answers() == []


# On a channel.


def confirming(client: Client) -> Client:
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    return client


def test_numbers_start_with_the_first_publish_after_confirm_select(client: Client) -> None:
    client.publish(1, "", "nowhere")
    confirming(client)
    client.publish(1, "", "nowhere")
    assert client.receive_one(1, commands.Basic.Ack).delivery_tag == 1


def test_selecting_twice_does_not_start_again(client: Client) -> None:
    confirming(client)
    client.publish(1, "", "nowhere")
    client.receive_one(1, commands.Basic.Ack)
    confirming(client)
    client.publish(1, "", "nowhere")
    assert client.receive_one(1, commands.Basic.Ack).delivery_tag == 2


def test_each_channel_has_its_own_numbers(client: Client) -> None:
    client.open(2)
    confirming(client)
    client.call(2, commands.Confirm.Select, commands.Confirm.SelectOk)
    for channel in (1, 2):
        client.publish(channel, "", "nowhere")
        assert client.receive_one(channel, commands.Basic.Ack).delivery_tag == 1


def test_a_mandatory_message_is_returned_before_it_is_confirmed(client: Client) -> None:
    confirming(client)
    client.publish(1, "", "nowhere", b"body", mandatory=True)
    returned, confirm = (item for _, item in client.received())
    assert getattr(returned, "body", None) == b"body"
    assert isinstance(confirm, commands.Basic.Ack)


def test_publishes_of_one_turn_are_confirmed_together(client: Client) -> None:
    confirming(client)
    client.declare("q")
    client.feed(publish_bytes(1, "", "q") * 5)
    ack = client.receive_one(1, commands.Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (5, True)


@pytest.mark.parametrize("ending", [commands.Channel.Close, commands.Connection.Close])
def test_publishes_before_a_close_are_confirmed_before_its_answer(client: Client, ending: type[base.Frame]) -> None:
    confirming(client)
    number = 1 if ending is commands.Channel.Close else 0
    client.feed(publish_bytes(1, "", "nowhere") * 3 + encode(number, make(ending, reply_code=200)))
    confirm, answered = (item for _, item in client.received())
    assert isinstance(confirm, commands.Basic.Ack)
    assert confirm.delivery_tag == 3
    assert isinstance(answered, (commands.Channel.CloseOk, commands.Connection.CloseOk))


def test_a_publish_that_fails_is_not_confirmed_but_those_before_it_are(client: Client) -> None:
    confirming(client)
    client.feed(publish_bytes(1, "", "nowhere") * 2 + publish_bytes(1, "no exchange", "key"))
    confirm, close = (item for _, item in client.received())
    assert isinstance(confirm, commands.Basic.Ack)
    assert (confirm.delivery_tag, confirm.multiple) == (2, True)
    assert isinstance(close, commands.Channel.Close)
