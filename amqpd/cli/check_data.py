"""``amqpd check-data``: what is in a data directory, what is corrupt there, and mending it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from amqpd.check.findings import Report
    from amqpd.clock import Clock

SOUND: Final = 0
CORRUPT: Final = 1
CANNOT_CHECK: Final = 2
BAR_AFTER: Final = 1.0  # seconds; what is quicker needs no progress bar


@click.command("check-data")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Mend what can be mended; keep a copy of all that is taken away.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check_data(directory: Path, repair: bool, as_json: bool) -> None:
    """Verify a data directory while no broker uses it.

    Reads every octet that the broker has stored in DIRECTORY, tells what is there and what is corrupt. Without --repair
    nothing is changed. What --repair takes away is kept in DIRECTORY/lost-and-found.

    Ends with status 0 if the directory is sound (now), 1 if something is corrupt, 2 if it cannot be checked.
    """
    from amqpd.catalog.directory import DataDirectoryError
    from amqpd.catalog.error import CatalogError
    from amqpd.cli.check_text import as_dict, lines
    from amqpd.clock import SystemClock
    from amqpd.log.damage import NewerFormat

    try:
        report = checked(directory, repair, SystemClock())
    except (DataDirectoryError, CatalogError, NewerFormat) as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"The data directory {directory} cannot be {'repaired' if repair else 'checked'} ({error}).")
    click.echo(json.dumps(as_dict(report), indent=2) if as_json else "\n".join(lines(report, repair)))
    sys.exit(CORRUPT if report.corrupt else SOUND)


def refuse(sentence: str) -> None:
    """Say why it cannot be checked, and leave."""
    click.echo(f"amqpd: {sentence}", err=True)
    sys.exit(CANNOT_CHECK)


def checked(path: Path, repair: bool, clock: Clock) -> Report:
    """Check a directory, and mend it if that is wanted.

    Raises:
        DataDirectoryError, CatalogError, NewerFormat, OSError: it cannot be done.
    """
    from amqpd.catalog.directory import DataDirectory
    from amqpd.check.directory import DirectoryCheck
    from amqpd.check.repair import Repair

    directory = DataDirectory.inspect(path)  # unlike open(), it makes none of a directory that is empty
    if repair:
        directory = DataDirectory.open(path)
    try:
        with progress_bar(clock) as bar:
            check = DirectoryCheck(directory, bar.advance)
            bar.total = check.total()
            report = check.run()
        if repair:
            Repair(directory, report, folder_name(clock)).run()
        else:
            DataDirectory.inspect(path)  # a broker that has started meanwhile makes all this worth nothing
        return report
    finally:
        directory.close()


def folder_name(clock: Clock) -> str:
    """The time, as a name for a folder."""
    from datetime import datetime

    return datetime.fromtimestamp(clock.time(), UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


class Bar:
    """A progress bar that appears on a terminal once the work has taken a while."""

    def __init__(self, clock: Clock) -> None:
        self.total = 0
        self._clock = clock
        self._begun = clock.monotonic()
        self._done = 0
        self._bar: Any = None  # click does not name the type of its bars
        self._shows = sys.stderr.isatty()

    def advance(self, octets: int) -> None:
        """So many more octets were read."""
        self._done += octets
        if self._bar is not None:
            self._bar.update(octets)
        elif self._shows and self._clock.monotonic() - self._begun >= BAR_AFTER:
            self._bar = click.progressbar(length=max(self.total, self._done), label="checking", file=sys.stderr)
            self._bar.__enter__()
            self._bar.update(self._done)

    def end(self) -> None:
        """It is done."""
        if self._bar is not None:
            self._bar.update(max(self.total - self._done, 0))  # checkpoints are read beside
            self._bar.__exit__(None, None, None)


@contextmanager
def progress_bar(clock: Clock) -> Iterator[Bar]:
    """A bar that ends with the block."""
    bar = Bar(clock)
    try:
        yield bar
    finally:
        bar.end()
