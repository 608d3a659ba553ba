"""A service that takes part in every order: python service.py NAME."""

import json
import os
import sys
import time

import pika
from pika.exceptions import AMQPConnectionError

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")


def serve(service: str) -> None:
    """Take orders until the connection is lost."""
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        channel.exchange_declare("orders", "fanout", durable=True)
        queue = f"orders.{service}"
        channel.queue_declare(queue, durable=True)  # gathers orders while the service is away
        channel.queue_bind(queue, "orders")
        channel.basic_qos(prefetch_count=10)
        print(f"[{service}] waiting for orders", flush=True)
        for method, properties, body in channel.consume(queue):
            order = json.loads(body)
            print(f"[{service}] order {properties.message_id}: {order['quantity']} {order['item']}", flush=True)
            channel.basic_ack(method.delivery_tag)  # last: if we die before, the order comes again


def main(service: str) -> None:
    while True:
        try:
            serve(service)
        except AMQPConnectionError:
            print(f"[{service}] no connection, trying again", flush=True)
            time.sleep(2)
        except KeyboardInterrupt:  # Ctrl-C
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
