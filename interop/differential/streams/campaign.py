"""Many programs about streams: which to run, and the table at the end.

Rule: what may live here counts and reports; running is the pair's.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field

from interop.differential.program import Program, script
from interop.differential.shrink import without_steps
from interop.differential.streams.generate import program
from interop.differential.streams.pair import StreamPair


@dataclass
class StreamCampaign:
    """Runs programs and keeps the books.

    Args:
        pair: the brokers.
        shrinks: whether a failing program is made smaller before it is reported.
    """

    pair: StreamPair
    shrinks: bool = True
    failures: list[str] = field(default_factory=list)
    unrepeatable: list[str] = field(default_factory=list)
    programs: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    allowed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def run_many(self, seed: str, count: int, most_failures: int) -> None:
        """Run the programs of a seed, until so many have failed."""
        for number in range(count):
            self.run(f"{seed}:{number}", program(f"{seed}:{number}"))
            if len(self.failures) >= most_failures:
                return

    def run(self, name: str, steps: Program) -> None:
        """Run a program; report it if something is not as it ought to be."""
        started = time.monotonic()
        outcome = self.pair.run(steps)
        self.seconds += time.monotonic() - started
        self.programs += 1
        self.steps.update(step.method for step in steps)
        self.allowed.update(outcome.allowed)
        if outcome.difference is None:
            return
        if self.pair.run(steps).difference is None:
            self.unrepeatable.append(f"# {name}, not when repeated: {outcome.difference}")
            print(self.unrepeatable[-1], flush=True)
            return
        if self.shrinks:
            like = _kind(outcome.difference)
            steps = without_steps(steps[: outcome.place + 1], lambda less: self._fails_alike(less, like))
        difference = self.pair.run(steps).difference or outcome.difference
        self.failures.append(f"# {name}\n{script(steps)}# {difference}".replace("\n  ", "\n#   ") + "\n")
        print(self.failures[-1], flush=True)

    def _fails_alike(self, steps: Program, like: str) -> bool:
        difference = self.pair.run(steps).difference
        return difference is not None and _kind(difference) == like

    def summary(self) -> str:
        """The table at the end."""
        lines = [
            f"{self.programs} programs, {self.steps.total()} steps in {self.seconds:.0f} s",
            f"{len(self.failures)} differ, {len(self.unrepeatable)} differed once but not again",
            "",
            *(f"{count:8} {method}" for method, count in self.steps.most_common()),
            "",
            "differences that are allowed (known.py), by programs:",
            *(f"{count:8} {name}" for name, count in self.allowed.most_common()),
        ]
        return "\n".join(lines)


def _kind(difference: str) -> str:
    """A difference without its numbers and names: shrinking must not end at something else."""
    first = re.sub(r"^step \d+: ", "", difference.partition("\n")[0])
    return re.sub(r"\d+|'[^']*'|\(.*\)", "", first)[:30]
