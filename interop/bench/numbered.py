"""Numbered messages on raw sockets: a publisher with confirms, and a consumer that insists on each message in its turn.

Rule: what may live here sends and receives. All messages are as long as each other, so that a block of them is made and
checked at once, and one process is faster than a broker.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from typing import Final

from pamqp import commands, frame
from pamqp.header import ContentHeader

from interop.bench.idle import CHANNEL, connect, open_channel, send, wait_for

BODY: Final = 100  # octets; the first eight are the message's number
WINDOW: Final = 5_000  # unconfirmed messages
PREFETCH: Final = 1_000
ACK_EVERY: Final = 200
BLOCK: Final = 256  # messages that differ in the last octet of their number only
RECEIVE: Final = 1 << 20
SILENCE_SECONDS: Final = 60.0  # longer than any commit takes
CONSUMER_TAG: Final = "t"
# type, channel, size, class and method, delivery tag, multiple, frame end
CONFIRM: Final = struct.Struct(">BHIIQBB")
ACK: Final = 60 << 16 | 80
FRAME_END: Final = 0xCE


class Publisher:
    """Publishes persistent messages into a queue, and counts confirms.

    Args:
        count: how many messages; their numbers begin with 0.

    Attributes:
        sent: messages given to the socket, or about to be.
        confirmed: all messages before this one are.
    """

    def __init__(self, port: int, queue: str, count: int) -> None:
        self.sock = connect(port)
        open_channel(self.sock)
        send(self.sock, CHANNEL, commands.Confirm.Select())
        wait_for(self.sock, commands.Confirm.SelectOk)
        self.sock.setblocking(False)
        self.sent = self.confirmed = 0
        self._count = count
        head, rest = message(queue)
        self._number_at = len(head)
        self._stride = len(head) + len(rest) + 8
        self._block = bytearray(b"".join(head + place.to_bytes(8, "big") + rest for place in range(BLOCK)))
        self._unsent = memoryview(b"")
        self._alone: set[int] = set()  # confirmed out of turn
        self._half = b""  # of a confirm

    @property
    def done(self) -> bool:
        """Everything is confirmed."""
        return self.confirmed == self._count

    @property
    def events(self) -> int:
        """What it waits for, as selectors say it."""
        may_send = self._unsent or (self.sent < self._count and self.sent - self.confirmed < WINDOW)
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if may_send else 0)

    def ready(self, events: int) -> None:
        """Do what can be done without waiting.

        Raises:
            RuntimeError: the broker did not confirm, or closed the connection.
        """
        if events & selectors.EVENT_READ:
            self._receive()
        if events & selectors.EVENT_WRITE:
            if not self._unsent:
                self._next_block()
            self._unsent = self._unsent[self.sock.send(self._unsent) :]

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()

    def _next_block(self) -> None:
        """Give the block the numbers that come now, an octet of all messages at a time."""
        number = self.sent.to_bytes(8, "big")
        for place, octet in enumerate(number[:-1], self._number_at):
            self._block[place :: self._stride] = bytes((octet,)) * BLOCK
        messages = min(BLOCK, self._count - self.sent)
        self._unsent = memoryview(self._block)[: messages * self._stride]
        self.sent += messages

    def _receive(self) -> None:
        data = self._half + received(self.sock)
        whole = len(data) - len(data) % CONFIRM.size
        self._half = data[whole:]
        for kind, _, _, method, tag, multiple, end in CONFIRM.iter_unpack(data[:whole]):
            if kind != 1 or method != ACK or end != FRAME_END:
                raise RuntimeError(f"no confirm: {data[:400]!r}")
            if multiple:
                self.confirmed = max(self.confirmed, tag)
            else:
                self._alone.add(tag)
        while self.confirmed + 1 in self._alone:
            self.confirmed += 1
            self._alone.discard(self.confirmed)


class Consumer:
    """Consumes a queue and acknowledges, several messages at a time.

    Args:
        count: how many messages it is to get, with the numbers from 0.

    Attributes:
        received: messages, all of them in order.
    """

    def __init__(self, port: int, queue: str, count: int) -> None:
        self.sock = connect(port)
        open_channel(self.sock)
        send(self.sock, CHANNEL, commands.Basic.Qos(prefetch_count=PREFETCH))
        wait_for(self.sock, commands.Basic.QosOk)
        self.received = 0
        self._queue = queue
        self._count = count
        self._acknowledged = 0
        head, rest = message(queue)
        deliver = frame.marshal(commands.Basic.Deliver(CONSUMER_TAG, 1, False, "", queue), CHANNEL)
        publish = frame.marshal(commands.Basic.Publish(exchange="", routing_key=queue), CHANNEL)
        before = len(deliver) + len(head) - len(publish)
        self._stride = before + 8 + len(rest)
        self._number = struct.Struct(f">{before}xQ{len(rest)}x")
        self._half = b""  # of a message
        send(self.sock, CHANNEL, commands.Basic.Consume(queue=queue, consumer_tag=CONSUMER_TAG))
        wait_for(self.sock, commands.Basic.ConsumeOk)

    @property
    def done(self) -> bool:
        """Everything came."""
        return self.received == self._count

    @property
    def events(self) -> int:
        """What it waits for, as selectors say it."""
        return selectors.EVENT_READ

    def ready(self, events: int) -> None:
        """Take what is there.

        Raises:
            RuntimeError: it is not the message whose turn it is, or the broker closed the connection.
        """
        data = self._half + received(self.sock)
        messages = len(data) // self._stride
        self._half = data[messages * self._stride :]
        whole = data[: messages * self._stride]
        if whole[:: self._stride] != b"\x01" * messages:
            raise RuntimeError(f"no message: {data[:400]!r}")
        numbers = [number for (number,) in self._number.iter_unpack(whole)]
        wanted = list(range(self.received, self.received + messages))
        if numbers != wanted:
            wrong, right = next(pair for pair in zip(numbers, wanted, strict=True) if pair[0] != pair[1])
            raise RuntimeError(f"message {wrong} instead of {right}")
        self.received += messages
        if self.received - self._acknowledged >= ACK_EVERY or self.done:
            self._acknowledged = self.received
            send(self.sock, CHANNEL, commands.Basic.Ack(self.received, multiple=True))

    def close(self) -> None:
        """Close the connection, when the broker has met the last acknowledgement.

        Raises:
            RuntimeError: there is one more message.
        """
        left = declared(self.sock, commands.Queue.Declare(queue=self._queue, passive=True))
        if left:
            raise RuntimeError(f"{left:,} messages are left")
        self.sock.close()


def message(queue: str) -> tuple[bytes, bytes]:
    """The frames of a publish: what comes before the message's number, and behind it."""
    publish = frame.marshal(commands.Basic.Publish(exchange="", routing_key=queue), CHANNEL)
    header = frame.marshal(ContentHeader(0, BODY, commands.Basic.Properties(delivery_mode=2)), CHANNEL)
    body = b"\x03" + CHANNEL.to_bytes(2, "big") + BODY.to_bytes(4, "big")
    return publish + header + body, b"x" * (BODY - 8) + bytes((FRAME_END,))


