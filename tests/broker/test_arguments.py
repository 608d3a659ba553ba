"""Queue and consumer arguments answer as RabbitMQ 4.0.5 did.

The rows are its recorded answers: probe, argument, value, and what followed ``invalid arg '...' for queue 'dq' in vhost
'spec'`` in the reply text (or the whole text where it has another beginning), None where the declaration was accepted.
Some rows differ from the record on purpose: the empty queue type (D40.058) is the default type in later versions, and
ages that begin with no digit (D44.011, .012, .014) and the offsets of OFFSETS_THAT_CRASH made RabbitMQ close the
connection with 541.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.arguments import (
    NEVER,
    QUEUE_TYPES,
    QueueArguments,
    check_consumer_arguments,
    check_equivalent,
    effective_type,
    inequivalent,
    invalid_type,
    same_value,
    validate_queue_arguments,
)
from amqpd.errors import PreconditionFailed
from amqpd.wire.table import EMPTY_TABLE, Field, Table

Row = tuple[str, str, object, str | None]

OF_CLASSIC = " of queue type rabbit_classic_queue"
OF_QUORUM = " of queue type rabbit_quorum_queue"
OF_STREAM = " of queue type rabbit_stream_queue"
DLX_TYPE = "invalid type '{}' for arg 'x-dead-letter-exchange' in queue 'dq' in vhost 'spec'"

CLASSIC_ROWS: list[Row] = [
    ("D40.000", "x-message-ttl", 0, None),
    ("D40.001", "x-message-ttl", 1000, None),
    ("D40.002", "x-message-ttl", -1, ": {value_negative,-1}"),
    ("D40.003", "x-message-ttl", "abc", ': "expected integer, got longstr"'),
    ("D40.004", "x-message-ttl", 1.5, ': "expected integer, got double"'),
    ("D40.005", "x-message-ttl", True, ': "expected integer, got bool"'),
    ("D40.006", "x-message-ttl", Field("l", 1099511627776), ": {value_too_large,1099511627776}"),
    ("D40.007", "x-message-ttl", Field("l", 4294967295), None),
    ("D40.008", "x-message-ttl", Field("l", 4294967296), None),
    ("D40.009", "x-message-ttl", Field("T", 5), ': "expected integer, got timestamp"'),
    ("D40.010", "x-message-ttl", Field("D", (0, 5)), ': "expected integer, got decimal"'),
    ("D40.011", "x-expires", 1, None),
    ("D40.012", "x-expires", 0, ": {value_zero,0}"),
    ("D40.013", "x-expires", -1, ": {value_negative,-1}"),
    ("D40.014", "x-expires", "abc", ': "expected integer, got longstr"'),
    ("D40.015", "x-expires", Field("l", 4294967296), None),
    ("D40.016", "x-max-length", 0, None),
    ("D40.017", "x-max-length", 5, None),
    ("D40.018", "x-max-length", -1, ": {value_negative,-1}"),
    ("D40.019", "x-max-length", "abc", ': "expected integer, got longstr"'),
    ("D40.020", "x-max-length", Field("l", 4611686018427387904), None),
    ("D40.021", "x-max-length-bytes", 0, None),
    ("D40.022", "x-max-length-bytes", 5, None),
    ("D40.023", "x-max-length-bytes", -1, ": {value_negative,-1}"),
    ("D40.024", "x-max-length-bytes", "abc", ': "expected integer, got longstr"'),
    ("D40.025", "x-overflow", "drop-head", None),
    ("D40.026", "x-overflow", "reject-publish", None),
    ("D40.027", "x-overflow", "reject-publish-dlx", None),
    ("D40.028", "x-overflow", "foo", ": invalid_overflow"),
    ("D40.029", "x-overflow", 1, ": {unacceptable_type,signedint}"),
    ("D40.030", "x-dead-letter-exchange", "", None),
    ("D40.031", "x-dead-letter-exchange", "missing", None),
    ("D40.032", "x-dead-letter-exchange", 1, DLX_TYPE.format("signedint")),
    ("D40.033", "x-dead-letter-exchange", True, DLX_TYPE.format("bool")),
    ("D40.034", "x-dead-letter-routing-key", "rk", ": routing_key_but_no_dlx_defined"),
    ("D40.035", "x-dead-letter-routing-key", 1, ": {unacceptable_type,signedint}"),
    ("D40.036", "x-dead-letter-strategy", "at-most-once", OF_CLASSIC),
    ("D40.037", "x-dead-letter-strategy", "at-least-once", OF_CLASSIC),
    ("D40.038", "x-dead-letter-strategy", "foo", OF_CLASSIC),
    ("D40.039", "x-max-priority", 0, None),
    ("D40.040", "x-max-priority", 1, None),
    ("D40.041", "x-max-priority", 10, None),
    ("D40.042", "x-max-priority", 255, None),
    ("D40.043", "x-max-priority", 256, ": {max_value_exceeded,256}"),
    ("D40.044", "x-max-priority", -1, ": {value_negative,-1}"),
    ("D40.045", "x-max-priority", "abc", ': "expected integer, got longstr"'),
    ("D40.046", "x-queue-mode", "default", None),
    ("D40.047", "x-queue-mode", "lazy", None),
    ("D40.048", "x-queue-mode", "foo", ": \"unsupported queue mode 'foo'\""),
    ("D40.049", "x-queue-mode", 1, ": {unacceptable_type,signedint}"),
    ("D40.050", "x-queue-version", 1, None),
    ("D40.051", "x-queue-version", 2, None),
    ("D40.052", "x-queue-version", 3, ": \"unsupported queue version '3'\""),
    ("D40.053", "x-queue-version", "a", ': "expected integer, got longstr"'),
    ("D40.054", "x-queue-type", "classic", None),
    ("D40.055", "x-queue-type", "quorum", None),
    ("D40.056", "x-queue-type", "stream", None),
    ("D40.057", "x-queue-type", "foo", ": \"unsupported queue type 'foo'\""),
    ("D40.058", "x-queue-type", "", None),
    ("D40.059", "x-queue-type", 1, ": {unacceptable_type,signedint}"),
    ("D40.060", "x-queue-type", "undefined", None),
    ("D40.061", "x-single-active-consumer", True, None),
    ("D40.062", "x-single-active-consumer", False, None),
    ("D40.063", "x-single-active-consumer", "true", ": {unacceptable_type,longstr}"),
    ("D40.064", "x-single-active-consumer", 1, ": {unacceptable_type,signedint}"),
    ("D40.065", "x-queue-master-locator", "min-masters", None),
    ("D40.066", "x-queue-master-locator", "client-local", None),
    ("D40.067", "x-queue-master-locator", "random", None),
    ("D40.068", "x-queue-master-locator", "foo", None),
    ("D40.069", "x-queue-master-locator", 1, None),
    ("D40.070", "x-queue-leader-locator", "client-local", None),
    ("D40.071", "x-queue-leader-locator", "balanced", None),
    ("D40.072", "x-queue-leader-locator", "foo", ": invalid_queue_locator_arg"),
    ("D40.073", "x-delivery-limit", 5, OF_CLASSIC),
    ("D40.074", "x-delivery-limit", -1, OF_CLASSIC),
    ("D40.075", "x-delivery-limit", "a", OF_CLASSIC),
    ("D40.076", "x-quorum-initial-group-size", 1, OF_CLASSIC),
    ("D40.077", "x-max-age", "1D", OF_CLASSIC),
    ("D40.078", "x-stream-max-segment-size-bytes", 1000, OF_CLASSIC),
    ("D40.079", "x-initial-cluster-size", 1, OF_CLASSIC),
    ("D40.080", "x-consumer-timeout", 10000, None),
    ("D40.081", "x-consumer-timeout", "a", None),
    ("D40.082", "x-max-in-memory-length", 1, OF_CLASSIC),
    ("D40.083", "x-name-prefix", "foo", None),
    ("D40.084", "x-foo", 1, None),
]

QUORUM_ROWS: list[Row] = [
    ("D42.000", "x-message-ttl", 0, None),
    ("D42.001", "x-message-ttl", 1000, None),
    ("D42.002", "x-message-ttl", -1, ": {value_negative,-1}"),
    ("D42.003", "x-expires", 0, ": {value_zero,0}"),
    ("D42.004", "x-expires", 60000, None),
    ("D42.005", "x-max-length", 5, None),
    ("D42.006", "x-max-length", -1, ": {value_negative,-1}"),
    ("D42.007", "x-overflow", "drop-head", None),
    ("D42.008", "x-overflow", "reject-publish", None),
    ("D42.009", "x-overflow", "reject-publish-dlx", None),
    ("D42.010", "x-dead-letter-strategy", "at-most-once", None),
    ("D42.011", "x-dead-letter-strategy", "at-least-once", None),
    ("D42.012", "x-dead-letter-strategy", "foo", ": invalid_dlx_strategy"),
    ("D42.013", "x-dead-letter-strategy", 1, ": {unacceptable_type,signedint}"),
    ("D42.014", "x-max-priority", 5, OF_QUORUM),
    ("D42.015", "x-queue-mode", "lazy", OF_QUORUM),
    ("D42.016", "x-queue-version", 2, OF_QUORUM),
    ("D42.017", "x-single-active-consumer", True, None),
    ("D42.018", "x-queue-master-locator", "min-masters", OF_QUORUM),
    ("D42.019", "x-queue-leader-locator", "balanced", None),
    ("D42.020", "x-queue-leader-locator", "client-local", None),
    ("D42.021", "x-queue-leader-locator", "foo", ": invalid_queue_locator_arg"),
    ("D42.022", "x-delivery-limit", 5, None),
    ("D42.023", "x-delivery-limit", -1, None),
    ("D42.024", "x-delivery-limit", "a", None),
    ("D42.025", "x-quorum-initial-group-size", 1, None),
    ("D42.026", "x-quorum-initial-group-size", 0, ": {value_zero,0}"),
    ("D42.027", "x-quorum-initial-group-size", 3, None),
    ("D42.028", "x-quorum-initial-group-size", -1, ": {value_negative,-1}"),
    ("D42.029", "x-max-age", "1D", OF_QUORUM),
    ("D42.030", "x-stream-max-segment-size-bytes", 1000, OF_QUORUM),
    ("D42.031", "x-initial-cluster-size", 1, OF_QUORUM),
    ("D42.032", "x-max-in-memory-length", 0, None),
    ("D42.033", "x-max-in-memory-length", 5, None),
    ("D42.034", "x-max-in-memory-bytes", 5, None),
    ("D42.035", "x-consumer-timeout", 10000, None),
    ("D42.036", "x-cancel-on-ha-failover", True, None),
]

STREAM_ROWS: list[Row] = [
    ("D44.000", "x-max-length-bytes", 1000, None),
    ("D44.001", "x-max-length-bytes", -1, ": {value_negative,-1}"),
    ("D44.002", "x-max-age", "1D", None),
    ("D44.003", "x-max-age", "7D", None),
    ("D44.004", "x-max-age", "1Y", None),
    ("D44.005", "x-max-age", "2M", None),
    ("D44.006", "x-max-age", "3h", None),
    ("D44.007", "x-max-age", "4m", None),
    ("D44.008", "x-max-age", "5s", None),
    ("D44.009", "x-max-age", "0D", ": invalid_max_age"),
    ("D44.010", "x-max-age", "5", ": invalid_max_age"),
    ("D44.011", "x-max-age", "D", ": invalid_max_age"),
    ("D44.012", "x-max-age", "abc", ": invalid_max_age"),
    ("D44.013", "x-max-age", "1d", ": invalid_max_age"),
    ("D44.014", "x-max-age", "-1D", ": invalid_max_age"),
    ("D44.015", "x-max-age", 5, ": {unacceptable_type,signedint}"),
    ("D44.016", "x-max-age", "1D2h", ": invalid_max_age"),
    ("D44.017", "x-stream-max-segment-size-bytes", 1000, None),
    ("D44.018", "x-stream-max-segment-size-bytes", 0, None),
    ("D44.019", "x-stream-max-segment-size-bytes", -1, ": {value_negative,-1}"),
    ("D44.020", "x-stream-max-segment-size-bytes", 3000000000, None),
    (
        "D44.021",
        "x-stream-max-segment-size-bytes",
        Field("l", 3000000001),
        "Exceeded max value for x-stream-max-segment-size-bytes",
    ),
    ("D44.022", "x-stream-max-segment-size-bytes", "a", ': "expected integer, got longstr"'),
    ("D44.023", "x-initial-cluster-size", 1, None),
    ("D44.024", "x-initial-cluster-size", 0, ": {value_zero,0}"),
    ("D44.025", "x-initial-cluster-size", 3, None),
    ("D44.026", "x-queue-leader-locator", "balanced", None),
    ("D44.027", "x-queue-leader-locator", "foo", ": invalid_queue_locator_arg"),
    ("D44.028", "x-queue-leader-locator", "random", None),
    ("D44.029", "x-queue-leader-locator", "least-leaders", None),
    ("D44.030", "x-stream-filter-size-bytes", 16, None),
    ("D44.031", "x-stream-filter-size-bytes", 15, "Invalid value for  x-stream-filter-size-bytes"),
    ("D44.032", "x-stream-filter-size-bytes", 256, "Invalid value for  x-stream-filter-size-bytes"),
    ("D44.033", "x-message-ttl", 1, OF_STREAM),
    ("D44.034", "x-expires", 1, OF_STREAM),
    ("D44.035", "x-max-length", 1, OF_STREAM),
    ("D44.036", "x-overflow", "drop-head", OF_STREAM),
    ("D44.037", "x-dead-letter-exchange", "a", OF_STREAM),
    ("D44.038", "x-max-priority", 1, OF_STREAM),
    ("D44.039", "x-single-active-consumer", True, OF_STREAM),
    ("D44.040", "x-queue-mode", "lazy", OF_STREAM),
    ("D44.041", "x-delivery-limit", 1, OF_STREAM),
    ("D44.042", "x-foo", 1, None),
]

REDECLARED: list[tuple[str, dict[str, object], dict[str, object], str | None]] = [
    (
        "D24",
        {},
        {"x-message-ttl": 1000},
        "'x-message-ttl': received the value '1000' of type 'signedint' but current is none",
    ),
    (
        "D25",
        {"x-message-ttl": 1000},
        {},
        "'x-message-ttl': received none but current is the value '1000' of type 'signedint'",
    ),
    ("D26", {"x-message-ttl": 1000}, {"x-message-ttl": 2000}, "'x-message-ttl': received '2000' but current is '1000'"),
    ("D27", {"x-message-ttl": Field("s", 1000)}, {"x-message-ttl": Field("l", 1000)}, None),
    ("D28", {"x-queue-type": "classic"}, {}, None),
    ("D29", {}, {"x-queue-type": "classic"}, None),
    ("D30", {}, {"x-queue-type": "quorum"}, "'x-queue-type': received 'quorum' but current is 'classic'"),
    ("D31", {"x-queue-type": "quorum"}, {}, "'x-queue-type': received 'classic' but current is 'quorum'"),
    ("D32", {}, {"x-foo": 1}, None),
    (
        "D33",
        {"x-dead-letter-exchange": "a"},
        {"x-dead-letter-exchange": "b"},
        "'x-dead-letter-exchange': received 'b' but current is 'a'",
    ),
    ("D34", {}, {"x-max-length": 1}, "'x-max-length': received the value '1' of type 'signedint' but current is none"),
    (
        "D35",
        {},
        {"x-max-length": -1},
        "'x-max-length': received the value '-1' of type 'signedint' but current is none",
    ),
    (
        "I21",
        {"x-queue-type": "stream", "x-max-age": "1D"},
        {"x-queue-type": "stream", "x-max-age": "2D"},
        "'x-max-age': received '2D' but current is '1D'",
    ),
]

CONSUMED: list[tuple[str, str, str, object, str | None]] = [
    ("E38.00", "classic", "x-priority", 5, None),
    ("E38.01", "classic", "x-priority", -5, None),
    ("E38.02", "classic", "x-priority", "a", ': "expected integer, got longstr"'),
    ("E38.03", "classic", "x-priority", 1.5, ': "expected integer, got double"'),
    ("E38.04", "classic", "x-cancel-on-ha-failover", True, None),
    ("E38.05", "classic", "x-cancel-on-ha-failover", "a", None),
    ("E38.06", "classic", "x-stream-offset", "first", OF_CLASSIC),
    ("E38.07", "classic", "x-foo", 1, None),
    ("E38.08", "classic", "x-consumer-timeout", 1000, None),
    ("E38.09", "classic", "x-consumer-timeout", "a", None),
    ("E38.10", "classic", "x-stream-filter", "a", OF_CLASSIC),
    ("E38.11", "classic", "x-credit", {"credit": Field("l", 1), "drain": False}, None),
    ("E38.12", "classic", "x-credit", 1, None),
    ("E39.0", "quorum", "x-priority", 5, None),
    ("E39.1", "quorum", "x-cancel-on-ha-failover", True, None),
    ("E39.2", "quorum", "x-stream-offset", "first", OF_QUORUM),
    ("E39.3", "quorum", "x-consumer-timeout", 1000, None),
    ("I15", "stream", "x-priority", 1, OF_STREAM),
]

OFFSETS: list[object] = [
    *("first", "last", "next", 0, 3, 100, Field("l", 2), Field("T", 1), Field("T", 1795405516)),
    *("1h", "5m", "1D", "30s", "1Y", "2M", -1, Field("x", b"first")),
]

OFFSETS_THAT_CRASH: list[tuple[object, str]] = [
    ("abc", '{longstr,<<"abc">>}'),
    ("-5", '{longstr,<<"-5">>}'),
    ("", "{longstr,<<>>}"),
    ("First", '{longstr,<<"First">>}'),
    (1.5, "{double,1.5}"),
    (True, "{bool,true}"),
    ({"a": 1}, '{table,[{<<"a">>,signedint,1}]}'),
    (None, "{void,undefined}"),
]


def refusal(check: Callable[[], object]) -> str | None:
    """The explanation that a check refuses with, or None."""
    try:
        check()
    except PreconditionFailed as error:
        return error.explanation
    return None


def declare(arguments: dict[str, object]) -> str | None:
    """The explanation that a declaration of the queue dq is refused with, or None."""
    table = Table.of(arguments)

    def validate() -> None:
        validate_queue_arguments("dq", "spec", effective_type("dq", "spec", table), table)

    return refusal(validate)


def declare_classic(arguments: dict[str, object]) -> str | None:
    """As declare, of a queue that was found to be classic before anything was checked."""
    table = Table.of(arguments)
    return refusal(lambda: validate_queue_arguments("dq", "spec", "classic", table))


def full_text(argument: str, outcome: str | None) -> str | None:
    """A row's outcome with the beginning that most of the texts share."""
    if outcome is not None and outcome.startswith((":", " of ")):
        return f"invalid arg '{argument}' for queue 'dq' in vhost 'spec'{outcome}"
    return outcome


