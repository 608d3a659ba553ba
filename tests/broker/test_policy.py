"""Policies are refused with RabbitMQ's texts, apply to what they apply to there, and come together as there.

Rows named H40 and K05 are the recorded answers of RabbitMQ 4.0.5 to the probes of that name; the HTTP API had escaped
the users' for HTML and put ``Validation failed`` in front.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.policy import (
    EXCHANGE,
    Policies,
    Policy,
    PolicyError,
    effective_definition,
    json_term,
    lower_delivery_limit,
)

KINDS = ("classic", "quorum", "stream", EXCHANGE)

ACCEPTED: list[tuple[str, dict[str, object], dict[str, object]]] = [
    ("H40.00", {"max-length": 5}, {}),
    ("H40.09", {"alternate-exchange": "x"}, {"apply_to": "exchanges"}),
    ("H40.11", {"max-length": 1}, {"apply_to": "classic_queues"}),
    ("H40.15", {"delivery-limit": 3}, {}),
    ("H40.16", {"delivery-limit": -1}, {}),
    ("H40.18", {"dead-letter-routing-key": "x"}, {}),
    ("H40.20", {"queue-version": 2}, {}),
    ("H40.25", {"consumer-timeout": 5000}, {}),
    ("H40.26", {"max-length": 5}, {"is_operator": True}),
    ("H40.28", {"overflow": "drop-head"}, {"is_operator": True}),
    ("H40.29", {"delivery-limit": 5}, {"is_operator": True}),
    ("H40.30", {"expires": 5000}, {"is_operator": True}),
    ("priority that is no integer", {"max-length": 1}, {"priority": 1.5}),
    ("empty pattern", {"max-length": 1}, {"pattern": ""}),
    ("nested set", {"max-length": 1}, {"pattern": "[[a]"}),
    ("max-age", {"max-age": "7D"}, {}),
    ("queue-mode", {"queue-mode": "lazy"}, {}),
    ("leader locator", {"queue-leader-locator": "balanced", "queue-master-locator": "min-masters"}, {}),
    ("streams", {"stream-max-segment-size-bytes": 0, "stream-filter-size-bytes": 16, "initial-cluster-size": 1}, {}),
    ("in memory", {"max-in-memory-length": 0, "max-in-memory-bytes": 0, "target-group-size": 3}, {}),
    ("federation", {"federation-upstream": "u", "federation-upstream-set": "all"}, {}),
    # RabbitMQ 4 refuses these; files from before carry them.
    ("H40.22", {"ha-mode": "all"}, {}),
    ("mirrored", {"ha-mode": "exactly", "ha-params": 2, "ha-sync-mode": "automatic", "ha-sync-batch-size": 50}, {}),
    ("dead letters", {"dead-letter-exchange": "", "dead-letter-strategy": "at-least-once"}, {}),
]

REFUSED: list[tuple[str, object, dict[str, object], str]] = [
    ("H40.01", {"foo": 1}, {}, '[{<<"foo">>,1}] are not recognised policy settings'),
    ("H40.02", {"max-length": -1}, {}, "-1 is not a valid maximum length"),
    ("H40.03", {"max-length": "a"}, {}, '<<"a">> is not a valid maximum length'),
    ("H40.04", {"message-ttl": -1}, {}, "-1 is not a valid message TTL"),
    ("H40.05", {"expires": 0}, {}, "0 is not a valid queue expiry"),
    ("H40.06", {"overflow": "foo"}, {}, '<<"foo">> is not a valid overflow value'),
    ("H40.07", {"queue-mode": "foo"}, {}, '<<"foo">> is not a valid queue-mode value'),
    ("H40.08", {"dead-letter-exchange": 1}, {}, "1 is not a valid dead letter exchange name"),
    (
        "H40.10",
        {"max-length": 1},
        {"apply_to": "foo"},
        "apply-to 'foo' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', "
        "'exchanges', or 'all'",
    ),
    (
        "H40.12",
        {"max-length": 1},
        {"pattern": "("},
        'pattern should be regular expression but is invalid: {"missing )",1}',
    ),
    ("H40.13", {"max-length": 1}, {"priority": "a"}, 'priority should be a number, actually was <<"a">>'),
    ("H40.14", {}, {}, "no policy provided"),
    ("H40.17", {"max-age": "1x"}, {}, '<<"1x">> is not a valid max age'),
    ("H40.19", {"dead-letter-strategy": "x"}, {}, '<<"x">> is not a valid dead letter strategy'),
    ("H40.21", {"queue-master-locator": "foo"}, {}, '<<"foo">> is not a valid master locator'),
    ("H40.23", {"max-priority": 5}, {}, '[{<<"max-priority">>,5}] are not recognised policy settings'),
    (
        "H40.24",
        {"single-active-consumer": True},
        {},
        '[{<<"single-active-consumer">>,true}] are not recognised policy settings',
    ),
    (
        "H40.27",
        {"dead-letter-exchange": "x"},
        {"is_operator": True},
        '[{<<"dead-letter-exchange">>,<<"x">>}] are not recognised policy settings',
    ),
    (
        "H40.31",
        {"ha-mode": "all"},
        {"is_operator": True},
        '[{<<"ha-mode">>,<<"all">>}] are not recognised policy settings',
    ),
    ("boolean", {"max-length": True}, {}, "true is not a valid maximum length"),
    ("float", {"max-length-bytes": 5.0}, {}, "5.0 is not a valid maximum length in bytes"),
    ("null", {"delivery-limit": None}, {}, "null is not a valid delivery limit"),
    ("too long for a timer", {"message-ttl": 315_360_000_001}, {}, "315360000001 is not a valid message TTL"),
    ("too large for 64 bits", {"max-length": 1 << 63}, {}, "9223372036854775808 is not a valid maximum length"),
    (
        "lone surrogate",
        {"dead-letter-routing-key": "\ud800"},
        {},
        "<<237,160,128>> is not a valid dead letter routing key",
    ),
    ("filter size", {"stream-filter-size-bytes": 15}, {}, "15 is not a valid filter size. Valid range is 16-255."),
    ("age that is no text", {"max-age": 5}, {}, "5 is not a valid max age"),
    ("text that is no text", {"alternate-exchange": ["x"]}, {}, '[<<"x">>] is not a valid alternate exchange name'),
    (
        "unknown keys, sorted",
        {"b": None, "a": {}},
        {},
        '[{<<"a">>,#{}},{<<"b">>,null}] are not recognised policy settings',
    ),
    ("wrong value before unknown key", {"a": 1, "expires": "x"}, {}, '<<"x">> is not a valid queue expiry'),
    ("empty list", [], {}, "no policy provided"),
    ("list", [1], {}, "definition must be a dictionary: [1]"),
    (
        "no definition at all",
        None,
        {},
        "parse error while reading policy definition: null. Validator: policy_validator.",
    ),
    (
        "no operator's definition at all",
        5,
        {"is_operator": True},
        "parse error while reading policy definition: 5. Validator: operator_policy_validator.",
    ),
    ("pattern that is no text", {"max-length": 1}, {"pattern": 5}, "pattern should be a binary but was 5"),
    ("priority true", {"max-length": 1}, {"priority": True}, "priority should be a number, actually was true"),
    ("priority NaN", {"max-length": 1}, {"priority": float("nan")}, "priority should be a number, actually was nan"),
    (
        "apply-to that is no text",
        {"max-length": 1},
        {"apply_to": ["all"]},
        "apply-to '[<<\"all\">>]' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', "
        "'streams', 'exchanges', or 'all'",
    ),
    (
        "everything",
        {"max-length": -1},
        {"pattern": "*", "priority": None},
        '-1 is not a valid maximum length\npattern should be regular expression but is invalid: {"nothing to repeat",0}'
        "\npriority should be a number, actually was null",
    ),
]


def policy(name: str = "p", definition: object = None, **values: object) -> Policy:
    """A policy for tests: matches everything and limits the length, unless told otherwise."""
    return Policy(
        name,
        values.get("pattern", ""),
        {"max-length": 1} if definition is None else definition,
        values.get("priority", 0),
        values.get("apply_to", "all"),
        values.get("is_operator") is True,
    )


@pytest.mark.parametrize(("probe", "definition", "values"), ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_rabbitmq_accepts_it_and_so_do_we(probe: str, definition: dict[str, object], values: dict[str, object]) -> None:
    accepted = policy("pp", definition, **values)
    assert accepted.definition == definition
    assert accepted.priority == values.get("priority", 0)
    assert accepted.apply_to == values.get("apply_to", "all")


@pytest.mark.parametrize(("probe", "definition", "values", "text"), REFUSED, ids=[row[0] for row in REFUSED])
def test_rabbitmq_refuses_it_and_so_do_we(probe: str, definition: object, values: dict[str, object], text: str) -> None:
    with pytest.raises(PolicyError) as refused:
        Policy(
            "pp",
            values.get("pattern", "^hp"),
            definition,
            values.get("priority", 0),
            values.get("apply_to", "all"),
            values.get("is_operator") is True,
        )
    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[", '{"missing terminating ] for character class",1}'),
        (")", '{"unmatched parentheses",0}'),
        ("a\\", '{"\\\\ at end of pattern",2}'),
        ("a{99999999999}", '{"regular expression is too large",0}'),
        ("(" * 5000 + ")" * 5000, '{"regular expression is too large",0}'),
    ],
)
def test_what_is_wrong_with_a_pattern_is_said_in_pcres_words(pattern: str, reason: str) -> None:
    with pytest.raises(PolicyError) as refused:
        policy(pattern=pattern)
    assert str(refused.value) == f"pattern should be regular expression but is invalid: {reason}"


def test_an_integer_priority_stays_one() -> None:
    """The HTTP API gives it back."""
    assert str(policy(priority=5).priority) == "5"


def test_a_definition_is_the_policys_own() -> None:
    definition: dict[str, object] = {"max-length": 1}
    made = policy(definition=definition)
    definition["expires"] = 5
    assert made.definition == {"max-length": 1}


# Whom a policy applies to.


@pytest.mark.parametrize(
    ("apply_to", "kinds"),
    [
        ("all", KINDS),
        ("queues", ("classic", "quorum", "stream")),
        ("classic_queues", ("classic",)),
        ("quorum_queues", ("quorum",)),
        ("streams", ("stream",)),
        ("exchanges", (EXCHANGE,)),
    ],
)
def test_apply_to_says_what_kinds_of_things_match(apply_to: str, kinds: tuple[str, ...]) -> None:
    everywhere = policy(definition={"consumer-timeout": 1}, apply_to=apply_to)
    assert tuple(kind for kind in KINDS if everywhere.matches(kind, "q")) == kinds


@pytest.mark.parametrize(
    ("key", "value", "without"),
    [
        ("max-age", "1D", {"classic", "quorum"}),
        ("stream-max-segment-size-bytes", 5, {"classic", "quorum"}),
        ("initial-cluster-size", 1, {"classic", "quorum"}),
        ("delivery-limit", 5, {"classic", "stream"}),
        ("dead-letter-strategy", "at-most-once", {"classic", "stream"}),
        ("max-in-memory-length", 5, {"classic", "stream"}),
        ("max-in-memory-bytes", 5, {"classic", "stream"}),
        ("target-group-size", 5, {"classic", "stream"}),
        ("queue-mode", "lazy", {"quorum", "stream"}),
        ("queue-master-locator", "client-local", {"quorum", "stream"}),
        ("expires", 5, {"stream"}),
        ("message-ttl", 5, {"stream"}),
        ("dead-letter-exchange", "x", {"stream"}),
        ("dead-letter-routing-key", "x", {"stream"}),
        ("max-length", 5, {"stream"}),
        ("overflow", "drop-head", {"stream"}),
        ("max-length-bytes", 5, set()),
        ("queue-leader-locator", "balanced", set()),
    ],
)
def test_one_setting_that_a_queue_type_does_not_have_and_no_queue_of_the_type_matches(
    key: str, value: object, without: set[str]
) -> None:
    partly = policy(definition={key: value, "max-length-bytes": 1})
    assert {kind for kind in KINDS if not partly.matches(kind, "q")} == without


def test_a_pattern_is_searched() -> None:
    assert policy(pattern="b").matches("classic", "abc")
    assert not policy(pattern="^b").matches("classic", "abc")
    assert policy(pattern="").matches("classic", "")


def test_the_next_policy_counts_where_the_first_does_not_match_the_type() -> None:
    policies = Policies()
    policies.set(policy("stream things", {"max-age": "1D", "max-length-bytes": 5}, priority=2))
    policies.set(policy("the rest", {"max-length": 5}, priority=1))
    for kind, name in (("stream", "stream things"), ("classic", "the rest"), ("quorum", "the rest")):
        found = policies.policy_for_queue("q", kind)
        assert found is not None
        assert found.name == name


# Which one counts.


def test_h42_the_highest_priority_counts_alone() -> None:
    policies = Policies()
    policies.set(policy("a", {"max-length": 3}, pattern="^hp", priority=1))
    policies.set(policy("b", {"message-ttl": 5000}, pattern="^hp3", priority=2))
    found = policies.policy_for_queue("hp3", "classic")
    assert effective_definition(found, policies.operator_policy_for_queue("hp3", "classic")) == {"message-ttl": 5000}


def test_policies_are_set_found_listed_and_deleted_by_name() -> None:
    policies = Policies()
    old, new, other = policy("b", priority=5), policy("b"), policy("a")
    for each in (old, new, other):
        policies.set(each)
    assert policies.user_policies() == [other, new]
    assert policies.find("b") is new
    assert policies.policy_for_exchange("x") is other, "the old priority went with the old policy"
    assert policies.delete("a")
    assert not policies.delete("a")
    assert policies.policy_for_exchange("x") is new
    assert policies.delete("b")
    assert (policies.user_policies(), policies.policy_for_exchange("x"), policies.find("b")) == ([], None, None)


def test_operator_policies_are_apart_from_users() -> None:
    policies = Policies()
    ours, operators = policy("p"), policy("p", is_operator=True)
    policies.set(ours)
    policies.set(operators)
    assert (policies.user_policies(), policies.operator_policies()) == ([ours], [operators])
    assert policies.policy_for_queue("q", "classic") is ours
    assert policies.operator_policy_for_queue("q", "classic") is operators
    assert policies.find("p", is_operator=True) is operators
    assert policies.delete("p", is_operator=True)
    assert policies.operator_policy_for_queue("q", "classic") is None
    assert policies.policy_for_queue("q", "classic") is ours


rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "B"]),
        st.sampled_from(["", "^q", "q1$", "other"]),
        st.integers(-2, 2) | st.sampled_from([0.5, -0.5]),
        st.sampled_from(["all", "queues", "streams", "classic_queues", "exchanges"]),
    ),
    unique_by=lambda row: row[0],
)


@given(rows, st.sampled_from(["q1", "q2", "x"]), st.sampled_from(KINDS))
def test_of_those_that_match_the_highest_priority_counts_then_the_name_that_sorts_first(
    rows: list[tuple[str, str, float, str]], name: str, kind: str
) -> None:
    policies = Policies()
    for row in rows:
        policies.set(policy(row[0], {"consumer-timeout": 1}, pattern=row[1], priority=row[2], apply_to=row[3]))
    matching = [each for each in policies.user_policies() if each.matches(kind, name)]
    expected = min(matching, key=lambda each: (-each.priority, each.name), default=None)
    found = policies.policy_for_exchange(name) if kind == EXCHANGE else policies.policy_for_queue(name, kind)
    assert found is expected


# What user's and operator's policy come to.


def test_k05_the_lower_of_two_limits_counts_and_the_keys_are_sorted() -> None:
    user = policy("a", {"max-length": 3, "message-ttl": 100000, "expires": 500000})
    operator = policy("o", {"max-length": 2, "message-ttl": 200000, "max-length-bytes": 7}, is_operator=True)
    merged = effective_definition(user, operator)
    assert list(merged.items()) == [
        ("expires", 500000),
        ("max-length", 2),
        ("max-length-bytes", 7),
        ("message-ttl", 100000),
    ]
    second = policy("b", {"message-ttl": 5000})
    assert effective_definition(second, operator) == {"max-length": 2, "max-length-bytes": 7, "message-ttl": 5000}


def test_the_operators_word_counts_where_there_is_no_lower() -> None:
    user = policy(definition={"overflow": "reject-publish", "queue-version": 1})
    operator = policy(definition={"overflow": "drop-head", "queue-version": 2}, is_operator=True)
    assert effective_definition(user, operator) == operator.definition


@pytest.mark.parametrize(("one", "other", "limit"), [(3, 5, 3), (0, 5, 0), (-1, 5, 5), (-1, 0, 0), (-1, -7, -1)])
def test_no_delivery_limit_is_above_all_others(one: int, other: int, limit: int) -> None:
    assert lower_delivery_limit(one, other) == lower_delivery_limit(other, one) == limit
    operator = policy(definition={"delivery-limit": other}, is_operator=True)
    assert effective_definition(policy(definition={"delivery-limit": one}), operator) == {"delivery-limit": limit}


definitions = st.dictionaries(
    st.sampled_from(["message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit"]),
    st.integers(1, 100),
    min_size=1,
)


@given(definitions, definitions)
def test_merging_is_symmetric_for_limits_and_merging_again_changes_nothing(
    one: dict[str, object], other: dict[str, object]
) -> None:
    merged = effective_definition(policy(definition=one), policy(definition=other, is_operator=True))
    assert merged == effective_definition(policy(definition=other), policy(definition=one, is_operator=True))
    for again in (one, other, merged):
        operator = policy(definition=again, is_operator=True)
        assert effective_definition(policy(definition=merged), operator) == merged
    assert merged.keys() == one.keys() | other.keys()


@given(definitions)
def test_one_policy_alone_counts_as_it_is(definition: dict[str, object]) -> None:
    assert effective_definition(policy(definition=definition), None) == definition
    assert effective_definition(None, policy(definition=definition, is_operator=True)) == definition
    assert effective_definition(None, None) == {}


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("a", '<<"a">>'),
        (5, "5"),
        (1 << 70, "1180591620717411303424"),
        (1.5, "1.5"),
        (False, "false"),
        (None, "null"),
        ([1, ["a"]], '[1,[<<"a">>]]'),
        ({"b": 1, "a": {}}, '#{<<"a">> => #{},<<"b">> => 1}'),
    ],
)
def test_json_is_printed_as_erlang_has_it(value: object, printed: str) -> None:
    assert json_term(value) == printed


texts = st.text(st.characters(exclude_categories=()))  # JSON can write surrogates that no UTF-8 has
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["max-length", "expires", "overflow", "max-age", "dead-letter-routing-key", "queue-version", "?"]
)


@given(json_values, st.dictionaries(KEYS, json_values) | json_values, json_values, json_values, st.booleans())
def test_whatever_json_comes_it_is_a_policy_or_a_policy_error(
    pattern: object, definition: object, priority: object, apply_to: object, is_operator: bool
) -> None:
    try:
        made = Policy("p", pattern, definition, priority, apply_to, is_operator)
    except PolicyError:
        return
    assert made.definition == definition
    assert made.matches("classic", "q") in (True, False)
