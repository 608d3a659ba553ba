"""A run of the crash test: kill, restart, and in the end see what is left."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path
from typing import Final

from interop.durability.clients import declare, drain, work
from interop.durability.ledger import Ledger
from interop.durability.streams import StreamLedger, check_stream, declare_stream, stream_work
from interop.durability.victim import Victim

LONGEST_LIFE: Final = 1.0  # seconds between readiness and kill
LONGEST_START: Final = 0.4  # a kill that comes before readiness comes after at most so many seconds
UNREADY: Final = 0.1  # share of kills that come before
PUBLISHERS: Final = 3


class Campaign:
    """One run.

    Args:
        kills: how often the broker is killed.
        seed: another one, another run (what the broker does in between is not repeatable).
        command: of the broker; empty for AMQPD_COMMAND, or the one of this checkout.
    """

    def __init__(self, kills: int, seed: int, command: str = "") -> None:
        self.ledger = Ledger()
        self.stream = StreamLedger()
        self._kills = kills
        self._rng = random.Random(seed)
        self._command = command
        self._longest = 0.0
        self._seconds = 0.0
        self._version = ""

    @property
    def faults(self) -> list[str]:
        """What must not be; of many the first."""
        lost = self.ledger.lost()
        texts = [f"lost: {number} of {self.ledger.published[number]}" for number in lost[:20]]
        return [*self.ledger.faults, *self.stream.faults, *texts]

    def run(self) -> None:
        """Kill, drain, stop, and look again.

        Raises:
            RuntimeError: the broker does not start, or not stop.
        """
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="amqpd-durability-") as home:
            victim = Victim(Path(home), self._command)
            self._version = victim.version
            try:
                self._run(victim)
            finally:
                victim.kill()
        self._longest = victim.longest
        self._seconds = time.monotonic() - begun

    def _run(self, victim: Victim) -> None:
        self._start(victim)
        asyncio.run(declare(victim.port))
        asyncio.run(declare_stream(victim.port))
        for number in range(self._kills):
            if self._rng.random() < UNREADY:
                victim.kill()
                victim.begin()
                time.sleep(self._rng.random() * LONGEST_START)
                victim.kill()
            else:
                if number > 0:
                    self._start(victim)
                    asyncio.run(check_stream(victim.port, self.stream))
                asyncio.run(self._live(victim))
        for _ in range(2):  # what was drained stays away
            victim.kill()
            self._start(victim)
            asyncio.run(check_stream(victim.port, self.stream))
            asyncio.run(drain(victim.port, self.ledger))
            victim.stop()
            if self.ledger.lost():
                return
            self.ledger.safe |= self.ledger.acknowledged
            self.ledger.moved.clear()

    def _start(self, victim: Victim) -> None:
        victim.kill()
        victim.begin()
        victim.wait_until_ready()
        self.ledger.new_session()

    async def _live(self, victim: Victim) -> None:
        """Let clients work, and kill the broker at a random moment."""
        dying: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        clients = [
            asyncio.create_task(work(victim.port, self.ledger, self._rng, PUBLISHERS, dying)),
            asyncio.create_task(stream_work(victim.port, self.stream, self._rng, dying)),
        ]
        await asyncio.sleep(self._rng.random() * LONGEST_LIFE)
        victim.kill()
        dying.set_result(None)
        await asyncio.gather(*clients)

    def table(self) -> str:
        """The numbers, aligned."""
        ledger = self.ledger
        rows = [
            ("kills", f"{self._kills:,}"),
            ("published", f"{len(ledger.published):,}"),
            ("confirmed", f"{len(ledger.confirmed):,}"),
            ("acknowledged", f"{len(ledger.acknowledged):,}"),
            ("redelivered", f"{ledger.redelivered:,}"),
            ("duplicates", f"{ledger.duplicates:,}"),
            ("lost", f"{len(ledger.lost()):,}"),
            ("stream: published", f"{self.stream.published:,}"),
            ("confirmed", f"{len(self.stream.confirmed):,}"),
            ("removed", f"{self.stream.first:,}"),
            ("delivered", f"{self.stream.delivered:,}"),
            ("cursor: again", f"{self.stream.again:,}"),
            ("other faults", f"{len(ledger.faults) + len(self.stream.faults):,}"),
            ("longest restart", f"{self._longest * 1000:,.0f} ms"),
            ("time", f"{self._seconds:,.0f} s"),
        ]
        return "\n".join([self._version, *(f"{name:<18}{value:>14}" for name, value in rows)])