@pytest.mark.parametrize(("probe", "argument", "value", "outcome"), CLASSIC_ROWS)
def test_a_classic_queue_takes_and_refuses_what_rabbitmq_does(
    probe: str, argument: str, value: object, outcome: str | None
) -> None:
    assert declare({argument: value}) == full_text(argument, outcome)


@pytest.mark.parametrize(("probe", "argument", "value", "outcome"), QUORUM_ROWS)
def test_a_quorum_queue_takes_and_refuses_what_rabbitmq_does(
    probe: str, argument: str, value: object, outcome: str | None
) -> None:
    assert declare({"x-queue-type": "quorum", argument: value}) == full_text(argument, outcome)


@pytest.mark.parametrize(("probe", "argument", "value", "outcome"), STREAM_ROWS)
def test_a_stream_takes_and_refuses_what_rabbitmq_does(
    probe: str, argument: str, value: object, outcome: str | None
) -> None:
    assert declare({"x-queue-type": "stream", argument: value}) == full_text(argument, outcome)


def test_a_dead_letter_routing_key_is_fine_beside_a_dead_letter_exchange() -> None:
    assert declare({"x-dead-letter-routing-key": "rk", "x-dead-letter-exchange": ""}) is None  # D41


def test_the_dead_letter_exchange_is_checked_first_then_the_queue_type_then_values_then_foreign_arguments() -> None:
    arguments: dict[str, object] = {
        "x-max-age": "1D",
        "x-max-length": -1,
        "x-expires": 0,
        "x-queue-type": 1,
        "x-dead-letter-exchange": 1,
    }
    for name in ("x-dead-letter-exchange", "x-queue-type", "x-expires", "x-max-length", "x-max-age"):
        text = declare_classic(arguments)
        assert text is not None
        assert f"'{name}'" in text
        del arguments[name]
    assert not arguments


