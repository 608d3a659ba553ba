"""The numbers that the broker offers and insists on, as the protocol needs them (config has where they come from)."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """RabbitMQ's defaults.

    Args:
        channel_max: channels of one connection; 0 is no limit.
        frame_max: octets; 0 is no limit.
        heartbeat: seconds, suggested to clients.
        handshake_timeout: seconds from accept until the connection is open.
        max_message_size: octets of body.
        consumer_max: consumers of one channel; None is no limit.
        connection_max: open connections of the broker; None is no limit.
        channels_max: channels of all connections together; None is no limit.
        consumer_timeout: milliseconds that a delivery may wait for its acknowledgement; None is no limit.
    """

    channel_max: int = 2047
    frame_max: int = 131_072
    heartbeat: int = 60
    handshake_timeout: float = 10.0
    max_message_size: int = 16_777_216
    consumer_max: int | None = None
    consumer_timeout: int | None = 1_800_000
    connection_max: int | None = None
    channels_max: int | None = None
