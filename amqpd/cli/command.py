"""The command's tree: ``amqpd`` is ``amqpd serve`` unless a subcommand is named."""

from __future__ import annotations

import gc
import sys

import click

from amqpd.cli.bench import bench
from amqpd.cli.build import version_line
from amqpd.cli.check_data import check_data
from amqpd.cli.options import BAD_CONFIGURATION, ConfigCommand, configuration
from amqpd.cli.stream import stream
from amqpd.cli.super_stream import super_stream
from amqpd.cli.tls import tls
from amqpd.config import ConfigError

VERSION_HELP = "Show the version, and whether it is the compiled form, and exit."


class ServeByDefault(click.Group):
    """A group that serves when options come without a subcommand; its help shows the options of serve too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {name for param in self.get_params(ctx) for name in param.opts}
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

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


cli.add_command(bench)
cli.add_command(check_data)
cli.add_command(stream)
cli.add_command(super_stream)
cli.add_command(tls)


def main() -> None:
    """Run the command, and leave the process with its status."""
    cli.main(prog_name="amqpd")
