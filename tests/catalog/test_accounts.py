"""Users, permissions and parameters in the catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from amqpd.catalog.catalog import Catalog
from amqpd.catalog.rows import Topology
from tests.catalog.rows import (
    GLOBAL_PARAMETER,
    PARAMETER,
    PERMISSION,
    TOPIC_PERMISSION,
    USER,
    VHOST,
    commit,
    loaded,
    opened,
)

EVERYTHING = Topology(
    [VHOST],
    users=[USER],
    permissions=[PERMISSION],
    topic_permissions=[TOPIC_PERMISSION],
    parameters=[PARAMETER],
    global_parameters=[GLOBAL_PARAMETER],
    seeded=True,
)


def add_everything(catalog: Catalog) -> None:
    catalog.add_vhost(VHOST)
    catalog.add_user(USER)
    catalog.add_permission(PERMISSION)
    catalog.add_topic_permission(TOPIC_PERMISSION)
    catalog.add_parameter(PARAMETER)
    catalog.add_global_parameter(GLOBAL_PARAMETER)
    catalog.mark_seeded()


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    catalog = opened(tmp_path)
    assert not catalog.load().seeded
    add_everything(catalog)
    commit(catalog)
    catalog.close()
    found = loaded(tmp_path)
    assert found == EVERYTHING
    assert type(found.seeded) is bool


REMOVALS: dict[str, tuple[Callable[[Catalog], None], Topology]] = {
    "user, and its permissions": (
        lambda c: c.remove_user("u"),
        replace(EVERYTHING, users=[], permissions=[], topic_permissions=[]),
    ),
    "vhost, and what belongs to it": (
        lambda c: c.remove_vhost("/"),
        replace(EVERYTHING, vhosts=[], permissions=[], topic_permissions=[], parameters=[]),
    ),
    "permission": (lambda c: c.remove_permission("u", "/"), replace(EVERYTHING, permissions=[])),
    "topic permission": (
        lambda c: c.remove_topic_permission("u", "/", "amq.topic"),
        replace(EVERYTHING, topic_permissions=[]),
    ),
    "parameter": (lambda c: c.remove_parameter("/", "vhost-limits", "limits"), replace(EVERYTHING, parameters=[])),
    "global parameter": (
        lambda c: c.remove_global_parameter("cluster_name"),
        replace(EVERYTHING, global_parameters=[]),
    ),
    "nothing": (lambda c: c.remove_user("v"), EVERYTHING),
    "nothing either": (lambda c: c.remove_permission("u", "other"), EVERYTHING),
}


@pytest.mark.parametrize("name", REMOVALS)
def test_what_was_removed_is_gone_and_nothing_else(tmp_path: Path, name: str) -> None:
    remove, left = REMOVALS[name]
    catalog = opened(tmp_path)
    add_everything(catalog)
    commit(catalog)
    remove(catalog)
    commit(catalog)
    catalog.close()
    assert loaded(tmp_path) == left


def test_what_is_added_again_is_replaced(tmp_path: Path) -> None:
    catalog = opened(tmp_path)
    add_everything(catalog)
    changed = USER._replace(password_hash="another")
    allowed = PERMISSION._replace(read=".*")
    catalog.add_user(changed)
    catalog.add_permission(allowed)
    commit(catalog)
    assert catalog.load() == replace(EVERYTHING, users=[changed], permissions=[allowed])
    catalog.close()
