"""Every AMQP operation, with every subset of the permissions that it needs: allowed, or 403 with RabbitMQ's text.

For each operation and each subset there is a user with those patterns, on a channel of its own, because RabbitMQ
remembers on a channel what it has found out.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from interop.management.http import Management
from interop.management.operations import OPERATIONS, TOPIC_OPERATIONS, Need, Operation, TopicOperation

VHOST = "permissions"
USER = "matrix"
CASES = [
    pytest.param(operation, frozenset(granted), id=f"{operation.name}: {len(granted)} of {len(operation.needs)}, {n}")
    for operation in OPERATIONS
    for n, granted in enumerate(
        subset for size in range(len(operation.needs) + 1) for subset in itertools.combinations(operation.needs, size)
    )
]


class Brokers:
    """The virtual host of these tests on one broker, and two who are connected to it."""

    def __init__(self, management: Management) -> None:
        self.management = management
        self.put(f"vhosts/{VHOST}", {})
        self.put(f"users/{USER}", {"password": USER, "tags": ""})
        self.put(f"permissions/{VHOST}/guest", {"configure": ".*", "write": ".*", "read": ".*"})
        self.permit("", "", "")
        self.owner = self._connect("guest")
        self.tested = self._connect(USER)

    def _connect(self, user: str) -> pika.BlockingConnection:
        broker = self.management.broker
        login = pika.PlainCredentials(user, user)
        return pika.BlockingConnection(pika.ConnectionParameters(broker.host, broker.port, VHOST, login))

    def put(self, path: str, body: dict[str, object]) -> None:
        answer = self.management.request("PUT", path, json.dumps(body))
        assert answer.status in (201, 204), answer

    def permit(self, configure: str, write: str, read: str) -> None:
        """Give the user these permissions."""
        self.put(f"permissions/{VHOST}/{USER}", {"configure": configure, "write": write, "read": read})

    def grant(self, needs: frozenset[Need]) -> None:
        """Give the user these permissions and no other, anywhere."""
        patterns = {}
        for access in ("configure", "write", "read"):
            names = sorted({re.escape(need.name) for need in needs if need.access == access})
            patterns[access] = f"^({'|'.join(names)})$" if names else ""
        self.permit(**patterns)

    def restrict(self, exchange: str, write: str, read: str) -> None:
        """Give the user this topic permission."""
        self.put(f"topic-permissions/{VHOST}/{USER}", {"exchange": exchange, "write": write, "read": read})

    def furnish(self) -> None:
        """Make what the operations work on, and nothing else."""
        channel = self.owner.channel()
        for name in ("new", "none"):
            channel.queue_delete(name)
            channel.exchange_delete(name)
        channel.queue_declare("old")
        for name, kind in (("source", "direct"), ("target", "fanout"), ("topic", "topic")):
            channel.exchange_declare(name, kind)
        channel.close()

    def refusal(self, operation: Operation | TopicOperation) -> tuple[int, str] | None:
        """Code and text with which the broker refuses an operation, None if it does not."""
        channel: BlockingChannel = self.tested.channel()
        try:
            operation.do(channel)
        except ChannelClosedByBroker as error:
            return int(error.reply_code), str(error.reply_text)
        finally:
            with suppress(pika.exceptions.ChannelWrongStateError):
                channel.close()
        return None

    def text(self, access: str, what: str) -> tuple[int, str]:
        """What a refusal says. Since RabbitMQ 4.0 it names the access; the packaged 3.10 does not."""
        word = f"{access} " if self.management.broker.name == "amqpd" else ""
        return 403, f"ACCESS_REFUSED - {word}access to {what} in vhost '{VHOST}' refused for user '{USER}'"


@pytest.fixture(scope="module")
def brokers(management: Management) -> Iterator[Brokers]:
    made = Brokers(management)
    yield made
    for connection in (made.owner, made.tested):
        connection.close()
    for path in (f"vhosts/{quote(VHOST)}", f"users/{USER}"):
        management.request("DELETE", path)


@pytest.mark.parametrize(("operation", "granted"), CASES)
def test_an_operation_is_refused_for_the_first_permission_that_is_missing(
    brokers: Brokers, operation: Operation, granted: frozenset[Need]
) -> None:
    brokers.furnish()
    brokers.grant(granted)
    missing = next((need for need in operation.needs if need not in granted), None)
    found = brokers.refusal(operation)
    if missing is not None:
        assert found == brokers.text(missing.access, f"{missing.kind} '{missing.name}'")
    elif operation.missing:
        assert found is not None
        assert found[0] == 404
    else:
        assert found is None


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_no_other_permission_stands_in_for_one_that_is_needed(brokers: Brokers, operation: Operation) -> None:
    """With every pattern matching everything but the one name in question, that is what the refusal is about."""
    for need in operation.needs:
        brokers.furnish()
        patterns = dict.fromkeys(("configure", "write", "read"), ".*")
        patterns[need.access] = f"^(?!{re.escape(need.name)}$)"
        brokers.permit(**patterns)
        assert brokers.refusal(operation) == brokers.text(need.access, f"{need.kind} '{need.name}'")


def test_a_server_named_queue_is_configured_under_the_name_that_it_would_get(brokers: Brokers) -> None:
    declare = Operation("queue.declare", lambda channel: channel.queue_declare("", exclusive=True))
    brokers.permit("^q", ".*", ".*")
    refusal = brokers.refusal(declare)
    assert refusal is not None
    assert re.search(r"access to queue 'amq\.gen-[\w-]{22}' in vhost 'permissions' refused", refusal[1])
    brokers.permit(r"^amq\.gen-", "", "")
    assert brokers.refusal(declare) is None


@pytest.mark.parametrize("operation", TOPIC_OPERATIONS, ids=lambda operation: operation.name)
def test_a_topic_permission_is_held_against_the_key(brokers: Brokers, operation: TopicOperation) -> None:
    brokers.furnish()
    brokers.permit(".*", ".*", ".*")
    brokers.management.request("DELETE", f"topic-permissions/{VHOST}/{USER}")
    if operation.write is not None and operation.read is not None:
        brokers.restrict(operation.exchange, operation.write, operation.read)
    expected = None
    if operation.refused is not None:
        access, key = operation.refused
        expected = brokers.text(access, f"topic '{key}' in exchange 'topic'")
    assert brokers.refusal(operation) == expected
