"""A program: steps as data, and as a script that people read and `--replay` runs.

Rule: what may live here is what a program *is*. A step is one method on one channel, written as a call:

    A1 queue.declare(queue='@q1', durable=True, arguments={'x-max-length': 2})
    A1 basic.publish(routing_key='@q1', body='m1') &
    A1 basic.publish(routing_key='@q1', body='m2')
    B2 basic.get(queue='@q1')
    B2 basic.nack(unacked=0, requeue=True)

Connection and channel come first; both are opened when they are not, so that no step is in vain after an error. `@`
stands for what makes the names of this run unique, `$1` for the first name that the broker made up. `unacked=0` is the
delivery tag of the oldest unsettled delivery on the channel (-1: the newest); the step is left out if there is none.
`&` at the end: the next step is sent at once, without waiting for what this one brings about.

Two steps are no methods: `A0 drop()` closes the socket without a word, `A1 wait(milliseconds=50)` lets time pass.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any, Final

DROP: Final = "drop"
WAIT: Final = "wait"


@dataclass(frozen=True)
class Step:
    """One method.

    Args:
        link: name of the connection, one capital letter.
        channel: number of the channel, 0 for connection.close.
        method: its name.
        values: its arguments that are not zero; for basic.publish with `properties` and `body`.
        unawaited: the next step follows at once.
    """

    link: str
    channel: int
    method: str
    values: dict[str, Any] = field(default_factory=dict)
    unawaited: bool = False

    @property
    def place(self) -> str:
        """Connection and channel as the script has them."""
        return f"{self.link}{self.channel}"

    def __str__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"{self.place} {self.method}({values}){' &' if self.unawaited else ''}"


Program = list[Step]


def script(program: Program) -> str:
    """The program as text, which parse() takes."""
    return "".join(f"{step}\n" for step in program)


def parse(text: str) -> Program:
    """The program that a script describes; empty lines and lines that start with # do not count.

    Raises:
        ValueError: a line is no step.
    """
    lines = [line.strip() for line in text.splitlines()]
    return [_parse_step(line) for line in lines if line and not line.startswith("#")]


def _parse_step(line: str) -> Step:
    place, _, call = line.partition(" ")
    unawaited = call.endswith("&")
    try:
        node = ast.parse(call.rstrip("& "), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"no step: {line}") from error
    if not isinstance(node, ast.Call) or not place[1:].isdigit():
        raise ValueError(f"no step: {line}")
    values = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
    return Step(place[0], int(place[1:]), ast.unparse(node.func), values, unawaited)
