"""Asking a running broker: how a command finds its control socket, and what it says when there is no answer."""

from __future__ import annotations

import functools
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from amqpd.cli.options import BAD_CONFIGURATION, configuration
from amqpd.cli.tables import printable
from amqpd.config import ConfigError

REFUSED: Final = 1
# A broker whose disk is full keeps nothing, and so does not answer.
TIMEOUT: Final = 60.0


class NoAnswerError(Exception):
    """The broker did not do it, or cannot be asked. Its text is one sentence with the way out."""


class Broker:
    """The broker that a command is for.

    Args:
        data_dir: as --data-dir has it; None leaves it to the environment and the configuration file.
        config: as --config has it.
    """

    def __init__(self, data_dir: str | None, config: str | None) -> None:
        self._data_dir = data_dir
        self._config = config

    def ask(self, command: str, **arguments: object) -> Any:
        """Give a command and return the answer; leave the process when there is none. Blocks.

        Args:
            arguments: None is left out.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            return exchanged(self._directory(), {"command": command, "arguments": given})
        except NoAnswerError as error:
            refuse(str(error), REFUSED)
        except ConfigError as error:
            refuse(str(error), BAD_CONFIGURATION)

    def _directory(self) -> Path:
        options: dict[str, object] = {} if self._data_dir is None else {"data_dir": self._data_dir}
        settings = configuration(self._config, options)
        if settings.memory and self._data_dir is None:
            raise NoAnswerError(
                "By its configuration amqpd keeps everything in memory, and such a broker takes no commands; "
                "start it with a data directory, or name another broker's with --data-dir."
            )
        return settings.data_dir


def exchanged(directory: Path, request: dict[str, object], timeout: float = TIMEOUT) -> Any:
    """Send a request to the broker of a data directory, and return its answer. Blocks.

    Raises:
        NoAnswerError: it cannot be reached, does not answer in so many seconds, or refuses.
    """
    from amqpd.net.control_address import address_in

    if not hasattr(socket, "AF_UNIX"):
        raise NoAnswerError("Commands to a running amqpd need Unix sockets, which this system does not have.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            with address_in(directory) as address:
                sock.connect(address)
            sock.sendall(json.dumps(request).encode("ascii") + b"\n")
            line = sock.makefile("rb").readline()
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise NoAnswerError(
                f"No amqpd is running on the data directory {directory}; start one, or name another with --data-dir "
                "(one that was started with --memory takes no commands)."
            ) from None
        except PermissionError:
            raise NoAnswerError(
                f"This user may not command the amqpd on {directory}; use the account that it runs under."
            ) from None
        except TimeoutError:
            raise NoAnswerError(
                f"amqpd has not answered for {timeout:.0f} seconds; its log tells whether its disk is full or failed."
            ) from None
        except OSError as error:
            raise NoAnswerError(f"The amqpd on {directory} cannot be asked ({error}).") from None
    if not line.endswith(b"\n"):
        raise NoAnswerError("amqpd ended before it answered; look whether it is running, and try again.")
    answer = json.loads(line)
    if "error" in answer:
        raise NoAnswerError(answer["error"])
    return answer["ok"]


def refuse(sentence: str, status: int) -> None:
    """Say why it cannot be done, and leave."""
    click.echo(f"amqpd: {printable(sentence)}", err=True)
    sys.exit(status)


def for_broker(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which broker it is for, as the argument ``broker``, and ``vhost``."""

    @click.option("--vhost", default="/", show_default=True, metavar="NAME", help="The virtual host.")
    @click.option("--data-dir", metavar="DIR", help="Data directory of the broker; by default found as serve finds it.")
    @click.option("--config", metavar="FILE", help="Configuration file (TOML) of the broker.")
    @functools.wraps(function)
    def command(*args: object, data_dir: str | None, config: str | None, **options: object) -> None:
        function(*args, broker=Broker(data_dir, config), **options)

    return command


def as_json(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --json, as the argument ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="For programs.")(function)


def show_json(answer: object) -> None:
    """What --json shows."""
    click.echo(json.dumps(answer, indent=2))
