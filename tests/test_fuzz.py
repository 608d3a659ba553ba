"""The core under any bytes: splitting changes nothing, garbage neither raises nor piles up nor disturbs others."""

from __future__ import annotations

import itertools
import random

from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import base, commands

from amqpd.broker.alarms import MEMORY
from amqpd.protocol.connection import INITIAL_PAYLOAD
from amqpd.protocol.limits import Limits
from amqpd.protocol.patience import LOOK_EVERY
from amqpd.wire.frames import BODY, ENVELOPE, HEADER, METHOD, frame
from amqpd.wire.methods import AccessRequest, AccessRequestOk, encode, ids, make
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from tests.builders import PROTOCOL_HEADER, Client, Content, World, header_bytes, publish_bytes

COMMANDS: list[type[base.Frame]] = [*commands.INDEX_MAPPING.values(), AccessRequest, AccessRequestOk]
FRAME_MAX = 4096
LIMITS = Limits(max_message_size=1000)
HANDSHAKE = (
    PROTOCOL_HEADER
    + encode(0, make(commands.Connection.StartOk, mechanism="PLAIN", response=b"\0guest\0guest"))
    + encode(0, make(commands.Connection.TuneOk, channel_max=2047, frame_max=FRAME_MAX))
    + encode(0, make(commands.Connection.Open, virtual_host="/"))
)

# Bytes that a client might send: mostly sensible, so that they come far.

channels = st.sampled_from([1, 1, 1, 2, 0])
names = st.sampled_from(["q", "q", "another queue", "", "amq.direct", "missing", "amq.rabbitmq.reply-to"])
flags = st.booleans()
tags = st.integers(0, 4) | st.sampled_from([2**63, 2**64 - 1])
some_properties = st.sampled_from(
    [
        EMPTY_PROPERTIES,
        Properties.of(headers={"CC": ["another queue"], "BCC": ["q"]}),
        Properties.of(reply_to="amq.rabbitmq.reply-to"),
        Properties.of(expiration="wrong"),
        Properties.of(user_id="guest", delivery_mode=2),
    ]
)


def method(command: type[base.Frame], **arguments: st.SearchStrategy[object]) -> st.SearchStrategy[bytes]:
    """Frames of a method with drawn arguments."""
    drawn = st.fixed_dictionaries(arguments)
    return st.builds(lambda channel, values: encode(channel, make(command, **values)), channels, drawn)


def content_in_pieces(channel: int, key: str, properties: Properties, pieces: list[bytes], missing: int) -> bytes:
    """A publish whose body comes in several frames, some octets short if missing is not 0."""
    size = sum(map(len, pieces)) + missing
    publish = encode(channel, make(commands.Basic.Publish, routing_key=key))
    return publish + header_bytes(channel, size, properties) + b"".join(frame(BODY, channel, body) for body in pieces)


bodies = st.binary(max_size=30) | st.sampled_from([b"x" * 999, b"x" * 1001, b"x" * 4500])
publishes = st.builds(
    publish_bytes,
    channel=channels,
    exchange=st.sampled_from(["", "", "", "amq.direct", "missing"]),
    routing_key=names,
    body=bodies,
    properties=some_properties,
    mandatory=flags,
    frame_max=st.just(FRAME_MAX),
)
cut_publishes = st.builds(
    content_in_pieces,
    channels,
    names,
    some_properties,
    st.lists(st.binary(max_size=10), max_size=4),
    st.sampled_from([0, 0, 0, 1, -1]).map(lambda missing: max(missing, 0)),
)
sensible = st.one_of(
    publishes,
    publishes,
    cut_publishes,
    method(commands.Channel.Open),
    method(commands.Channel.Open),
    method(commands.Channel.Close),
    method(commands.Channel.CloseOk),
    method(commands.Queue.Declare, queue=names, exclusive=flags, passive=flags, auto_delete=flags),
    method(commands.Queue.Declare, queue=st.just("q")),
    method(commands.Queue.Bind, queue=names, exchange=names, routing_key=names),
    method(commands.Queue.Purge, queue=names),
    method(commands.Queue.Delete, queue=names, if_empty=flags),
    method(commands.Basic.Qos, prefetch_count=st.integers(0, 3), global_=flags),
    method(commands.Basic.Consume, queue=names, no_ack=flags, consumer_tag=st.sampled_from(["", "t"])),
    method(commands.Basic.Cancel, consumer_tag=st.just("t")),
    method(commands.Basic.Get, queue=names, no_ack=flags),
    method(commands.Basic.Ack, delivery_tag=tags, multiple=flags),
    method(commands.Basic.Nack, delivery_tag=tags, multiple=flags, requeue=flags),
    method(commands.Basic.Reject, delivery_tag=tags, requeue=flags),
    method(commands.Basic.Recover, requeue=st.just(True)),
    method(commands.Confirm.Select),
    method(commands.Tx.Select),
    method(commands.Tx.Commit),
    method(commands.Tx.Rollback),
    method(commands.Connection.Close),
    st.just(frame(8, 0, b"")),
)
OPEN = encode(1, make(commands.Channel.Open)) + encode(1, make(commands.Queue.Declare, queue="q"))
conversations = st.lists(sensible, max_size=15).map(lambda frames: OPEN + b"".join(frames))

