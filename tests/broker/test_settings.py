"""What a queue works with is what RabbitMQ 4.0.5 worked with, given the same arguments and policies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.arguments import NEVER, QueueArguments
from amqpd.broker.policy import Policy
from amqpd.broker.settings import DEFAULT_SEGMENT_SIZE, QueueSettings, effective_alternate, effective_settings
from amqpd.wire.table import Field, Table


def settings_of(
    queue_type: str = "classic",
    arguments: dict[str, object] | None = None,
    policy: dict[str, object] | None = None,
    operator: dict[str, object] | None = None,
) -> QueueSettings:
    return effective_settings(
        queue_type,
        QueueArguments.of(Table.of(arguments or {})),
        Policy("p", "", policy) if policy else None,
        Policy("o", "", operator, is_operator=True) if operator else None,
    )


def test_a_queue_without_arguments_and_policies_has_no_limits() -> None:
    settings = settings_of()
    limits = (settings.message_ttl, settings.expires, settings.max_length, settings.max_length_bytes)
    assert limits == (None, None, None, None)
    assert (settings.overflow, settings.max_priority, settings.single_active_consumer) == ("drop-head", 0, False)
    dead_letters = (settings.dead_letter_exchange, settings.dead_letter_routing_key, settings.dead_letter_strategy)
    assert dead_letters == (None, None, "at-most-once")
    assert (settings.delivery_limit, settings.consumer_timeout, settings.max_age) == (None, None, None)
    assert (settings.max_segment_size_bytes, settings.filter_size_bytes) == (DEFAULT_SEGMENT_SIZE, 16)


LIMITS = {
    "message-ttl": "message_ttl",
    "expires": "expires",
    "max-length": "max_length",
    "max-length-bytes": "max_length_bytes",
}
given_or_not = st.none() | st.integers(1, 1000)


def definition(key: str, value: object) -> dict[str, object] | None:
    return None if value is None else {key: value}


@given(
    st.sampled_from(sorted(LIMITS)), st.sampled_from(["classic", "quorum"]), given_or_not, given_or_not, given_or_not
)
def test_the_lowest_limit_counts(
    key: str, queue_type: str, argument: int | None, policy: int | None, operator: int | None
) -> None:
    settings = settings_of(
        queue_type, definition(f"x-{key}", argument), definition(key, policy), definition(key, operator)
    )
    limits = [limit for limit in (argument, policy, operator) if limit is not None]
    assert getattr(settings, LIMITS[key]) == min(limits, default=None)


def test_h41_an_operators_overflow_counts_in_the_place_of_a_users() -> None:
    """RabbitMQ kept the last three of eight messages; the user's reject-publish would have kept the first."""
    user: dict[str, object] = {"max-length": 3, "overflow": "reject-publish", "message-ttl": 100000}
    operator: dict[str, object] = {"max-length": 4, "overflow": "drop-head"}
    for arguments in ({"x-max-length": 5}, {}):
        settings = settings_of("classic", dict(arguments), user, operator)
        assert (settings.max_length, settings.overflow, settings.message_ttl) == (3, "drop-head", 100000)


def test_h43_exchange_and_routing_key_of_dead_letters_come_each_from_where_they_are_given() -> None:
    policy: dict[str, object] = {"dead-letter-exchange": "fromPolicy", "dead-letter-routing-key": "polrk"}
    settings = settings_of("classic", {"x-dead-letter-exchange": ""}, policy)
    assert (settings.dead_letter_exchange, settings.dead_letter_routing_key) == ("", "polrk")


def test_n02_of_a_quorum_queue_the_policys_overflow_counts_but_the_arguments_dead_lettering() -> None:
    arguments: dict[str, object] = {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "n02arg",
        "x-overflow": "drop-head",
        "x-max-length": 1,
    }
    policy: dict[str, object] = {
        "dead-letter-exchange": "other",
        "dead-letter-routing-key": "n02pol",
        "overflow": "reject-publish",
        "max-length": 50,
    }
    settings = settings_of("quorum", arguments, policy)
    assert (settings.overflow, settings.max_length) == ("reject-publish", 1)
    assert (settings.dead_letter_exchange, settings.dead_letter_routing_key) == ("", "n02arg")


@pytest.mark.parametrize(
    ("queue_type", "argument", "policy", "effective"),
    [
        ("classic", None, None, "drop-head"),
        ("classic", "drop-head", "reject-publish", "drop-head"),
        ("classic", None, "reject-publish-dlx", "reject-publish-dlx"),
        ("classic", "reject-publish-dlx", None, "reject-publish-dlx"),
        ("quorum", None, None, "drop-head"),
        ("quorum", "reject-publish", None, "reject-publish"),
        ("quorum", "reject-publish", "drop-head", "drop-head"),
        ("quorum", "reject-publish-dlx", None, "drop-head"),
        ("quorum", "reject-publish", "reject-publish-dlx", "drop-head"),
    ],
)
def test_which_overflow_counts(queue_type: str, argument: str | None, policy: str | None, effective: str) -> None:
    settings = settings_of(queue_type, definition("x-overflow", argument), definition("overflow", policy))
    assert settings.overflow == effective


