"""Watch the logs for errors: python alerts.py NAME. Start several: they share the partitions."""

import sys
import time

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError
from topology import PARTITIONS, URL, declare


def watch(watcher: str) -> None:
    """Watch until the connection is lost."""

    def on_line(channel: BlockingChannel, method: object, properties: pika.BasicProperties, body: bytes) -> None:
        if b"ERROR" in body:
            print(f"[{watcher}] {partitions[method.consumer_tag]} {properties.app_id}: {body.decode()}", flush=True)
        channel.basic_ack(method.delivery_tag)  # moves the group's place, which the broker keeps

    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        declare(channel)
        channel.basic_qos(prefetch_count=100)  # streams need it
        group = {"x-stream-group": "alerts"}  # one of the group reads a partition, the others wait
        partitions = {channel.basic_consume(name, on_line, arguments=group): name for name in PARTITIONS}
        print(f"[{watcher}] watching", flush=True)
        channel.start_consuming()


def main(watcher: str) -> None:
    while True:
        try:
            watch(watcher)
        except AMQPConnectionError:
            print(f"[{watcher}] no connection, trying again", flush=True)
            time.sleep(2)
        except KeyboardInterrupt:  # Ctrl-C
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
