"""The access class, a relic that old clients still send."""

from __future__ import annotations

from amqpd.wire.methods import AccessRequest, AccessRequestOk
from tests.builders import Client


def test_everybody_gets_ticket_1(client: Client) -> None:
    assert client.call(1, AccessRequest, AccessRequestOk, realm="/data", active=True).ticket == 1
    assert client.call(1, AccessRequest, AccessRequestOk, exclusive=True, passive=True).ticket == 1
