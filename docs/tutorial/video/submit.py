"""Submit videos: python submit.py NAME:SECONDS ...; SECONDS is how long the transcoding takes."""

import sys

import pika
from topology import PERSISTENT, URL, declare


def main(videos: list[str]) -> None:
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        declare(channel)
        channel.confirm_delivery()
        for video in videos:
            properties = pika.BasicProperties(delivery_mode=PERSISTENT)
            channel.basic_publish("", "transcode", video.encode(), properties, mandatory=True)
            print(f"submitted {video}")


if __name__ == "__main__":
    main(sys.argv[1:])
