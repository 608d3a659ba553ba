"""Transcode videos, one at a time: python worker.py NAME. Start as many as there are processors."""

import sys
import time

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError
from topology import DELAY, PERSISTENT, URL, declare

ATTEMPTS = 3


def transcode(channel: BlockingChannel, video: str) -> None:
    """Pretend to work.

    Raises:
        ValueError: this is no video.
    """
    name, _, seconds = video.partition(":")
    channel.connection.sleep(float(seconds))  # not time.sleep: pika has heartbeats to answer meanwhile
    if name.startswith("broken"):
        raise ValueError("no video")


def failures(properties: pika.BasicProperties) -> int:
    """How often this message has left the queue without being done: the broker counts in the header x-death."""
    deaths = (properties.headers or {}).get("x-death", [])
    return sum(death["count"] for death in deaths if death["queue"] == "transcode")


def work(worker: str) -> None:
    """Transcode until the connection is lost."""
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        declare(channel)
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=1)  # fair dispatch: the next video goes to a worker that is free
        print(f"[{worker}] waiting for videos", flush=True)
        for method, properties, body in channel.consume("transcode"):
            video, attempt = body.decode(), failures(properties) + 1
            try:
                transcode(channel, video)
            except ValueError as error:
                fail(channel, method.delivery_tag, body, f"[{worker}] {video}: {error}, attempt {attempt}", attempt)
            else:
                print(f"[{worker}] {video}: done", flush=True)
                channel.basic_ack(method.delivery_tag)


def fail(channel: BlockingChannel, delivery_tag: int, body: bytes, message: str, attempt: int) -> None:
    """Try again later, or give up."""
    if attempt < ATTEMPTS:
        print(f"{message}, again in {DELAY} s", flush=True)
        channel.basic_nack(delivery_tag, requeue=False)  # dead-lettered: to transcode.later
        return
    print(f"{message}, given up", flush=True)
    channel.basic_publish("", "transcode.failed", body, pika.BasicProperties(delivery_mode=PERSISTENT))
    channel.basic_ack(delivery_tag)  # after the confirm: the video is always in some queue


def main(worker: str) -> None:
    while True:
        try:
            work(worker)
        except AMQPConnectionError:
            print(f"[{worker}] no connection, trying again", flush=True)
            time.sleep(2)
        except KeyboardInterrupt:  # Ctrl-C
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
