"""Confirms: every published number is answered exactly once, in order, with its own outcome."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import base, commands

from amqpd.broker.queues.sink import REFUSED, MessageSink
from amqpd.clock import ManualClock, Timers
from amqpd.log.commit import RETRY_SECONDS, SAFE, Commit, Commits, Job, Member, Receipt
from amqpd.protocol.confirms import LONGEST_WAITING_RUN, Confirms
from amqpd.turn import Turn
from amqpd.wire.methods import decode, encode, make
from amqpd.wire.output import Output
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from tests.builders import Client, Content, FakeWire, World, publish_bytes, split_frames
from tests.stores import Store


class NoJob(Job):
    """Nothing to write."""

    def run(self) -> None:
        pass


class Disk(Member):
    """Has something for every commit that it joins."""

    def begin(self) -> Job | None:
        return NoJob()


class Bench:
    """Confirms of channel 1 with an output and a turn to themselves."""

    def __init__(self) -> None:
        self.wire = FakeWire()
        self.turn = Turn()
        self.output = Output(self.wire, self.turn)
        self.commits = Commits(self.turn, Timers(ManualClock()))
        self.confirms = Confirms(1, self.output, self.turn, self.commits)
        self.held: list[Commit] = []
        self.commits.execute = self.held.append
        self._disk = Disk()

    def answer(self, accepted: bool) -> None:
        """The next publish was safe at once, or refused."""
        self.confirms.answer(SAFE if accepted else REFUSED, [], 0)

    def store(self, *sinks: MessageSink) -> int:
        """The next publish is safe with the commit that is being gathered; returns its number."""
        self.commits.join(self._disk, 0)
        self.confirms.answer(self.commits.number, list(sinks), 1)
        return int(self.commits.number)

    def keep(self, copies: int, refused: bool) -> Receipt:
        """The next publish has so many copies to be written, and may be refused elsewhere; returns its receipt."""
        self.commits.join(self._disk, 0)
        self.confirms.expect()
        receipt = self.commits.receipt
        assert receipt is not None
        self.confirms.answer(REFUSED if refused else self.commits.number, [], copies)
        return receipt

    def run_commit(self) -> None:
        """The commit that is under way is done, if there is one."""
        if self.held:
            commit = self.held.pop()
            commit.run()
            self.commits.finished(commit)

    def finish(self) -> None:
        while not self.turn.idle:
            self.turn.finish()

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


@given(st.lists(st.sampled_from(["safe", "refused", "stored", "stored", "end of turn", "commit"]), max_size=60))
def test_every_number_is_answered_once_in_order_and_rightly(script: list[str]) -> None:
    """As soon as it is decided and safe, and all before it are; and not before."""
    bench = Bench()
    published: list[tuple[bool, int]] = []  # accepted, commit
    for step in [*script, "end of turn"]:
        if step == "commit":
            bench.run_commit()
        elif step == "stored":
            published.append((True, bench.store()))
        elif step != "end of turn":
            published.append((step == "safe", SAFE))
            bench.answer(step == "safe")
        if step in ("end of turn", "commit"):
            bench.finish()
            safe = itertools.takewhile(lambda each: each[1] <= bench.commits.done, published)
            expected = [(number, accepted) for number, (accepted, _) in enumerate(safe, 1)]
            assert outcomes(bench.answers()) == expected
    while bench.held:
        bench.run_commit()
        bench.finish()
    assert len(outcomes(bench.answers())) == len(published)


class Script:
    """Publishes with copies, and what a client may be told of them."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.published: list[tuple[bool, int, set[int]]] = []  # accepted, commit, copies that are not settled
        self._copies: list[tuple[int, set[int], Receipt]] = []

    def publish(self, accepted: bool) -> None:
        self.published.append((accepted, SAFE, set()))
        self.bench.answer(accepted)

    def keep(self, copies: int, refused: bool) -> None:
        receipt = self.bench.keep(copies, refused)
        first = len(self._copies)
        alive = set(range(first, first + copies))
        self._copies += [(number, alive, receipt) for number in range(first, first + copies)]
        self.published.append((not refused, SAFE if refused else int(self.bench.commits.number), alive))

    def settle(self, place: int) -> None:
        if place < len(self._copies):
            number, alive, receipt = self._copies[place]
            if number in alive:
                alive.remove(number)
                receipt.settled()

    def check(self) -> None:
        """At the end of a turn."""
        told = outcomes(self.bench.answers())
        assert [accepted for _, accepted in told] == [accepted for accepted, _, _ in self.published[: len(told)]]
        done = self.bench.commits.done
        assert all(commit <= done or not alive for _, commit, alive in self.published[: len(told)])
        if not any(alive for _, _, alive in self.published):
            assert len(told) == len(self.published)