def test_of_several_foreign_arguments_the_first_one_in_the_table_is_named() -> None:
    assert declare({"x-max-age": "1D", "x-delivery-limit": 1}) == full_text("x-max-age", OF_CLASSIC)
    assert declare({"x-delivery-limit": 1, "x-max-age": "1D"}) == full_text("x-delivery-limit", OF_CLASSIC)


@pytest.mark.parametrize("value", ["a", True, 1.5, Field("l", -1)])
def test_a_filter_size_that_is_no_small_integer_gets_its_own_text(value: object) -> None:
    refused = declare({"x-queue-type": "stream", "x-stream-filter-size-bytes": value})
    assert refused == "Invalid value for  x-stream-filter-size-bytes"


def test_integers_of_every_width_are_integers() -> None:
    for tag in "bBsuIilL":
        assert declare({"x-max-length": Field(tag, 5)}) is None


def test_the_effective_type_is_classic_where_none_is_named() -> None:
    for arguments in ({}, {"x-queue-type": "undefined"}, {"x-queue-type": ""}, {"x-queue-type": "classic"}):
        assert effective_type("q", "/", Table.of(arguments)) == "classic"
    for name in QUEUE_TYPES:
        assert effective_type("q", "/", Table.of({"x-queue-type": name})) == name


@pytest.mark.parametrize(("probe", "current", "received", "outcome"), REDECLARED)
def test_a_redeclaration_is_compared_as_rabbitmq_does(
    probe: str, current: dict[str, object], received: dict[str, object], outcome: str | None
) -> None:
    ours, theirs = Table.of(current), Table.of(received)
    queue_type = effective_type("dq", "spec", ours)
    expected = outcome.replace(":", " for queue 'dq' in vhost 'spec':", 1) if outcome else None
    assert refusal(lambda: check_equivalent("dq", "spec", queue_type, ours, theirs)) == (
        f"inequivalent arg {expected}" if expected else None
    )


