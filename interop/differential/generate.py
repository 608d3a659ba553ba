"""Programs out of random numbers.

Rule: what may live here decides what is tried, and knows only roughly what a broker would answer. A program has a few
queues and exchanges with random arguments, and then steps that use them. What is left out: docs/compatibility.md.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, Final

from interop.differential import arguments
from interop.differential.known import KnownChannel, KnownQueue
from interop.differential.program import DROP, WAIT, Program, Step

HIGHEST_NORMAL_PRIORITY: Final = 4  # above it 4.0's quorum queues have a second level, 3.10's have none
KEYS: Final = ("a", "b", "a.b", "a.b.c", "", "#", "x y")
PATTERNS: Final = ("a", "b", "a.*", "#", "*.b", "a.#", "#.c", "*", "a.*.c", "")
WEIGHTS: Final = ("1", "2", "10", "1", "2", "10", "0", "-1", "abc", "1.5", "+3", "")
EXPIRY: Final = 60  # milliseconds without use after which the brief queue goes
WAITING: Final = 120  # milliseconds in which a message that has arguments.SHORT left has gone its way to the end
BUILT_IN: Final = ("amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match")


class Author:
    """Writes one program.

    Args:
        seed: the same seed, the same program.
    """

    def __init__(self, seed: int | str) -> None:
        self._random = Random(seed)
        self._steps: Program = []
        self._queues: list[KnownQueue] = []
        self._exchanges: dict[str, dict[str, Any]] = {}
        self._channels = [KnownChannel("A", 1), KnownChannel("A", 2), KnownChannel("B", 1)]
        self._quorum = self._chance(0.3)
        self._mortal = self._chance(0.05)  # messages expire while it runs, so time has to pass after each step
        # What dies in the first queue goes to one that gets nothing else: the order of several would be open.
        self._dead = KnownQueue("@dead", {}) if self._chance(0.4) else None
        self._only: dict[str, str] = {}  # exchanges that scatter, and where alone they lead
        self._bodies = 0
        self._tags = 0
        self._bindings: list[tuple[KnownChannel, str, dict[str, Any]]] = []

    def write(self) -> Program:
        """The program."""
        self._set_up()
        for _ in range(self._random.randint(8, 22)):
            self._act()
            if self._mortal:
                self._wait()
        return self._steps

    # Choices.

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _channel(self) -> KnownChannel:
        return self._random.choices(self._channels, (6, 3, 3))[0]

    def _queue(self) -> KnownQueue:
        return self._random.choice(self._queues)

    def _source(self) -> KnownQueue:
        """A queue to take messages from."""
        return self._dead if self._dead and self._chance(0.2) else self._queue()

    def _exchange(self) -> str:
        if self._exchanges and self._chance(0.9):
            return self._random.choice(list(self._exchanges))
        return self._random.choice(BUILT_IN)

    def _step(self, channel: KnownChannel, method: str, unawaited: bool = False, **values: Any) -> None:
        values = {name: value for name, value in values.items() if value is not False and value != {}}
        self._steps.append(Step(channel.link, channel.number, method, values, unawaited))

    def _wait(self) -> None:
        """Let time pass after the last step, before its effect is looked at."""
        last = self._steps[-1]
        if last.method != WAIT:
            self._steps[-1] = replace(last, unawaited=True)
            self._steps.append(Step(last.link, last.channel, WAIT, {"milliseconds": WAITING}))

    # The beginning.

    def _set_up(self) -> None:
        if self._dead:
            self._step(self._channels[2], "queue.declare", queue=self._dead.name)
        for number in range(1, self._random.choices((1, 2, 3), (3, 5, 2))[0] + 1):
            self._declare_queue(f"@q{number}")
        for number in range(1, self._random.choices((0, 1, 2, 3), (3, 4, 3, 2))[0] + 1):
            self._declare_exchange(f"@e{number}")
        for _ in range(len(self._exchanges) * 2):
            self._bind()
        for channel in self._channels:
            self._choose_mode(channel)

    def _declare_queue(self, name: str) -> None:
        channel = self._channel()
        values = arguments.queue(self._random, [queue.name for queue in self._queues] + [name], self._quorum)
        if self._mortal and self._chance(0.5):
            values.setdefault("arguments", {})["x-message-ttl"] = arguments.SHORT
        if self._dead and not self._queues:
            letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": self._dead.name}
            values["arguments"] = values.get("arguments", {}) | letters
            values["arguments"].pop("x-queue-mode", None)
        self._queues.append(KnownQueue(name, values, channel.link if values.get("exclusive") else ""))
        self._step(channel, "queue.declare", queue=name, **values)

    def _declare_exchange(self, name: str) -> None:
        self._exchanges[name] = self._declare_some_exchange(name)

    def _declare_some_exchange(self, name: str) -> dict[str, Any]:
        values = arguments.exchange(self._random)
        if values["type"] in arguments.SCATTERING:
            self._only.setdefault(name, "")
        self._step(self._channel(), "exchange.declare", exchange=name, **values)
        return values

    def _choose_mode(self, channel: KnownChannel) -> None:
        channel.mode = self._random.choices(("plain", "confirm", "tx"), (0 if self._quorum else 3, 5, 2))[0]
        if channel.mode != "plain":
            self._step(channel, f"{channel.mode}.select")

    # Everything after it.

    def _act(self) -> None:
        action = self._random.choices([action for action, _ in ACTIONS], [weight for _, weight in ACTIONS])[0]
        action(self)

    def _publish(self) -> None:
        channel = self._channel()
        last = self._random.choices((1, 2, 3, 5), (5, 3, 2, 1))[0]
        # What a consumer on this channel has got of it already when one of them closes the channel, nobody knows.
        if channel.tags or any(queue.refuses_late or queue.by_priority or queue.buries for queue in self._queues):
            last = 1
        if any(queue.hurried for queue in self._queues):
            if channel.mode == "tx":
                return
            last = 1
        for number in range(1, last + 1):
            self._publish_one(channel, number < last)

    def _publish_one(self, channel: KnownChannel, unawaited: bool) -> None:
        if self._quorum:  # only a confirm says that a quorum queue has it; after an error the channel is a plain one
            self._step(channel, f"{channel.mode}.select", True)
        values: dict[str, Any] = {}
        if self._chance(0.6) or not self._exchanges:
            values["routing_key"] = self._queue().name if self._chance(0.95) else "@nobody"
        else:
            values["exchange"] = self._exchange()
            values["routing_key"] = self._random.choice(KEYS)
        self._bodies += 1
        body = f"m{self._bodies}" + "x" * self._random.choice((0, 0, 0, 8))
        properties = arguments.properties(self._random, [queue.name for queue in self._queues])
        if self._quorum and properties.get("priority", 0) > HIGHEST_NORMAL_PRIORITY:
            del properties["priority"]
        if self._mortal and self._chance(0.3):
            properties["expiration"] = str(arguments.SHORT)
        if any(queue.by_priority for queue in self._queues) and properties.get("expiration") in arguments.MORTAL:
            del properties["expiration"]
        if self._quorum and self._buries:
            # A copy to one quorum queue races against the dead letter that another makes of its own.
            headers = properties.get("headers", {})
            headers.pop("CC", None)
            headers.pop("BCC", None)
        mandatory = self._chance(0.25)
        self._step(channel, "basic.publish", unawaited, **values, mandatory=mandatory, properties=properties, body=body)

    def _consume(self) -> None:
        channel, queue = self._channel(), self._source()
        if channel.common_prefetch and channel.tags and queue.name not in channel.tags.values():
            return
        if self._buries and channel.used - {queue.name}:
            return
        if self._quorum and (channel.tags or channel.fetched):  # among them, quorum queues go by the consumers' tags
            return
        self._tags += 1
        tag = f"c{self._tags}"
        values = arguments.consumer(self._random, queue.quorum)
        channel.tags[tag] = queue.name
        channel.used.add(queue.name)
        self._step(channel, "basic.consume", queue=queue.name, consumer_tag=tag, **values)

    def _cancel(self) -> None:
        channel = self._channel()
        tag = self._random.choice(list(channel.tags) or ["nobody"])
        self._step(channel, "basic.cancel", consumer_tag=tag, nowait=self._chance(0.1))

    def _get(self) -> None:
        channel, queue = self._channel(), self._source()
        if (self._quorum and channel.tags) or (self._buries and channel.used - {queue.name}):
            return
        channel.used.add(queue.name)
        channel.fetched = True
        self._step(channel, "basic.get", queue=queue.name, no_ack=self._chance(0.3))

    def _ack(self) -> None:
        channel = self._channel()
        self._step(channel, "basic.ack", **self._which(channel, 0.3))

    def _nack(self) -> None:
        channel = self._channel()
        which = self._which(channel, 0.3)
        requeue = self._chance(0.6) and not (which.get("multiple") and self._limited)
        self._step(channel, "basic.nack", **which, requeue=requeue)

    def _reject(self) -> None:
        channel = self._channel()
        self._step(channel, "basic.reject", **self._which(channel, 0), requeue=self._chance(0.5))

    def _which(self, channel: KnownChannel, many: float) -> dict[str, Any]:
        multiple = self._chance(many) and not channel.mixed
        if multiple and self._chance(0.2):
            return {"delivery_tag": 0, "multiple": True}
        if self._chance(0.03):
            return {"delivery_tag": self._random.choice((0, 99))}
        return {"unacked": self._random.choice((0, 0, 1, -1)), "multiple": multiple}

    @property
    def _buries(self) -> bool:
        return any(queue.buries for queue in self._queues)

    @property
    def _limited(self) -> bool:
        """RabbitMQ requeues consumer by consumer, and what goes beyond a limit may leave in between."""
        return any("max-length" in name for queue in self._queues for name in queue.values.get("arguments", {}))

    def _recover(self) -> None:
        channel = self._channel()
        if not channel.mixed and not self._limited:
            method = self._random.choice(("basic.recover", "basic.recover", "basic.recover_async"))
            self._step(channel, method, requeue=True)

    def _qos(self) -> None:
        channel = self._channel()
        # What was fetched and not settled counts against a common prefetch that comes later, and never stops counting.
        common = self._chance(0.2) and not channel.mixed and not channel.fetched
        channel.common_prefetch |= common
        self._step(channel, "basic.qos", prefetch_count=self._random.choice((0, 1, 2, 3)), global_=common)

    def _declare(self) -> None:
        queue = self._queue()
        match self._random.choice(("passive", "same", "other", "new", "made up", "bad")):
            case "passive":
                name = queue.name if self._chance(0.9) else "@missing"
                self._step(self._channel(), "queue.declare", queue=name, passive=True)
            case "same":
                self._step(self._channel(), "queue.declare", queue=queue.name, **queue.values)
            case "other":
                values = arguments.altered(self._random, queue.values)
                self._step(self._channel(), "queue.declare", queue=queue.name, **values)
            case "new" if len(self._queues) < 4:
                self._declare_queue(f"@q{len(self._queues) + 1}")
            case "made up":
                values = {"exclusive": self._chance(0.5), "auto_delete": self._chance(0.3)}
                self._step(self._channel(), "queue.declare", queue="", **values)
            case "bad":
                values = arguments.bad_queue(self._random, self._quorum)
                self._step(self._channel(), "queue.declare", queue="@bad", **values)

    def _delete_queue(self) -> None:
        queue = self._queue()
        careful = self._chance(0.1 if queue.quorum else 0.5)  # those of quorum queues are refused
        conditions = {"if_unused": self._chance(0.5), "if_empty": self._chance(0.5)} if careful else {}
        self._step(self._channel(), "queue.delete", queue=queue.name, **conditions)

    def _purge(self) -> None:
        self._step(self._channel(), "queue.purge", queue=self._queue().name)

    def _change_exchange(self) -> None:
        name = self._exchange()
        match self._random.choice(("passive", "same", "other", "delete", "new")):
            case "passive":
                self._step(self._channel(), "exchange.declare", exchange=name, passive=True, type="direct")
            case "same" if name in self._exchanges:
                self._step(self._channel(), "exchange.declare", exchange=name, **self._exchanges[name])
            case "other":
                self._declare_some_exchange(name)
            case "delete":
                self._step(self._channel(), "exchange.delete", exchange=name, if_unused=self._chance(0.4))
            case "new" if len(self._exchanges) < 4:
                self._declare_exchange(f"@e{len(self._exchanges) + 1}")

    def _bind(self) -> None:
        source = self._exchange()
        kind = self._exchanges.get(source, {}).get("type")
        keys = WEIGHTS if kind == "x-consistent-hash" and self._chance(0.9) else PATTERNS
        values: dict[str, Any] = {"routing_key": self._random.choice(keys)}
        if kind == "headers" or self._chance(0.05):
            values["arguments"] = arguments.binding(self._random)
        destination = self._destination(source)
        if destination in self._exchanges:
            method, values = "exchange.bind", {"destination": destination, "source": source} | values
        else:
            method, values = "queue.bind", {"queue": destination, "exchange": source} | values
        channel = self._channel()
        self._bindings.append((channel, method, values))
        self._step(channel, method, **values)

    def _destination(self, source: str) -> str:
        """Where to bind to; a binding between built-in exchanges would stay."""
        queue = not self._exchanges or self._chance(0.75)
        destination = self._queue().name if queue else self._random.choice(list(self._exchanges))
        if source in self._only:
            destination = self._only[source] = self._only[source] or destination
        return destination

    def _unbind(self) -> None:
        if not self._bindings:
            return
        channel, method, values = self._random.choice(self._bindings)
        source = values.get("source", values.get("exchange"))
        others = [one for one in self._bindings if source in (one[2].get("source"), one[2].get("exchange"))]
        if source not in self._only or len(others) == 1:  # RabbitMQ's hash ring forgets a queue with its first binding
            self._step(channel, method.replace("bind", "unbind"), **values)

    def _end_transaction(self) -> None:
        channels = [channel for channel in self._channels if channel.mode == "tx"]
        if channels:
            method = self._random.choice(("tx.commit", "tx.commit", "tx.rollback"))
            self._step(self._random.choice(channels), method)

    def _close(self) -> None:
        channel = self._channel()
        whole = self._chance(0.35) and not self._shares(channel)
        for other in self._channels:
            if other is channel or (whole and other.link == channel.link):
                other.tags.clear()
                other.used.clear()
                other.mode = "confirm" if self._quorum else "plain"
                other.common_prefetch = False
        if whole:
            self._steps.append(Step(channel.link, 0, self._random.choice(("connection.close", DROP))))
            self._wait()
        else:
            self._step(channel, "channel.close", reply_code=200)
            self._choose_mode(channel)

    def _declare_brief_queue(self) -> None:
        """A queue that goes by itself when nobody uses it, with what is in it and what is bound to it.

        It is a classic one: RabbitMQ looks only every 5 seconds whether a quorum queue's time is over.
        """
        channel, name, tag = self._channel(), "@brief", "brief"
        values = {"x-expires": EXPIRY, "x-dead-letter-exchange": "amq.fanout"}
        self._step(channel, "queue.declare", True, queue=name, arguments=values)
        self._step(channel, "queue.bind", True, queue=name, exchange=self._exchange(), routing_key="1")
        if self._chance(0.4):
            # Awaited: a cancel right behind can make RabbitMQ 3.10 fail with 541.
            self._step(channel, "basic.consume", queue=name, consumer_tag=tag)
            self._step(channel, "basic.cancel", True, consumer_tag=tag)
        self._step(channel, "basic.publish", routing_key=name, body="lost")
        self._wait()

    def _err(self) -> None:
        method, values = self._random.choice(arguments.MISTAKES)
        channel = self._channel()
        if not self._shares(channel):
            self._step(channel, method, **values)

    def _shares(self, channel: KnownChannel) -> bool:
        """Whether two channels of the connection use one queue: when it ends, they get each other's messages.

        So they do with two queues, where what one gives back dies and is dead-lettered to the other.
        """
        used = [other.used for other in self._channels if other.link == channel.link and other.used]
        return len(used) > 1 and (self._buries or len(set.union(*used)) < sum(map(len, used)))


ACTIONS: Final = (
    (Author._publish, 30),
    (Author._consume, 9),
    (Author._cancel, 3),
    (Author._get, 9),
    (Author._ack, 9),
    (Author._nack, 6),
    (Author._reject, 5),
    (Author._recover, 2),
    (Author._qos, 3),
    (Author._declare, 5),
    (Author._delete_queue, 2),
    (Author._purge, 2),
    (Author._change_exchange, 2),
    (Author._bind, 3),
    (Author._unbind, 2),
    (Author._end_transaction, 5),
    (Author._close, 3),
    (Author._declare_brief_queue, 0.5),
    (Author._err, 1),
)


def program(seed: int | str) -> Program:
    """The program of a seed."""
    return Author(seed).write()