def received(sock: socket.socket) -> bytes:
    """What is there.

    Raises:
        RuntimeError: the broker closed the connection.
    """
    data = sock.recv(RECEIVE)
    if not data:
        raise RuntimeError("the broker closed the connection")
    return data


def run(*clients: Publisher | Consumer) -> tuple[float, int]:
    """Let clients work until they are done. Returns how many seconds it took, and the most messages that were waiting.

    Raises:
        RuntimeError: one of them met something wrong.
        TimeoutError: nothing happens any more.
    """
    begun = time.monotonic()
    most = 0
    publishers = [client for client in clients if isinstance(client, Publisher)]
    consumers = [client for client in clients if isinstance(client, Consumer)]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, client.events, client)
        while not all(client.done for client in clients):
            waited = selector.select(SILENCE_SECONDS)
            if not waited:
                raise TimeoutError(f"nothing happens for {SILENCE_SECONDS} s")
            for key, events in waited:
                key.data.ready(events)
                if key.events != key.data.events:
                    selector.modify(key.fileobj, key.data.events, key.data)
            most = max(most, sum(one.sent for one in publishers) - sum(one.received for one in consumers))
    return time.monotonic() - begun, most


def declare(port: int, queue: str, passive: bool = False) -> int:
    """Declare a durable queue, or ask for it. Returns how many messages are in it.

    Raises:
        RuntimeError: it cannot be.
    """
    with connect(port) as sock:
        open_channel(sock)
        return declared(sock, commands.Queue.Declare(queue=queue, durable=True, passive=passive))


def declared(sock: socket.socket, method: commands.Queue.Declare) -> int:
    """Send queue.declare. Returns how many messages are in the queue.

    Raises:
        RuntimeError: the answer is something else.
    """
    sock.settimeout(SILENCE_SECONDS)
    send(sock, CHANNEL, method)
    count = wait_for(sock, commands.Queue.DeclareOk).message_count
    assert count is not None  # decoded
    return count
