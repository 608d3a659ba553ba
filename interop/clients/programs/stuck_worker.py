"""A worker that takes one task, prints it and never acknowledges it: `stuck_worker URL QUEUE`."""

from __future__ import annotations

import sys

import pika


def main(url: str, queue: str) -> None:
    """Print the first task and hang."""
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.basic_qos(prefetch_count=1)
    for _, _, body in channel.consume(queue):
        print(body.decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
