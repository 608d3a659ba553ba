"""Declarations of what is reserved, locked or there already as something else, and the texts that refuse them."""

from __future__ import annotations

import pytest

from amqpd.broker.declaration import (
    ExchangeSpec,
    check_equivalent_exchange,
    check_equivalent_queue,
    check_lock,
    check_new_exchange,
)
from amqpd.broker.queues.base import Owner
from amqpd.broker.vhost import VHost
from amqpd.errors import AccessRefused, PreconditionFailed, ResourceLocked
from amqpd.wire.table import Field, Table
from tests.broker.queues.takers import queue_spec
from tests.builders import World

FANOUT = ExchangeSpec("fanout", False, False, False)
LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally "
    "declared on another connection or the exclusive property value does not match that of the original declaration."
)


@pytest.fixture
def vhost() -> VHost:
    return World().vhost


def test_new_exchanges_may_not_take_the_reserved_prefix() -> None:
    check_new_exchange("amqp")
    with pytest.raises(AccessRefused) as refused:
        check_new_exchange("amq.mine")
    assert refused.value.reply_text == "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (ExchangeSpec("direct", True, True, True), "'type' for {x}: received 'direct' but current is 'fanout'"),
        (ExchangeSpec("fanout", True, True, True), "'durable' for {x}: received 'true' but current is 'false'"),
        (ExchangeSpec("fanout", False, True, True), "'auto_delete' for {x}: received 'true' but current is 'false'"),
        (ExchangeSpec("fanout", False, False, True), "'internal' for {x}: received 'true' but current is 'false'"),
        (
            ExchangeSpec("fanout", False, False, False, Table.of({"alternate-exchange": "ae"})),
            "'alternate-exchange' for {x}: received the value 'ae' of type 'longstr' but current is none",
        ),
    ],
)
def test_the_first_difference_of_an_exchange_is_named(vhost: VHost, spec: ExchangeSpec, text: str) -> None:
    exchange = vhost.create_exchange("x", FANOUT)
    with pytest.raises(PreconditionFailed) as refused:
        check_equivalent_exchange("/", exchange, spec)
    whole = "PRECONDITION_FAILED - inequivalent arg " + text.format(x="exchange 'x' in vhost '/'")
    assert refused.value.reply_text == whole


@pytest.mark.parametrize(
    ("received", "text"),
    [
        ({"alternate-exchange": "b"}, "received 'b' but current is 'a'"),
        ({}, "received none but current is the value 'a' of type 'longstr'"),
    ],
)
def test_alternate_exchanges_are_compared(vhost: VHost, received: dict[str, Field], text: str) -> None:
    arguments = Table.of({"alternate-exchange": "a"})
    exchange = vhost.create_exchange("x", ExchangeSpec("fanout", False, False, False, arguments))
    with pytest.raises(PreconditionFailed) as refused:
        check_equivalent_exchange("/", exchange, ExchangeSpec("fanout", False, False, False, Table.of(received)))
    assert refused.value.reply_text.endswith(f"'alternate-exchange' for exchange 'x' in vhost '/': {text}")


def test_other_arguments_of_an_exchange_are_not_compared(vhost: VHost) -> None:
    exchange = vhost.create_exchange("x", FANOUT)
    check_equivalent_exchange("/", exchange, ExchangeSpec("fanout", False, False, False, Table.of({"any": 1})))


@pytest.mark.parametrize(
    ("durable", "auto_delete", "argument"), [(True, True, "durable"), (False, True, "auto_delete")]
)
def test_the_first_difference_of_a_queue_is_named(
    vhost: VHost, durable: bool, auto_delete: bool, argument: str
) -> None:
    queue = vhost.create_queue("q", queue_spec())
    with pytest.raises(PreconditionFailed) as refused:
        check_equivalent_queue("/", queue, queue_spec(durable, auto_delete=auto_delete))
    text = f"inequivalent arg '{argument}' for queue 'q' in vhost '/': received 'true' but current is 'false'"
    assert refused.value.reply_text == f"PRECONDITION_FAILED - {text}"


def test_whoever_owns_an_exclusive_queue_holds_its_lock(vhost: VHost) -> None:
    owner = Owner()
    queue = vhost.create_queue("q", queue_spec(owner=owner))
    check_lock(queue, owner)
    with pytest.raises(ResourceLocked) as refused:
        check_lock(queue, Owner())
    assert refused.value.reply_text == LOCKED
    check_lock(vhost.create_queue("shared", queue_spec()), owner)


def test_the_exclusive_flag_is_compared_first_also_for_the_owner(vhost: VHost) -> None:
    owner = Owner()
    queue = vhost.create_queue("q", queue_spec(owner=owner))
    with pytest.raises(ResourceLocked) as refused:
        check_equivalent_queue("/", queue, queue_spec(durable=True))
    assert refused.value.reply_text == LOCKED
    check_equivalent_queue("/", queue, queue_spec(owner=owner))


def test_arguments_of_a_queue_are_compared_last(vhost: VHost) -> None:
    queue = vhost.create_queue("q", queue_spec(arguments=Table.of({"x-max-length": 5})))
    with pytest.raises(PreconditionFailed) as refused:
        check_equivalent_queue("/", queue, queue_spec(arguments=Table.of({"x-max-length": 6})))
    text = "inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '6' but current is '5'"
    assert refused.value.reply_text == f"PRECONDITION_FAILED - {text}"
