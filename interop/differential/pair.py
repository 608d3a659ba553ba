"""A program on both brokers, step by step.

Rule: what may live here is the lockstep: send to both, wait until both have answered everything, compare, and give what
is on its way inside a broker time to arrive. amqpd has done all that a step brings about when it answers; RabbitMQ's
processes may not, so both are asked again until they agree or the patience ends. It is answers that are awaited, and
no nap is taken but where a program says so because something is to happen by itself.
"""

from __future__ import annotations

import copy
import select
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from interop.differential.allowed import ALLOWED, Ending, Rewrite
from interop.differential.channel import Observation
from interop.differential.link import Silence
from interop.differential.program import WAIT, Program, Step
from interop.differential.side import Side

# What a RabbitMQ needs to have the exchange types that programs use.
PLUGINS: Final = (
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_sharding",
)
ANSWER_SECONDS: Final = 10.0
ROUNDS: Final = 2  # asking for counts overtakes messages in RabbitMQ's queues, but not twice
POLL_SECONDS: Final = 0.01


@dataclass
class Difference:
    """Where the brokers part."""

    place: int
    step: Step
    amqpd: Observation
    rabbitmq: Observation

    @property
    def kind(self) -> str:
        """What differs, coarsely: shrinking must not end at something else."""
        parts = sorted({name.split(" ")[0] for name in self.amqpd.keys() | self.rabbitmq.keys()})
        return f"{self.step.method}: {', '.join(parts)}"

    def __str__(self) -> str:
        lines = [f"step {self.place}: {self.step}"]
        for name in sorted(self.amqpd.keys() | self.rabbitmq.keys()):
            lines.append(f"  {name}")
            lines += [f"    amqpd    {self.amqpd.get(name)}", f"    rabbitmq {self.rabbitmq.get(name)}"]
        return "\n".join(lines)


@dataclass
class Outcome:
    """What became of a program."""

    difference: Difference | None = None
    allowed: set[str] = field(default_factory=set)
    steps: int = 0


