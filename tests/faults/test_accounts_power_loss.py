"""Power loss while users, permissions, virtual hosts and parameters change: what was confirmed is there, whole."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from amqpd.auth.permissions import Permission
from amqpd.auth.recovery import restore_accounts
from amqpd.auth.topics import TopicPermission
from amqpd.auth.users import UserStore
from amqpd.broker.broker import Broker
from amqpd.broker.metadata import VHostMetadata
from amqpd.broker.recovery import Recovery
from amqpd.catalog.rows import Topology
from amqpd.log.commit import RETRY_SECONDS, SAFE
from tests.builders import World
from tests.faults.worlds import CATALOG, CrashStore, Watch, topology_in
from tests.stores import KeptProgress, Store

RUNS = 3
COMMITS = 25
CUTS = 4  # of the write-ahead log, after each
NAMES = ("anna", "ben", "carl")
VHOSTS = ("/", "a", "b")
PATTERNS = ("", ".*", "^a", "^(b|c)")
Known = list[object]


def known(broker: Broker, users: UserStore) -> Known:
    """All that is to survive, to be compared."""
    return [
        sorted((user.name, user.password_hash, user.tags, sorted(user.limits.items())) for user in users),
        sorted((user, vhost, row.configure, row.write, row.read) for user, vhost, row in users.permissions),
        sorted((user, vhost, name, row.write, row.read) for user, vhost, name, row in users.topic_permissions),
        sorted(
            (vhost.name, vhost.metadata.as_json(), str(broker.parameters.of(vhost))) for vhost in broker.vhosts.values()
        ),
        broker.globals.all(),
    ]


def found(topology: Topology) -> Known:
    """What a start makes of a catalog."""
    world = World()
    broker = Broker(world.context, "amqpd@found", recovers=True)
    users, progress = UserStore(broker), KeptProgress()
    Recovery(broker, topology, progress).run()
    restore_accounts(users, topology, progress)
    assert progress.left_out == []
    return known(broker, users)


def change(world: World, rng: random.Random) -> None:
    """Something random."""
    broker, users, name = world.broker, world.users, rng.choice(NAMES)
    vhost, pattern = rng.choice(VHOSTS), rng.choice(PATTERNS)
    match rng.randrange(10):
        case 0 | 1:
            users.add(name, rng.randbytes(3), rng.sample(["management", "monitoring"], 1))
        case 2:
            users.delete(name)
        case 3 if users.find(name) is not None:
            users.set_limits(name, {"max-channels": rng.randrange(9)})
        case 4 | 5 if vhost in broker.vhosts:
            users.permissions.set(name, vhost, Permission(pattern, pattern, ".*"))
        case 6:
            users.permissions.clear(name, vhost)
        case 7 if vhost in broker.vhosts:
            users.topic_permissions.set(name, vhost, "amq.topic", TopicPermission(pattern, ".*"))
        case 8:
            broker.globals.set("cluster_name", rng.choice(NAMES), "someone")
            if vhost in broker.vhosts:
                broker.limits.set_one(broker.vhosts[vhost], "max-queues", rng.randrange(9))
        case _:
            if vhost in broker.vhosts:
                broker.delete_vhost(vhost)
            else:
                broker.create_vhost(vhost, VHostMetadata(pattern))


def octets(folder: Path) -> list[bytes]:
    """Of the catalog's two files."""
    return [(folder / name).read_bytes() for name in CATALOG]


def run(folder: Path, rng: random.Random) -> int:
    """Commit after commit, each of them cut anywhere; returns how many cuts left the state of before."""
    world = World(store=Store(folder))
    world.finish()
    lost = 0
    before, begin = known(world.broker, world.users), len(octets(folder)[1])
    for _ in range(COMMITS):
        for _ in range(rng.randint(1, 4)):
            change(world, rng)
        world.finish()
        assert world.storage.topology_ticket == SAFE, "this is what a caller waits for"
        after, (database, wal) = known(world.broker, world.users), octets(folder)
        assert found(topology_in(folder / "whole", database, wal)) == after
        for _ in range(CUTS):
            cut = rng.randint(begin, len(wal))
            seen = found(topology_in(folder / "torn", database, wal[:cut]))
            assert seen in (before, after)
            lost += seen != after
        before, begin = after, len(wal)
    return lost


def test_power_loss_at_any_moment_keeps_what_was_confirmed(tmp_path_factory: pytest.TempPathFactory) -> None:
    lost = [run(tmp_path_factory.mktemp(f"run-{seed}"), random.Random(seed)) for seed in range(RUNS)]
    assert all(lost), "commits are cut"


def test_a_change_that_the_full_disk_did_not_take_is_not_confirmed_before_it_did(tmp_path: Path) -> None:
    store = CrashStore(tmp_path, Watch(random.Random(0), every=0))
    world = World(store=store)
    world.finish()
    store.catalog.errors.append(errno.ENOSPC)
    world.users.add("anna", b"secret")
    world.users.permissions.set("anna", "/", Permission("", "", ".*"))
    world.finish()
    assert world.storage.topology_ticket != SAFE
    database, wal = octets(tmp_path)
    assert [user.name for user in topology_in(tmp_path / "copy", database, wal).users] == ["guest"]
    world.advance(RETRY_SECONDS)
    assert world.storage.topology_ticket == SAFE
    again = world.killed()
    anna = again.users.find("anna")
    assert anna is not None
    assert anna.has_password(b"secret")
    assert again.users.permissions.find("anna", "/") is not None