def test_a_redeclaration_with_a_queue_type_that_does_not_exist_is_inequivalent() -> None:
    table = Table.of({"x-queue-type": 5})
    assert refusal(lambda: check_equivalent("q", "/", "classic", EMPTY_TABLE, table)) == (
        "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received '5' but current is 'classic'"
    )


def test_a_redeclaration_with_the_words_for_the_default_type_is_equivalent() -> None:
    for word in ("undefined", ""):
        check_equivalent("q", "/", "classic", EMPTY_TABLE, Table.of({"x-queue-type": word}))


def test_an_argument_of_another_type_is_not_compared() -> None:
    check_equivalent("q", "/", "classic", EMPTY_TABLE, Table.of({"x-max-age": "1D", "x-consumer-timeout": 1}))


@pytest.mark.parametrize(("probe", "queue_type", "argument", "value", "outcome"), CONSUMED)
def test_consumer_arguments_are_taken_and_refused_as_rabbitmq_does(
    probe: str, queue_type: str, argument: str, value: object, outcome: str | None
) -> None:
    table = Table.of({argument: value})
    refused = refusal(lambda: check_consumer_arguments("dq", "spec", queue_type, table))
    assert refused == full_text(argument, outcome)


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_stream_consumer_may_start_there(offset: object) -> None:
    check_consumer_arguments("si", "spec", "stream", Table.of({"x-stream-offset": offset}))


