"""Accepting: from a listening socket to one that somebody serves, with patience for whoever comes and for itself.

The event loop's own servers accept as long as anybody comes, and take it badly when the process may open no more
files: uvloop's drops those who come, asyncio's complains a hundred times a second, and none are left for the broker's
own.

Rule: what may live here concerns sockets until their first octets. What is spoken on them is not known here.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable
from typing import Final

from amqpd.broker.context import Context
from amqpd.logs import WARNING, event
from amqpd.net.gate import Arrival, Gate

# So many are accepted before those who are here get their turn.
ACCEPTS_PER_PASS: Final = 64
# Accepting stops when only so many files may be opened yet, or a quarter of all: the log's segments and the catalog
# need some.
RESERVE: Final = 64
# After so many seconds it is tried again.
RETRY: Final = 0.25
# What the log says of one reason to stop accepting, it says once in so many seconds.
SILENCE: Final = 10.0
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

NO_FILES: Final = "the process may open no more files: raise the limit (ulimit -n)"


class Acceptor:
    """Accepts on one listening socket.

    Args:
        listener: bound and listening.
        serve: called with each socket that was accepted. The socket is its from then on.
        gate: where it is an arrival.
        files: how many files the process may open.
        context: its timers bring the acceptor back to work.
        logger: is told when accepting stops.
    """

    def __init__(
        self,
        listener: socket.socket,
        serve: Callable[[socket.socket, Arrival], None],
        gate: Gate,
        files: int,
        context: Context,
        logger: logging.Logger,
    ) -> None:
        self._listener = listener
        self._serve = serve
        self._gate = gate
        self._highest = files - min(RESERVE, files // 4)
        self._context = context
        self._logger = logger
        self._loop = asyncio.get_running_loop()
        self._silent_until: dict[str, float] = {}
        self._closed = False
        listener.setblocking(False)
        self._loop.add_reader(listener.fileno(), self._accept_some)

    def close(self) -> None:
        """Accept no more, and let go of the port."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()

    def _accept_some(self) -> None:
        wait = self._gate.make_room()
        if wait > 0:
            self._pause(self._gate.complaint, min(wait, RETRY))
            return
        for _ in range(ACCEPTS_PER_PASS):
            # When the gate is full, the loop calls again if somebody else is there: nobody has to go for no one.
            if not self._accept_one() or self._gate.full:
                return

    def _accept_one(self) -> bool:
        """Accept one; False if nobody is there, or nobody can be taken now."""
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            self._pause(NO_FILES, RETRY)
            return False
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Without it a peer's confirms, and every TLS handshake, wait for delayed acknowledgements of TCP.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = sock.fileno()  # the lowest that was free: a high one means that so many files are open
        self._serve(sock, self._gate.enter())
        if number >= self._highest:
            self._pause(NO_FILES, RETRY)
            return False
        return True

    def _pause(self, reason: str, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._context.timers.call_later(seconds, self._resume)
        now = self._context.clock.monotonic()
        if now >= self._silent_until.get(reason, now):
            self._silent_until[reason] = now + SILENCE
            event(self._logger, WARNING, "accept.paused", reason=reason, arrivals=len(self._gate))

    def _resume(self) -> None:
        if self._closed:
            return
        if self._files_are_short():
            self._context.timers.call_later(RETRY, self._resume)
        else:
            self._loop.add_reader(self._listener.fileno(), self._accept_some)

    def _files_are_short(self) -> bool:
        try:
            number = os.dup(self._listener.fileno())
        except OSError:
            return True
        os.close(number)
        return number >= self._highest
