"""What the command does with its arguments; the server itself is replaced by one that only remembers its Config."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner, Result

from amqpd import __version__
from amqpd.cli.command import cli
from amqpd.config import SETTINGS, Config, option_name


class FakeServer(ModuleType):
    """Stands in for amqpd.server."""

    def __init__(self) -> None:
        super().__init__("amqpd.server")
        self.configs: list[Config] = []

    def run(self, config: Config) -> int:
        self.configs.append(config)
        return 7


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, loggers_as_before: None) -> FakeServer:
    fake = FakeServer()
    monkeypatch.setitem(sys.modules, "amqpd.server", fake)
    monkeypatch.setattr("amqpd.server", fake, raising=False)
    return fake


def amqpd(*args: str, env: dict[str, str] | None = None) -> Result:
    """Run the command with these arguments, without a configuration file of this machine."""
    return CliRunner().invoke(cli, args, prog_name="amqpd", env={"AMQPD_CONFIG": "/dev/null", **(env or {})})


@pytest.mark.parametrize("args", [[], ["serve"]])
def test_without_a_subcommand_it_serves(server: FakeServer, args: list[str]) -> None:
    assert amqpd(*args).exit_code == 7
    assert server.configs == [Config()]


@pytest.mark.parametrize("first", [[], ["serve"]])
def test_options_reach_the_server(server: FakeServer, first: list[str]) -> None:
    result = amqpd(*first, "--port", "0", "--memory", "--host", "::1", "--host", "10.0.0.1", env={"AMQPD_SYNC": "os"})
    assert result.exit_code == 7
    assert server.configs == [Config(port=0, memory=True, host=("::1", "10.0.0.1"), sync="os")]


def test_a_configuration_file_is_read(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "amqpd.toml").write_text("port = 5673\nheartbeat = 10")
    amqpd("--config", str(tmp_path / "amqpd.toml"), "--port", "5674")
    assert server.configs == [Config(port=5674, heartbeat=10)]


@pytest.mark.parametrize("args", [["--port", "x"], ["serve", "--sync", "maybe"], ["--config", "/nowhere/a.toml"]])
def test_bad_configuration_is_one_sentence_and_status_2(server: FakeServer, args: list[str]) -> None:
    result = amqpd(*args)
    assert result.exit_code == 2
    assert re.fullmatch(r"amqpd: --\w+ is .*\.\n", result.stderr)
    assert (result.stdout, server.configs) == ("", [])


@pytest.mark.parametrize("args", [["--prot", "1"], ["sreve"], ["serve", "extra"]])
def test_what_is_no_option_or_command_is_refused_with_status_2(server: FakeServer, args: list[str]) -> None:
    result = amqpd(*args)
    assert (result.exit_code, server.configs) == (2, [])
    assert "Error: " in result.stderr


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["serve", "--help"]])
def test_the_help_shows_every_option_with_its_default(args: list[str]) -> None:
    result = amqpd(*args)
    assert result.exit_code == 0
    for name in SETTINGS:
        assert option_name(name) in result.stdout
    assert "[5672]" in result.stdout
    assert "[127.0.0.1 ::1]" in result.stdout


def test_the_version_tells_the_form(request: pytest.FixtureRequest) -> None:
    result = amqpd("--version")
    form = request.config.getoption("--form") or r"\w+"
    assert re.fullmatch(rf"amqpd {re.escape(__version__)} \({form}\), \w+ 3\.\d+\.\d+\S*\n", result.stdout)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_do_not_wait_for_the_broker(option: str) -> None:
    """-X importtime lists every module that was imported."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "amqpd", option], capture_output=True, text=True, check=True
    )
    modules = {line.rsplit("|", 1)[-1].strip() for line in run.stderr.splitlines()}
    assert "amqpd.cli.command" in modules
    slow = re.compile(r"(asyncio|anyio|uvloop|pamqp|amqpd\.(broker|wire|protocol|net|server))\b")
    assert [module for module in modules if slow.match(module)] == []


def test_every_command_is_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text("utf-8")
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        below = command.commands if isinstance(command, click.Group) else {}
        for line in [f"{name} {part}" for part in below] or [name]:
            assert f"`amqpd {line}" in page or name == "serve", line
