"""The processes of a run, from their start to their end."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Final, cast

from amqpd.bench.client.pace import NS
from amqpd.bench.faults import BenchError
from amqpd.bench.plan import Plan, shares
from amqpd.bench.samples import Begin, Failed, Phase, Ready, Sample, Stop
from amqpd.bench.sockets import nanoseconds
from amqpd.bench.totals import Totals
from amqpd.bench.worker import work
from amqpd.clock import Clock

BEGIN_AFTER: Final = 0.05  # seconds, so that every process has been told before the first message is due
LOOK_SECONDS: Final = 0.25
SHOW_SECONDS: Final = 0.5  # in so many every process has told something
LEAVE_SECONDS: Final = 10.0
STALLED_SECONDS: Final = 10.0  # a run of so many messages has failed when nothing has moved for so long


class Fleet:
    """The processes.

    Args:
        plan: of the run.
        clock: of the machine, which the processes have in common.
        show: called several times a second while it runs.
    """

    def __init__(self, plan: Plan, clock: Clock, show: Callable[[Totals, float], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._show = show
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._working = 0
        self._fault: str | None = None
        self._interrupted = False
        self.totals = Totals(0)

    def run(self) -> Totals:
        """Do the run. Ctrl-C ends it early; what was measured until then counts.

        Raises:
            BenchError: it cannot start or go on.
        """
        try:
            self._start()
            self._run_until_done()
        except KeyboardInterrupt:
            self._interrupted = True
        finally:
            self._stop()
        if self._fault is not None:
            raise BenchError(self._fault)
        return self.totals

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        for share in shares(self._plan):
            here, there = context.Pipe()
            process = context.Process(target=work, args=(share, there), daemon=True, name=f"bench {share.number}")
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)
        self.totals = Totals(len(self._pipes))
        ready = 0
        while ready < len(self._pipes) and self._fault is None:
            ready += sum(isinstance(message, Ready) for message in self._take(None))

    def _run_until_done(self) -> None:
        begin = nanoseconds(self._clock) + int(BEGIN_AFTER * NS)
        self._tell(Begin(begin))
        self._working = len(self._pipes)
        moved_at = self._clock.monotonic()
        moved = self.totals.counts
        shown_at = moved_at
        while self._working and self._fault is None:
            self._take(LOOK_SECONDS)
            now = self._clock.monotonic()
            if now - shown_at >= SHOW_SECONDS:
                self._show(self.totals, now - begin / NS)
                shown_at = now
            if self.totals.counts != moved:
                moved, moved_at = self.totals.counts, now
            if self._plan.count and (self._all_arrived() or now - moved_at > STALLED_SECONDS):
                return

    def _all_arrived(self) -> bool:
        plan, counts = self._plan, self.totals.counts
        if plan.publishers and counts.published < plan.count:
            return False
        if plan.window and counts.waiting:
            return False
        return not plan.consumers or counts.delivered >= plan.count * plan.copies

    def _take(self, seconds: float | None) -> list[object]:
        """What has come from the processes, or comes within so many seconds."""
        messages: list[object] = []
        open_pipes = [pipe for pipe in self._pipes if not pipe.closed]
        for pipe in cast("list[Connection]", wait(open_pipes, seconds)):
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                pipe.close()
                self._fault = self._fault or "A process of the benchmark ended: look whether memory ran out."
                continue
            messages.append(message)
            self._heed(self._pipes.index(pipe), message)
        return messages

    def _heed(self, worker: int, message: object) -> None:
        if isinstance(message, Sample):
            self.totals.add(worker, message)
            self._working -= message.phase is Phase.DONE
        elif isinstance(message, Failed):
            self._fault = self._fault or message.sentence

    def _tell(self, message: object) -> None:
        for pipe in self._pipes:
            if not pipe.closed:
                try:
                    pipe.send(message)
                except OSError:
                    pipe.close()

    def _stop(self) -> None:
        fault, self._fault = self._fault, None
        self._tell(Stop())
        deadline = self._clock.monotonic() + LEAVE_SECONDS
        while any(not pipe.closed for pipe in self._pipes) and self._clock.monotonic() < deadline:
            self._take(LOOK_SECONDS)
        for process in self._processes:
            process.join(0.1)
            if process.is_alive():
                process.kill()
        self._fault = fault
