"""The smallest program that still shows the difference.

Rule: what may live here makes programs smaller and asks whether they still fail; how they are run is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from interop.differential.program import Program, Step

# Without it, 3.10 has other rules for quorum queues (J28, J30); a program without "queue" is about another queue.
NEEDED: Final = frozenset({"x-delivery-limit", "queue", "milliseconds"})


def shrink(program: Program, still_fails: Callable[[Program], bool]) -> Program:
    """Leave out steps, then arguments, as long as the program still fails.

    Args:
        program: a program that fails.
        still_fails: runs a candidate.
    """
    program = without_steps(program, still_fails)
    program = _with_less(program, still_fails)
    return without_steps(program, still_fails)


def without_steps(program: Program, still_fails: Callable[[Program], bool]) -> Program:
    """Leave out steps only."""
    size = max(len(program) // 2, 1)
    while size:
        end = len(program)
        while end > 0:
            candidate = program[: max(end - size, 0)] + program[end:]
            if candidate and still_fails(candidate):
                program = candidate
            end = min(end - size, len(program))
        size //= 2
    return program


def _with_less(program: Program, still_fails: Callable[[Program], bool]) -> Program:
    for place in range(len(program)):
        progress = True
        while progress:
            progress = False
            for step in _smaller(program[place]):
                candidate = [*program[:place], step, *program[place + 1 :]]
                if still_fails(candidate):
                    program, progress = candidate, True
                    break
    return program


def _smaller(step: Step) -> Iterator[Step]:
    if step.unawaited:
        yield replace(step, unawaited=False)
    for values in _fewer(step.values):
        yield replace(step, values=values)


def _fewer(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same without one entry, here or further inside."""
    for name, value in values.items():
        if name in NEEDED:
            continue
        yield {other: kept for other, kept in values.items() if other != name}
        if isinstance(value, dict):
            for smaller in _fewer(value):
                yield values | {name: smaller}
