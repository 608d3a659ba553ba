"""The control socket: lines go in and answers come out, and nobody who misbehaves is anybody else's problem."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.lowlevel
import pytest

from amqpd.log.commit import Job, Member
from amqpd.net.commands import CommandError, Done
from amqpd.net.control import LONGEST_REQUEST, MOST_PEERS, PATIENCE, TOO_MANY, ControlSocket
from amqpd.net.control_address import CONTROL_SOCKET, address_in
from amqpd.net.driver import LoopDriver
from tests.builders import World
from tests.net.peers import DEADLINE, eventually

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets"),
]
LOGGER = logging.getLogger("amqpd.control")
LARGE = 1 << 20  # octets of an answer that no buffer takes


class Changed(Member):
    """Has something for the disk."""

    def begin(self) -> Job:
        return Nothing()


class Nothing(Job):
    """Work that is done at once, when it is the disk's turn."""

    def run(self) -> None:
        pass


class Controlled:
    """A World with a control socket, and a few commands to try it with."""

    def __init__(self, directory: Path) -> None:
        self.world = World()
        self.directory = directory
        self.done: list[object] = []
        self.control = ControlSocket(self.world.context, self.execute, LOGGER)
        self._writers: list[asyncio.StreamWriter] = []

    def execute(self, request: object) -> Done:
        self.done.append(request)
        if request == "refuse":
            raise CommandError("No.")
        if request == "fault":
            raise ZeroDivisionError("a fault")
        if request == "large":
            return Done("x" * LARGE, False)
        if request == "change":
            self.world.storage.commits.join(Changed(), 0)
        return Done(request, request == "change")

    async def connect(self) -> Peer:
        with address_in(self.directory) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=2 * LARGE)
        self._writers.append(writer)
        return Peer(reader, writer)

    def close(self) -> None:
        self.control.stop()
        for writer in self._writers:
            writer.close()