COPIES = st.lists(
    st.one_of(
        st.sampled_from(["safe", "refused", "end of turn", "commit"]),
        st.tuples(st.integers(1, 3), st.booleans()),  # copies to be written, and whether one more queue refuses
        st.integers(0, 20),  # which of the copies is settled
        st.just("many"),  # with a copy each
        st.integers(21, 200),
    ),
    max_size=60,
)


@given(COPIES)
def test_a_number_is_confirmed_only_if_each_of_its_copies_is_safe_or_settled(
    steps: list[str | int | tuple[int, bool]],
) -> None:
    """And when nothing is left to wait for, it is."""
    script = Script()
    for step in [*steps, "end of turn"]:
        if isinstance(step, tuple):
            script.keep(*step)
        elif isinstance(step, int):
            script.settle(step)
        elif step == "many":
            for _ in range(LONGEST_WAITING_RUN + 6):
                script.keep(1, False)
        elif step == "commit":
            script.bench.run_commit()
        elif step != "end of turn":
            script.publish(step == "safe")
        if step in ("end of turn", "commit"):
            script.bench.finish()
            script.check()
    while script.bench.held:
        script.bench.run_commit()
        script.bench.finish()
    assert len(outcomes(script.bench.answers())) == len(script.published)


def test_what_is_settled_does_not_wait_for_all_others_of_its_turn() -> None:
    bench = Bench()
    receipts = [bench.keep(1, False) for _ in range(3 * LONGEST_WAITING_RUN)]
    bench.finish()
    for receipt in receipts[: 2 * LONGEST_WAITING_RUN + 1]:
        receipt.settled()
    bench.finish()
    assert [(each.delivery_tag, each.multiple) for each in bench.answers()] == [(2 * LONGEST_WAITING_RUN, True)]


def test_what_is_safe_at_once_is_one_run_however_long() -> None:
    bench = Bench()
    for _ in range(3 * LONGEST_WAITING_RUN):
        bench.confirms.expect()
        bench.answer(True)
    bench.finish()
    assert [each.delivery_tag for each in bench.answers()] == [3 * LONGEST_WAITING_RUN]


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


def test_one_ack_covers_all_that_a_commit_made_safe() -> None:
    bench = Bench()
    for _ in range(3):
        bench.store()
        bench.finish()
        bench.store()
    for _ in range(2):
        bench.run_commit()
        bench.finish()
    assert [(each.delivery_tag, each.multiple) for each in bench.answers()] == [(1, False), (6, True)]


def test_what_went_to_a_queue_whose_disk_failed_is_refused() -> None:
    """What had been confirmed before stays so; what waits with it for the same commit may be refused with it."""
    bench, sound, broken = Bench(), MessageSink("sound"), MessageSink("broken")
    bench.store(broken)
    bench.finish()
    bench.run_commit()
    bench.finish()
    bench.store(sound)
    bench.finish()
    bench.store(sound, broken)
    broken.broken = True
    while bench.held:
        bench.run_commit()
        bench.finish()
    assert outcomes(bench.answers()) == [(1, True), (2, True), (3, False)]


def test_a_channel_that_closes_tells_what_is_safe_and_never_the_rest() -> None:
    bench = Bench()
    bench.answer(True)
    bench.store()
    bench.confirms.close()
    bench.finish()
    bench.run_commit()
    bench.finish()
    assert outcomes(bench.answers()) == [(1, True)]


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


# With a disk.

PERSISTENT = Properties.of(delivery_mode=2)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Client]:
    """A client in confirm mode; there are durable queues "one" and "two", and commits are the test's to run."""
    world = World(store=Store(tmp_path))
    client = world.client()
    client.open()
    for queue in ("one", "two"):
        client.declare(queue, durable=True)
        client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=queue, exchange="amq.fanout")
    world.hold_commits()
    yield confirming(client)
    while world.held_commits:
        world.run_commit()
    assert world.observer.crashes == []


