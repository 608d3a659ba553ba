"""Show the videos that could not be done, and forget them: python failed.py."""

import pika
from topology import URL, declare


def main() -> None:
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        declare(channel)
        while True:
            method, _properties, body = channel.basic_get("transcode.failed")
            if method is None:
                break
            print(f"could not be done: {body.decode()}")
            channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    main()
