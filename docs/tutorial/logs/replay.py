"""Show the logs again: python replay.py SINCE [SERVICE]; SINCE is "1h", "30m", "7D" or "first"."""

import sys
from contextlib import suppress

import pika
from pika.adapters.blocking_connection import BlockingChannel
from topology import PARTITIONS, URL, declare


def main(since: str, service: str | None = None) -> None:
    def on_line(channel: BlockingChannel, method: object, properties: pika.BasicProperties, body: bytes) -> None:
        if service in (None, properties.app_id):  # filters of other brokers let some through that do not match
            offset = properties.headers["x-stream-offset"]
            print(f"{partitions[method.consumer_tag]} {offset} {properties.app_id}: {body.decode()}", flush=True)
        channel.basic_ack(method.delivery_tag)  # only makes room for the next ones: nothing goes away

    arguments = {"x-stream-offset": since}
    if service is not None:
        arguments["x-stream-filter"] = service
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        declare(channel)
        channel.basic_qos(prefetch_count=100)
        partitions = {channel.basic_consume(name, on_line, arguments=arguments): name for name in PARTITIONS}
        with suppress(KeyboardInterrupt):  # Ctrl-C
            channel.start_consuming()  # all there is, then what is new


if __name__ == "__main__":
    main(*sys.argv[1:])
