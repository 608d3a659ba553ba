"""Rows: what each may look like, and what is wrong with those that cannot be used."""

from __future__ import annotations

import pytest

from amqpd.definitions.reading import DefinitionsError, read
from amqpd.definitions.rows import (
    BindingRow,
    ExchangeRow,
    GlobalParameterRow,
    LimitsRow,
    PolicyRow,
    QueueRow,
    Row,
    SkippedRow,
    UserRow,
    VHostRow,
)
from amqpd.wire.json_values import json_of_table
from tests.definitions.documents import GUEST_HASH

MD5 = "rabbit_password_hashing_md5"
SHA256 = "rabbit_password_hashing_sha256"
BCRYPT_HASH = "$2a$04$g5IMwYwvgDLACYdAQxCpCulKuK/Ym2I56Tz8T9yi1bwEUpsj5Wrn6"


def one(section: str, row: dict[str, object], **head: object) -> Row:
    return read({**head, section: [row]}).rows[section][0]


def fault(section: str, row: dict[str, object], **head: object) -> str:
    with pytest.raises(DefinitionsError) as caught:
        one(section, row, **head)
    return str(caught.value).partition(": ")[2]


def user(row: dict[str, object], **head: object) -> UserRow:
    found = one("users", {"name": "u", "tags": "", **row}, **head)
    assert isinstance(found, UserRow)
    return found


@pytest.mark.parametrize("tags", ["a,b", "a, b", ["a", "b"], ["a", " b ", ""]])
def test_tags_are_a_list_or_a_text(tags: object) -> None:
    assert user({"tags": tags}).tags == ("a", "b")


@pytest.mark.parametrize(
    ("head", "row", "algorithm"),
    [
        ({}, {}, SHA256),
        ({"rabbit_version": "3.10.8"}, {}, SHA256),
        ({"rabbit_version": "3.6.0"}, {}, SHA256),
        ({"rabbit_version": "3.5.7"}, {}, MD5),
        ({"rabbit_version": "3.5.7"}, {"hashing_algorithm": SHA256}, SHA256),
        ({"rabbit_version": "3.10.8"}, {"hashing_algorithm": MD5}, MD5),
    ],
)
def test_a_hash_without_algorithm_is_of_the_version_that_wrote_it(
    head: dict[str, object], row: dict[str, object], algorithm: str
) -> None:
    found = user({"password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", **row}, **head)
    assert found.algorithm == algorithm


def test_bcrypt_is_known_by_the_names_that_brokers_give_it() -> None:
    for name in ("bcrypt", "lavinmq_bcrypt"):
        assert user({"password_hash": BCRYPT_HASH, "hashing_algorithm": name}).algorithm == "bcrypt"


def test_a_user_may_have_a_plain_password_or_none() -> None:
    assert user({"password": "secret"}).password == b"secret"
    assert (user({}).password, user({}).password_hash) == (None, "")


def test_limits_that_are_not_given_are_left_as_they_are() -> None:
    assert user({}).limits is None
    assert user({"limits": []}).limits == {}
    assert user({"limits": {"max-channels": 3, "unknown": 1}}).limits == {"max-channels": 3}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"name": "u"}, "has no tags"),
        ({"tags": ""}, "has no name"),
        ({"name": "u", "tags": 5}, "tags is neither a list of texts nor a text with commas"),
        ({"name": "u", "tags": "", "password_hash": "%%%"}, "the password hash is not base64"),
        ({"name": "u", "tags": "", "hashing_algorithm": "x"}, "there is no password hashing algorithm x"),
        (
            {"name": "u", "tags": "", "password": "a", "password_hash": GUEST_HASH},
            "has a password and a password_hash",
        ),
        ({"name": "u", "tags": "", "limits": {"max-channels": "5"}}, "limits: max-channels is not a whole number"),
        ({"name": "\ud800", "tags": ""}, "name cannot be written in UTF-8"),
    ],
)
def test_users_that_cannot_be_are_told(row: dict[str, object], text: str) -> None:
    assert fault("users", row) == text


@pytest.mark.parametrize(
    "row",
    [
        {"description": "d", "tags": ["a"], "default_queue_type": "quorum"},
        {"metadata": {"description": "d", "tags": ["a"], "default_queue_type": "quorum"}},
        {"description": "d", "metadata": {"tags": "a"}, "defaultqueuetype": "quorum"},
        {
            "description": "d",
            "tags": "a",
            "default_queue_type": "undefined",
            "metadata": {"default_queue_type": "quorum"},
        },
    ],
)
def test_a_vhost_has_its_metadata_in_an_object_or_in_the_row(row: dict[str, object]) -> None:
    found = one("vhosts", {"name": "v", **row})
    assert isinstance(found, VHostRow)
    assert (found.description, found.tags, found.default_queue_type, found.limits) == ("d", ("a",), "quorum", None)


def test_a_vhost_with_a_name_only_says_nothing_else() -> None:
    found = one("vhosts", {"name": "v"})
    assert isinstance(found, VHostRow)
    assert (found.description, found.tags, found.default_queue_type, found.limits) == (None, None, None, None)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"name": ""}, "the name of a virtual host has 1 to 255 octets"),
        ({"name": "v", "default_queue_type": "x"}, "default_queue_type: there is no queue type 'x'"),
        ({"name": "v", "limits": {"max-queues": True}}, "limits: max-queues is not a whole number"),
    ],
)
def test_vhosts_that_cannot_be_are_told(row: dict[str, object], text: str) -> None:
    assert fault("vhosts", row) == text


