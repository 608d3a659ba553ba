"""amqpd/broker/exchanges/delayed.py: messages that wait before they are routed."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.exchanges.delayed import DelayedExchange, delay_of, no_longer_delayed
from amqpd.broker.exchanges.immediate import IMMEDIATE_TYPES
from amqpd.broker.message import Message
from amqpd.broker.queues.base import QueueSpec
from amqpd.broker.queues.reply import ReplyQueue, ReplyTaker
from amqpd.errors import PreconditionFailed
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.builders import Client, Content, World, message

MAX_DELAY = 4_294_967_295


def delayed(milliseconds: object, **more: object) -> Properties:
    return Properties.of(headers=Table.of({"x-delay": milliseconds, **more}))


def delayed_exchange(kind: str, world: World) -> DelayedExchange:
    spec = ExchangeSpec("x-delayed-message", False, False, False, Table.of({"x-delayed-type": kind}))
    exchange = world.vhost.create_exchange("d", spec)
    assert isinstance(exchange, DelayedExchange)
    return exchange


class Stage:
    """A client, and a delayed exchange "d" with a queue "q" that gets everything."""

    def __init__(self, kind: str = "fanout") -> None:
        self.world = World()
        self.client: Client = self.world.client()
        self.client.open()
        self.declare("d", "x-delayed-message", {"x-delayed-type": kind})
        self.client.declare("q")
        self.bind("q", "d", "k")

    @property
    def exchange(self) -> DelayedExchange:
        found = self.world.vhost.exchange("d")
        assert isinstance(found, DelayedExchange)
        return found

    def declare(self, name: str, kind: str, arguments: dict[str, object] | None = None) -> None:
        self.client.call(
            1,
            commands.Exchange.Declare,
            commands.Exchange.DeclareOk,
            exchange=name,
            exchange_type=kind,
            arguments=arguments or {},
        )

    def bind(self, queue: str, exchange: str, key: str = "") -> None:
        ends = {"queue": queue, "exchange": exchange, "routing_key": key}
        self.client.call(1, commands.Queue.Bind, commands.Queue.BindOk, **ends)

    def publish(self, body: bytes, delay: object = None, key: str = "k", exchange: str = "d", **more: object) -> None:
        properties = EMPTY_PROPERTIES if delay is None else delayed(delay, **more)
        self.client.publish(1, exchange, key, body, properties)

    def contents(self, queue: str = "q") -> list[Content]:
        """Take everything out of a queue."""
        taken: list[Content] = []
        while True:
            self.client.send(1, commands.Basic.Get, queue=queue, no_ack=True)
            (_, item), *_ = self.client.received()
            if not isinstance(item, Content):
                return taken
            taken.append(item)

    def bodies(self, queue: str = "q") -> list[bytes]:
        return [content.body for content in self.contents(queue)]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_message_waits_for_as_long_as_its_header_says(stage: Stage) -> None:
    stage.publish(b"1", 5000)
    stage.world.advance(4.999)
    assert stage.bodies() == []
    assert stage.exchange.held_count == 1
    stage.world.advance(0.001)
    assert stage.bodies() == [b"1"]
    assert stage.exchange.held_count == 0


def test_the_shorter_delay_comes_first(stage: Stage) -> None:
    stage.publish(b"long", 5000)
    stage.publish(b"short", 1000)
    stage.world.advance(1)
    assert stage.bodies() == [b"short"]
    stage.world.advance(4)
    assert stage.bodies() == [b"long"]


def test_a_consumer_sees_the_delay_negated_and_all_else_as_it_was(stage: Stage) -> None:
    stage.publish(b"1", 1000, other="kept", key="key")
    stage.world.advance(1)
    (content,) = stage.contents()
    assert content.properties == delayed(-1000, other="kept")
    assert (content.method.exchange, content.method.routing_key) == ("d", "key")


@pytest.mark.parametrize("delay", [None, 0, -5, -MAX_DELAY, MAX_DELAY + 1, "", "soon", "-5", True, {"a": 1}])
def test_without_a_delay_that_makes_sense_a_message_is_routed_at_once_and_stays_as_it_is(
    stage: Stage, delay: object
) -> None:
    stage.publish(b"1", delay)
    (content,) = stage.contents()
    assert content.properties == (EMPTY_PROPERTIES if delay is None else delayed(delay))


def test_a_void_header_is_no_delay() -> None:
    assert delay_of(delayed(None)) == 0


@pytest.mark.parametrize(
    ("value", "delay"),
    [
        (7, 7),
        (Field("l", MAX_DELAY), MAX_DELAY),
        (MAX_DELAY + 1, 0),
        ("1500", 1500),
        ("٣", 0),
        ("9" * 5000, 0),
        (1500.9, 1500),
        (float("inf"), 0),
        (float("nan"), 0),
        (Field("T", 5), 0),
        (b"5", 0),
    ],
)
def test_a_delay_is_a_number_from_1_to_the_longest_timer_of_erlang(value: object, delay: int) -> None:
    assert delay_of(delayed(value)) == delay


@pytest.mark.parametrize("tag", "bBsuIilL")
def test_a_delay_may_be_an_integer_of_any_width(tag: str) -> None:
    assert delay_of(delayed(Field(tag, 100))) == 100


def test_the_longest_delay_can_be_negated() -> None:
    told = no_longer_delayed(message(delayed(MAX_DELAY)))
    assert told.properties == delayed(-MAX_DELAY)


def test_the_longest_delay_is_kept(stage: Stage) -> None:
    stage.publish(b"1", MAX_DELAY)
    stage.world.advance(MAX_DELAY / 1000 - 1)
    assert stage.bodies() == []
    stage.world.advance(1)
    assert stage.bodies() == [b"1"]


class Arrivals(ReplyTaker):
    """What comes out of a delayed exchange, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.exchange = delayed_exchange("fanout", self.world)
        self.exchange.bind(ReplyQueue("q", "", self), "", EMPTY_TABLE)
        self.log: list[tuple[float, int]] = []

    def send(self, delay: int, number: int) -> None:
        self.world.vhost.forward(self.exchange, ["k"], message(delayed(delay), b"%d" % number))

    def take(self, message: Message) -> None:
        self.log.append((self.world.clock.monotonic(), int(message.body)))


