"""amqpd super-stream: what it shows and does."""

from __future__ import annotations

import json
import socket

import pytest

from amqpd.wire.table import Field
from tests.cli.conftest import Running

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")


def test_one_is_made_with_three_partitions_and_hashed_keys(running: Running) -> None:
    assert running.says("super-stream", "add", "orders") == (
        "Super stream 'orders' has 3 partitions now, orders-0, orders-1, orders-2, "
        "chosen by a hash of the routing key.\n"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--partitions", "1"], "1 partition now, s-0, chosen by a hash of the routing key"),
        (["--partitions", "12"], "12 partitions now, s-0 to s-11, chosen by a hash of the routing key"),
        (["--binding-keys", "north, south"], "2 partitions now, s-north, s-south, chosen by the routing key"),
        (["--routing", "direct"], "3 partitions now, s-0, s-1, s-2, chosen by the routing key"),
    ],
)
def test_what_is_made_is_told(running: Running, options: list[str], said: str) -> None:
    assert running.says("super-stream", "add", "s", *options) == f"Super stream 's' has {said}.\n"


def test_options_become_arguments_of_the_streams(running: Running) -> None:
    options = ["--max-age", "P1D", "--max-length-bytes", "20GB", "--stream-max-segment-size-bytes", "1000"]
    made = json.loads(running.says("super-stream", "add", "s", *options, "--json"))
    assert [partition["stream"] for partition in made["partitions"]] == ["s-0", "s-1", "s-2"]
    arguments = dict(running.world.vhost.queue("s-2").spec.arguments.items())
    assert arguments["x-max-age"] == Field("S", "86400s")
    assert arguments["x-max-length-bytes"] == Field("l", 20_000_000_000)
    assert arguments["x-stream-max-segment-size-bytes"] == Field("l", 1000)


def test_they_are_listed(running: Running) -> None:
    assert running.says("super-stream", "list") == "There are no super streams in virtual host '/'.\n"
    running.says("super-stream", "add", "orders")
    running.says("super-stream", "add", "regions\x1b", "--binding-keys", "north,south")
    running.publish("orders-1", 1500)
    assert running.says("super-stream", "list").splitlines() == [
        "SUPER STREAM  ROUTING  PARTITIONS  MESSAGES",
        "orders        hash              3     1,500",
        "regions\\x1b   direct            2         0",
    ]
    shown = json.loads(running.says("super-stream", "list", "--json"))
    assert [found["name"] for found in shown] == ["orders", "regions\x1b"]
    assert shown[0]["partitions"][1] == {
        "stream": "orders-1",
        "binding_key": "1",
        "messages": 1500,
        "first_offset": 0,
        "next_offset": 1500,
    }


def test_one_is_deleted_and_what_goes_with_it_is_told(running: Running) -> None:
    running.says("super-stream", "add", "s")
    running.publish("s-1", 1)
    assert running.says("super-stream", "delete", "s") == (
        "Super stream 's' is deleted, with 3 partitions and 1 message.\n"
    )
    assert not running.world.vhost.queues
    running.says("super-stream", "add", "s")
    assert json.loads(running.says("super-stream", "delete", "s", "--json"))["name"] == "s"


def test_what_cannot_be_is_one_sentence_with_the_way_out(running: Running) -> None:
    running.says("super-stream", "add", "s")
    assert running.refuses("super-stream", "add", "s") == (
        "reference_already_exists: there is already an exchange named 's'; choose another name."
    )
    assert running.refuses("super-stream", "delete", "t").startswith("stream_not_found: ")
    text = running.refuses("super-stream", "add", "t", "--partitions", "2", "--binding-keys", "a")
    assert text == "Give either the number of partitions or their binding keys."


@pytest.mark.parametrize("options", [["--partitions", "0"], ["--partitions", "1001"], ["--max-length-bytes", "much"]])
def test_an_option_that_is_wrong_is_told_without_asking_the_broker(running: Running, options: list[str]) -> None:
    result = running("super-stream", "add", "s", *options)
    assert result.exit_code == 2
    assert f"Invalid value for '{options[0]}'" in result.stderr
    assert not running.world.vhost.queues
