"""A program about streams on both brokers, step by step, each compared with the model and replies with each other.

Rule: what may live here is the lockstep and the judgement; what ought to happen, model.py says.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from interop.differential.link import Silence
from interop.differential.program import Program, Step
from interop.differential.streams.known import KNOWN, Reply
from interop.differential.streams.model import Exchange, Reader, Record, Stream, World
from interop.differential.streams.side import COMMITS, CONFIRMS, CONTROL, Delivered, StreamSide

PATIENCE_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.02
ALL: Final = 1000  # a prefetch that is never used up
OWN: Final = ("Y", 1)  # for a consumer of the step's own


class Differs(Exception):
    """Something is not as it ought to be."""


@dataclass
class Outcome:
    """What became of a program."""

    difference: str | None = None
    place: int = 0
    allowed: set[str] = field(default_factory=set)


class StreamPair:
    """amqpd and RabbitMQ, and what they ought to do.

    Args:
        amqpd: amqpd.
        rabbitmq: RabbitMQ.
    """

    def __init__(self, amqpd: StreamSide, rabbitmq: StreamSide) -> None:
        self.sides = (amqpd, rabbitmq)
        self._amqpd, self._rabbitmq = amqpd, rabbitmq
        self._runs = 0
        self._name = uuid.uuid4().hex[:4]
        self._world = World()
        self._allowed: set[str] = set()

    def close(self) -> None:
        """Close every connection."""
        for side in self.sides:
            side.close()

    def run(self, program: Program) -> Outcome:
        """Run a program on both, and delete what it has declared."""
        self._runs += 1
        self._world, self._allowed = World(), set()
        for side in self.sides:
            side.begin(f"{self._name}{self._runs}_")
        outcome = Outcome(allowed=self._allowed)
        try:
            for outcome.place, step in enumerate(program):
                self._step(step)
                self._settle()
        except (Differs, Silence) as error:
            outcome.difference = f"step {outcome.place}: {error}"
        self._clean_up()
        return outcome

    def _clean_up(self) -> None:
        for side in self.sides:
            side.close()
            for queue in self._world.streams:
                side.request(CONTROL, "queue.delete", queue=queue)
            for exchange in self._world.exchanges:
                side.request(CONTROL, "exchange.delete", exchange=exchange)
            side.close()

    # Steps.

    def _step(self, step: Step) -> None:
        """Run a step.

        Raises:
            Differs: it does not bring about what it ought to.
        """
        values = dict(step.values)
        match step.method.partition("."):
            case ("exchange", _, _):
                self._declare_exchange(step, values)
            case ("queue", _, method):
                self._on_queue(method, step, values)
            case ("basic", _, "consume"):
                self._consume(step, **values)
            case ("basic", _, "cancel"):
                self._cancel(step, values)
            case ("end", _, _):
                self._end(step)
            case ("refused", _, _):
                self._misuse(step, **values)
            case _:
                self._own_steps[step.method](**values)

    @property
    def _own_steps(self) -> dict[str, Callable[..., None]]:
        """The steps that are no methods, and whose replies are not compared."""
        return {
            "publish": self._publish,
            "ack": self._acknowledge,
            "give_back": self._give_back,
            "scan": self._scan,
            "wait": self._wait,
        }

    def _on_queue(self, method: str, step: Step, values: dict[str, Any]) -> None:
        if method == "declare":
            self._declare(step, values["queue"], values)
        elif method == "delete":
            self._delete(step, values)
        else:
            self._bind(step, values)

    def _declare_exchange(self, step: Step, values: dict[str, Any]) -> None:
        self._both(step, values)
        self._world.exchanges.setdefault(values["exchange"], Exchange(values["type"]))

    def _both(self, step: Step, values: dict[str, Any], method: str = "") -> Reply:
        """A request whose replies are compared; returns amqpd's."""
        replies = [side.request(CONTROL, method or step.method, **values) for side in self.sides]
        self._compare(step, *replies)
        return replies[0]

    def _compare(self, step: Step, amqpd: Reply, rabbitmq: Reply) -> None:
        if amqpd == rabbitmq:
            return
        for known in KNOWN:
            if known.explains(step, amqpd, rabbitmq):
                self._allowed.add(known.name)
                return
        raise Differs(f"{step}\n  amqpd    {amqpd}\n  rabbitmq {rabbitmq}")

    def _declare(self, step: Step, queue: str, values: dict[str, Any]) -> None:
        if queue not in self._world.streams and values.get("arguments", {}).get("x-queue-type") != "stream":
            return
        replies = [side.request(CONTROL, "queue.declare", **values) for side in self.sides]
        for reply in replies:
            reply[1].pop("message_count", None)  # RabbitMQ looks at it every 5 seconds
        declared = [reply[0] == "queue.declare_ok" for reply in replies]
        known = self._world.streams.get(queue)
        if known is None and any(declared):
            self._world.streams[queue] = Stream(values["arguments"])  # also if one only has it: it is to be deleted
        self._compare(step, *replies)
        if known is None and declared == [False, True]:
            del self._world.streams[queue]
            self._rabbitmq.request(CONTROL, "queue.delete", queue=queue)

    def _bind(self, step: Step, values: dict[str, Any]) -> None:
        if values["queue"] not in self._world.streams or values["exchange"] not in self._world.exchanges:
            return
        bindings = self._world.exchanges[values["exchange"]].bindings
        binding = values["routing_key"], values["queue"]
        self._both(step, values)
        if step.method == "queue.bind":
            bindings.add(binding)
        else:
            bindings.discard(binding)

    def _delete(self, step: Step, values: dict[str, Any]) -> None:
        if values["queue"] not in self._world.streams:
            return
        self._both(step, values)
        tags = self._world.delete(values["queue"])
        self._until(
            lambda: all(side.delivered[tag].cancelled for side in self.sides for tag in tags),
            lambda: f"{step}: who is told {[(s.name, t, s.delivered[t].cancelled) for s in self.sides for t in tags]}",
        )
        for side in self.sides:
            for tag in tags:
                del side.delivered[tag]

    def _publish(
        self, exchange: str, routing_key: str, messages: list[dict[str, Any]], start: int, size: int, commit: bool
    ) -> None:
        """A batch: confirmed, or committed, as a whole. Those that go nowhere come back."""
        if exchange and exchange not in self._world.exchanges:
            return
        place = COMMITS if commit else CONFIRMS
        bodies = [f"{number} ".ljust(size, ".") for number in range(start, start + len(messages))]
        for side in self.sides:
            side.prepare_to_publish(place)
        begun = time.time()
        values = {"exchange": exchange, "routing_key": routing_key, "mandatory": True}
        for side in self.sides:
            for body, properties in zip(bodies, messages, strict=True):
                side.publish(place, values, properties, body)
        for side in self.sides:
            if commit:
                side.request(COMMITS, "tx.commit")
            else:
                side.wait_for_confirms()
        self._note_records(exchange, routing_key, list(zip(bodies, messages, strict=True)), begun)

    def _note_records(self, exchange: str, key: str, published: list[tuple[str, dict[str, Any]]], begun: float) -> None:
        ended = time.time()
        found: dict[str, list[Record]] = {}
        returned = []
        for body, properties in published:
            headers = properties.get("headers", {})
            keys = [key, *headers.get("CC", []), *headers.get("BCC", [])]
            streams = self._world.routed(exchange, keys)
            for stream in streams:
                found.setdefault(stream, []).append(Record(body, exchange, key, properties))
            if not streams:
                returned.append(body)
        for stream, records in found.items():
            self._world.streams[stream].append(records, begun, ended)
        for side in self.sides:
            if side.returned != returned:
                raise Differs(f"{side.name} returned {side.returned} instead of {returned}")
            side.returned = []

    def _consume(self, step: Step, queue: str, consumer_tag: str, offset: Any, prefetch: int) -> None:
        stream = self._world.streams.get(queue)
        if stream is None or stream.retains or consumer_tag in self._world.readers:
            return
        found = self._start(stream, offset)
        if found is None:
            return
        argument, start, earliest = found
        place = step.link, step.channel
        replies = []
        for side in self.sides:
            side.request(place, "basic.qos", prefetch_count=prefetch)
            arguments = {} if argument is None else {"x-stream-offset": argument}
            replies.append(side.consume(place, consumer_tag, queue=queue, arguments=arguments))
        if replies[0] != replies[1] or replies[0][0] != "basic.consume_ok":
            raise Differs(f"{step}: {replies}")
        self._world.readers[consumer_tag] = Reader(queue, stream, start, earliest, prefetch)

    def _start(self, stream: Stream, offset: Any) -> tuple[Any, int, int] | None:
        """The argument, where amqpd starts, and where RabbitMQ may; None if such a time cannot be named."""
        end = len(stream.records)
        match offset:
            case None | "next":
                return offset, end, end
            case "last":
                return offset, max(end - 1, 0), stream.batch_of(end - 1)[0] if end else 0
            case ("before batch", number):
                second = stream.second_before(number)
                start = stream.batches[number].first if second is not None else 0
                return None if second is None else (("T", second), start, start)
            case ("since batch", number):
                age = stream.age_before(number, time.time())
                start = stream.batches[number].first if age is not None else 0
                return None if age is None else (f"{age}s", start, start)
            case ("T", second):
                start = 0 if second < time.time() else end
                return offset, start, start
            case str():  # "first", and intervals that reach far back
                return offset, 0, 0
        number = offset[1] if isinstance(offset, tuple) else offset
        return offset, max(number, 0), max(number, 0)

    def _acknowledge(self, consumer_tag: str, place: int, multiple: bool) -> None:
        reader = self._world.readers.get(consumer_tag)
        if reader is None or not reader.unacked:
            return
        unacked = reader.unacked
        index = unacked[min(place, len(unacked) - 1)]
        if multiple and self._is_alone(consumer_tag):
            reader.acked |= {one for one in unacked if one <= index}
        else:
            multiple = False
            reader.acked.add(index)
        for side in self.sides:
            begin = self._begin(side, consumer_tag)
            delivery = side.delivered[consumer_tag].deliveries[index - begin]
            side.acknowledge(consumer_tag, delivery.tag, multiple)

    def _is_alone(self, tag: str) -> bool:
        places = [delivered.place for delivered in self._amqpd.delivered.values()]
        return places.count(self._amqpd.delivered[tag].place) == 1

    def _cancel(self, step: Step, values: dict[str, Any]) -> None:
        tag = values["consumer_tag"]
        if tag not in self._world.readers:
            return
        place = self._amqpd.delivered[tag].place
        self._compare(step, *[side.request(place, "basic.cancel", consumer_tag=tag) for side in self.sides])
        del self._world.readers[tag]
        for side in self.sides:
            del side.delivered[tag]

    def _end(self, step: Step) -> None:
        for side in self.sides:
            side.end((step.link, step.channel))
        self._world.readers = {tag: one for tag, one in self._world.readers.items() if tag in self._amqpd.delivered}

    def _misuse(self, step: Step, method: str, qos: list[tuple[int, bool]], values: dict[str, Any]) -> None:
        """Something that may be refused, on a connection that it may cost."""
        if values["queue"] not in self._world.streams:
            return
        for side in self.sides:
            side.end((CONTROL[0], 0))
            for count, of_channel in qos:
                side.request(CONTROL, "basic.qos", prefetch_count=count, global_=of_channel)
        replies = [side.request(CONTROL, method, **values) for side in self.sides]
        for side, reply in zip(self.sides, replies, strict=True):
            if reply[0] == "basic.consume_ok":
                reply[1] = {}  # with a tag that the broker made up
                side.end((CONTROL[0], 0))
        self._compare(step, *replies)
        for side in self.sides:
            side.stray.clear()

    def _give_back(self, queue: str, how: str, count: int, requeue: bool) -> None:
        """Settle deliveries otherwise than by acknowledging: credit in amqpd, an error in RabbitMQ 3.10."""
        stream = self._world.streams.get(queue)
        if stream is None or stream.retains or not stream.records:
            return
        there = len(stream.records)
        self._amqpd.request(OWN, "basic.qos", prefetch_count=count)
        self._amqpd.consume(OWN, "own", queue=queue, arguments={"x-stream-offset": "first"})
        own = self._amqpd.delivered["own"].deliveries
        self._until(lambda: len(own) >= min(count, there), lambda: f"amqpd delivered {len(own)} of {count}")
        if how == "basic.recover":
            self._amqpd.request(OWN, how, requeue=True)
        else:
            self._amqpd.refuse(OWN, how, own[min(count, there) - 1].tag, requeue)
        given_back = 1 if how == "basic.reject" else min(count, there)
        expected = min(count + given_back, there)
        self._until(lambda: len(own) >= expected, lambda: f"amqpd after {how}: {len(own)} instead of {expected}")
        self._amqpd.ask()
        self._check_deliveries(self._amqpd, "own", Delivered(OWN, own), stream, 0, expected, expected)
        self._amqpd.end((OWN[0], 0))
        self._allowed.add("nack and recover of streams")

    def _scan(self, queue: str) -> None:
        """Read a stream from the first record that it has kept to the last."""
        stream = self._world.streams.get(queue)
        if stream is None or not stream.records:
            return
        if stream.retains:
            # A batch larger than the limit is dropped as a whole by RabbitMQ. A small record in the next segment stays.
            self._publish("", queue, [{}], len(stream.records), len("marker"), False)
        kept = []
        for side in self.sides:
            side.request(OWN, "basic.qos", prefetch_count=ALL)
            side.consume(OWN, "own", queue=queue, arguments={"x-stream-offset": "first"})
            kept.append(self._scanned(side, stream))
            side.end((OWN[0], 0))
        if kept[0] != kept[1]:
            self._allowed.add("room that records take")

    def _scanned(self, side: StreamSide, stream: Stream) -> int:
        own = side.delivered["own"].deliveries
        last = stream.records[-1].body
        self._until(
            lambda: bool(own) and own[-1].body == last, lambda: f"{side.name} has not {last!r}, but {len(own)} others"
        )
        side.ask()
        first = len(stream.records) - len(own)
        bodies = [record.body for record in stream.records[first:]]
        if [delivery.body for delivery in own] != bodies:
            raise Differs(f"{side.name} kept {[delivery.body for delivery in own]}, not the end of what was written")
        self._check_room(side, stream, bodies)
        offsets = [delivery.properties["headers"]["x-stream-offset"][1] for delivery in own]
        exact = list(range(first, len(stream.records)))
        if offsets != exact if side is self._amqpd else offsets != sorted(set(offsets)) or offsets[0] < first:
            raise Differs(f"{side.name} has offsets {offsets}, {first} were dropped")
        return len(own)

    def _check_room(self, side: StreamSide, stream: Stream, kept: list[str]) -> None:
        """What is kept is the limit, more or less a segment, a batch and what records take beside their bodies."""
        limit: int = stream.arguments.get("x-max-length-bytes", 1 << 40)
        segment: int = stream.arguments.get("x-stream-max-segment-size-bytes", 500_000_000)
        sizes = [len(record.body) for record in stream.records]
        batches = [stream.batch_of(batch.first) for batch in stream.batches]
        batch = max(sum(sizes[first:end]) + 200 * (end - first) for first, end in batches)
        room = sum(map(len, kept))
        most, least = limit + segment + batch, limit - segment - batch - 200 * len(kept)
        if room > most or (len(kept) < len(sizes) and room < least):
            raise Differs(f"{side.name} kept {room} octets of bodies: not between {least} and {most}")

    def _wait(self, milliseconds: int) -> None:
        end = time.monotonic() + milliseconds / 1000
        while (left := end - time.monotonic()) > 0:
            for side in self.sides:
                side.read(min(left, 0.05))

    # Deliveries.

    def _settle(self) -> None:
        """Wait until every reader has what it must have, and see that it has nothing else."""
        self._until(lambda: not self._missing(), lambda: "not delivered: " + ", ".join(self._missing()))
        for side in self.sides:
            side.ask()
            if side.stray:
                raise Differs(f"{side.name}: {side.stray}")
        for side, tag, reader in self._everybody():
            begin = self._begin(side, tag)
            latest = reader.end if side is self._amqpd else reader.latest_end
            delivered = side.delivered[tag]
            self._check_deliveries(side, tag, delivered, reader.stream, begin, reader.end, latest)

    def _missing(self) -> list[str]:
        missing = []
        for side, tag, reader in self._everybody():
            begin = self._begin(side, tag)
            self._acknowledge_early(side, tag, reader, begin)
            there = begin + len(side.delivered[tag].deliveries)
            if there < reader.end:
                missing.append(f"{side.name} {tag} {there} to {reader.end}")
        return missing

    def _everybody(self) -> Iterator[tuple[StreamSide, str, Reader]]:
        for side in self.sides:
            for tag, reader in self._world.readers.items():
                yield side, tag, reader

    def _begin(self, side: StreamSide, tag: str) -> int:
        """The record that a reader began with: RabbitMQ decides, within its chunk."""
        reader = self._world.readers[tag]
        deliveries = side.delivered[tag].deliveries
        if side is self._amqpd or not deliveries:
            return reader.start
        offset: int = deliveries[0].properties["headers"]["x-stream-offset"][1]
        if not reader.earliest <= offset <= reader.start:
            raise Differs(f"{side.name} {tag} starts at {offset}, not between {reader.earliest} and {reader.start}")
        if offset < reader.start:
            self._allowed.add("last chunk")
        return offset

    @staticmethod
    def _acknowledge_early(side: StreamSide, tag: str, reader: Reader, begin: int) -> None:
        """What only RabbitMQ delivers, before the reader's start, is not to cost credit."""
        for delivery in side.delivered[tag].deliveries[: reader.start - begin]:
            if delivery.tag:
                side.acknowledge(tag, delivery.tag, False)
                delivery.tag = 0

    def _check_deliveries(
        self, side: StreamSide, tag: str, delivered: Delivered, stream: Stream, begin: int, end: int, latest: int
    ) -> None:
        """What a consumer has: from the begin to the end or, at most, the latest end."""
        there = begin + len(delivered.deliveries)
        if there > latest:
            raise Differs(f"{side.name} {tag} has been given {begin} to {there}, beyond {latest}")
        if there > end:
            self._allowed.add("credit by chunks")
        for index, delivery in enumerate(delivered.deliveries, begin):
            record = stream.records[index]
            found = delivery.values, delivery.properties, delivery.body
            values = {"redelivered": False, "exchange": record.exchange, "routing_key": record.routing_key}
            expected = values, self._expected(side, record, index), record.body
            if found != expected:
                raise Differs(f"{side.name} {tag}, record {index}:\n  got      {found}\n  expected {expected}")

    def _expected(self, side: StreamSide, record: Record, index: int) -> dict[str, Any]:
        """The properties of a delivery."""
        properties = dict(record.properties)
        headers = {name: value for name, value in properties.get("headers", {}).items() if name != "BCC"}
        if side is self._rabbitmq:
            kept = {name: value for name, value in headers.items() if not isinstance(value, dict | list)}
            if properties.pop("cluster_id", None) is not None or kept != headers:
                self._allowed.add("lost on the way")
            headers = kept
        return properties | {"headers": headers | {"x-stream-offset": ("l", index)}}

    def _until(self, done: Any, what: Any) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise Differs(what())
            for side in self.sides:
                side.read(POLL_SECONDS)