def test_a_queue_has_its_type_in_the_row_or_among_its_arguments() -> None:
    for row in (
        {"type": "quorum"},
        {"arguments": {"x-queue-type": "quorum"}},
        {"type": "x", "arguments": {"x-queue-type": "quorum"}},
    ):
        found = one("queues", {"name": "q", "vhost": "/", **row})
        assert isinstance(found, QueueRow)
        assert json_of_table(found.arguments) == {"x-queue-type": "quorum"}


def test_flags_have_defaults_and_may_be_in_quotes() -> None:
    found = one("queues", {"name": "q", "vhost": "/"})
    assert isinstance(found, QueueRow)
    assert (found.durable, found.auto_delete, json_of_table(found.arguments)) == (True, False, {})
    found = one("queues", {"name": "q", "vhost": "/", "durable": "false", "auto_delete": "true", "arguments": []})
    assert isinstance(found, QueueRow)
    assert (found.durable, found.auto_delete) == (False, True)


@pytest.mark.parametrize(
    ("section", "row"),
    [
        ("queues", {"name": "amq.gen-abc", "vhost": "/"}),
        ("exchanges", {"name": "", "vhost": "/", "type": "direct"}),
        ("exchanges", {"name": "amq.topic", "vhost": "/", "type": "topic"}),
        ("bindings", {"source": "", "vhost": "/", "destination": "q", "destination_type": "queue"}),
        ("global_parameters", {"name": "internal_cluster_id", "value": "x"}),
        ("parameters", {"vhost": "/", "component": "shovel", "name": "s", "value": {}}),
    ],
)
def test_what_belongs_to_another_broker_is_skipped(section: str, row: dict[str, object]) -> None:
    assert isinstance(one(section, row), SkippedRow)


@pytest.mark.parametrize(
    ("section", "row", "text"),
    [
        ("queues", {"name": "", "vhost": "/"}, "has an empty name"),
        ("queues", {"name": "q" * 256, "vhost": "/"}, "name is longer than 255 bytes"),
        ("queues", {"name": "q", "vhost": "/", "arguments": {"x": 2**63}}, None),
        ("exchanges", {"name": "x", "vhost": "/"}, "has no type"),
        ("exchanges", {"name": "x", "vhost": "/", "type": "nope"}, "there is no exchange type 'nope'"),
        (
            "exchanges",
            {"name": "x", "vhost": "/", "type": "direct", "arguments": {"alternate-exchange": 1}},
            "the argument alternate-exchange is not a text",
        ),
        ("exchanges", {"name": "x", "vhost": "/", "type": "x-delayed-message"}, None),
        (
            "bindings",
            {"source": "x", "vhost": "/", "destination": "q", "destination_type": "topic"},
            "destination_type is 'topic', and neither queue nor exchange",
        ),
        ("bindings", {"source": "x", "vhost": "/", "destination_type": "queue"}, "has no destination"),
        (
            "parameters",
            {"vhost": "/", "component": "vhost-limits", "name": "limits", "value": 5},
            "value is not an object",
        ),
        ("global_parameters", {"name": "g"}, "has no value"),
        ("policies", {"vhost": "/", "name": "p", "pattern": "x"}, "has no definition"),
    ],
)
def test_rows_that_cannot_be_are_told(section: str, row: dict[str, object], text: str | None) -> None:
    found = fault(section, row)
    assert found
    assert text is None or found == text


def test_policies_limits_and_operator_policies_come_in_several_sections() -> None:
    value = {"pattern": "^a", "definition": {"max-length": 1}}
    found = one("parameters", {"vhost": "/", "component": "operator_policy", "name": "o", "value": value})
    assert isinstance(found, PolicyRow)
    assert (found.policy.is_operator, found.policy.priority, found.policy.apply_to) == (True, 0, "all")
    found = one("policies", {"vhost": "/", "name": "p", **value, "apply-to": "queues", "priority": 7})
    assert isinstance(found, PolicyRow)
    assert (found.policy.is_operator, found.policy.priority, found.policy.apply_to) == (False, 7, "queues")
    limits = one("parameters", {"vhost": "/", "component": "vhost-limits", "name": "limits", "value": []})
    assert isinstance(limits, LimitsRow)
    assert limits.limits == {}


def test_exchanges_bindings_and_global_parameters_are_read() -> None:
    exchange = one("exchanges", {"name": "x", "vhost": "/", "type": "fanout", "internal": True})
    assert isinstance(exchange, ExchangeRow)
    assert (exchange.spec.kind, exchange.spec.durable, exchange.spec.internal) == ("fanout", True, True)
    binding = one("bindings", {"source": "x", "vhost": "/", "destination": "y", "destination_type": "exchange"})
    assert isinstance(binding, BindingRow)
    assert (binding.destination_is_queue, binding.key, json_of_table(binding.arguments)) == (False, "", {})
    value = one("global_parameters", {"name": "g", "value": None})
    assert isinstance(value, GlobalParameterRow)
    assert value.value is None