# Garbage of several kinds.

any_method = st.builds(
    lambda command, channel, rest: frame(METHOD, channel, bytes_of(command) + rest),
    st.sampled_from(COMMANDS),
    channels,
    st.binary(max_size=40),
)
any_header = st.builds(
    lambda channel, rest: frame(HEADER, channel, b"\x00\x3c\x00\x00" + bytes(7) + rest),
    channels,
    st.binary(max_size=40),
)
any_frame = st.builds(frame, st.integers(0, 9), st.integers(0, 3), st.binary(max_size=40))
garbage = st.lists(st.binary(max_size=60) | any_frame | any_method | any_header | sensible, max_size=12).map(b"".join)


def bytes_of(command: type[base.Frame]) -> bytes:
    """Class and method id as they stand in a frame."""
    class_id, method_id = ids(make(command))
    return class_id.to_bytes(2, "big") + method_id.to_bytes(2, "big")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sensible conversation with some octets changed, removed or doubled."""
    data = bytearray(draw(conversations))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data) - 1))
        what = draw(st.integers(0, 2))
        if what == 0:
            data[place] = draw(st.integers(0, 255))
        elif what == 1:
            del data[place : place + draw(st.integers(1, 9))]
        else:
            data[place:place] = data[place : place + draw(st.integers(1, 9))]
        if not data:
            break
    return bytes(data)


def world() -> World:
    """A broker that takes bodies of 1,000 octets."""
    return World(LIMITS)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut at these places, counted from the front and around."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def outcome(stream: bytes, cuts: list[int], alarm: bool = False) -> tuple[bytes, bool, bool, list[tuple[str, int]]]:
    """What a client is sent in one turn, whether it is closed or not read, and what is in the queues."""
    tested = world()
    if alarm:
        tested.broker.alarms.set(MEMORY)
    client = tested.raw_client()
    for piece in split(HANDSHAKE + stream, cuts):
        client.connection.receive(piece)
    tested.finish()
    if alarm:
        tested.broker.alarms.clear(MEMORY)
        tested.finish()
    assert tested.observer.crashes == []
    counts = [(name, queue.message_count) for name, queue in tested.vhost.queues.items()]
    return client.take(), client.wire.closed, client.wire.reading, counts


cuts = st.lists(st.integers(0, 5000), max_size=10)


@given(conversations, cuts, st.booleans())
def test_any_split_of_a_conversation_gives_the_same_bytes(stream: bytes, cuts: list[int], alarm: bool) -> None:
    assert outcome(stream, cuts, alarm) == outcome(stream, [], alarm)


@given(damaged() | garbage, cuts)
def test_any_split_of_garbage_gives_the_same_bytes(stream: bytes, cuts: list[int]) -> None:
    assert outcome(stream, cuts) == outcome(stream, [])


def test_a_conversation_octet_by_octet_gives_the_same_bytes() -> None:
    stream = OPEN + content_in_pieces(1, "q", EMPTY_PROPERTIES, [b"abc", b"", b"de"], 0)
    stream += publish_bytes(1, "", "q", b"body") + encode(1, make(commands.Basic.Consume, queue="q"))
    stream += encode(1, make(commands.Basic.Ack, delivery_tag=1)) + encode(0, make(commands.Connection.Close))
    assert outcome(stream, list(range(len(HANDSHAKE + stream)))) == outcome(stream, [])


@given(st.lists(st.binary(max_size=10), min_size=1, max_size=12), cuts)
def test_turns_between_the_pieces_change_only_how_confirms_are_gathered(messages: list[bytes], cuts: list[int]) -> None:
    """Every message is delivered once in order and confirmed once, wherever the turns end."""
    client = world().client()
    client.open(1)
    client.declare("q")
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q", no_ack=True)
    stream = b"".join(publish_bytes(1, "", "q", body) for body in messages)
    for piece in split(stream, cuts):
        client.feed(piece)
    delivered, confirmed = [], 0
    for _, item in client.received():
        if isinstance(item, Content):
            delivered.append(item.body)
        else:
            assert isinstance(item, commands.Basic.Ack)
            assert item.delivery_tag > confirmed
            assert item.multiple or item.delivery_tag == confirmed + 1
            confirmed = item.delivery_tag
    assert delivered == messages
    assert confirmed == len(messages)


# Garbage.

LARGEST_FRAME = FRAME_MAX + ENVELOPE
# Of a body at most 1,000 octets are kept, in the worst case each in its own frame, and the header.
CONTENT_BOUND = 1000 * (1 + ENVELOPE) + LARGEST_FRAME


def assert_bounded(client: Client) -> None:
    """What is kept for the client's half-sent frames and messages stays below what the limits promise."""
    largest = max(LARGEST_FRAME, INITIAL_PAYLOAD + ENVELOPE)
    assert client.connection._reader._have <= 3 * largest
    for channel in client.connection.channels._by_number.values():
        assert sum(map(len, channel.content._frames)) <= CONTENT_BOUND


