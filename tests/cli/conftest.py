"""A running broker for commands, in a thread."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from amqpd.cli.command import cli
from amqpd.net.commands import Commands
from amqpd.net.control import ControlSocket
from amqpd.net.driver import LoopDriver
from tests.builders import World, message

STREAM = "orders-0"


class Running:
    """A World that takes commands, and the command."""

    def __init__(self, directory: Path) -> None:
        self.world = World()
        self.directory = directory
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._started.wait(10)

    def __call__(self, *args: str) -> Result:
        return invoke(*args, "--data-dir", str(self.directory))

    def says(self, *args: str) -> str:
        """What a command says that succeeds."""
        result = self(*args)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def refuses(self, *args: str) -> str:
        """What a command says that does not: one sentence, status 1."""
        result = self(*args)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("amqpd: ")
        assert result.stderr.count("\n") == 1
        return result.stderr.removeprefix("amqpd: ").rstrip("\n")

    def publish(self, stream: str, messages: int) -> None:
        """Put messages into a stream. Up to a hundred come at a time, and a hundred seconds later the next ones."""
        while messages > 0:
            number = min(messages, 100)
            self.do(lambda count=number: self._publish(stream, count))
            messages -= number

    def do(self, function: Callable[[], object]) -> None:
        """Do something where the broker is, in its thread, and wait for that."""
        done: Future[None] = Future()

        def called() -> None:
            try:
                function()
                self.world.finish()
                done.set_result(None)
            except BaseException as error:
                done.set_exception(error)

        self._loop.call_soon_threadsafe(called)
        done.result(10)

    def _publish(self, stream: str, messages: int) -> None:
        queue = self.world.vhost.queue(stream)
        for _ in range(messages):
            queue.publish(message())
        self.world.finish()
        self.world.clock.advance(100)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        commands = Commands(self.world.broker)
        control = ControlSocket(self.world.context, commands.execute, logging.getLogger("amqpd.control"))
        driver = LoopDriver(self.world.context, self._loop)
        await control.start(self.directory)
        self._started.set()
        await self._stop.wait()
        control.stop()
        driver.stop()


def invoke(*args: str, env: dict[str, str] | None = None) -> Result:
    """Run the command with these arguments, without a configuration file of this machine."""
    return CliRunner().invoke(cli, args, prog_name="amqpd", env={"AMQPD_CONFIG": "/dev/null", **(env or {})})


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.stop()