@pytest.mark.parametrize(("offset", "rendered"), [("5", '{longstr,<<"5">>}'), *OFFSETS_THAT_CRASH])
def test_a_stream_consumer_may_not_start_there(offset: object, rendered: str) -> None:
    table = Table.of({"x-stream-offset": offset})
    assert refusal(lambda: check_consumer_arguments("si", "spec", "stream", table)) == (
        f"invalid arg 'x-stream-offset' for queue 'si' in vhost 'spec': {{invalid_stream_offset_arg,{rendered}}}"
    )


@pytest.mark.parametrize(
    ("received", "current", "same"),
    [
        (Field("s", 5), Field("l", 5), True),
        (Field("f", 0.5), Field("d", 0.5), True),
        (Field("d", 5.0), Field("I", 5), False),
        (Field("S", "5"), Field("I", 5), False),
        (Field("t", True), Field("I", 1), False),
        (Field("S", "a"), Field("x", b"a"), True),
        (Field.of({"a": 1, "b": 2}), Field.of({"b": 2, "a": 1}), True),
        (Field("V", None), None, False),
        (None, None, True),
    ],
)
def test_values_are_the_same_when_kind_and_value_are(received: Field | None, current: Field | None, same: bool) -> None:
    assert same_value(received, current) is same
    assert same_value(current, received) is same


