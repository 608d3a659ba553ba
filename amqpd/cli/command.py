"""The command's tree: ``amqpd`` is ``amqpd serve`` unless a subcommand is named."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import Final

import click

from amqpd.cli.build import version_line
from amqpd.cli.options import BAD_CONFIGURATION, ConfigCommand, configuration
from amqpd.config import ConfigError

# The other commands, each in the module of its name, which is imported when it is wanted: a broker never needs them.
COMMANDS: Final = ("bench", "check-data", "stream", "super-stream", "tls")
VERSION_HELP = "Show the version, and whether it is the compiled form, and exit."


class ServeByDefault(click.Group):
    """A group that serves when options come without a subcommand; its help shows the options of serve too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {name for param in self.get_params(ctx) for name in param.opts}
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"amqpd.cli.{name}"), name)
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        serve.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def print_version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    """What --version does."""
    if asked:
        click.echo(version_line())
        ctx.exit()


@click.group(cls=ServeByDefault, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version, help=VERSION_HELP)
def cli() -> None:
    """amqpd, a message broker for RabbitMQ clients.

    Without a command it serves. Each option can also be set by an environment variable (AMQPD_PORT for --port) or in
    the configuration file (port = 5672); the command line wins over the environment, the environment over the file.
    """


@cli.command(cls=ConfigCommand)
def serve(config: str | None, **options: object) -> None:
    """Start the broker (what amqpd does without a command).

    Ends with status 0 after SIGTERM or SIGINT, 2 if the configuration is wrong or the data directory cannot be used,
    1 if it cannot start otherwise.
    """
    try:
        settings = configuration(config, options)
    except ConfigError as error:
        click.echo(f"amqpd: {error}", err=True)
        sys.exit(BAD_CONFIGURATION)
    from amqpd import logs, server

    logs.configure(settings.log_level, settings.log_format, sys.stderr)
    status = server.run(settings)
    gc.freeze()  # at its end Python looks for garbage several times: seconds, when there were 100,000 queues
    sys.exit(status)


def main() -> None:
    """Run the command, and leave the process with its status."""
    cli.main(prog_name="amqpd")
