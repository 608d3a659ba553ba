"""Bytes to frames: cuts what a socket delivers into frames and hands them on.

Rule: what may live here knows the frame envelope (AMQP 0-9-1 section 2.3.5) and the shape of the two methods that make
up nearly all traffic, basic.publish and basic.ack; it knows no state. A publish whose method, header and single body
frame lie behind each other is handed on as one slice of the bytes that came in; every other frame goes on as it is.

    octet 0    1      3        7                 7 + size
          +------+---------+---------+---------+-----------+
          | type | channel |  size   | payload | frame-end |
          +------+---------+---------+---------+-----------+
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import read_i32_be, read_i64_be
from mypy_extensions import i64, mypyc_attr

from amqpd.errors import FrameError, UnexpectedFrame

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
FRAME_END: Final = 0xCE
ENVELOPE: Final = 8  # octets around a payload: type, channel, size, frame-end
HEARTBEAT_FRAME: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"

BASIC_CLASS: Final = 60
BASIC_PUBLISH: Final = 0x003C0028
BASIC_ACK: Final = 0x003C0050
CONTENT_CLASS_AND_WEIGHT: Final = 0x003C0000
ACK_SIZE: Final = 13
HEADER_FIXED: Final = 19  # octets of a header frame before its property list
LEAST_PUBLISH: Final = 9  # octets of payload, with empty exchange and routing key
LARGEST_SIZE: Final = 0xFFFFFFFF
# What a frame must at least hold to be one of its type: the ids of a method, what a content header begins with.
LEAST_PAYLOAD: Final = {METHOD: 4, HEADER: 12, BODY: 0, HEARTBEAT: 0}
NO_SUCH_FRAME: Final = 1 << 32
# A body of so many octets has a way of its own when it comes in several reads, with fewer copies.
LARGE_BODY: Final = 1024

# After a publish that was not like the one before, so many are read without looking for another like them.
LOOK_AGAIN_AFTER: Final = 16

# What _publish answers instead of a position.
_INCOMPLETE: Final = -1
_NOT_SIMPLE: Final = -2


@mypyc_attr(allow_interpreted_subclasses=True)
class FrameHandler:
    """Who takes the frames that a FrameReader cuts."""

    def on_publish(
        self,
        channel: i64,
        route: bytes,
        bits: i64,
        property_list: bytes,
        content: bytes,
        header_end: i64,
        body_size: i64,
    ) -> None:
        """A basic.publish with its whole content; whoever has no use for it in one piece gets its frames.

        Args:
            channel: the channel's number.
            route: exchange and routing key, two shortstrs as they stand in the method.
            bits: 1 mandatory, 2 immediate.
            property_list: the properties as they stand in the content header, flags first. Like route it is mostly the
                same object again when the last publish had the same octets.
            content: header frame and body frame (none for an empty body) as they came in.
            header_end: length of the header frame within content.
            body_size: octets in the body.
        """
        for kind, payload in frames_of_publish(route, bits, content, header_end):
            self.on_frame(kind, channel, payload)

    def on_ack(self, channel: i64, tag: i64, multiple: bool) -> None:
        """A basic.ack."""
        raise NotImplementedError

    def on_frame(self, kind: i64, channel: i64, payload: bytes) -> None:
        """Any other frame."""
        raise NotImplementedError


@final
class Envelope:
    """What stands around the body of a simple publish, and what was read from it.

    Args:
        octets: the method frame, the header frame and what the body frame begins with.
        content_at: where the header frame begins in octets.
        header_end: length of the header frame.
    """

    def __init__(
        self,
        octets: bytes,
        route: bytes,
        bits: i64,
        property_list: bytes,
        content_at: i64,
        header_end: i64,
        body_size: i64,
    ) -> None:
        self.octets = octets
        self.length: i64 = len(octets)
        self.route = route
        self.bits: i64 = bits
        self.property_list = property_list
        self.content_at: i64 = content_at
        self.header_end: i64 = header_end
        self.body_size: i64 = body_size


@final
class FrameReader:
    """Cuts a stream of bytes, split anywhere, into frames.

    Memory is bounded by the largest payload allowed: bytes are kept only while a frame (or the three frames of a simple
    publish) is incomplete.

    Args:
        handler: told of every frame, in order. What it raises passes through feed.
        largest_payload: payload octets allowed before tuning; see limit().
    """

    def __init__(self, handler: FrameHandler, largest_payload: i64) -> None:
        self._handler = handler
        self._largest: i64 = largest_payload
        self._chunks: list[bytes] = []
        self._have: i64 = 0
        self._need: i64 = 0
        self._content_at: i64 = 0  # not 0: what is kept is a simple publish with a part of its large body, content here
        self._last: Envelope | None = None  # of a publish; the next one mostly has the same
        self._look_again: i64 = 0  # after so many publishes one is remembered again
        self.paused = False
        self._stopped = False

    def limit(self, frame_max: i64) -> None:
        """Set the negotiated frame_max; 0 means no limit. RabbitMQ allows payloads of frame_max itself, so do we."""
        self._largest = frame_max if frame_max else LARGEST_SIZE

    def feed(self, data: bytes) -> None:
        """Take the next bytes and hand on every frame that they complete.

        While paused, bytes are kept; feed(b"") after clearing ``paused`` goes on.

        Raises:
            FrameError: an envelope is malformed; nothing more may be fed.
        """
        # HOT: once per read
        if self._stopped:
            return
        start: i64 = 0
        if self._have:
            start = self._complete(data)
            if start < 0:
                return
        self._cut(data, start)

    def _complete(self, data: bytes) -> i64:
        """Cut what was kept, with as much of these bytes as it lacks.

        Returns the position in data from which on nothing was taken, -1 when all of it is kept.
        """
        # Only what is lacking is joined with what was kept: the messages behind it are cut from the read itself.
        start: i64 = 0
        while self._have:
            end: i64 = max(start, start + self._need - self._have)
            if self.paused or end > len(data):
                self._chunks.append(data[start:] if start else data)
                self._have += len(data) - start
                return -1
            chunks, self._chunks = self._chunks, []
            self._have = 0
            content_at, self._content_at = self._content_at, 0
            if content_at and end > start and data[end - 1] == FRAME_END:
                self._hand_on_large(chunks, content_at, memoryview(data)[start:end])
            else:
                chunks.append(data[start:end])
                self._cut(b"".join(chunks), 0)
            start = end
        return start

    def _hand_on_large(self, chunks: list[bytes], content_at: i64, rest: memoryview) -> None:
        """Hand on a simple publish that came in several reads; its content is joined once, and not cut out again."""
        first = chunks[0]
        end = content_at - 1
        content = b"".join([memoryview(first)[content_at:], *chunks[1:], rest])
        channel: i64 = (i64(first[1]) << 8) | i64(first[2])
        header_size: i64 = i64(read_i32_be(content, 3))
        bits: i64 = i64(first[end - 1]) & 3
        self._handler.on_publish(
            channel,
            first[13 : end - 1],
            bits,
            content[HEADER_FIXED : header_size + 7],
            content,
            header_size + ENVELOPE,
            read_i64_be(content, 11),
        )

    def stop(self) -> None:
        """Take no more frames, now or ever: the stream cannot be understood any more, or need not be."""
        self.paused = True
        self._stopped = True
        self._chunks.clear()
        self._have = 0

    def _keep(self, buf: bytes, start: i64, need: i64) -> None:
        rest = buf[start:] if start else buf
        if rest:
            self._chunks.append(rest)
            self._have = len(rest)
            self._need = need - start

    def _cut(self, buf: bytes, pos: i64) -> None:  # noqa: C901 - splitting the hot loop would cost a call per frame
        # HOT: the loop over all frames of a read
        size_of_buf: i64 = len(buf)
        need: i64 = 0
        while not self.paused:
            if size_of_buf - pos < ENVELOPE:
                need = pos + ENVELOPE
                break
            kind: i64 = buf[pos]
            channel: i64 = (i64(buf[pos + 1]) << 8) | i64(buf[pos + 2])
            size: i64 = i64(read_i32_be(buf, pos + 3)) & LARGEST_SIZE
            if size > self._largest:
                raise too_large(kind, size, self._largest)
            end: i64 = pos + 7 + size
            if end >= size_of_buf:
                need = end + 1
                break
            if buf[end] != FRAME_END:
                raise bad_end(kind, buf[pos + 7 : end], buf[end])
            if kind == METHOD and size >= LEAST_PUBLISH:
                method: i64 = i64(read_i32_be(buf, pos + 7))
                if method == BASIC_PUBLISH:
                    after = self._publish(buf, pos, end, size_of_buf, channel)
                    if after >= 0:
                        pos = after
                        continue
                    if after == _INCOMPLETE:
                        need = self._need
                        break
                elif method == BASIC_ACK and size == ACK_SIZE:
                    pos_of_tag: i64 = pos + 11
                    pos = end + 1
                    self._handler.on_ack(channel, read_i64_be(buf, pos_of_tag), buf[end - 1] & 1 != 0)
                    continue
            payload = buf[pos + 7 : end]
            pos = end + 1
            self._handler.on_frame(kind, channel, payload)
        if pos < size_of_buf and not self._stopped:
            self._keep(buf, pos, need)

    def _publish(  # noqa: C901 - as in _cut: each part split off would cost a call per message
        self, buf: bytes, pos: i64, end: i64, size_of_buf: i64, channel: i64
    ) -> i64:
        """Hand on the publish at pos if it is simple and complete.

        Returns the position behind it, _INCOMPLETE (then _need says up to where bytes are missing) or _NOT_SIMPLE.
        """
        # HOT: once per published message
        last = self._last
        if last is not None:
            after: i64 = pos + last.length + last.body_size
            if last.body_size:
                after += 1
            if after <= size_of_buf:
                if buf[pos : pos + last.length] == last.octets and buf[after - 1] == FRAME_END:
                    content = buf[pos + last.content_at : after]
                    self._handler.on_publish(
                        channel, last.route, last.bits, last.property_list, content, last.header_end, last.body_size
                    )
                    return after
                self._last = None
                self._look_again = LOOK_AGAIN_AFTER
        route_at: i64 = pos + 13
        key: i64 = route_at + 1 + i64(buf[route_at])
        if key >= end - 1 or key + 1 + i64(buf[key]) != end - 1:
            return _NOT_SIMPLE
        header: i64 = end + 1
        if size_of_buf - header < ENVELOPE:
            self._need = header + ENVELOPE
            return _INCOMPLETE
        if not self._starts(buf, header, HEADER, channel):
            return _NOT_SIMPLE
        header_size: i64 = i64(read_i32_be(buf, header + 3)) & LARGEST_SIZE
        if header_size < 14 or header_size > self._largest:
            return _NOT_SIMPLE
        header_end: i64 = header + 7 + header_size
        if header_end >= size_of_buf:
            self._need = header_end + 1
            return _INCOMPLETE
        if buf[header_end] != FRAME_END or read_i32_be(buf, header + 7) != CONTENT_CLASS_AND_WEIGHT:
            return _NOT_SIMPLE
        body_size: i64 = read_i64_be(buf, header + 11)
        if body_size < 0 or body_size > self._largest:
            return _NOT_SIMPLE
        envelope_end: i64 = header_end + 1
        after = envelope_end
        if body_size > 0:
            if size_of_buf - after < ENVELOPE:
                self._need = after + ENVELOPE
                return _INCOMPLETE
            if not self._starts(buf, after, BODY, channel):
                return _NOT_SIMPLE
            if i64(read_i32_be(buf, after + 3)) & LARGEST_SIZE != body_size:
                return _NOT_SIMPLE
            body_end: i64 = after + 7 + body_size
            if body_end >= size_of_buf:
                self._need = body_end + 1
                if body_size >= LARGE_BODY:
                    self._content_at = header - pos
                return _INCOMPLETE
            if buf[body_end] != FRAME_END:
                return _NOT_SIMPLE
            envelope_end += 7
            after = body_end + 1
        route = buf[route_at : end - 1]
        bits: i64 = i64(buf[end - 1]) & 3
        property_list = buf[header + HEADER_FIXED : header_end]
        content_at: i64 = header - pos
        header_size = header_end + 1 - header
        if self._look_again:
            self._look_again -= 1
        elif last is None:
            octets = buf[pos:envelope_end]
            self._last = Envelope(octets, route, bits, property_list, content_at, header_size, body_size)
        self._handler.on_publish(channel, route, bits, property_list, buf[header:after], header_size, body_size)
        return after

    def _starts(self, buf: bytes, pos: i64, kind: i64, channel: i64) -> bool:
        return i64(buf[pos]) == kind and i64(buf[pos + 1]) == channel >> 8 and i64(buf[pos + 2]) == channel & 0xFF


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """One frame around a payload."""
    return b"%c%b%b%b\xce" % (kind, channel.to_bytes(2, "big"), len(payload).to_bytes(4, "big"), payload)


def frames_of_publish(route: bytes, bits: i64, content: bytes, header_end: i64) -> list[tuple[int, bytes]]:
    """What FrameHandler.on_publish got, as type and payload of the frames that it was."""
    method = BASIC_PUBLISH.to_bytes(4, "big") + b"\x00\x00" + route + bytes([bits])
    frames = [(METHOD, method), (HEADER, content[7 : header_end - 1])]
    if len(content) > header_end:
        frames.append((BODY, content[header_end + 7 : len(content) - 1]))
    return frames


def payload_of_ack(tag: i64, multiple: bool) -> bytes:
    """What FrameHandler.on_ack got, as the payload of the frame that it was."""
    return BASIC_ACK.to_bytes(4, "big") + int(tag).to_bytes(8, "big", signed=True) + bytes([multiple])


def too_large(kind: i64, size: i64, largest: i64) -> FrameError:
    """The error for a payload above the limit, in RabbitMQ's words (which subtract the envelope from frame_max)."""
    return FrameError(
        f"type {kind}, all octets = <<>>: {{frame_too_large,{size},{largest - ENVELOPE}}}", about_method=False
    )


