"""A message: slices of what its publisher sent.

Rule: a Message never changes after it was made (but for the cache of its own wire form) and is shared by every queue it
was routed to. What a queue knows about it (position, deadline, redelivery) belongs to the queue.

Exchange and routing key as they stand in basic.publish are byte for byte what basic.deliver needs; header and body
frames go out as they came in, with the channel number patched where it differs and re-cut where frame_max is smaller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from librt.strings import read_i16_be, read_i32_be
from mypy_extensions import i64

from amqpd.wire.frames import BODY, ENVELOPE, HEADER, HEADER_FIXED, frame
from amqpd.wire.properties import Properties

if TYPE_CHECKING:
    from amqpd.broker.deaths import DeathHistory


@final
class Message:
    """One published message.

    Args:
        route: exchange and routing key, two shortstrs.
        content: header frame and body frames as on the wire.
        channel: the channel number that the frames in content carry.
        header_end: length of the header frame within content.
        body_size: octets of body.
        largest_body: octets in the largest body frame.
        properties: the property list of the header frame; None leaves making one until somebody asks. The octets must
            have been checked before.

    Attributes:
        flags: the flag word of the property list, for those who must know at every message whether it has a property.
    """

    def __init__(
        self,
        route: bytes,
        content: bytes,
        channel: i64,
        header_end: i64,
        body_size: i64,
        largest_body: i64,
        properties: Properties | None,
    ) -> None:
        self.route = route
        self._content = content
        self._channel: i64 = channel
        self._header_end: i64 = header_end
        self.body_size: i64 = body_size
        self._largest_body: i64 = largest_body
        self._properties = properties
        self.flags: i64 = i64(read_i16_be(content, HEADER_FIXED)) & 0xFFFC
        # Set while it is being made, like the keys of BCC: no client sees them, but dead lettering still goes by them.
        self.deaths: DeathHistory | None = None  # what it died of
        self.blind_keys: tuple[str, ...] = ()

    @property
    def properties(self) -> Properties:
        """The property list, decoded on demand."""
        properties = self._properties
        if properties is None:
            raw = self._content[HEADER_FIXED : self._header_end - 1]
            properties = self._properties = Properties(raw, scanned=True)
        return properties

    @property
    def exchange(self) -> str:
        """The exchange it was published to; octets that are not UTF-8 are kept as surrogates."""
        return self.route[1 : 1 + self.route[0]].decode("utf-8", "surrogateescape")

    @property
    def routing_key(self) -> str:
        """The routing key it was published with; octets that are not UTF-8 are kept as surrogates."""
        return self.route[2 + self.route[0] :].decode("utf-8", "surrogateescape")

    @property
    def body(self) -> bytes:
        """The body in one piece; costs a copy."""
        content = self._content
        pieces: list[bytes] = []
        pos: i64 = self._header_end
        while pos < len(content):
            size: i64 = i64(read_i32_be(content, pos + 3))
            pieces.append(content[pos + 7 : pos + 7 + size])
            pos += size + ENVELOPE
        return b"".join(pieces)

    @property
    def channel(self) -> i64:
        """The channel number that the frames in content carry."""
        return self._channel

    def body_frames(self) -> bytes:
        """The body frames, without the header frame."""
        return self._content[self._header_end :]

    def with_content(self, content: bytes, header_end: i64) -> Message:
        """The same message in other octets, of which the first ``header_end`` are the header frame."""
        return Message(self.route, content, self._channel, header_end, self.body_size, self._largest_body, None)

    @property
    def content(self) -> bytes:
        """Header and body frames, under whatever channel number they were last sent."""
        return self._content

    def content_for(self, channel: i64, payload_max: i64) -> bytes:
        """Header and body frames for a channel, no body payload above payload_max octets (0: any size)."""
        # HOT: once per delivery
        if self._channel == channel and (payload_max == 0 or self._largest_body <= payload_max):
            return self._content
        return self._recode(channel, payload_max)

    def with_route(self, exchange: str, routing_key: str) -> Message:
        """The same content under another exchange and routing key."""
        moved = Message(
            route_of(exchange, routing_key),
            self._content,
            self._channel,
            self._header_end,
            self.body_size,
            self._largest_body,
            self._properties,
        )
        moved.deaths = self.deaths
        moved.blind_keys = self.blind_keys
        return moved

    def with_properties(self, properties: Properties) -> Message:
        """The same message with another property list."""
        header = header_frame(int(self._channel), int(self.body_size), properties)
        changed = Message(
            self.route,
            header + self._content[self._header_end :],
            self._channel,
            len(header),
            self.body_size,
            self._largest_body,
            properties,
        )
        changed.deaths = self.deaths
        changed.blind_keys = self.blind_keys
        return changed

    def _recode(self, channel: i64, payload_max: i64) -> bytes:
        # The result replaces the cached form: the next delivery of a fan-out or a redelivery mostly wants the same.
        number = int(channel).to_bytes(2, "big")
        content = self._content
        pieces = [content[:1], number, content[3 : self._header_end]]
        if payload_max and self._largest_body > payload_max:
            body = self.body
            pos: i64 = 0
            while pos < len(body):
                pieces.append(frame(BODY, int(channel), body[pos : pos + payload_max]))
                pos += payload_max
            self._largest_body = payload_max
        else:
            pos = self._header_end
            while pos < len(content):
                after: i64 = pos + i64(read_i32_be(content, pos + 3)) + ENVELOPE
                pieces += (content[pos : pos + 1], number, content[pos + 3 : after])
                pos = after
        self._content = b"".join(pieces)
        self._channel = channel
        return self._content


def make_message(exchange: str, routing_key: str, properties: Properties, body: bytes) -> Message:
    """A message that no client published: made by the broker, the HTTP API or a test."""
    header = header_frame(0, len(body), properties)
    content = header + frame(BODY, 0, body) if body else header
    return Message(route_of(exchange, routing_key), content, 0, len(header), len(body), len(body), properties)


def header_frame(channel: int, body_size: int, properties: Properties) -> bytes:
    """A content header frame (AMQP 0-9-1 section 2.3.5.2)."""
    return frame(HEADER, channel, b"\x00\x3c\x00\x00" + body_size.to_bytes(8, "big") + properties.raw)


def route_of(exchange: str, routing_key: str) -> bytes:
    """Exchange and routing key as two shortstrs.

    Raises:
        ValueError: one of them is longer than 255 octets.
    """
    name = exchange.encode("utf-8", "surrogateescape")
    key = routing_key.encode("utf-8", "surrogateescape")
    return bytes([len(name)]) + name + bytes([len(key)]) + key
