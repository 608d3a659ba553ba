"""Rows and catalogs for tests of the catalog."""

from __future__ import annotations

from pathlib import Path

from amqpd.catalog.catalog import Catalog, CatalogWrite
from amqpd.catalog.rows import (
    BindingRow,
    ExchangeRow,
    GlobalParameterRow,
    ParameterRow,
    PermissionRow,
    PolicyRow,
    QueueRow,
    TopicPermissionRow,
    Topology,
    UserRow,
    VHostRow,
)

VHOST = VHostRow("/", '{"description":"Default virtual host"}')
EXCHANGE = ExchangeRow("/", "orders", "topic", False, internal=True, arguments=b"\x01aS\x00\x00\x00\x01b", id=5)
QUEUE = QueueRow(7, "/", "jobs", "classic", auto_delete=True, arguments=b"")
BINDING = BindingRow("/", "orders", True, "jobs", "order.#", b"\x01kt\x01")
POLICY = PolicyRow("/", "ttl", False, "^jobs", "queues", -3, '{"message-ttl":1000}')
USER = UserRow("u", "hash", "rabbit_password_hashing_sha256", '["management"]', '{"max-channels": 3}')
PERMISSION = PermissionRow("u", "/", "^c", "^w", "^r")
TOPIC_PERMISSION = TopicPermissionRow("u", "/", "amq.topic", "^w", "^r")
PARAMETER = ParameterRow("/", "vhost-limits", "limits", '{"max-queues": 5}')
GLOBAL_PARAMETER = GlobalParameterRow("cluster_name", '"here"')


def queue(number: int, name: str | None = None, vhost: str = "/") -> QueueRow:
    """A queue, by default with a name made of its id."""
    return QueueRow(number, vhost, name or f"queue-{number}", "quorum", False, b"")


def binding(key: str, destination: str = "jobs", source: str = "orders", vhost: str = "/") -> BindingRow:
    """A binding of a queue."""
    return BindingRow(vhost, source, True, destination, key, b"")


def opened(folder: Path, syncs: bool = False) -> Catalog:
    """The catalog in a folder."""
    return Catalog.open(folder / "catalog.sqlite", syncs)


def commit(catalog: Catalog) -> CatalogWrite:
    """Write all that was gathered."""
    write = catalog.begin()
    assert write is not None
    write.run()
    catalog.finished(write)
    return write


def loaded(folder: Path) -> Topology:
    """What a catalog holds that nobody has open."""
    catalog = opened(folder)
    try:
        return catalog.load()
    finally:
        catalog.close()