@pytest.mark.parametrize(
    ("argument", "policy", "operator", "effective"),
    [
        (None, None, None, 20),
        (2, None, None, 2),
        (0, None, None, 0),
        (None, 3, None, 3),
        (2, 5, None, 2),
        (5, 2, None, 2),
        (5, 4, 3, 3),
        (-1, None, None, None),
        (None, -1, None, None),
        (-1, 7, None, 7),
        (7, -1, None, 7),
        (-1, -5, None, None),
        (None, -1, 9, 9),
        ("abc", None, None, 20),
    ],
)
def test_which_delivery_limit_counts(
    argument: object, policy: int | None, operator: int | None, effective: int | None
) -> None:
    """20 unless given (M07); a negative one is none, but any other limit is above it."""
    limits = (definition("delivery-limit", policy), definition("delivery-limit", operator))
    settings = settings_of("quorum", definition("x-delivery-limit", argument), *limits)
    assert settings.delivery_limit == effective


@pytest.mark.parametrize(
    ("arguments", "policy", "effective"),
    [
        ({"x-overflow": "reject-publish"}, {}, "at-least-once"),
        ({}, {"overflow": "reject-publish"}, "at-least-once"),
        ({"x-overflow": "reject-publish"}, {"dead-letter-strategy": "at-most-once"}, "at-least-once"),
        ({"x-overflow": "reject-publish"}, {"overflow": "drop-head"}, "at-most-once"),
        ({"x-overflow": "reject-publish-dlx"}, {}, "at-most-once"),
        ({}, {}, "at-most-once"),
    ],
)
def test_at_least_once_needs_a_queue_that_refuses_messages(
    arguments: dict[str, object], policy: dict[str, object], effective: str
) -> None:
    arguments = {**arguments, "x-dead-letter-strategy": "at-least-once"}
    assert settings_of("quorum", arguments, policy).dead_letter_strategy == "at-most-once", "no exchange, no strategy"
    arguments["x-dead-letter-exchange"] = "x"
    assert settings_of("quorum", arguments, policy).dead_letter_strategy == effective


def test_the_strategy_may_come_from_the_policy_unless_the_argument_says_otherwise() -> None:
    policy: dict[str, object] = {
        "dead-letter-exchange": "x",
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }
    assert settings_of("quorum", {}, policy).dead_letter_strategy == "at-least-once"
    argument: dict[str, object] = {"x-dead-letter-strategy": "at-most-once"}
    assert settings_of("quorum", argument, policy).dead_letter_strategy == "at-most-once"


@pytest.mark.parametrize(
    ("argument", "policy", "effective"),
    [
        (None, None, None),
        (5000, None, 5000),
        (None, 4000, 4000),
        (5000, 4000, 4000),
        (4000, 5000, 4000),
        ("never", None, NEVER),
        ("never", 4000, 4000),
    ],
)
def test_which_consumer_timeout_counts(argument: object, policy: int | None, effective: int | None) -> None:
    arguments, policies = definition("x-consumer-timeout", argument), definition("consumer-timeout", policy)
    assert settings_of("classic", arguments, policies).consumer_timeout == effective


STREAM_ARGUMENTS: dict[str, object] = {
    "x-max-length-bytes": 1000,
    "x-max-age": "1D",
    "x-stream-max-segment-size-bytes": 100,
    "x-stream-filter-size-bytes": 32,
}


def stream_limits(settings: QueueSettings) -> tuple[Any, ...]:
    return (
        settings.max_length_bytes,
        settings.max_age,
        settings.max_segment_size_bytes,
        settings.filter_size_bytes,
    )


def test_a_streams_policy_is_above_its_arguments_in_both_directions() -> None:
    assert stream_limits(settings_of("stream", STREAM_ARGUMENTS)) == (1000, 86_400_000, 100, 32)
    policy: dict[str, object] = {
        "max-length-bytes": 5000,
        "max-age": "2D",
        "stream-max-segment-size-bytes": 0,
        "stream-filter-size-bytes": 64,
    }
    assert stream_limits(settings_of("stream", STREAM_ARGUMENTS, policy)) == (5000, 2 * 86_400_000, 0, 64)
    assert settings_of("stream", STREAM_ARGUMENTS, policy, {"max-length-bytes": 50}).max_length_bytes == 50
    assert settings_of("stream", STREAM_ARGUMENTS, None, {"max-length-bytes": 7000}).max_length_bytes == 7000


def test_what_only_arguments_can_set() -> None:
    settings = settings_of("classic", {"x-max-priority": 9, "x-single-active-consumer": True})
    assert (settings.max_priority, settings.single_active_consumer) == (9, True)
    assert settings_of("classic", {"x-max-priority": Field("l", 0)}).max_priority == 0


def test_the_alternate_exchange_of_the_argument_is_above_the_policys() -> None:
    policy = Policy("p", "", {"alternate-exchange": "policys"})
    assert effective_alternate(None, policy) == "policys"
    assert effective_alternate("arguments", policy) == "arguments"
    assert effective_alternate("", policy) == ""
    assert effective_alternate(None, Policy("p", "", {"max-length": 1})) is None
    assert effective_alternate(None, None) is None
