"""Send each line of the standard input to the logs: some-service | python emit.py SERVICE."""

import sys

import pika
from topology import URL, declare


def main(service: str) -> None:
    properties = pika.BasicProperties(
        app_id=service,
        headers={"x-stream-filter-value": service},  # readers may ask for some services only
    )
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        declare(channel)
        channel.confirm_delivery()
        for line in sys.stdin:
            # The routing key decides the partition: lines of one service stay in order.
            channel.basic_publish("logs", service, line.rstrip().encode(), properties, mandatory=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
