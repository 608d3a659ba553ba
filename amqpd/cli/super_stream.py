"""``amqpd super-stream``: making, deleting and listing super streams of a running broker."""

from __future__ import annotations

from typing import Any, Final

import click

from amqpd.cli.control import Broker, as_json, for_broker, show_json
from amqpd.cli.tables import count_text, printable, table
from amqpd.kinds import Size

HEADINGS: Final = ("SUPER STREAM", "ROUTING", "PARTITIONS", "MESSAGES")
SHOWN: Final = 5  # the names of so many partitions are told one by one
HOW: Final = {"hash": "chosen by a hash of the routing key", "direct": "chosen by the routing key"}


class Octets(click.ParamType[int]):
    """A number of octets, with or without a unit."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return Size((1 << 63) - 1).read(value)
        except ValueError as error:
            self.fail(f"{value!r} is not {error}.", param, ctx)


@click.group("super-stream")
def super_stream() -> None:
    """Make, delete and list super streams.

    A super stream is an exchange with several streams behind it, its partitions. The broker is one that is running.
    """


@super_stream.command()
@click.argument("name")
@click.option("--partitions", type=click.IntRange(1, 1000), help="How many partitions.  [3]")
@click.option("--binding-keys", metavar="KEY,...", help="A partition for each of these routing keys.")
@click.option(
    "--routing",
    type=click.Choice(["hash", "direct"]),
    help="How messages find their partition: by a hash of the routing key, or by the partition's binding key (0, 1, "
    "... if there are no others); the super streams of RabbitMQ are direct.  [hash, direct with --binding-keys]",
)
@click.option("--max-age", metavar="AGE", help="Keep messages for so long, about: 7D, PT1H.")
@click.option("--max-length-bytes", type=Octets(), help="Keep so much of each stream, about: 20GB.")
@click.option("--stream-max-segment-size-bytes", type=Octets(), help="What is removed at a time.")
@for_broker
@as_json
def add(
    name: str,
    partitions: int | None,
    binding_keys: str | None,
    routing: str | None,
    max_age: str | None,
    max_length_bytes: int | None,
    stream_max_segment_size_bytes: int | None,
    vhost: str,
    broker: Broker,
    as_json: bool,
) -> None:
    """Make the super stream NAME, with the streams NAME-0, NAME-1, ... or NAME-KEY behind it."""
    keys = None if binding_keys is None else [key.strip() for key in binding_keys.split(",")]
    found = broker.ask(
        "super_stream.add",
        vhost=vhost,
        name=name,
        partitions=partitions,
        binding_keys=keys,
        routing=routing,
        max_age=max_age,
        max_length_bytes=max_length_bytes,
        max_segment_size_bytes=stream_max_segment_size_bytes,
    )
    if as_json:
        show_json(found)
    else:
        streams = [partition["stream"] for partition in found["partitions"]]
        shown = ", ".join(streams) if len(streams) <= SHOWN else f"{streams[0]} to {streams[-1]}"
        made = f"Super stream '{name}' has {partitions_text(found)} now, {shown}, {HOW[found['routing']]}."
        click.echo(printable(made))


@super_stream.command()
@click.argument("name")
@for_broker
@as_json
def delete(name: str, vhost: str, broker: Broker, as_json: bool) -> None:
    """Delete the super stream NAME, its streams, and all messages in them."""
    found = broker.ask("super_stream.delete", vhost=vhost, name=name)
    if as_json:
        show_json(found)
    else:
        messages = count_text(messages_of(found), "message", "messages")
        click.echo(printable(f"Super stream '{name}' is deleted, with {partitions_text(found)} and {messages}."))


@super_stream.command("list")
@for_broker
@as_json
def list_all(vhost: str, broker: Broker, as_json: bool) -> None:
    """Show all super streams."""
    found = broker.ask("super_stream.list", vhost=vhost)
    if as_json:
        show_json(found)
    elif found:
        click.echo("\n".join(table([HEADINGS, *map(row, found)], 2)))
    else:
        click.echo(printable(f"There are no super streams in virtual host '{vhost}'."))


def row(found: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    return printable(found["name"]), found["routing"], f"{len(found['partitions']):,}", f"{messages_of(found):,}"


def messages_of(found: dict[str, Any]) -> int:
    """The messages of all partitions."""
    return sum(partition["messages"] for partition in found["partitions"])


def partitions_text(found: dict[str, Any]) -> str:
    """So many partitions."""
    return count_text(len(found["partitions"]), "partition", "partitions")