def assert_undisturbed(tested: World, other: Client) -> None:
    """The other client's queue and consumer work as before."""
    other.publish(1, "", "undisturbed", b"hello")
    assert other.bodies() == [b"hello"]
    assert not other.wire.closed
    assert other.wire.reading
    assert tested.observer.crashes == []


def bystander(tested: World) -> Client:
    """A client with a queue and a consumer of its own."""
    other = tested.client()
    other.open(1)
    other.declare("undisturbed", exclusive=True)
    other.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="undisturbed", no_ack=True)
    return other


@given(
    st.lists(st.binary(max_size=200), max_size=10) | st.lists(garbage, max_size=4), st.sampled_from([b"", HANDSHAKE])
)
@example([b"AMQP\x00\x00\x09\x01\x01\x00\x00\xff\xff\xff\xff"], b"")
def test_garbage_neither_raises_nor_piles_up_nor_disturbs_others(chunks: list[bytes], before: bytes) -> None:
    tested = world()
    other = bystander(tested)
    client = tested.raw_client()
    client.feed(before)
    for chunk in chunks:
        client.feed(chunk)
        assert_bounded(client)
        assert_undisturbed(tested, other)
    tested.advance(120)
    client.lose()
    assert_undisturbed(tested, other)
    other.lose()
    tested.advance(LOOK_EVERY)
    assert tested.timers.next_deadline() is None


@given(damaged(), cuts)
def test_a_damaged_conversation_neither_raises_nor_piles_up_nor_disturbs_others(stream: bytes, cuts: list[int]) -> None:
    tested = world()
    other = bystander(tested)
    client = tested.raw_client()
    client.feed(HANDSHAKE)
    for piece in split(stream, cuts):
        client.feed(piece)
        assert_bounded(client)
    assert_undisturbed(tested, other)
    client.lose()
    assert_undisturbed(tested, other)


@given(st.integers(0, 2**32 - 1))
def test_long_noise_on_many_channels_leaves_nothing_behind(seed: int) -> None:
    """Every message half sent, then the socket lost."""
    noise = random.Random(seed)
    tested = world()
    other = bystander(tested)
    client = tested.raw_client()
    client.feed(HANDSHAKE)
    for number in range(1, 20):
        client.feed(encode(number, make(commands.Channel.Open)))
        client.feed(encode(number, make(commands.Basic.Publish, routing_key="undisturbed")))
        client.feed(header_bytes(number, 1000))
    for _ in range(300):
        client.feed(frame(BODY, noise.randrange(1, 20), noise.randbytes(noise.choice([0, 1, 1, 7, 50]))))
    assert_bounded(client)
    client.lose()
    assert client.connection.channels._by_number == {}
    other.messages()
    assert_undisturbed(tested, other)
