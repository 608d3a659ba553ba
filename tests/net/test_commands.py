"""What a running broker can be told to do, without a socket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from amqpd.broker.super_stream import MOST_PARTITIONS
from amqpd.net.commands import CommandError, Commands, age, offset_field
from amqpd.wire.table import Field
from tests.broker.queues.takers import queue_spec
from tests.builders import World


class Told:
    """A broker that is told to do things."""

    def __init__(self) -> None:
        self.world = World()
        self.commands = Commands(self.world.broker)

    def __call__(self, command: str, **arguments: object) -> Any:
        done = self.commands.execute({"command": command, "arguments": arguments})
        assert done.changed == (command.partition(".")[2] not in ("cursors", "list"))
        self.world.finish()
        return done.answer

    def refuses(self, request: object) -> str:
        """The refusal of a request: one sentence, and nothing has changed."""
        before = (list(self.world.vhost.queues), list(self.world.vhost.exchanges))
        with pytest.raises(CommandError) as refused:
            self.commands.execute(request)
        assert (list(self.world.vhost.queues), list(self.world.vhost.exchanges)) == before
        text = str(refused.value)
        assert text[-1] in ".?"
        assert "\n" not in text
        return text

    def refuses_command(self, command: str, **arguments: object) -> str:
        return self.refuses({"command": command, "arguments": arguments})


@pytest.fixture
def told() -> Told:
    return Told()


# Requests.


@pytest.mark.parametrize("request_", [None, 1, "stream.cursors", [], {}, {"command": 1}, {"command": "stop"}])
def test_what_is_no_command_is_refused(told: Told, request_: object) -> None:
    text = told.refuses(request_)
    assert text.startswith(("A request is one line", "There is no such command; amqpd knows stream.cursors, "))


@pytest.mark.parametrize("arguments", [[], None, "vhost", 1])
def test_arguments_are_an_object(told: Told, arguments: object) -> None:
    request = {"command": "stream.cursors", "arguments": arguments}
    assert told.refuses(request) == "The arguments of a command are one JSON object."


def test_arguments_may_be_left_out(told: Told) -> None:
    assert told.commands.execute({"command": "stream.cursors"}).answer == []


def test_an_argument_that_the_command_does_not_have_is_refused(told: Told) -> None:
    """A wrong name would otherwise look as if it had been obeyed."""
    text = told.refuses_command("super_stream.add", name="s", max_lenght_bytes=5)
    assert text == "The command super_stream.add has no argument 'max_lenght_bytes'."


def test_the_virtual_host_must_be_there(told: Told) -> None:
    assert told.refuses_command("super_stream.list", vhost="nope") == "There is no virtual host 'nope'."
    told.world.broker.create_vhost("other")
    assert told("super_stream.list", vhost="other") == []


@pytest.mark.parametrize("value", [1, True, [], {}, "\ud800"])
def test_a_text_must_be_one(told: Told, value: object) -> None:
    """JSON can have half a surrogate pair, which cannot be sent to any client."""
    assert told.refuses_command("super_stream.add", name=value) == "The argument name must be a text."


# Super streams.


def test_a_super_stream_is_made_listed_and_deleted(told: Told) -> None:
    made = told("super_stream.add", name="s")
    partition = {"messages": 0, "first_offset": 0, "next_offset": 0}
    assert made == {
        "name": "s",
        "routing": "hash",
        "partitions": [{"stream": f"s-{n}", "binding_key": f"{n}", **partition} for n in range(3)],
    }
    assert told("super_stream.list") == [made]
    assert told("super_stream.delete", name="s") == made
    assert told("super_stream.list") == []
    assert not told.world.vhost.queues


def test_named_keys_mean_direct_routing_unless_told_otherwise(told: Told) -> None:
    assert told("super_stream.add", name="a", binding_keys=["x", "y"])["routing"] == "direct"
    assert told("super_stream.add", name="b", binding_keys=["x", "y"], routing="hash")["routing"] == "hash"
    assert told("super_stream.add", name="c", partitions=2, routing="direct")["routing"] == "direct"
    assert "There is no routing 'topic'" in told.refuses_command("super_stream.add", name="d", routing="topic")


def test_streams_get_their_arguments(told: Told) -> None:
    told("super_stream.add", name="s", max_age="PT1H", max_length_bytes=1000, max_segment_size_bytes=100)
    arguments = dict(told.world.vhost.queue("s-1").spec.arguments.items())
    assert arguments == {
        "x-queue-type": Field("S", "stream"),
        "x-max-age": Field("S", "3600s"),
        "x-max-length-bytes": Field("l", 1000),
        "x-stream-max-segment-size-bytes": Field("l", 100),
    }


@pytest.mark.parametrize("partitions", [0, -1, MOST_PARTITIONS + 1, True, 1.5, "3"])
def test_the_number_of_partitions_is_limited(told: Told, partitions: object) -> None:
    text = told.refuses_command("super_stream.add", name="s", partitions=partitions)
    assert text == "The argument partitions must be a whole number from 1 to 1000."


@pytest.mark.parametrize("keys", [[], "x", [1], ["x", "\ud800"]])
def test_binding_keys_are_texts(told: Told, keys: object) -> None:
    text = told.refuses_command("super_stream.add", name="s", binding_keys=keys)
    assert text == "The argument binding_keys must be a list of texts."


def test_partitions_are_counted_or_named(told: Told) -> None:
    text = told.refuses_command("super_stream.add", name="s", binding_keys=["x"], partitions=1)
    assert text == "Give either the number of partitions or their binding keys."


def test_what_is_taken_or_missing_is_told_in_rabbitmqs_words_with_the_way_out(told: Told) -> None:
    told("super_stream.add", name="s")
    assert told.refuses_command("super_stream.add", name="s") == (
        "reference_already_exists: there is already an exchange named 's'; choose another name."
    )
    assert told.refuses_command("super_stream.delete", name="t") == (
        "stream_not_found: there is no super stream 't' in vhost '/'; `amqpd super-stream list` shows those there are."
    )
    text = told.refuses_command("super_stream.add", name="u", max_segment_size_bytes=1 << 62)
    assert text.startswith("PRECONDITION_FAILED - ")


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("7D", "7D"),
        ("90s", "90s"),
        ("PT1H", "3600s"),
        ("P1Y2M3DT4H5M6S", f"{365 * 86400 + 2 * 30 * 86400 + 3 * 86400 + 4 * 3600 + 5 * 60 + 6}s"),
        ("P2W", "1209600s"),
        ("P1D", "86400s"),
    ],
)
def test_ages_are_what_rabbitmq_makes_of_them(text: str, argument: str) -> None:
    assert age(text) == argument


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "PT0S", "7", "1H", "7 D", "P1H", "PT1.5H", "P\u0661D", "P" * 99]
)
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="is no age; give an age such as 7D or PT1H"):
        age(text)


# Cursors.


def test_a_cursor_is_set_shown_and_deleted(told: Told) -> None:
    told("super_stream.add", name="s")
    offsets = {"first_offset": 0, "next_offset": 0}
    assert told("stream.reset_cursor", stream="s-1", cursor="b", offset="first") == {
        "stream": "s-1",
        "cursor": "b",
        "offset": 0,
    }
    told("stream.reset_cursor", stream="s-1", cursor="a", offset="5")
    told("stream.reset_cursor", stream="s-0", cursor="c", offset="next")
    of_one = [
        {"stream": "s-1", "cursor": "a", "offset": 5, **offsets},
        {"stream": "s-1", "cursor": "b", "offset": 0, **offsets},
    ]
    assert told("stream.cursors") == [{"stream": "s-0", "cursor": "c", "offset": 0, **offsets}, *of_one]
    assert told("stream.cursors", stream="s-1") == of_one
    assert told("stream.delete_cursor", stream="s-1", cursor="a") == {"stream": "s-1", "cursor": "a"}
    assert told("stream.cursors", stream="s-1") == of_one[1:]
    assert "There is no cursor 'a'" in told.refuses_command("stream.delete_cursor", stream="s-1", cursor="a")


def test_only_streams_have_cursors(told: Told) -> None:
    told.world.vhost.create_queue("q", queue_spec())
    assert told("stream.cursors") == []
    text = told.refuses_command("stream.cursors", stream="q")
    assert text == "'q' in vhost '/' is a classic queue; only streams have cursors."
    text = told.refuses_command("stream.reset_cursor", stream="nope", cursor="c", offset="first")
    assert text == "There is no queue 'nope' in vhost '/'; is the name right, and the virtual host?"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("first", Field("S", "first")),
        ("last", Field("S", "last")),
        ("next", Field("S", "next")),
        ("1h", Field("S", "1h")),
        ("0", Field("l", 0)),
        ("0017", Field("l", 17)),
        ("9" * 1000, Field("l", (1 << 63) - 1)),
        ("20261123", Field("l", 20261123)),
        ("2026-11-23T08:30:00+01:00", Field("T", int(datetime(2026, 11, 23, 7, 30, tzinfo=UTC).timestamp()))),
        ("2026-11-23T08:30:00", Field("T", int(datetime(2026, 11, 23, 8, 30, tzinfo=UTC).timestamp()))),
        ("2026-11-23", Field("T", int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()))),
        ("1066-10-14", Field("T", 0)),
    ],
)
def test_a_text_means_what_x_stream_offset_would(text: str, field: Field) -> None:
    assert offset_field(text) == field


@pytest.mark.parametrize("text", ["", "-1", "First", "yesterday", "1.5", "\u0661", "2026-13-01", "2026-11-23T25:00"])
def test_what_is_no_offset_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(CommandError, match="is no place in a stream; give first, last, next, an offset, a time"):
        offset_field(text)