def told(client: Client) -> list[tuple[bool, int, bool]]:
    """Confirms that came since the last call: accepted, number, multiple."""
    confirms = [answer(item) for _, item in client.received() if isinstance(item, base.Frame)]
    return [(isinstance(each, commands.Basic.Ack), each.delivery_tag or 0, bool(each.multiple)) for each in confirms]


def test_a_persistent_message_is_confirmed_when_its_commit_is_done(stored: Client) -> None:
    stored.publish(1, "", "one", b"", PERSISTENT)
    assert told(stored) == []
    stored.world.run_commit()
    assert told(stored) == [(True, 1, False)]


@pytest.mark.parametrize(("key", "properties"), [("one", EMPTY_PROPERTIES), ("transient", PERSISTENT)])
def test_what_is_not_to_last_is_confirmed_at_once(stored: Client, key: str, properties: Properties) -> None:
    stored.declare("transient")
    stored.publish(1, "", key, b"", properties)
    assert told(stored) == [(True, 1, False)]


def test_but_not_before_those_that_were_published_before_it(stored: Client) -> None:
    stored.publish(1, "", "one", b"", PERSISTENT)
    stored.publish(1, "", "one", b"")
    stored.publish(1, "", "nowhere", b"", PERSISTENT)
    assert told(stored) == []
    stored.world.run_commit()
    assert told(stored) == [(True, 3, True)]


def test_what_was_consumed_at_once_needs_no_disk_and_is_confirmed_at_once(stored: Client) -> None:
    stored.send(1, commands.Basic.Consume, queue="one", consumer_tag="c", no_ack=True)
    stored.take()
    stored.publish(1, "", "one", b"m", PERSISTENT)
    delivery, confirm = (item for _, item in stored.received())
    assert getattr(delivery, "body", None) == b"m"
    assert isinstance(confirm, commands.Basic.Ack)


def got(client: Client, queue: str) -> int:
    """Fetch a message from a queue; returns its delivery tag."""
    client.send(1, commands.Basic.Get, queue=queue)
    _, delivery = client.received()[0]
    assert isinstance(delivery, Content)
    assert isinstance(delivery.method, commands.Basic.GetOk)
    return delivery.method.delivery_tag or 0


@pytest.mark.parametrize("begun", [False, True])
def test_a_message_is_confirmed_when_it_is_acknowledged_before_its_commit_is_done(stored: Client, begun: bool) -> None:
    """Whether its commit has begun or not: what nobody needs any more need not be safe."""
    if not begun:
        stored.publish(1, "", "two", b"", PERSISTENT)
        assert stored.world.held_commits
        confirmed_by = 2
        first = got(stored, "two")
    stored.publish(1, "", "one", b"m", PERSISTENT)
    tag = got(stored, "one")
    stored.send(1, commands.Basic.Ack, delivery_tag=tag)
    if not begun:
        assert told(stored) == []  # there is one before it that waits
        stored.send(1, commands.Basic.Ack, delivery_tag=first)
        assert told(stored) == [(True, confirmed_by, True)]
    else:
        assert told(stored) == [(True, 1, False)]


def test_a_message_for_several_queues_is_confirmed_when_all_of_them_have_settled_it(stored: Client) -> None:
    stored.publish(1, "amq.fanout", "", b"m", PERSISTENT)
    stored.send(1, commands.Basic.Ack, delivery_tag=got(stored, "one"))
    assert told(stored) == []
    stored.send(1, commands.Basic.Ack, delivery_tag=got(stored, "two"))
    assert told(stored) == [(True, 1, False)]


def test_what_one_queue_settled_waits_for_the_commit_of_the_other(stored: Client) -> None:
    stored.publish(1, "amq.fanout", "", b"m", PERSISTENT)
    stored.send(1, commands.Basic.Ack, delivery_tag=got(stored, "one"))
    assert told(stored) == []
    stored.world.run_commit()
    assert told(stored) == [(True, 1, False)]


def test_what_came_back_from_a_consumer_waits_again(stored: Client) -> None:
    stored.publish(1, "", "one", b"m", PERSISTENT)
    stored.send(1, commands.Basic.Nack, delivery_tag=got(stored, "one"), requeue=True)
    assert told(stored) == []
    stored.send(1, commands.Basic.Ack, delivery_tag=got(stored, "one"))
    assert told(stored) == [(True, 1, False)]


