"""The queues of video transcoding; all programs declare them, so that any of them may be started first."""

import os

import pika
from pika.adapters.blocking_connection import BlockingChannel

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
DELAY = 2  # seconds until the next attempt

PERSISTENT = pika.DeliveryMode.Persistent


def declare(channel: BlockingChannel) -> None:
    """Declare the three queues."""
    tasks = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 3,  # a video that kills its worker goes to the next one, but not for ever
        "x-dead-letter-exchange": "",  # the default exchange: the routing key is the queue's name
        "x-dead-letter-routing-key": "transcode.later",
    }
    later = {
        "x-message-ttl": DELAY * 1000,  # nobody consumes here: messages wait, expire, and go back
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "transcode",
    }
    channel.queue_declare("transcode", durable=True, arguments=tasks)
    channel.queue_declare("transcode.later", durable=True, arguments=later)
    channel.queue_declare("transcode.failed", durable=True)
