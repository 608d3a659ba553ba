"""Finding the broker, and what is said when it does not answer; the rest is test_stream.py and test_super_stream.py."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from amqpd.cli.control import NoAnswerError, exchanged
from amqpd.net.control_address import CONTROL_SOCKET
from tests.cli.conftest import Running, invoke

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
LIST = ("super-stream", "list")


class Listening:
    """Something that listens where a broker would, and says one thing."""

    def __init__(self, directory: Path, answer: bytes | None) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(directory / CONTROL_SOCKET))
        self._socket.listen()
        self._answer = answer
        self._thread = threading.Thread(target=self._run)
        self._asked = threading.Event()
        if answer is not None:
            self._thread.start()

    def _run(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(self._answer or b"")

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        if self._thread.is_alive() or self._answer is not None:
            self._thread.join()
        self._socket.close()


def refusal(directory: Path) -> str:
    """Why a request has no answer: one sentence."""
    with pytest.raises(NoAnswerError) as refused:
        exchanged(directory, {"command": "super_stream.list"}, timeout=0.05)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_broker_is_found_as_serve_finds_its_directory(running: Running, tmp_path: Path) -> None:
    directory = str(running.directory)
    (tmp_path / "amqpd.toml").write_text(f"data_dir = '{directory}'\n")
    for arguments, environment in (
        (["--data-dir", directory], {}),
        (["--config", str(tmp_path / "amqpd.toml")], {}),
        ([], {"AMQPD_DATA_DIR": directory}),
        (["--data-dir", directory], {"AMQPD_DATA_DIR": "/nowhere", "AMQPD_MEMORY": "true"}),
    ):
        result = invoke(*LIST, *arguments, env=environment)
        assert (result.exit_code, result.stdout) == (0, "There are no super streams in virtual host '/'.\n")


@pytest.mark.parametrize("state", ["missing", "empty", "a file", "left by a killed broker"])
def test_without_a_broker_one_sentence_tells_and_the_status_is_1(tmp_path: Path, state: str) -> None:
    directory = tmp_path / "data"
    if state == "a file":
        directory.write_text("")
    elif state != "missing":
        directory.mkdir()
    if state == "left by a killed broker":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(directory / CONTROL_SOCKET))
    result = invoke(*LIST, "--data-dir", str(directory))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"amqpd: No amqpd is running on the data directory {directory}; start one, or name another with --data-dir "
        "(one that was started with --memory takes no commands).\n"
    )


def test_a_broker_that_keeps_nothing_takes_no_commands() -> None:
    result = invoke(*LIST, env={"AMQPD_MEMORY": "true"})
    assert result.exit_code == 1
    assert result.stderr.startswith("amqpd: By its configuration amqpd keeps everything in memory, and such a broker")


def test_a_bad_configuration_has_the_status_that_serve_gives_it() -> None:
    result = invoke(*LIST, env={"AMQPD_PORT": "x"})
    assert result.exit_code == 2
    assert result.stderr.startswith("amqpd: AMQPD_PORT in the environment is 'x', but must be ")


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may everything")
def test_who_may_not_is_told_so(running: Running) -> None:
    (running.directory / CONTROL_SOCKET).chmod(0)
    assert refusal(running.directory).startswith("This user may not command the amqpd on ")


def test_a_broker_that_does_not_answer_is_not_waited_for_forever(tmp_path: Path) -> None:
    with Listening(tmp_path, None):
        assert refusal(tmp_path).startswith("amqpd has not answered for 0 seconds; its log tells ")


@pytest.mark.parametrize("answer", [b"", b'{"ok": ['])
def test_a_broker_that_ends_before_it_answers_is_told(tmp_path: Path, answer: bytes) -> None:
    with Listening(tmp_path, answer):
        assert refusal(tmp_path) == "amqpd ended before it answered; look whether it is running, and try again."


def test_what_the_broker_says_cannot_play_with_the_terminal(running: Running) -> None:
    assert running.refuses(*LIST, "--vhost", "a\x1b[31m") == r"There is no virtual host 'a\x1b[31m'."
