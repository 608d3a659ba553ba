"""The super stream of the logs: one exchange, and a stream for each partition."""

import os

from pika.adapters.blocking_connection import BlockingChannel

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
PARTITIONS = ["logs-0", "logs-1", "logs-2"]


def declare(channel: BlockingChannel) -> None:
    """Declare the exchange and its partitions."""
    channel.exchange_declare("logs", "x-modulus-hash", durable=True, arguments={"x-super-stream": True})
    for order, partition in enumerate(PARTITIONS):
        stream = {"x-queue-type": "stream", "x-max-age": "7D"}  # what is older than a week goes
        channel.queue_declare(partition, durable=True, arguments=stream)
        channel.queue_bind(partition, "logs", str(order), {"x-stream-partition-order": order})