def test_inequivalent_names_the_exchange_and_both_values() -> None:
    ae, be = Field("S", "ae"), Field("S", "be")
    start = "inequivalent arg 'alternate-exchange' for exchange 'xr' in vhost 'spec': "

    def text(received: Field | None, current: Field | None) -> str:
        return inequivalent("exchange", "alternate-exchange", "xr", "spec", received, current).explanation

    assert text(ae, None) == start + "received the value 'ae' of type 'longstr' but current is none"  # C24
    assert text(None, ae) == start + "received none but current is the value 'ae' of type 'longstr'"  # C25
    assert text(be, ae) == start + "received 'be' but current is 'ae'"  # C26
    assert text(Field.of(True), Field.of(False)) == start + "received 'true' but current is 'false'"


def test_an_alternate_exchange_that_is_no_longstr_gets_the_text_of_dead_letter_exchanges() -> None:
    assert invalid_type("exchange", "alternate-exchange", "xae", "spec", Field.of(1)).explanation == (
        "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'xae' in vhost 'spec'"  # C29
    )


def test_queues_get_decoded_values() -> None:
    of_queue = QueueArguments.of(
        Table.of(
            {
                "x-message-ttl": Field("l", 2**33),
                "x-expires": Field("s", 7),
                "x-max-length": 0,
                "x-max-length-bytes": 10,
                "x-overflow": "reject-publish",
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "rk",
                "x-dead-letter-strategy": "at-least-once",
                "x-max-priority": 5,
                "x-single-active-consumer": True,
                "x-delivery-limit": -1,
                "x-consumer-timeout": 1000,
            }
        )
    )
    assert (of_queue.message_ttl, of_queue.expires) == (2**33, 7)
    assert (of_queue.max_length, of_queue.max_length_bytes) == (0, 10)
    assert (of_queue.overflow, of_queue.has_overflow) == ("reject-publish", True)
    assert (of_queue.dead_letter_exchange, of_queue.dead_letter_routing_key) == ("", "rk")
    assert (of_queue.dead_letter_strategy, of_queue.has_dead_letter_strategy) == ("at-least-once", True)
    assert (of_queue.max_priority, of_queue.single_active_consumer) == (5, True)
    assert (of_queue.delivery_limit, of_queue.consumer_timeout) == (-1, 1000)


