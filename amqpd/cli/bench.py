"""``amqpd bench``: load for a broker, and how it stood it."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from amqpd.cli.bench_options import plan_of, with_options
from amqpd.cli.tables import printable

if TYPE_CHECKING:
    from amqpd.bench.plan import Plan
    from amqpd.bench.totals import Totals
    from amqpd.clock import Clock

FAILED: Final = 1


@click.command(context_settings={"max_content_width": 100})
@with_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def bench(as_json: bool, **options: Any) -> None:
    """Load a broker, and show what it does a second and how long messages take.

    Works with amqpd, RabbitMQ and any other AMQP 0-9-1 broker. Rates and latencies are of the time after the warm-up.
    Ctrl-C ends it early; what was measured until then is shown.

    Latency is from the moment at which a message was due until it has arrived: with --rate that is its moment in the
    schedule, even if the broker made the publisher late.

    Ends with status 0, or 1 if the broker is not there or refuses something.
    """
    from amqpd.bench.faults import BenchError
    from amqpd.clock import SystemClock

    try:
        plan = plan_of(**options)
        totals = run(plan, SystemClock(), live=not as_json and sys.stderr.isatty())
    except BenchError as error:
        click.echo(f"amqpd: {printable(str(error))}", err=True)
        sys.exit(FAILED)
    from amqpd.cli.bench_text import as_dict, summary

    click.echo(json.dumps(as_dict(plan, totals), indent=2) if as_json else "\n".join(summary(plan, totals)))


def run(plan: Plan, clock: Clock, live: bool) -> Totals:
    """Prepare the broker, do the run, and clean up.

    Raises:
        BenchError: it cannot start or go on.
    """
    from amqpd.bench.fleet import Fleet
    from amqpd.bench.topology import Caller, prepare, remove

    line = LiveLine(plan, live)
    caller = Caller(plan.address)
    made = prepare(plan, caller)
    caller.close()
    try:
        return Fleet(plan, clock, line.show).run()
    finally:
        line.end()
        if not plan.keeps:
            caller = Caller(plan.address)
            remove(made, caller)
            caller.close()


class LiveLine:
    """The line at the terminal that changes while it runs."""

    def __init__(self, plan: Plan, shows: bool) -> None:
        self._plan = plan
        self._shows = shows
        self._width = 0

    def show(self, totals: Totals, seconds: float) -> None:
        """Replace it by how it stands."""
        if not self._shows:
            return
        from amqpd.cli.bench_text import live_text

        text = printable(live_text(self._plan, totals, seconds))[: shutil.get_terminal_size().columns - 1]
        click.echo("\r" + text.ljust(self._width), nl=False, err=True)
        self._width = len(text)
        totals.latencies_now.clear()

    def end(self) -> None:
        """Take it away."""
        if self._width:
            click.echo("\r" + " " * self._width + "\r", nl=False, err=True)