class Pair:
    """amqpd and RabbitMQ.

    Args:
        amqpd: amqpd.
        rabbitmq: RabbitMQ.
        patience: seconds to wait for the two to agree.
    """

    def __init__(self, amqpd: Side, rabbitmq: Side, patience: float = 2.0) -> None:
        self.sides = (amqpd, rabbitmq)
        self.patience = patience
        self._runs = 0
        self._name = uuid.uuid4().hex[:4]  # brokers that run already may have seen other pairs
        self._program: Program = []

    def run(self, program: Program) -> Outcome:
        """Run a program on both, and leave both as they were before."""
        self._runs += 1
        self._program = program
        for side in self.sides:
            side.begin(f"{self._name}{self._runs}_")
        outcome = Outcome()
        try:
            self._run(program, outcome)
            self._clean_up(program)
        except Silence as error:
            last = program[min(outcome.steps, len(program) - 1)]
            outcome.difference = Difference(outcome.steps, last, {"silence": str(error)}, {})
            self.close()
        return outcome

    def close(self) -> None:
        """Close every connection."""
        for side in self.sides:
            side.close()

    def _run(self, program: Program, outcome: Outcome) -> None:
        for place, steps in _groups(program):
            self._step(steps, place, outcome)
            outcome.steps += len(steps)
            if outcome.difference or self._ended(outcome):
                return
        self._finish(len(program), outcome)

    def _step(self, steps: Program, place: int, outcome: Outcome) -> None:
        """Steps that are sent together."""
        for side in self.sides:
            side.begin_step()
        for step in steps:
            if step.method == WAIT:
                self._pass_time(step.values["milliseconds"] / 1000)
                continue
            for side in self.sides:
                side.send(step)
        self._compare(place, steps[-1], outcome)

    def _finish(self, place: int, outcome: Outcome) -> None:
        """Give everything unsettled back to the queues, and see what is in them."""
        for link, number in sorted(self.sides[0].open_channels()):
            self._step([Step(link, number, "channel.close", {"reply_code": 200})], place, outcome)
            if outcome.difference is not None:
                return
        for queue in self.sides[0].queues:
            for side in self.sides:
                side.begin_step()
            self._pass_time(max(step.values.get("milliseconds", 0) for step in self._program) / 1000)
            for side in self.sides:
                side.drain(queue)
            self._compare(place, Step("Z", 0, "drain", {"queue": queue}), outcome)
            if outcome.difference is not None:
                return

    def _clean_up(self, program: Program) -> None:
        for side in self.sides:
            side.begin_step()
            for link, number in side.open_channels():
                side.send(Step(link, number, "channel.close", {"reply_code": 200}))
        self._settle()
        for side in self.sides:
            side.delete_own()
        self._settle()
        for side in self.sides:
            self._delete_all(side, program)

    def _delete_all(self, side: Side, program: Program) -> None:
        """Delete until nothing is refused: what still belongs to another connection goes when that is closed."""
        deadline = time.monotonic() + ANSWER_SECONDS
        side.delete_all(program)
        self._settle()
        while not side.tidy:
            if time.monotonic() > deadline:
                raise Silence(f"{side.name} does not let everything be deleted")
            side.close()
            side.delete_all(program)
            self._settle()

    @staticmethod
    def _ended(outcome: Outcome) -> bool:
        return any(isinstance(one, Ending) and one.name in outcome.allowed for one in ALLOWED)

    def _compare(self, place: int, step: Step, outcome: Outcome) -> None:
        """Wait until both agree on what the step brought about, or note that they do not."""
        deadline = time.monotonic() + self.patience
        self._settle()
        for _ in range(ROUNDS):
            self._ask()
        while True:
            seen = [side.observation() for side in self.sides]
            if seen[0] == seen[1]:
                return
            used = self._rewrite(seen)
            if seen[0] == seen[1]:
                outcome.allowed |= used
                return
            if time.monotonic() > deadline:
                break
            self._read(POLL_SECONDS)
            self._ask()
        self._judge(Difference(place, step, *_parted(*seen)), outcome, seen)

    def _judge(self, difference: Difference, outcome: Outcome, seen: list[Observation]) -> None:
        so_far = [step for step in (*self._program[: difference.place], difference.step) if step.method != WAIT]
        for one in ALLOWED:
            if isinstance(one, Ending) and one.recognise(so_far, seen[0], seen[1]):
                outcome.allowed.add(one.name)
                return
        outcome.difference = difference

    def _rewrite(self, seen: list[Observation]) -> set[str]:
        """Take out allowed differences until both are the same; returns the names of those that were there."""
        used: set[str] = set()
        for number, side_seen in enumerate(seen):
            seen[number] = copy.deepcopy(side_seen)
        for one in ALLOWED:
            changed = [one.change(side_seen, self._program) for side_seen in seen if isinstance(one, Rewrite)]
            if any(changed):
                used.add(one.name)
            if seen[0] == seen[1]:
                break
        return used

    def _pass_time(self, seconds: float) -> None:
        """Read for so long, and ask nothing: being asked for is use, which keeps a queue alive."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def _ask(self) -> None:
        for side in self.sides:
            side.ask()
        self._settle()

    def _settle(self) -> None:
        """Read until every question is answered."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while any(side.waiting for side in self.sides):
            if time.monotonic() > deadline:
                silent = ", ".join(side.name for side in self.sides if side.waiting)
                raise Silence(f"{silent} does not answer")
            self._read(1.0)

    def _read(self, seconds: float) -> None:
        links = [link for side in self.sides for link in side.links]
        readable, _, _ = select.select(links, [], [], seconds)
        for link in readable:
            link.read()
        for side in self.sides:
            side.absorb()


def _groups(program: Program) -> Iterator[tuple[int, Program]]:
    """Steps that are sent together, with the place of the last."""
    group: Program = []
    for place, step in enumerate(program):
        group.append(step)
        last = place == len(program) - 1
        if last or not step.unawaited or program[place + 1].place != step.place:
            yield place, group
            group = []


def _parted(amqpd: Observation, rabbitmq: Observation) -> tuple[Observation, Observation]:
    """What is not the same in both."""
    names = [name for name in amqpd.keys() | rabbitmq.keys() if amqpd.get(name) != rabbitmq.get(name)]
    return {n: amqpd[n] for n in names if n in amqpd}, {n: rabbitmq[n] for n in names if n in rabbitmq}