STEPS = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 5000)), max_size=30)


@given(STEPS)
def test_messages_are_released_at_their_time_and_in_its_order(steps: list[tuple[int, int]]) -> None:
    """Each step: so many milliseconds pass, then a message comes that is to wait for so many."""
    arrivals = Arrivals()
    expected: list[tuple[int, int]] = []
    now = 0
    for number, (pause, delay) in enumerate(steps):
        arrivals.world.advance(pause / 1000)
        now += pause
        arrivals.send(delay, number)
        expected.append((now + delay, number))
    arrivals.world.advance(10)
    assert [number for _, number in arrivals.log] == [number for _, number in sorted(expected)]
    assert [moment for moment, _ in arrivals.log] == pytest.approx([moment / 1000 for moment, _ in sorted(expected)])
    assert arrivals.exchange.held_count == 0


@given(STEPS)
@example([(0, 235), (0, 1417)])  # 0.235 + (1.417 - 0.235) is less than 1.417
def test_there_is_one_timer_for_the_earliest_message(steps: list[tuple[int, int]]) -> None:
    arrivals = Arrivals()
    clock, timers = arrivals.world.clock, arrivals.world.timers
    delays = [delay for _, delay in steps]
    for number, delay in enumerate(delays):
        arrivals.send(delay, number)
        assert timers.next_deadline() == pytest.approx(min(delays[: number + 1]) / 1000)
    runs = 0
    while (deadline := timers.next_deadline()) is not None:
        clock.advance(deadline - clock.monotonic())
        runs += timers.run_due()
    assert runs == len(set(delays))


def test_deleting_the_exchange_drops_what_it_holds(stage: Stage) -> None:
    exchange = stage.exchange
    others = stage.world.timers.next_deadline()
    stage.publish(b"1", 1000)
    assert stage.world.timers.next_deadline() == 1.0
    stage.client.call(1, commands.Exchange.Delete, commands.Exchange.DeleteOk, exchange="d")
    stage.declare("d", "x-delayed-message", {"x-delayed-type": "fanout"})
    stage.bind("q", "d")
    assert exchange.held_count == 0
    assert stage.world.timers.next_deadline() == others
    stage.world.advance(2)
    assert stage.bodies() == []


def test_what_a_transaction_publishes_waits_from_the_commit_on(stage: Stage) -> None:
    stage.client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    stage.publish(b"1", 1000)
    stage.world.advance(10)
    stage.client.call(1, commands.Tx.Commit, commands.Tx.CommitOk)
    stage.world.advance(0.9)
    assert stage.bodies() == []
    stage.world.advance(0.1)
    assert stage.bodies() == [b"1"]


def test_what_a_transaction_takes_back_never_comes(stage: Stage) -> None:
    stage.client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    stage.publish(b"1", 1000)
    stage.client.call(1, commands.Tx.Rollback, commands.Tx.RollbackOk)
    stage.world.advance(2)
    assert stage.bodies() == []


def test_an_exchange_deleted_before_the_commit_holds_nothing(stage: Stage) -> None:
    exchange = stage.exchange
    stage.client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    stage.publish(b"1", 1000)
    stage.client.call(1, commands.Exchange.Delete, commands.Exchange.DeleteOk, exchange="d")
    stage.client.call(1, commands.Tx.Commit, commands.Tx.CommitOk)
    assert exchange.held_count == 0


def test_mandatory_has_nothing_to_say_about_a_delayed_message(stage: Stage) -> None:
    stage.client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    stage.client.publish(1, "d", "k", b"1", delayed(1000), mandatory=True)
    stage.client.receive_one(1, commands.Basic.Ack)


