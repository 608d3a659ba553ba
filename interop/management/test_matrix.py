"""The requests of matrix.txt, one after the other, to each broker: the statuses are the same, but for DEVIATIONS."""

from __future__ import annotations

import json

import pytest

from interop.management import fixture
from interop.management.http import Management, Response
from interop.management.matrix import DEVIATIONS, Ask, table

CHECKED = frozenset({400, 401, 404})


@pytest.mark.timeout(120)
def test_every_request_has_rabbitmqs_status_or_a_reason_for_another_one(management: Management) -> None:
    name = management.broker.name
    differences = []
    with fixture.made(management):
        for ask in table():
            response = send(management, ask)
            if response.status != ask.expected(name):
                told = response.body[:200].decode(errors="replace")
                differences.append(f"line {ask.line}: {ask.key} is {response.status}, not {ask.expected(name)}: {told}")
            elif name == "amqpd":
                differences += faults(ask, response)
    assert not differences, "\n".join(["", *differences])


def send(management: Management, ask: Ask) -> Response:
    """The answer to one request of the table."""
    path = ask.path.replace("{node}", management.node)
    return management.request(ask.method, path, ask.body, ask.user, ask.form)


def faults(ask: Ask, response: Response) -> list[str]:
    """What clients would stumble over in a refusal of amqpd: each has two texts, ``error`` and ``reason``."""
    if response.status not in CHECKED:
        return []
    content = json.loads(response.body)
    well = set(content) == {"error", "reason"} and all(isinstance(value, str) for value in content.values())
    return [] if well else [f"line {ask.line}: {ask.key}: {content}"]


def test_every_deviation_is_one() -> None:
    asked = {ask.key: ask.status for ask in table()}
    assert {key for key, (status, _) in DEVIATIONS.items() if asked.get(key) in (None, status)} == set()
