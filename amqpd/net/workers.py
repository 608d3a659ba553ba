"""Threads for what takes too long: the check of passwords that are hashed with bcrypt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from amqpd.broker.context import Context
from amqpd.protocol.workers import Workers

# bcrypt gives up the interpreter's lock while it works. More would take the processor away from everything else.
MOST_THREADS: Final = 2


class ThreadWorkers(Workers):
    """Work on threads of its own, which are made when there is some.

    Args:
        context: whose turn is finished after each work.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._pool: ThreadPoolExecutor | None = None

    def run(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(MOST_THREADS, "login")

        def finished(future: Future[None]) -> None:
            if not future.cancelled() and not loop.is_closed():
                loop.call_soon_threadsafe(self._done, done)

        self._pool.submit(work).add_done_callback(finished)

    def stop(self) -> None:
        """End the threads, after what they are doing; what has not begun is not done."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _done(self, done: Callable[[], None]) -> None:
        done()
        self._context.turn.finish()