def test_streams_get_decoded_values() -> None:
    of_stream = QueueArguments.of(
        Table.of({"x-max-age": "2h", "x-stream-max-segment-size-bytes": 1000, "x-stream-filter-size-bytes": 16})
    )
    assert of_stream.max_age == 7_200_000
    assert (of_stream.max_segment_size_bytes, of_stream.filter_size_bytes) == (1000, 16)


def test_a_queue_without_arguments_has_no_limits_and_drops_at_the_head() -> None:
    none = QueueArguments.of(EMPTY_TABLE)
    assert {none.message_ttl, none.expires, none.max_length, none.max_length_bytes, none.max_priority} == {None}
    assert {none.dead_letter_exchange, none.dead_letter_routing_key, none.delivery_limit} == {None}
    assert {none.consumer_timeout, none.max_age, none.max_segment_size_bytes, none.filter_size_bytes} == {None}
    assert (none.overflow, none.has_overflow) == ("drop-head", False)
    assert (none.dead_letter_strategy, none.has_dead_letter_strategy) == ("at-most-once", False)
    assert not none.single_active_consumer


@pytest.mark.parametrize("value", ["a", 1.5, True, -5])
def test_a_consumer_timeout_that_is_no_time_is_never(value: object) -> None:
    assert QueueArguments.of(Table.of({"x-consumer-timeout": value})).consumer_timeout == NEVER


