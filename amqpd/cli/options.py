"""The options of ``amqpd serve``: made from the declarations in Config, shown in their sections."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Final

import click

from amqpd.config import (
    SECTIONS,
    SETTINGS,
    Config,
    Setting,
    default_files,
    find_file,
    load,
    option_name,
)
from amqpd.kinds import Flag

BAD_CONFIGURATION: Final = 2


class ConfigOption(click.Option):
    """One option of Config. The text goes to load() as it is, which checks it like any other source."""

    def __init__(self, name: str, setting: Setting) -> None:
        flag = isinstance(setting.kind, Flag)
        super().__init__(
            [option_name(name), name],
            is_flag=flag,
            multiple=setting.kind.repeatable,
            default=None,
            type=bool if flag else str,
            metavar=None if flag else setting.kind.metavar,
            help=setting.help + default_note(name, setting),
        )
        self.section = setting.section


class ConfigCommand(click.Command):
    """A command with all options of Config and --config; it is called with those that were given."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        context = super().make_context(info_name, args, parent, **extra)
        context.params = {name: value for name, value in context.params.items() if name == "config" or given(value)}
        return context

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*(ConfigOption(name, setting) for name, setting in SETTINGS.items()), CONFIG, *super().get_params(ctx)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in SECTIONS:
            with formatter.section(section):
                formatter.write_dl(list(self._rows(ctx, section)))
        self._format_rest(ctx, formatter)

    def _rows(self, ctx: click.Context, section: str) -> Iterator[tuple[str, str]]:
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if isinstance(param, ConfigOption) and param.section == section and record:
                yield record

    def _format_rest(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        params = [CONFIG, *ctx.command.params, ctx.command.get_help_option(ctx)]
        rows = [record for param in params if param and (record := param.get_help_record(ctx))]
        with formatter.section("Other options"):
            formatter.write_dl(rows)


CONFIG = click.Option(["--config"], metavar="FILE", help="Configuration file (TOML).")


def given(value: object) -> bool:
    """Whether click's value of an option means that it was there."""
    return value is not None and value != ()


def default_note(name: str, setting: Setting) -> str:
    """The end of an option's help: what holds without it."""
    if isinstance(setting.kind, Flag):
        return ""
    return f"  [{setting.shown or default_text(getattr(Config, name))}]"


def default_text(value: object) -> str:
    """A default as one would write it on the command line."""
    return " ".join(value) if isinstance(value, tuple) else str(value)


def configuration(path: str | None, options: dict[str, object]) -> Config:
    """The Config of this process: what load() makes of its command line, its environment and its file.

    Raises:
        ConfigError: as load() and find_file() do.
    """
    file = find_file(path, os.environ, default_files(os.environ, sys.platform))
    return load(options, os.environ, file)
