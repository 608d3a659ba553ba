"""Work queues with pika: tasks shared by workers, as in the second tutorial."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pika
from pika.adapters.blocking_connection import BlockingChannel

from interop.broker import Broker
from interop.clients.conftest import Connect
from interop.clients.pika_reading import ready_messages, receive
from interop.names import unique
from interop.waiting import eventually


def publish_tasks(channel: BlockingChannel, queue: str, count: int) -> None:
    """Publish "task 0" and so on, confirmed: they are in the queue when this returns."""
    persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    with channel.connection.channel() as publisher:
        publisher.confirm_delivery()
        for number in range(count):
            publisher.basic_publish("", queue, f"task {number}".encode(), persistent)


def work(broker: Broker, queue: str, free: threading.Event, done: list[bytes], closing_time: threading.Event) -> None:
    """A worker that takes one task at a time, needs `free` to finish it, and then notes it in `done`."""
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(queue, inactivity_timeout=0.02):
            if method is not None:
                free.wait(10)
                channel.basic_ack(method.delivery_tag)
                done.append(body)
            if closing_time.is_set():
                break
        channel.cancel()


def test_fair_dispatch_gives_a_busy_worker_no_second_task(broker: Broker, channel: BlockingChannel) -> None:
    queue = unique("tasks")
    channel.queue_declare(queue, durable=True)
    free, later, closing_time = threading.Event(), threading.Event(), threading.Event()
    done_by_quick: list[bytes] = []
    done_by_slow: list[bytes] = []
    free.set()
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(work, broker, queue, later, done_by_slow, closing_time)
        quick = pool.submit(work, broker, queue, free, done_by_quick, closing_time)
        eventually(lambda: consumers(channel, queue) == 2, "both workers consume")
        publish_tasks(channel, queue, 10)
        eventually(lambda: len(done_by_quick) == 9, "the quick worker has done nine tasks")
        later.set()
        eventually(lambda: len(done_by_slow) == 1, "the slow worker has done its one task")
        closing_time.set()
        for worker in (slow, quick):
            worker.result(10)
    channel.queue_delete(queue)


def consumers(channel: BlockingChannel, queue: str) -> int:
    count: int = channel.queue_declare(queue, passive=True).method.consumer_count
    return count


def test_prefetch_limits_what_is_unacknowledged(channel: BlockingChannel, connect: Connect) -> None:
    queue = unique("prefetch")
    observer = connect().channel()
    observer.queue_declare(queue, auto_delete=True)
    publish_tasks(observer, queue, 5)
    channel.basic_qos(prefetch_count=3)
    got: list[int] = []
    channel.basic_consume(queue, lambda _channel, method, _properties, _body: got.append(method.delivery_tag))

    def received(count: int) -> bool:
        channel.connection.process_data_events(time_limit=0)
        return len(got) >= count

    eventually(lambda: received(3), "three deliveries")
    assert ready_messages(observer, queue) == 2
    channel.basic_ack(3, multiple=True)
    eventually(lambda: received(5), "the other two after the acknowledgement")
    assert got == [1, 2, 3, 4, 5]


def test_prefetch_counts_each_consumer_alone_and_globally_all_of_the_channel(connect: Connect) -> None:
    channel, observer = connect().channel(), connect().channel()
    queues = [unique("shared"), unique("shared")]
    for queue in queues:
        observer.queue_declare(queue)
        publish_tasks(observer, queue, 4)
    channel.basic_qos(prefetch_count=2)
    channel.basic_qos(prefetch_count=3, global_qos=True)  # second: a limit for each consumer removes the global one
    for queue in queues:
        channel.basic_consume(queue, lambda *_: None)
    eventually(lambda: sum(ready_messages(observer, queue) for queue in queues) == 5, "three deliveries of eight")
    assert sorted(ready_messages(observer, queue) for queue in queues) == [2, 3]
    for queue in queues:
        observer.queue_delete(queue)


def test_a_killed_workers_task_goes_to_another_as_redelivered(broker: Broker, channel: BlockingChannel) -> None:
    queue = unique("tasks")
    channel.queue_declare(queue, durable=True)
    publish_tasks(channel, queue, 2)
    program = [sys.executable, "-m", "interop.clients.programs.stuck_worker", broker.url, queue]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"task 0\n"
        worker.kill()
    eventually(lambda: ready_messages(channel, queue) == 2, "the task is back")
    first, second = receive(channel, queue, 2)
    assert (first.body, first.method.redelivered) == (b"task 0", True)
    assert (second.body, second.method.redelivered) == (b"task 1", False)
    channel.queue_delete(queue)
