"""The programs of docs/tutorial.md, run as it says; they show what it says."""

from __future__ import annotations

from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.broker import Broker
from interop.tutorial.terminal import Terminal, shown
from interop.waiting import eventually

QUEUES = ("orders.warehouse", "orders.billing", "transcode", "transcode.later", "transcode.failed")
STREAMS = ("logs-0", "logs-1", "logs-2")


@pytest.fixture
def channel(broker: Broker) -> Iterator[BlockingChannel]:
    """A channel of the test's own; at its end everything of the tutorial is deleted."""
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        yield channel
        for queue in (*QUEUES, *STREAMS):
            channel.queue_delete(queue)
        for exchange in ("orders", "logs"):
            channel.exchange_delete(exchange)


def run(broker: Broker, folder: str, command: str, place: int = 0) -> None:
    """Run a command to its end, and compare what it prints with the tutorial."""
    with Terminal(broker, folder, command) as terminal:
        assert terminal.ended()[1] == shown(command)[place]


def ready(channel: BlockingChannel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


@pytest.mark.timeout(90)
def test_every_service_gets_every_order(broker: Broker, channel: BlockingChannel) -> None:
    with Terminal(broker, "orders", "python place_order.py 1000 1 chair") as refused:
        assert refused.ended() == (1, shown("python place_order.py 1000 1 chair")[0])
    before, after = shown("python service.py billing")
    (warehouse_lines,) = shown("python service.py warehouse")
    with Terminal(broker, "orders", "python service.py warehouse") as warehouse:
        assert warehouse.lines(1) == warehouse_lines[:1]
        with Terminal(broker, "orders", "python service.py billing") as billing:
            assert billing.lines(1) == before[:1]
            run(broker, "orders", "python place_order.py 1001 3 books")
            assert warehouse.lines(1) == warehouse_lines[1:]
            assert billing.lines(1) == before[1:]
            assert billing.stop() == []
        run(broker, "orders", "python place_order.py 1002 1 lamp")
        assert warehouse.lines(1) == ["[warehouse] order 1002: 1 lamp"]
        with Terminal(broker, "orders", "python service.py billing") as billing:
            assert billing.lines(2) == after
            assert billing.stop() == []
        assert warehouse.stop() == []


def test_an_order_that_was_not_acknowledged_comes_again(broker: Broker, channel: BlockingChannel) -> None:
    with Terminal(broker, "orders", "python service.py billing") as billing:
        billing.lines(1)
        first = pika.BasicProperties(message_id="1000")
        channel.basic_publish("orders", "", b'{"quantity": 1, "item": "pen"}', first)
        assert billing.lines(1) == [
            "[billing] order 1000: 1 pen"
        ]  # it consumes, and knows that it does: pika ends badly before
        assert billing.stop() == []
    run(broker, "orders", "python place_order.py 1001 3 books")
    with channel.connection.channel() as dying:
        method, _properties, _body = next(dying.consume("orders.billing"))
        assert not method.redelivered
    with Terminal(broker, "orders", "python service.py billing") as billing:
        assert billing.lines(2) == shown("python service.py billing")[0]


@pytest.mark.timeout(90)
def test_videos_go_to_who_is_free_and_are_tried_three_times(broker: Broker, channel: BlockingChannel) -> None:
    half, whole = shown("python worker.py A")
    (quick,) = shown("python worker.py B")
    with Terminal(broker, "video", "python worker.py A") as busy:
        assert busy.lines(1) == half[:1]
        with Terminal(broker, "video", "python worker.py B") as free:
            assert free.lines(1) == quick[:1]
            run(broker, "video", "python submit.py concert.mov:3 clip1.mov:0.2 clip2.mov:0.2 clip3.mov:0.2")
            assert free.lines(3) == quick[1:]
            assert busy.lines(1) == half[1:]
            assert free.stop() == []
        run(broker, "video", "python submit.py broken.mov:0")
        assert [*half, *busy.lines(3)] == whole
        eventually(lambda: ready(channel, "transcode.failed") == 1, "the broken video is where it belongs")
        run(broker, "video", "python failed.py")
        assert busy.stop() == []
    assert [ready(channel, queue) for queue in ("transcode", "transcode.later", "transcode.failed")] == [0, 0, 0]


@pytest.mark.timeout(90)
def test_a_video_whose_worker_is_killed_goes_to_the_other(broker: Broker, channel: BlockingChannel) -> None:
    with Terminal(broker, "video", "python worker.py A") as busy:
        busy.lines(1)
        with Terminal(broker, "video", "python submit.py concert.mov:2") as submit:
            assert submit.ended() == (0, ["submitted concert.mov:2"])
        eventually(lambda: ready(channel, "transcode") == 0, "A has the video")
        busy.kill()
    with Terminal(broker, "video", "python worker.py B") as other:
        assert other.lines(2) == ["[B] waiting for videos", "[B] concert.mov:2: done"]
        assert other.stop() == []


@pytest.mark.timeout(90)
def test_logs_are_read_by_everybody_and_watched_by_a_group(broker: Broker, channel: BlockingChannel) -> None:
    if broker.name != "amqpd":
        pytest.skip("x-stream-group is amqpd's own")
    first, second = shown("python alerts.py A")
    (other,) = shown("python alerts.py B")
    with Terminal(broker, "logs", "python alerts.py A") as watcher:
        assert watcher.lines(1) == first[:1]
        emit(broker, "printf 'GET /\\nERROR no database\\n' | python emit.py web")
        emit(broker, "printf 'started\\n' | python emit.py db")
        emit(broker, "printf 'sold a chair\\n' | python emit.py shop")
        assert watcher.lines(1) == first[1:]
        for _ in range(2):
            replay(broker, "python replay.py 1h")
        replay(broker, "python replay.py 1h shop")
        with Terminal(broker, "logs", "python alerts.py B") as joining:
            assert joining.lines(1) == other[:1]
            emit(broker, "printf 'ERROR no money\\n' | python emit.py shop")
            emit(broker, "printf 'ERROR no disk\\n' | python emit.py db")
            assert joining.lines(1) == other[1:]
            assert [*first, *watcher.lines(1)] == second
            assert watcher.stop() == []
            emit(broker, "printf 'ERROR no paper\\n' | python emit.py web", shown_there=False)
            assert joining.lines(1) == ["[B] logs-2 web: ERROR no paper"]
            assert joining.stop() == []
    emit(broker, "printf 'ERROR no rest\\n' | python emit.py db", shown_there=False)
    with Terminal(broker, "logs", "python alerts.py C") as last:
        assert last.lines(2) == ["[C] watching", "[C] logs-0 db: ERROR no rest"]
        assert last.stop() == []


def emit(broker: Broker, command: str, shown_there: bool = True) -> None:
    """Send lines to the logs, as the tutorial does."""
    if shown_there:
        shown(command)
    with Terminal(broker, "logs", command) as terminal:
        assert terminal.ended() == (0, [])


def replay(broker: Broker, command: str) -> None:
    """Replay what there is, and compare; between partitions there is no order."""
    (lines,) = shown(command)
    with Terminal(broker, "logs", command) as terminal:
        assert sorted(terminal.lines(len(lines))) == sorted(lines)
        assert terminal.stop() == []
