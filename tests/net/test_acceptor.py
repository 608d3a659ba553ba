"""Accepting stops when the process runs out of files, or the gate is full, and goes on by itself."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from amqpd.net.acceptor import NO_FILES, RESERVE, RETRY, SILENCE, Acceptor
from amqpd.net.gate import NOT_OPEN, PATIENCE, Arrival, Gate
from tests.builders import World
from tests.net.peers import eventually


class ExhaustedListener(socket.socket):
    """A listening socket in a process that may open no more files for a while."""

    failures = 0

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


class Door:
    """An acceptor, and those who came through it."""

    def __init__(self, stack: ExitStack, most: int = 100, files: int = 1_000_000) -> None:
        self.world = World()
        self.stack = stack
        self.gate = Gate(self.world.clock, most)
        self.listener = ExhaustedListener()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.served: list[tuple[socket.socket, Arrival]] = []
        self.acceptor = Acceptor(
            self.listener, self.serve, self.gate, files, self.world.context, logging.getLogger("tests.acceptor")
        )
        stack.callback(self.acceptor.close)

    def serve(self, sock: socket.socket, arrival: Arrival) -> None:
        self.stack.callback(sock.close)
        self.served.append((sock, arrival))
        arrival.cut = sock.close

    async def connect(self) -> None:
        sock = self.stack.enter_context(socket.socket())
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))

    def pass_time(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.timers.run_due()

    async def have_served(self, count: int) -> None:
        await eventually(lambda: len(self.served) == count)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    fields = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "accept.paused"]
    return [field["reason"] for field in fields]


@pytest.mark.anyio
async def test_all_who_come_are_served(stack: ExitStack) -> None:
    door = Door(stack)
    for _ in range(5):
        await door.connect()
    await door.have_served(5)
    assert len(door.gate) == 5


@pytest.mark.anyio
async def test_without_files_accepting_pauses_says_so_once_and_goes_on(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(stack)
    door.listener.failures = 3
    await door.connect()
    for left in (2, 1, 0):
        await eventually(lambda left=left: door.listener.failures == left)  # type: ignore[misc] # lambda's default
        assert door.served == []
        door.pass_time(RETRY)
    await door.have_served(1)
    assert reasons(caplog) == [NO_FILES]
    door.pass_time(SILENCE)
    door.listener.failures = 1
    await door.connect()
    await eventually(lambda: door.listener.failures == 0)
    assert reasons(caplog) == [NO_FILES, NO_FILES]


@pytest.mark.anyio
async def test_the_last_files_are_kept_for_the_broker(stack: ExitStack, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as probe:
        lowest = probe.fileno()
    door = Door(stack, files=lowest + 4 + RESERVE + 1 if lowest > 4 * RESERVE else (lowest + 5) * 4 // 3)
    for _ in range(10):
        await door.connect()
    await eventually(lambda: NO_FILES in reasons(caplog))
    served = len(door.served)
    assert served < 10
    door.pass_time(RETRY)
    assert len(door.served) == served
    for sock, _ in door.served:
        sock.close()
    stack.pop_all().close()


@pytest.mark.anyio
async def test_a_full_gate_pauses_until_somebody_has_had_the_time_to_get_in(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(stack, most=2)
    for _ in range(3):
        await door.connect()
    await eventually(lambda: reasons(caplog) == [NOT_OPEN])
    assert len(door.served) == 2
    door.pass_time(PATIENCE)
    await door.have_served(3)
    assert door.gate.turned_out == 1


@pytest.mark.anyio
async def test_nobody_has_to_go_while_nobody_else_comes(stack: ExitStack) -> None:
    door = Door(stack, most=2)
    for _ in range(2):
        await door.connect()
    await door.have_served(2)
    door.pass_time(PATIENCE)
    await door.connect()
    await door.have_served(3)
    assert door.gate.turned_out == 1


@pytest.mark.anyio
async def test_after_close_nobody_is_accepted_even_if_a_pause_ends(stack: ExitStack) -> None:
    door = Door(stack, most=1)
    for _ in range(2):
        await door.connect()
    await door.have_served(1)
    door.acceptor.close()
    door.acceptor.close()
    door.pass_time(PATIENCE)
    assert len(door.served) == 1