def test_the_alternate_exchange_gets_what_finds_no_queue_when_its_time_has_come(stage: Stage) -> None:
    stage.declare("d2", "x-delayed-message", {"x-delayed-type": "direct", "alternate-exchange": "amq.fanout"})
    stage.bind("q", "amq.fanout")
    stage.publish(b"1", 1000, exchange="d2")
    assert stage.bodies() == []
    stage.world.advance(1)
    assert stage.bodies() == [b"1"]


def test_the_route_is_the_one_of_the_moment_of_release(stage: Stage) -> None:
    stage.publish(b"1", 1000)
    stage.client.declare("late")
    stage.bind("late", "d")
    stage.client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue="q")
    stage.world.advance(1)
    assert stage.bodies("late") == [b"1"]


def test_copies_go_where_they_are_to_go_blind_ones_unseen() -> None:
    stage = Stage("direct")
    for queue in ("cc", "bcc"):
        stage.client.declare(queue)
        stage.bind(queue, "d", queue)
    stage.publish(b"1", 1000, CC=["cc"], BCC=["bcc"])
    stage.world.advance(1)
    for queue in ("q", "cc", "bcc"):
        (content,) = stage.contents(queue)
        assert content.properties == delayed(-1000, CC=["cc"])


def test_a_message_is_delayed_once_on_its_way(stage: Stage) -> None:
    """The second exchange sees a negative delay."""
    stage.declare("first", "x-delayed-message", {"x-delayed-type": "fanout"})
    ends = {"source": "first", "destination": "d", "routing_key": ""}
    stage.client.call(1, commands.Exchange.Bind, commands.Exchange.BindOk, **ends)
    stage.publish(b"1", 1000, exchange="first")
    stage.world.advance(1)
    assert stage.bodies() == [b"1"]


def test_behind_a_fanout_only_the_delayed_branch_waits(stage: Stage) -> None:
    ends = {"source": "amq.fanout", "destination": "d", "routing_key": ""}
    stage.client.call(1, commands.Exchange.Bind, commands.Exchange.BindOk, **ends)
    stage.client.declare("now")
    stage.bind("now", "amq.fanout")
    stage.publish(b"1", 1000, exchange="amq.fanout")
    stage.publish(b"2", 1000, exchange="amq.fanout")
    assert stage.bodies("now") == [b"1", b"2"]
    assert stage.bodies() == []
    stage.world.advance(1)
    assert stage.bodies() == [b"1", b"2"]


def test_a_message_released_into_a_cycle_comes_once(stage: Stage) -> None:
    stage.declare("back", "fanout")
    for source, destination in (("d", "back"), ("back", "d")):
        ends = {"source": source, "destination": destination, "routing_key": ""}
        stage.client.call(1, commands.Exchange.Bind, commands.Exchange.BindOk, **ends)
    stage.publish(b"1", 1000)
    stage.world.advance(5)
    assert stage.bodies() == [b"1"]


@pytest.mark.parametrize("kind", sorted(IMMEDIATE_TYPES))
def test_every_other_type_can_be_delayed(kind: str) -> None:
    world = World()
    exchange = delayed_exchange(kind, world)
    queue = world.vhost.create_queue("q", QueueSpec(False, None, False, EMPTY_TABLE))
    key = {"x-consistent-hash": "1", "x-local-random": ""}.get(kind, "k")
    world.vhost.bind(exchange, queue, key, EMPTY_TABLE)
    world.vhost.forward(exchange, [key], message(delayed(1000), key=key))
    assert queue.message_count == 0
    world.advance(1)
    assert queue.message_count == 1


def test_bindings_are_checked_by_the_inner_type() -> None:
    exchange = delayed_exchange("x-consistent-hash", World())
    queue = World().vhost.create_queue("q", QueueSpec(False, None, False, EMPTY_TABLE))
    with pytest.raises(PreconditionFailed) as refused:
        exchange.bind(queue, "0", EMPTY_TABLE)
    assert refused.value.explanation == "The binding key must be greater than 0"
    assert exchange.binding_count == 0


def test_arguments_are_checked_by_the_inner_type() -> None:
    arguments = Table.of({"x-delayed-type": "x-consistent-hash", "hash-property": "foo"})
    with pytest.raises(PreconditionFailed) as refused:
        DelayedExchange.validate(arguments)
    assert refused.value.explanation == "Unsupported property: foo"


@pytest.mark.parametrize("kind", [None, "", "bogus", 1, b"direct", "x-delayed-message"])
def test_another_type_is_refused(stage: Stage, kind: object) -> None:
    arguments = {} if kind is None else {"x-delayed-type": kind}
    declaration = {"exchange": "d2", "exchange_type": "x-delayed-message", "arguments": arguments}
    stage.client.send(1, commands.Exchange.Declare, **declaration)
    text = "Invalid argument, 'x-delayed-type' must be an existing exchange type"
    assert stage.client.channel_closed() == (406, f"PRECONDITION_FAILED - {text}")


def test_the_result_depends_on_more_than_keys() -> None:
    assert not DelayedExchange.by_key