def bad_end(kind: i64, payload: bytes, found: int) -> FrameError:
    """The error for a frame that does not end in 0xCE."""
    octets = octets_text(payload)
    # Erlang's printer breaks a line of more than 80 columns and aligns it under the tuple's first element.
    explanation = f"type {kind}, {octets}: {{invalid_frame_end_marker,{found}}}"
    if len(explanation) > ERLANG_COLUMNS:
        indent = " " * (len(f"type {kind}, {octets}: ") + 1)
        explanation = f"type {kind}, {octets}: {{invalid_frame_end_marker,\n{indent}{found}}}"
    return FrameError(explanation, about_method=False)


ERLANG_COLUMNS: Final = 80


def unknown_frame(kind: i64, payload: bytes) -> FrameError:
    """The error for a frame type that does not exist, or a payload that its type does not allow."""
    return FrameError(f"type {kind}, {octets_text(payload)}: unknown_frame", about_method=False)


def unexpected_frame(kind: i64, payload: bytes) -> UnexpectedFrame:
    """The error for a frame on a channel where its type has no place."""
    return UnexpectedFrame(f"type {kind}, {octets_text(payload)}", about_method=False)


def check_frame(kind: i64, number: i64, payload: bytes) -> None:
    """Check a frame as far as that takes no knowledge of a state: heartbeats are empty and come on channel 0.

    Raises:
        FrameError: there is no such type, or it allows no such payload.
        UnexpectedFrame: a heartbeat on another channel.
    """
    if kind == HEARTBEAT and number:
        raise unexpected_frame(kind, payload)
    if len(payload) < LEAST_PAYLOAD.get(int(kind), NO_SUCH_FRAME) or (kind == HEARTBEAT and payload):
        raise unknown_frame(kind, payload)


def octets_text(payload: bytes) -> str:
    """The first 16 octets of a payload as RabbitMQ prints them."""
    shown = payload[:16]
    if shown and all(32 <= octet < 127 for octet in shown):
        term = '"' + shown.decode("ascii") + '"'
    else:
        term = ",".join(str(octet) for octet in shown)
    prefix = "all octets" if len(payload) <= 16 else "first 16 octets"
    return f"{prefix} = <<{term}>>"