def test_numbers_that_validation_would_have_refused_do_not_count() -> None:
    of_queue = QueueArguments.of(Table.of({"x-max-length": -1, "x-message-ttl": "a"}))
    assert (of_queue.max_length, of_queue.message_ttl) == (None, None)


def test_a_delivery_limit_that_is_no_integer_does_not_count() -> None:
    assert QueueArguments.of(Table.of({"x-delivery-limit": "a"})).delivery_limit is None


ARGUMENTS = sorted({row[1] for row in CLASSIC_ROWS + QUORUM_ROWS + STREAM_ROWS} | {row[2] for row in CONSUMED})
WORDS = sorted({row[2] for row in CLASSIC_ROWS + QUORUM_ROWS + STREAM_ROWS if isinstance(row[2], str)})
INTEGERS = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    INTEGERS,
    st.floats(),
    st.binary(max_size=20).map(lambda octets: octets.decode("utf-8", "surrogateescape")),
    st.sampled_from(WORDS),
    st.binary(max_size=20),
    INTEGERS.map(Field.long),
    st.integers(0, 2**64 - 1).map(lambda seconds: Field("T", seconds)),
    st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1)).map(lambda pair: Field("D", pair)),
)
NAMES = st.one_of(st.sampled_from(ARGUMENTS), st.text(st.characters(codec="utf-8"), max_size=20))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=5,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=6).map(Table.of)


@given(TABLES, TABLES, st.sampled_from(QUEUE_TYPES))
def test_whatever_the_arguments_are_nothing_worse_happens_than_a_refusal_that_can_be_sent(
    table: Table, other: Table, queue_type: str
) -> None:
    checks: list[Callable[[], object]] = [
        lambda: effective_type("q", "/", table),
        lambda: validate_queue_arguments("q", "/", queue_type, table),
        lambda: check_consumer_arguments("q", "/", queue_type, table),
        lambda: check_equivalent("q", "/", queue_type, table, other),
    ]
    for check in checks:
        text = refusal(check)
        assert text is None or PreconditionFailed(text).reply_text.encode().startswith(b"PRECONDITION_FAILED - ")
    QueueArguments.of(table)
