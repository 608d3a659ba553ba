"""The management client of AMQPStorm."""

from __future__ import annotations

import pytest
from amqpstorm.management import ApiError, ManagementApi

from interop.management.api import API
from interop.names import unique

pytestmark = pytest.mark.timeout(120)  # the broker of these tests is started within the first one


@pytest.fixture(scope="module")
def client(api: API) -> ManagementApi:
    """The client."""
    return ManagementApi(f"http://{api.broker.host}:{api.port}", api.broker.username, api.broker.password)


def test_the_broker_tells_who_and_how_it_is(client: ManagementApi, api: API) -> None:
    assert client.whoami()["name"] == api.broker.username
    assert client.aliveness_test("/") == {"status": "ok"}
    assert client.overview()["rabbitmq_version"]
    assert client.nodes()[0]["name"] == client.overview()["node"]
    assert client.cluster_name()["name"]


def test_queues_are_declared_filled_read_and_deleted(client: ManagementApi) -> None:
    queue = unique("storm")
    client.queue.declare(queue, durable=True)
    client.queue.bind(queue, "amq.topic", routing_key="a.#")
    assert [row["routing_key"] for row in client.queue.bindings(queue)] == [queue, "a.#"]
    assert client.basic.publish("hello", "a.b", exchange="amq.topic") == {"routed": True}
    (message,) = client.basic.get(queue, to_dict=True)
    assert (message["payload"], message["routing_key"]) == ("hello", "a.b")
    assert queue in [row["name"] for row in client.queue.list(name=queue)]
    client.queue.unbind(queue, "amq.topic", routing_key="a.#", properties_key="a.%23")
    client.queue.purge(queue)
    client.queue.delete(queue)
    with pytest.raises(ApiError):
        client.queue.get(queue)


def test_accounts_are_made_and_deleted(client: ManagementApi) -> None:
    vhost, user = unique("storm-v"), unique("storm-u")
    client.virtual_host.create(vhost)
    client.user.create(user, "secret", tags="management")
    client.user.set_permission(user, vhost, configure_regex="^a")
    assert client.user.get_permission(user, vhost)["configure"] == "^a"
    assert [row["user"] for row in client.virtual_host.get_permissions(vhost)] == ["guest", user]
    client.user.delete_permission(user, vhost)
    client.user.delete(user)
    client.virtual_host.delete(vhost)
    assert vhost not in [row["name"] for row in client.virtual_host.list()]
