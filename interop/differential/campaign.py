"""Many programs: which to run, what to make of a failure, and the table at the end.

Rule: what may live here counts and reports; running is the pair's.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from interop.differential.generate import program
from interop.differential.pair import Outcome, Pair
from interop.differential.program import Program, script
from interop.differential.shrink import shrink

SHRINKING_PATIENCE: Final = 0.5  # seconds
PROGRESS_EVERY: Final = 100


@dataclass
class Campaign:
    """Runs programs and keeps the books.

    Args:
        pair: the brokers.
        shrinks: whether a failing program is made smaller before it is reported.
    """

    pair: Pair
    shrinks: bool = True
    failures: list[str] = field(default_factory=list)
    unrepeatable: list[str] = field(default_factory=list)
    programs: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    allowed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def run_many(self, seed: str, count: int, most_failures: int) -> None:
        """Run the programs of a seed, until so many have failed."""
        for number in range(count):
            self.run(f"{seed}:{number}", program(f"{seed}:{number}"))
            if len(self.failures) >= most_failures:
                return
            if (number + 1) % PROGRESS_EVERY == 0:
                rate = self.programs / self.seconds
                print(f"{number + 1} programs, {len(self.failures)} differ, {rate:.0f} a second", file=sys.stderr)

    def run(self, name: str, steps: Program) -> None:
        """Run a program; report it if the brokers differ."""
        started = time.monotonic()
        outcome = self.pair.run(steps)
        self.seconds += time.monotonic() - started
        self.programs += 1
        self.methods.update(step.method for step in steps)
        self.allowed.update(outcome.allowed)
        if outcome.difference is not None:
            self._report(name, steps, outcome)

    def _report(self, name: str, steps: Program, outcome: Outcome) -> None:
        again = self.pair.run(steps)
        if again.difference is None:
            self.unrepeatable.append(f"# {name}, not when repeated: {outcome.difference}")
            print(self.unrepeatable[-1], flush=True)
            return
        if self.shrinks:
            steps = self._shrunk(steps, again)
        self.failures.append(f"# {name}\n{script(steps)}# {_commented(str(self.pair.run(steps).difference))}\n")
        print(self.failures[-1], flush=True)

    def _shrunk(self, steps: Program, outcome: Outcome) -> Program:
        assert outcome.difference is not None
        kind = outcome.difference.kind
        patience, self.pair.patience = self.pair.patience, SHRINKING_PATIENCE

        def still_fails(candidate: Program) -> bool:
            difference = self.pair.run(candidate).difference
            return difference is not None and difference.kind == kind

        try:
            return shrink(steps, still_fails)
        finally:
            self.pair.patience = patience

    def summary(self) -> str:
        """The table at the end."""
        lines = [
            f"{self.programs} programs, {self.methods.total()} steps in {self.seconds:.0f} s",
            f"{len(self.failures)} differ, {len(self.unrepeatable)} differed once but not again",
            "",
            *(f"{count:8} {method}" for method, count in self.methods.most_common()),
            "",
            "differences that are allowed (allowed.py), by programs:",
            *(f"{count:8} {name}" for name, count in self.allowed.most_common()),
        ]
        return "\n".join(lines)


def _commented(text: str) -> str:
    return text.replace("\n", "\n# ")