class Peer:
    """The other end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, *requests: object) -> None:
        self.write(b"".join(json.dumps(request).encode() + b"\n" for request in requests))

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> object:
        with anyio.fail_after(DEADLINE):
            line = await self._reader.readline()
        return json.loads(line)

    async def closed(self) -> bool:
        """It comes to nothing more."""
        with anyio.fail_after(DEADLINE):
            try:
                return await self._reader.read(1) == b""
            except ConnectionResetError:
                return True


@asynccontextmanager
async def controlled(directory: Path) -> AsyncIterator[Controlled]:
    made = Controlled(directory)
    driver = LoopDriver(made.world.context, asyncio.get_running_loop())
    await made.control.start(directory)
    try:
        yield made
    finally:
        made.close()
        driver.stop()


# Requests and answers.


async def test_requests_are_answered_in_their_order(tmp_path: Path) -> None:
    async with controlled(tmp_path) as made:
        peer = await made.connect()
        peer.send("one", "refuse", {"three": 3})
        assert [await peer.answer() for _ in range(3)] == [{"ok": "one"}, {"error": "No."}, {"ok": {"three": 3}}]


async def test_a_request_may_come_in_pieces(tmp_path: Path) -> None:
    async with controlled(tmp_path) as made:
        peer = await made.connect()
        for octet in b'"pieces"\n':
            peer.write(bytes([octet]))
            await anyio.lowlevel.checkpoint()
        assert await peer.answer() == {"ok": "pieces"}


async def test_whoever_says_no_more_gets_the_answers_to_all_that_was_said(tmp_path: Path) -> None:
    async with controlled(tmp_path) as made:
        peer = await made.connect()
        peer.send("change", "large", "change", "last")
        peer.writer.write_eof()
        answers = [await peer.answer() for _ in range(4)]
        assert answers == [{"ok": "change"}, {"ok": "x" * LARGE}, {"ok": "change"}, {"ok": "last"}]
        assert await peer.closed()


@pytest.mark.parametrize(
    "line", [b"", b"{", b"\xff\xfe", b"[" * 60_000, b"'text'", b"9" * 5000], ids=lambda line: repr(line[:8])
)
async def test_what_is_not_json_is_refused_and_the_next_request_answered(tmp_path: Path, line: bytes) -> None:
    async with controlled(tmp_path) as made:
        peer = await made.connect()
        peer.write(line + b"\n")
        assert await peer.answer() == {"error": "A request is one line with one JSON object."}
        assert made.done == []
        peer.send("next")
        assert await peer.answer() == {"ok": "next"}


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_a_request_without_end_is_refused(tmp_path: Path, end: bytes) -> None:
    async with controlled(tmp_path) as made:
        peer, other = await made.connect(), await made.connect()
        peer.write(b'"' + b"x" * 5 * LONGEST_REQUEST)
        peer.write(end)
        assert await peer.answer() == {"error": f"A request has at most {LONGEST_REQUEST} octets."}
        assert await peer.closed()
        other.send("another")
        assert await other.answer() == {"ok": "another"}


async def test_a_fault_is_logged_and_costs_only_its_command(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with controlled(tmp_path) as made:
        peer = await made.connect()
        peer.send("fault", "next")
        answer = await peer.answer()
        assert answer == {"error": "amqpd could not do it because of a fault in itself; its log tells more."}
        assert await peer.answer() == {"ok": "next"}
    assert "control.fault" in caplog.text


# Waiting.


async def test_a_change_is_answered_when_it_is_kept_and_others_do_not_wait_for_it(tmp_path: Path) -> None:
    async with controlled(tmp_path) as made:
        made.world.hold_commits()
        peer, other = await made.connect(), await made.connect()
        peer.send("change", "behind it")
        await eventually(lambda: made.world.held_commits != [])
        other.send("another")
        assert await other.answer() == {"ok": "another"}
        assert made.done == ["change", "another"]
        made.world.run_commit()
        assert await peer.answer() == {"ok": "change"}
        assert await peer.answer() == {"ok": "behind it"}


async def test_whoever_does_not_take_answers_stops_only_his_own(tmp_path: Path) -> None:
    async with controlled(tmp_path) as made:
        peer, other = await made.connect(), await made.connect()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined] # it is the transport of a socket
        peer.send(*["large"] * 50)
        await eventually(lambda: made.done != [])
        for number in range(5):
            other.send(number)
            assert await other.answer() == {"ok": number}
        assert made.done.count("large") < 5, "what nobody takes is not made"
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined] # as above
        for _ in range(50):
            assert await peer.answer() == {"ok": "x" * LARGE}


async def test_whoever_sends_nothing_is_cut_off(tmp_path: Path) -> None:
    async with controlled(tmp_path) as made:
        silent, slow = await made.connect(), await made.connect()
        slow.write(b'"half a req')
        slow.send("ues")
        await slow.answer()
        made.world.advance(PATIENCE - 1)
        slow.send("whole")
        assert await slow.answer() == {"ok": "whole"}
        made.world.advance(1.5)
        assert await silent.closed()
        slow.send("still there")
        assert await slow.answer() == {"ok": "still there"}


async def test_whoever_waits_for_the_disk_is_not_cut_off(tmp_path: Path) -> None:
    async with controlled(tmp_path) as made:
        peer = await made.connect()
        made.world.hold_commits()
        peer.send("change")
        await eventually(lambda: made.world.held_commits != [])
        made.world.advance(10 * PATIENCE)
        made.world.run_commit()
        assert await peer.answer() == {"ok": "change"}
        made.world.advance(PATIENCE + 1)
        assert await peer.closed()


async def test_whoever_leaves_before_the_answer_is_nobodys_problem(tmp_path: Path) -> None:
    async with controlled(tmp_path) as made:
        peer = await made.connect()
        made.world.hold_commits()
        peer.send("change")
        await eventually(lambda: made.world.held_commits != [])
        peer.writer.transport.abort()
        (gone,) = made.control.peers
        await eventually(lambda: gone.ended)
        made.world.advance(PATIENCE + 1)
        await eventually(lambda: not made.control.peers)
        made.world.run_commit()
        other = await made.connect()
        other.send("another")
        assert await other.answer() == {"ok": "another"}


async def test_there_are_not_too_many_at_once(tmp_path: Path) -> None:
    async with controlled(tmp_path) as made:
        peers = [await made.connect() for _ in range(MOST_PEERS)]
        await eventually(lambda: len(made.control.peers) == MOST_PEERS)
        late = await made.connect()
        assert await late.answer() == {"error": TOO_MANY}
        assert await late.closed()
        peers[0].writer.close()
        await eventually(lambda: len(made.control.peers) < MOST_PEERS)
        peer = await made.connect()
        peer.send("again")
        assert await peer.answer() == {"ok": "again"}


# The file.


async def test_only_the_owner_may_connect_and_the_file_goes_with_the_broker(tmp_path: Path) -> None:
    async with controlled(tmp_path) as made:
        mode = (tmp_path / CONTROL_SOCKET).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        peer = await made.connect()
        await eventually(lambda: len(made.control.peers) == 1)
        made.control.stop()
        assert os.listdir(tmp_path) == []
        assert await peer.closed()
        made.control.stop()


@pytest.mark.parametrize("kind", ["socket", "file"])
async def test_what_a_killed_broker_has_left_is_replaced(tmp_path: Path, kind: str) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        if kind == "socket":
            left.bind(str(tmp_path / CONTROL_SOCKET))
        else:
            (tmp_path / CONTROL_SOCKET).write_text("something")
    async with controlled(tmp_path) as made:
        peer = await made.connect()
        peer.send("one")
        assert await peer.answer() == {"ok": "one"}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux has a way around the limit")
async def test_the_path_of_the_directory_may_be_long(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    async with controlled(directory) as made:
        peer = await made.connect()
        peer.send("one")
        assert await peer.answer() == {"ok": "one"}
        made.control.stop()
        assert os.listdir(directory) == []


async def test_a_socket_that_cannot_be_made_is_told_and_the_broker_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with controlled(tmp_path / "missing") as made:
        assert "control.unavailable" in caplog.text
        made.control.stop()
