"""The control socket: commands to a running broker, from whoever may write into its data directory.

One JSON object a line, such as ``{"command": "stream.cursors", "arguments": {}}``, is answered with ``{"ok": ...}`` or
``{"error": "one sentence"}``, one after the other. What changes something is answered when the change is kept.

Rule: what may live here moves lines and waits. What the commands are is the matter of commands.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from amqpd.broker.context import Context
from amqpd.clock import Timer
from amqpd.log.commit import Waiter
from amqpd.logs import ERROR, WARNING, event
from amqpd.net.commands import CommandError, Done
from amqpd.net.control_address import CONTROL_SOCKET, address_in

LONGEST_REQUEST: Final = 1024 * 1024  # octets
MOST_PEERS: Final = 32
# Who has not sent a whole request, or not taken the answer, after so many seconds must make room for others.
PATIENCE: Final = 30.0
BACKLOG: Final = 16
MODE: Final = 0o600  # the file system decides who may
TOO_MANY: Final = "Too many commands are under way; try again in a moment."

Execute = Callable[[object], Done]


class ControlSocket:
    """The socket of one broker; there is none before start() and after stop().

    Args:
        context: of the broker.
        execute: does what a request asks for.
        logger: for what goes wrong.
    """

    def __init__(self, context: Context, execute: Execute, logger: logging.Logger) -> None:
        self.context = context
        self.execute = execute
        self.logger = logger
        self.peers: set[Peer] = set()
        self.stopped = False
        self._server: asyncio.AbstractServer | None = None
        self._directory: Path | None = None

    async def start(self, directory: Path) -> None:
        """Take commands. A broker to which this cannot be opened serves all the same, and says so in its log.

        Args:
            directory: whose lock this process has: what stands at the socket's place is from a broker that was killed.
        """
        if not hasattr(socket, "AF_UNIX"):
            return
        try:
            sock = bind(directory)
        except OSError as error:
            event(self.logger, WARNING, "control.unavailable", directory=str(directory), error=str(error))
            return
        self._directory = directory
        self._server = await asyncio.get_running_loop().create_unix_server(self._peer, sock=sock)

    def stop(self) -> None:
        """Take no more commands, and drop those under way."""
        if self._server is None or self._directory is None:
            return
        with contextlib.suppress(OSError):  # it may be gone together with the directory
            (self._directory / CONTROL_SOCKET).unlink()
        self._server.close()
        self._server = None
        self.stopped = True
        for peer in list(self.peers):
            peer.abort()

    def _peer(self) -> Peer:
        return Peer(self)


class Peer(asyncio.Protocol):
    """Somebody who gives commands: one at a time, and none while the answers are not taken."""

    def __init__(self, control: ControlSocket) -> None:
        self._control = control
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._waits = False  # a change is not kept yet
        self._full = False  # answers are not taken
        self.ended = False  # nothing more will be asked
        self._refused = False  # nothing more will be answered
        self._patience: Timer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are Transports in everything but the base class, so no isinstance here.
        self._transport = cast(asyncio.Transport, transport)
        if self._control.stopped:  # it was accepted just before
            self.abort()
            return
        self._be_patient()
        if len(self._control.peers) >= MOST_PEERS:
            self._refuse(TOO_MANY)
        else:
            self._control.peers.add(self)

    def connection_lost(self, reason: Exception | None) -> None:
        self._transport = None
        self._control.peers.discard(self)
        self._stop_patience()

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            self._received += data
            self._go_on()

    def eof_received(self) -> bool:
        self.ended = True
        if self._refused or not (self._waits or self._full):
            return False
        self._be_patient()  # it may have said all and wait for answers, or be gone: that looks the same
        return True

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._go_on()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def kept(self, answer: object) -> None:
        """What the last command changed is kept."""
        self._waits = False
        if self._transport is not None and not self._transport.is_closing():
            self._answer({"ok": answer})
            self._be_patient()
            self._go_on()

    def _go_on(self) -> None:
        """Do what was asked for, as far as that is possible now."""
        if self._refused or self._transport is None or self._transport.is_closing():
            return
        while not (self._waits or self._full):
            line, end, rest = self._received.partition(b"\n")
            if len(line) > LONGEST_REQUEST:
                self._refuse(f"A request has at most {LONGEST_REQUEST} octets.")
                return
            if not end:
                break
            self._received = rest
            self._be_patient()
            self._obey(line)
        busy = self._waits or self._full
        if self.ended and not busy:
            self._transport.close()
        elif busy and len(self._received) > LONGEST_REQUEST:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _obey(self, line: bytes) -> None:
        control = self._control
        try:
            done = control.execute(read(line))
        except CommandError as error:
            self._answer({"error": str(error)})
            return
        except Exception as error:
            event(control.logger, ERROR, "control.fault", error=error)
            self._answer({"error": "amqpd could not do it because of a fault in itself; its log tells more."})
            return
        if not done.changed:
            self._answer({"ok": done.answer})
            return
        self._waits = True
        self._stop_patience()  # the disk decides how long it takes
        control.context.storage.commits.wait(Kept(self, done.answer))

    def _answer(self, answer: dict[str, object]) -> None:
        assert self._transport is not None  # callers have looked
        self._transport.write(json.dumps(answer).encode("ascii") + b"\n")

    def _refuse(self, sentence: str) -> None:
        """Say why, and let the other end close: closing on what it still sends would take the answer from it."""
        assert self._transport is not None  # callers have looked
        self._refused = True
        self._received = b""
        self._answer({"error": sentence})
        self._transport.write_eof()

    def _be_patient(self) -> None:
        self._stop_patience()
        self._patience = self._control.context.timers.call_later(PATIENCE, self.abort)

    def _stop_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class Kept(Waiter):
    """Waits with an answer until what it speaks of is kept."""

    def __init__(self, peer: Peer, answer: object) -> None:
        super().__init__()
        self._peer = peer
        self._answer = answer

    def committed(self) -> None:
        self._peer.kept(self._answer)


def bind(directory: Path) -> socket.socket:
    """Make the socket, which only its owner may connect to, in place of one that a killed broker has left.

    Raises:
        OSError: it cannot be made.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            (directory / CONTROL_SOCKET).unlink()
        with address_in(directory) as address:
            sock.bind(address)
        os.chmod(directory / CONTROL_SOCKET, MODE)
        sock.listen(BACKLOG)  # not before: until then nobody can connect
    except OSError:
        sock.close()
        raise
    return sock


def read(line: bytes) -> object:
    """What a line says.

    Raises:
        CommandError: it is not JSON.
    """
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise CommandError("A request is one line with one JSON object.") from None
