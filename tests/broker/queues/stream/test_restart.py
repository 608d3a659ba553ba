"""Streams over restarts: all that was safe is there, and time went on meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pamqp import commands

from amqpd.broker.policy import Policy
from amqpd.wire.properties import Properties
from tests.broker.queues.stream.clients import (
    ack,
    bodies,
    declared,
    deliveries,
    offsets,
    publish,
    reader,
    stream_of,
)  # fmt: skip
from tests.builders import Client, World
from tests.stores import Store

Restart = Callable[[World], World]


@pytest.fixture(params=["killed", "restarted"])
def restart(request: pytest.FixtureRequest) -> Restart:
    """The two ways to end; what was committed is there after both."""

    def again(world: World) -> World:
        world.finish()
        assert world.observer.crashes == []
        after: World = getattr(world, request.param)()
        after.finish()
        assert after.recovered.left_out == []
        return after

    return again


@pytest.fixture(params=["in memory", "on the disk"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = World(store=Store(tmp_path, on_disk=request.param == "on the disk"))
    yield world
    assert world.store is not None
    assert world.store.damages == []


def publisher_of(world: World) -> Client:
    client = world.client()
    client.open()
    return client


def numbers(first: int, end: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, end)]


def test_everything_comes_back_transient_messages_too_and_offsets_go_on(world: World, restart: Restart) -> None:
    declared(world, stream_max_segment_size_bytes=500)
    for start in range(5):
        client = publisher_of(world)
        publish(client, *numbers(10 * start, 10 * start + 10), properties=Properties.of(delivery_mode=1))
        consumer = reader(world, offset="first")
        received = deliveries(consumer)
        assert [content.body for content in received] == numbers(0, 10 * start + 10)
        assert not any(content.method.redelivered for content in received)
        world = restart(world)
        stream = stream_of(world)
        assert (stream.first_offset, stream.next_offset) == (0, 10 * start + 10)
        assert stream.message_count == 10 * start + 10


def test_offsets_go_on_where_retention_has_left_only_the_last_segment(world: World, restart: Restart) -> None:
    client = declared(world, stream_max_segment_size_bytes=300, stream_max_length=0)
    publish(client, *numbers(0, 50))
    world = restart(world)
    stream = stream_of(world)
    assert stream.next_offset == 50
    assert stream.first_offset > 40
    publish(publisher_of(world), b"50")
    assert offsets(reader(world, offset="last")) == [50]


def test_a_cursor_is_where_it_was_and_one_that_was_deleted_is_not(world: World, restart: Restart) -> None:
    client = declared(world)
    publish(client, *numbers(0, 10))
    for name in ("gone", "kept"):
        consumer = reader(world, prefetch=5, cursor=name, offset="first")
        consumer.take()
        ack(consumer, 4)
        consumer.lose()
    assert stream_of(world).delete_cursor("gone")
    world = restart(world)
    assert stream_of(world).cursor_places() == {"kept": 4}
    assert offsets(reader(world, prefetch=1, cursor="kept", offset="next")) == [4]


def test_a_new_cursor_is_stored_before_anything_is_settled(world: World, restart: Restart) -> None:
    client = declared(world)
    publish(client, *numbers(0, 3))
    reader(world, cursor="me")
    world = restart(world)
    publish(publisher_of(world), b"3")
    assert offsets(reader(world, cursor="me", offset="first")) == [3]


def test_what_got_too_old_meanwhile_goes_with_the_start(world: World, restart: Restart) -> None:
    client = declared(world, stream_max_segment_size_bytes=300, max_age="10s")
    publish(client, *numbers(0, 30))
    assert stream_of(world).first_offset == 0
    world.finish()
    world.clock.advance(60.0)  # nobody is there to see it
    world = restart(world)
    stream = stream_of(world)
    assert stream.next_offset == 30
    assert 20 < stream.first_offset < 30
    assert bodies(reader(world, offset="first")) == numbers(stream.first_offset, 30)


def test_what_gets_too_old_after_the_start_goes_in_time(world: World, restart: Restart) -> None:
    client = declared(world, stream_max_segment_size_bytes=300, max_age="10s")
    publish(client, *numbers(0, 30))
    world.advance(5.0)
    world = restart(world)
    world.advance(4.0)
    assert stream_of(world).first_offset == 0
    world.advance(2.0)
    assert stream_of(world).first_offset > 20


def test_a_policy_counts_after_a_restart(world: World, restart: Restart) -> None:
    client = declared(world, stream_max_segment_size_bytes=300)
    world.vhost.set_policy(Policy("p", "^q$", {"stream-max-length": 5}))
    world = restart(world)
    client = publisher_of(world)
    publish(client, *numbers(0, 40))
    assert stream_of(world).first_offset > 25


def test_records_keep_their_times(world: World, restart: Restart) -> None:
    client = declared(world, stream_max_segment_size_bytes=300)
    for number in range(10):
        publish(client, b"%d" % number)
        world.advance(60.0)
    world = restart(world)
    assert bodies(reader(world, offset="5m"))[0] == b"5"


def test_a_letter_that_must_not_get_lost_is_safe_in_a_stream(world: World, restart: Restart) -> None:
    client = declared(world, name="dead")
    letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    careful = {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-dead-letter-strategy": "at-least-once"}
    client.declare("dying", durable=True, arguments={**letters, **careful, "x-message-ttl": 1000})
    publish(client, b"letter", name="dying")
    world.advance(2.0)
    world = restart(world)
    assert world.vhost.queue("dying").message_count == 0
    (letter,) = deliveries(reader(world, name="dead", offset="first"))
    assert letter.body == b"letter"
    assert letter.properties.headers is not None
    assert letter.properties.headers.text("x-first-death-reason") == "expired"


def test_a_message_of_many_frames_comes_back_whole(world: World, restart: Restart) -> None:
    client = declared(world)
    body = bytes(range(256)) * 2000
    publish(client, body, properties=Properties.of(content_type="text/plain"))
    (content,) = deliveries(reader(restart(world), offset="first"))
    assert (content.body, content.properties.content_type) == (body, "text/plain")


def test_a_deleted_stream_leaves_no_files(world: World, restart: Restart) -> None:
    client = declared(world)
    publish(client, *numbers(0, 10))
    reader(world, cursor="me")
    client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue="q")
    world = restart(world)
    assert world.store is not None
    assert world.vhost.queues == {}
    assert world.store.files.names("queues") == []


def test_nothing_is_scanned_after_a_clean_end(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    client = declared(world, stream_max_segment_size_bytes=1000)
    publish(client, *numbers(0, 100))
    world = world.restarted()
    segments = stream_of(world)._store._log.segments()
    assert len(segments) > 5
    assert all(segment.vouched == segment.size for segment in segments)