@pytest.mark.parametrize("ending", ["rejected", "purged", "deleted"])
def test_what_is_dropped_for_good_is_confirmed(stored: Client, ending: str) -> None:
    stored.publish(1, "", "two", b"m", PERSISTENT)  # its commit is under way
    stored.publish(1, "", "one", b"m", PERSISTENT)
    stored.send(1, commands.Basic.Ack, delivery_tag=got(stored, "two"))
    assert told(stored) == [(True, 1, False)]
    if ending == "rejected":
        stored.send(1, commands.Basic.Reject, delivery_tag=got(stored, "one"), requeue=False)
        assert told(stored) == [(True, 2, False)]
    elif ending == "purged":
        stored.send(1, commands.Queue.Purge, queue="one")
        assert [type(item) for _, item in stored.received()] == [commands.Queue.PurgeOk, commands.Basic.Ack]
    else:
        stored.send(1, commands.Queue.Delete, queue="one")
        assert [type(item) for _, item in stored.received()] == [commands.Basic.Ack]  # delete_ok waits for the catalog


def test_what_died_and_went_elsewhere_is_confirmed_when_it_is_safe_there(stored: Client) -> None:
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "two"}
    stored.send(1, commands.Queue.Declare, queue="dying", durable=True, arguments=arguments)
    while stored.world.held_commits:
        stored.world.run_commit()
    stored.take()
    stored.publish(1, "", "one", b"first", PERSISTENT)  # its commit is under way
    stored.publish(1, "", "dying", b"m", PERSISTENT)
    stored.send(1, commands.Basic.Ack, delivery_tag=got(stored, "one"))
    assert told(stored) == [(True, 1, False)]
    stored.send(1, commands.Basic.Reject, delivery_tag=got(stored, "dying"), requeue=False)
    assert told(stored) == []
    stored.world.run_commit()
    assert told(stored) == []
    stored.world.run_commit()
    assert told(stored) == [(True, 2, False)]
    killed = stored.world.killed()
    assert killed.vhost.queue("two").message_count == 1
    assert killed.vhost.queue("dying").message_count == 0


def test_what_is_published_during_a_commit_waits_for_the_next(stored: Client) -> None:
    for number in range(3):
        stored.feed(publish_bytes(1, "", "one", b"%d" % number, PERSISTENT))
    stored.world.run_commit()
    assert told(stored) == [(True, 1, False)]
    stored.world.run_commit()
    assert told(stored) == [(True, 3, True)]


def test_a_message_for_several_queues_waits_for_all_of_them(stored: Client) -> None:
    """The second fails: then it is refused, though the first has it."""
    failing = stored.world.store
    assert failing is not None
    stored.publish(1, "amq.fanout", "", b"m", PERSISTENT)
    failing.memory.fail_at(1, errno.EIO)
    stored.world.run_commit()
    while stored.world.held_commits:
        stored.world.run_commit()
    assert told(stored) == [(False, 1, True)]
    assert [queue.broken for queue in stored.world.vhost.queues.values()].count(True) == 1


def test_while_the_disk_is_full_nothing_is_confirmed_and_afterwards_everything(stored: Client) -> None:
    full = stored.world.store
    assert full is not None
    stored.publish(1, "", "one", b"m", PERSISTENT)
    full.memory.fail_at(1, errno.ENOSPC)
    stored.world.run_commit()
    stored.publish(1, "", "one", b"m", PERSISTENT)
    assert told(stored) == []
    stored.world.advance(2 * RETRY_SECONDS)
    while stored.world.held_commits:
        stored.world.run_commit()
    assert told(stored) == [(True, 1, False), (True, 2, False)]


def test_a_queue_that_is_deleted_before_the_commit_makes_nobody_wait(stored: Client) -> None:
    stored.publish(1, "", "one", b"m", PERSISTENT)
    stored.world.vhost.delete_queue(stored.world.vhost.queue("one"))
    while stored.world.held_commits:
        stored.world.run_commit()
    assert told(stored) == [(True, 1, False)]


def test_what_was_confirmed_is_there_after_a_kill(stored: Client) -> None:
    for number in range(5):
        stored.publish(1, "amq.fanout", "", b"%d" % number, PERSISTENT)
    stored.world.run_commit()
    ((_, confirmed, _),) = told(stored)
    again = stored.world.killed()
    for queue in again.vhost.queues.values():
        assert queue.message_count == confirmed
