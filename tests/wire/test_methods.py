"""Methods: the layouts of the standard and of RabbitMQ, the octets of pamqp, and RabbitMQ's answers to broken ones."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.errors import AMQPError, Disconnect, FrameError
from amqpd.wire.methods import (
    AccessRequest,
    AccessRequestOk,
    Method,
    arguments_of,
    client_properties_of,
    decode,
    encode,
    ids,
    make,
    name,
    new_secret_of,
    response_of,
)
from amqpd.wire.table import EMPTY_TABLE, Table

# Every method and its arguments in order: b bit, o octet, h short, l long, L longlong, s shortstr, S longstr, F table.
METHODS = """
connection.start 10 10 version_major:o version_minor:o server_properties:F mechanisms:S locales:S
connection.start_ok 10 11 client_properties:F mechanism:s response:S locale:s
connection.secure 10 20 challenge:S
connection.secure_ok 10 21 response:S
connection.tune 10 30 channel_max:h frame_max:l heartbeat:h
connection.tune_ok 10 31 channel_max:h frame_max:l heartbeat:h
connection.open 10 40 virtual_host:s capabilities:s insist:b
connection.open_ok 10 41 known_hosts:s
connection.close 10 50 reply_code:h reply_text:s class_id:h method_id:h
connection.close_ok 10 51
connection.blocked 10 60 reason:s
connection.unblocked 10 61
connection.update_secret 10 70 new_secret:S reason:s
connection.update_secret_ok 10 71
channel.open 20 10 out_of_band:s
channel.open_ok 20 11 channel_id:S
channel.flow 20 20 active:b
channel.flow_ok 20 21 active:b
channel.close 20 40 reply_code:h reply_text:s class_id:h method_id:h
channel.close_ok 20 41
access.request 30 10 realm:s exclusive:b passive:b active:b write:b read:b
access.request_ok 30 11 ticket:h
exchange.declare 40 10 ticket:h exchange:s exchange_type:s passive:b durable:b auto_delete:b internal:b nowait:b \
arguments:F
exchange.declare_ok 40 11
exchange.delete 40 20 ticket:h exchange:s if_unused:b nowait:b
exchange.delete_ok 40 21
exchange.bind 40 30 ticket:h destination:s source:s routing_key:s nowait:b arguments:F
exchange.bind_ok 40 31
exchange.unbind 40 40 ticket:h destination:s source:s routing_key:s nowait:b arguments:F
exchange.unbind_ok 40 51
queue.declare 50 10 ticket:h queue:s passive:b durable:b exclusive:b auto_delete:b nowait:b arguments:F
queue.declare_ok 50 11 queue:s message_count:l consumer_count:l
queue.bind 50 20 ticket:h queue:s exchange:s routing_key:s nowait:b arguments:F
queue.bind_ok 50 21
queue.purge 50 30 ticket:h queue:s nowait:b
queue.purge_ok 50 31 message_count:l
queue.delete 50 40 ticket:h queue:s if_unused:b if_empty:b nowait:b
queue.delete_ok 50 41 message_count:l
queue.unbind 50 50 ticket:h queue:s exchange:s routing_key:s arguments:F
queue.unbind_ok 50 51
basic.qos 60 10 prefetch_size:l prefetch_count:h global_:b
basic.qos_ok 60 11
basic.consume 60 20 ticket:h queue:s consumer_tag:s no_local:b no_ack:b exclusive:b nowait:b arguments:F
basic.consume_ok 60 21 consumer_tag:s
basic.cancel 60 30 consumer_tag:s nowait:b
basic.cancel_ok 60 31 consumer_tag:s
basic.publish 60 40 ticket:h exchange:s routing_key:s mandatory:b immediate:b
basic.return 60 50 reply_code:h reply_text:s exchange:s routing_key:s
basic.deliver 60 60 consumer_tag:s delivery_tag:L redelivered:b exchange:s routing_key:s
basic.get 60 70 ticket:h queue:s no_ack:b
basic.get_ok 60 71 delivery_tag:L redelivered:b exchange:s routing_key:s message_count:l
basic.get_empty 60 72 cluster_id:s
basic.ack 60 80 delivery_tag:L multiple:b
basic.reject 60 90 delivery_tag:L requeue:b
basic.recover_async 60 100 requeue:b
basic.recover 60 110 requeue:b
basic.recover_ok 60 111
basic.nack 60 120 delivery_tag:L multiple:b requeue:b
confirm.select 85 10 nowait:b
confirm.select_ok 85 11
tx.select 90 10
tx.select_ok 90 11
tx.commit 90 20
tx.commit_ok 90 21
tx.rollback 90 30
tx.rollback_ok 90 31
"""
LETTERS = {
    "bit": "b",
    "octet": "o",
    "short": "h",
    "long": "l",
    "longlong": "L",
    "shortstr": "s",
    "longstr": "S",
    "table": "F",
}
COMMANDS: list[type[Method]] = [*commands.INDEX_MAPPING.values(), AccessRequest, AccessRequestOk]
ARGUMENTS: dict[str, st.SearchStrategy[object]] = {
    "bit": st.booleans(),
    "octet": st.integers(0, 2**8 - 1),
    "short": st.integers(0, 2**16 - 1),
    "long": st.integers(0, 2**32 - 1),
    "longlong": st.integers(0, 2**63 - 1),  # pamqp takes them for signed
    "shortstr": st.text(max_size=63),  # at most 252 octets
    "longstr": st.binary(max_size=20),
    # Only strings: pamqp would choose other types than we do for numbers. tests/wire/test_table.py has all types.
    "table": st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3).map(Table.of),
}


@st.composite
def methods(draw: st.DrawFn) -> Method:
    """Any method, its arguments in the form in which decode gives them."""
    command = draw(st.sampled_from(COMMANDS))
    return make(command, **{argument: draw(ARGUMENTS[command.amqp_type(argument)]) for argument in command.__slots__})


def payload_of(method: Method) -> bytes:
    return encode(1, method)[7:-1]


def failing_of(payload: bytes) -> AMQPError:
    with pytest.raises(AMQPError) as caught:
        decode(payload)
    return caught.value


def shortstr(octets: bytes) -> bytes:
    return bytes([len(octets)]) + octets


def queue_declare(queue: bytes = b"q", bits: bytes = b"\x00", arguments: bytes = b"\x00\x00\x00\x00") -> bytes:
    return b"\x00\x32\x00\x0a\x00\x00" + shortstr(queue) + bits + arguments


# The vocabulary.


def test_every_method_is_known_and_laid_out_as_rabbitmq_lays_it_out() -> None:
    layouts = set()
    for command in COMMANDS:
        class_id, method_id = ids(make(command))
        arguments = [f"{argument}:{LETTERS[command.amqp_type(argument)]}" for argument in command.__slots__]
        layouts.add(" ".join([name(make(command)), str(class_id), str(method_id), *arguments]))
    assert layouts == set(METHODS.strip().splitlines())


def test_make_gives_arguments_that_are_not_named_the_zero_of_their_type() -> None:
    assert dict(make(commands.Queue.Declare, queue="q")) == {
        "ticket": 0,
        "queue": "q",
        "passive": False,
        "durable": False,
        "exclusive": False,
        "auto_delete": False,
        "nowait": False,
        "arguments": EMPTY_TABLE,
    }
    assert dict(make(commands.Connection.SecureOk)) == {"response": b""}


def test_make_takes_names_that_pamqp_refuses() -> None:
    queue = "a / queue, 255 octets long" + "!" * 229
    assert decode(payload_of(make(commands.Queue.DeclareOk, queue=queue)))["queue"] == queue


def test_make_refuses_arguments_that_the_method_does_not_have() -> None:
    with pytest.raises(TypeError):
        make(commands.Queue.Declare, kew="q")


def test_tables_and_octets_have_typed_ways_to_them() -> None:
    table = Table.of({"a": 1})
    start_ok = make(commands.Connection.StartOk, client_properties=table, response=b"\x00\xff")

    assert client_properties_of(start_ok) == table
    assert response_of(start_ok) == b"\x00\xff"
    assert response_of(make(commands.Connection.SecureOk, response=b"\xfe")) == b"\xfe"
    assert new_secret_of(make(commands.Connection.UpdateSecret, new_secret=b"\xfd")) == b"\xfd"
    for command in (commands.Queue.Declare, commands.Queue.Bind, commands.Exchange.Declare, commands.Basic.Consume):
        assert arguments_of(make(command, arguments=table)) == table


# There and back.


@given(st.integers(0, 2**16 - 1), methods())
def test_every_method_survives_encoding_and_decoding(channel: int, method: Method) -> None:
    frame = encode(channel, method)
    decoded = decode(frame[7:-1])

    assert type(decoded) is type(method)
    assert dict(decoded) == dict(method)
    assert frame[:7] == struct.pack(">BHI", 1, channel, len(frame) - 8)
    assert frame[-1:] == b"\xce"


def test_a_delivery_tag_has_64_bits_without_a_sign() -> None:
    assert decode(payload_of(make(commands.Basic.Ack, delivery_tag=2**64 - 1)))["delivery_tag"] == 2**64 - 1


def test_a_table_keeps_its_octets() -> None:
    # A true that is not 1, and one name twice: no Python value would give these octets.
    raw = b"\x01at\x02\x01at\x00"
    payload = queue_declare(arguments=struct.pack(">I", len(raw)) + raw)
    method = decode(payload)

    assert arguments_of(method).raw == raw
    assert payload_of(method) == payload


def as_pamqp_takes_it(value: object) -> object:
    if isinstance(value, Table):
        return {key: field.value for key, field in sorted(value.items(), key=lambda item: item[0])}  # it sorts names
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


def pamqp_arguments(method: Method) -> bytes:
    """What pamqp encodes, could it be told not to validate."""
    command: type[Method] = type("Unchecked", (type(method),), {"__slots__": [], "validate": lambda _: None})
    command.__slots__ = type(method).__slots__  # so late it reserves no storage, but names the arguments
    return make(command, **dict(method)).marshal()


@given(methods())
def test_the_octets_are_those_of_pamqp(drawn: Method) -> None:
    method = make(type(drawn), **{argument: as_pamqp_takes_it(value) for argument, value in drawn})

    assert payload_of(method)[4:] == pamqp_arguments(method)


@given(methods())
def test_pamqp_reads_what_is_written_here(drawn: Method) -> None:
    arguments = {argument: as_pamqp_takes_it(value) for argument, value in drawn}
    read = make(type(drawn))
    read.unmarshal(payload_of(make(type(drawn), **arguments))[4:])

    assert dict(read) == arguments


def test_longstrs_may_be_str_and_tables_mappings() -> None:
    start = make(commands.Connection.Start, server_properties={"product": "p"}, mechanisms="PLAIN é", locales="en_US")
    decoded = decode(payload_of(start))

    assert decoded["mechanisms"] == "PLAIN é".encode()
    assert decoded["server_properties"] == Table.of({"product": "p"})


@pytest.mark.parametrize(
    ("method", "error"),
    [
        (make(commands.Basic.CancelOk, consumer_tag="é" * 128), ValueError),
        (make(commands.Basic.Ack, delivery_tag=2**64), OverflowError),
        (make(commands.Basic.Ack, delivery_tag=-1), OverflowError),
        (make(commands.Queue.DeclareOk, queue=None), TypeError),
    ],
)
def test_what_does_not_fit_a_method_is_not_encoded(method: Method, error: type[Exception]) -> None:
    with pytest.raises(error):
        encode(1, method)


# Broken methods.


@given(methods(), st.data())
def test_a_method_cut_short_cannot_be_decoded(method: Method, data: st.DataObject) -> None:
    payload = payload_of(method)
    if len(payload) > 4:
        cut = payload[: data.draw(st.integers(4, len(payload) - 1))]
        octets = ",".join(map(str, cut[4:]))
        error = failing_of(cut)
        assert isinstance(error, FrameError)
        assert error.about_method
        assert f"cannot decode <<{octets}>>".startswith(error.explanation.removesuffix(">>"))


@given(methods(), st.binary(min_size=1, max_size=9))
def test_a_method_with_octets_left_over_cannot_be_decoded(method: Method, more: bytes) -> None:
    error = failing_of(payload_of(method) + more)
    assert isinstance(error, FrameError)
    assert error.about_method


def test_the_error_shows_the_argument_octets_in_decimal() -> None:
    assert failing_of(b"\x00\x32\x00\x0a\x00").reply_text == "FRAME_ERROR - cannot decode <<0>>"  # A77
    too_long = payload_of(make(commands.Basic.Qos)) + b"zz"
    assert failing_of(too_long).reply_text == "FRAME_ERROR - cannot decode <<0,0,0,0,0,0,0,122,122>>"  # A78


def test_the_error_of_a_huge_method_stays_small() -> None:
    error = failing_of(queue_declare() + bytes(100_000))
    assert len(error.reply_text) == 255
    assert len(error.explanation) < 2_000


def test_a_name_that_is_no_utf_8_is_refused_without_naming_the_method() -> None:
    error = failing_of(queue_declare(queue=b"a\xff"))  # A79
    assert error.reply_text == "FRAME_ERROR - Malformed UTF-8 in shortstr"
    assert not error.about_method


def test_a_publish_may_carry_any_octets() -> None:
    payload = b"\x00\x3c\x00\x28\x00\x00" + shortstr(b"e\xff") + shortstr(b"k\xfe") + b"\x02"  # M16
    method = decode(payload)

    assert isinstance(method, commands.Basic.Publish)
    assert (method.exchange, method.routing_key) == ("e\udcff", "k\udcfe")
    assert (method.mandatory, method.immediate) == (False, True)
    assert payload_of(method) == payload


def test_a_broken_table_closes_the_socket() -> None:
    with pytest.raises(Disconnect):
        decode(queue_declare(arguments=b"\x00\x00\x00\x06\x01aQ123"))  # A80


def test_the_shape_of_the_method_counts_before_its_strings_and_tables() -> None:
    broken_table = b"\x00\x00\x00\x06\x01aQ123"

    assert failing_of(queue_declare(b"\xff", arguments=broken_table) + b"z").explanation.startswith("cannot decode")
    assert failing_of(queue_declare(b"\xff", arguments=broken_table)).explanation.startswith("Malformed UTF-8")


def test_bits_of_no_meaning_are_ignored() -> None:
    assert dict(decode(queue_declare(bits=b"\xe2"))) == dict(decode(queue_declare(bits=b"\x02")))


@pytest.mark.parametrize("payload", [b"\x00\x32\x00\x63", b"\xff\xff\xff\xff", b"\x00\x63\x00\x0a"])
def test_a_method_that_does_not_exist_closes_the_socket(payload: bytes) -> None:
    with pytest.raises(Disconnect):
        decode(payload)


def test_a_payload_without_ids_is_an_unknown_frame() -> None:
    error = failing_of(b"ab")  # A81
    assert error.reply_text == 'FRAME_ERROR - type 1, all octets = <<"ab">>: unknown_frame'
    assert not error.about_method


@given(st.sampled_from(COMMANDS), st.binary(max_size=60))
@example(commands.Connection.StartOk, b"\xff\xff\xff\xff")
def test_any_octets_are_a_method_or_an_error_the_connection_knows(command: type[Method], octets: bytes) -> None:
    try:
        method = decode(command.index.to_bytes(4, "big") + octets)
    except (FrameError, Disconnect):
        return
    assert type(method) is command


@given(methods(), st.data())
def test_any_changed_octet_is_a_method_or_an_error_the_connection_knows(method: Method, data: st.DataObject) -> None:
    payload = bytearray(payload_of(method))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(payload))
    except (FrameError, Disconnect):
        return
    assert ids(decoded) == struct.unpack(">HH", payload[:4])
