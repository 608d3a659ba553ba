"""Place an order, and be sure that it is kept: python place_order.py NUMBER QUANTITY ITEM."""

import json
import os
import sys

import pika
from pika.exceptions import NackError, UnroutableError

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")


def main(number: str, quantity: str, item: str) -> None:
    order = {"quantity": int(quantity), "item": item}
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=pika.DeliveryMode.Persistent,  # it survives the broker's restart, in a durable queue
        message_id=number,  # a service that gets an order twice can tell
    )
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        channel.exchange_declare("orders", "fanout", durable=True)
        channel.confirm_delivery()  # from now on basic_publish returns when the broker has the message
        try:
            channel.basic_publish("orders", "", json.dumps(order).encode(), properties, mandatory=True)
        except UnroutableError:  # mandatory: it came back, as no queue is bound to the exchange
            sys.exit(f"order {number}: nobody takes orders yet")
        except NackError:
            sys.exit(f"order {number}: the broker could not keep it, place it again")
    print(f"order {number} is placed")


if __name__ == "__main__":
    main(*sys.argv[1:])
