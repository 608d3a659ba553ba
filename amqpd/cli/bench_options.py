"""The options of ``amqpd bench``, and the plan that they come to."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from amqpd.bench.plan import Plan

DEFAULT_ACK_EVERY: Final = 50
DEFAULT_PREFETCH: Final = 500
STREAM: Final = "stream"
TYPES: Final = ("classic", "quorum", STREAM)
URI_VARIABLE: Final = "AMQPD_BENCH_URI"


class AckEvery(click.ParamType[int]):
    """A number of deliveries, or auto, which is 0."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        if value == "auto":
            return 0
        if isinstance(value, int) or (value.isdigit() and int(value)):
            return int(value)
        self.fail(f"{value!r} is neither a number above 0 nor auto.", param, ctx)


def option(name: str, help_text: str, **settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option; its default is shown if it has one."""
    shows = settings.get("default") not in (None, "", 0)
    return click.option(name, *settings.pop("also", ()), help=help_text, show_default=shows, **settings)


def number(name: str, help_text: str, least: int = 0, **settings: Any) -> Any:
    """An option that is a whole number."""
    return option(name, help_text, **{"type": click.IntRange(least), "metavar": "N", **settings})


def flag(name: str, help_text: str, **settings: Any) -> Any:
    """An option that is there or not."""
    return click.option(name, *settings.pop("also", ()), is_flag=True, help=help_text)


BROKER: Final = (
    option(
        "--uri",
        "The broker, who logs in, and the virtual host; amqps:// for TLS.",
        default="amqp://guest:guest@localhost:5672/",
        envvar=URI_VARIABLE,
        metavar="URI",
    ),
    option("--tls-ca", "Certificates to trust (PEM); by default the system's.", metavar="FILE"),
    flag("--tls-insecure", "Take any certificate."),
)
PUBLISHING: Final = (
    number("--publishers", "Publishers, each with a connection.", default=1),
    number("--size", "Octets of a message's body; latency takes 16.", default=100),
    option(
        "--rate",
        "Messages a second of all publishers together; by default as fast as possible.",
        type=click.FloatRange(0),
        default=0,
        metavar="N",
    ),
    number("--confirms", "Publish with confirms, so many unconfirmed for each publisher at a time.", default=0),
    flag("--persistent", "Publish persistent messages."),
)
CONSUMING: Final = (
    number("--consumers", "Consumers, each with a connection.", default=1),
    option(
        "--ack",
        f"Acknowledge every N-th delivery with those before it, or auto.  [default: {DEFAULT_ACK_EVERY}, at most half "
        "the prefetch]",
        type=AckEvery(),
        metavar="N|auto",
    ),
    number(
        "--prefetch",
        "Unacknowledged deliveries of a consumer; 0 for no limit.",
        default=DEFAULT_PREFETCH,
        type=click.IntRange(0, 65_535),
    ),
    option("--offset", "Where consumers of a stream begin: first, last, next, 1h ...", default="", metavar="OFFSET"),
)
TOPOLOGY: Final = (
    option(
        "--queue",
        "The queue. One that is there is used as it is, what waits in it is consumed. By default a new one.",
        metavar="NAME",
    ),
    number("--queues", "So many queues: NAME-0, NAME-1 ...  [default: 1; with --fanout one for each consumer]", 1),
    option("--type", "Of the queues that are made.", also=("queue_type",), type=click.Choice(TYPES), default=TYPES[0]),
    flag("--durable", "Make durable queues; quorum queues and streams always are."),
    flag("--fanout", "Every message goes to every queue, through a fanout exchange."),
    option(
        "--exchange",
        "Publish to this exchange, which is there; the queues are bound to it.",
        default="",
        metavar="NAME",
    ),
    option("--routing-key", "Of messages and bindings, with --exchange.", default="", metavar="KEY"),
    flag("--keep", "Leave what was made where it is.", also=("keeps",)),
)
RUN: Final = (
    option(
        "--duration",
        "Seconds for which it is measured.",
        type=click.FloatRange(0, min_open=True),
        default=10.0,
        metavar="SECONDS",
    ),
    option(
        "--warmup", "Seconds for which it runs before that.", type=click.FloatRange(0), default=1.0, metavar="SECONDS"
    ),
    number("--count", "Publish so many messages and end when all have arrived, instead of a duration.", 1),
    number("--processes", "Processes for publishers, and as many for consumers.", 1, default=1),
)
SECTIONS: Final = {
    "Broker": BROKER,
    "Publishing": PUBLISHING,
    "Consuming": CONSUMING,
    "Queues": TOPOLOGY,
    "Run": RUN,
}


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give the command its options, in their order."""
    for give in reversed([give for section in SECTIONS.values() for give in section]):
        function = give(function)
    return function


def plan_of(
    *,
    uri: str,
    tls_ca: str | None,
    tls_insecure: bool,
    publishers: int,
    consumers: int,
    queue: str | None,
    queues: int | None,
    queue_type: str,
    durable: bool,
    fanout: bool,
    exchange: str,
    ack: int | None,
    prefetch: int,
    count: int | None,
    duration: float,
    warmup: float,
    confirms: int,
    **rest: Any,
) -> Plan:
    """What the options come to.

    Raises:
        click.UsageError: they do not fit together.
        BenchError: the URI is none.
    """
    from amqpd.bench.plan import Address, Plan

    refuse_nonsense(publishers, consumers, count, fanout, exchange)
    number = secrets.randbits(64)
    name = queue or f"amqpd-bench-{number:016x}"
    queues = queues or (max(consumers, 1) if fanout else 1)
    return Plan(
        address=Address.of(uri, tls_ca, not tls_insecure),
        run=number,
        publishers=publishers,
        consumers=consumers,
        queues=(name,) if queues == 1 else tuple(f"{name}-{index}" for index in range(queues)),
        named=queue is not None,
        exchange=name if fanout else exchange,
        fans_out=fanout,
        queue_type=queue_type,
        durable=durable or queue_type != TYPES[0],
        window=confirms,
        prefetch=prefetch,
        ack_every=ack_every(ack, prefetch, queue_type),
        seconds=duration,
        warmup=0.0 if count else warmup,
        count=count or 0,
        **rest,
    )


def refuse_nonsense(publishers: int, consumers: int, count: int | None, fanout: bool, exchange: str) -> None:
    """What cannot work is better said before it is tried.

    Raises:
        click.UsageError: it cannot work.
    """
    if not publishers and not consumers:
        raise click.UsageError("Neither publishers nor consumers: there is nothing to do.")
    if count and count < publishers:
        raise click.UsageError(f"--count {count} is less than a message for each of {publishers} publishers.")
    if fanout and exchange:
        raise click.UsageError("--fanout makes an exchange of its own: leave --exchange away.")


def ack_every(asked: int | None, prefetch: int, queue_type: str) -> int:
    """Deliveries for each acknowledgement.

    Raises:
        click.UsageError: the broker would wait for the acknowledgement, and the consumer for the delivery.
    """
    if asked is None:
        return min(DEFAULT_ACK_EVERY, max(prefetch // 2, 1)) if prefetch else DEFAULT_ACK_EVERY
    if prefetch and asked > prefetch:
        raise click.UsageError(f"--ack {asked} waits for more than --prefetch {prefetch} allows: take a smaller one.")
    if queue_type == STREAM and not (asked and prefetch):
        raise click.UsageError("Consumers of a stream need --prefetch and --ack with a number.")
    return asked
