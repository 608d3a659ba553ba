"""What a run is to do: addresses, and who publishes and consumes where."""

from __future__ import annotations

import dataclasses
import ssl
from pathlib import Path

import pytest

from amqpd.bench.faults import BenchError
from amqpd.bench.plan import Address, Plan, shares

PLAN = Plan(
    address=Address.of("amqp://"),
    run=1,
    publishers=1,
    consumers=1,
    queues=("q",),
    named=False,
    keeps=False,
    exchange="",
    routing_key="",
    fans_out=False,
    queue_type="classic",
    durable=False,
    size=100,
    persistent=False,
    rate=0.0,
    window=0,
    prefetch=0,
    ack_every=0,
    offset="",
    seconds=1.0,
    warmup=0.0,
    count=0,
    processes=1,
)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("amqp://", ("localhost", 5672, "guest", "guest", "/", False)),
        ("amqps://broker", ("broker", 5671, "guest", "guest", "/", True)),
        ("amqp://me:a%2Fb@[::1]:5673/my%2Fhost", ("::1", 5673, "me", "a/b", "my/host", False)),
        ("amqp://host/", ("host", 5672, "guest", "guest", "/", False)),
    ],
)
def test_each_part_of_an_address_may_be_left_away(uri: str, expected: tuple[object, ...]) -> None:
    found = Address.of(uri)
    assert (found.host, found.port, found.user, found.password, found.vhost, found.tls) == expected


@pytest.mark.parametrize("uri", ["", "localhost:5672", "http://x", "amqp://x:port", "amqp://[x"])
def test_what_is_no_address_is_refused_with_an_example(uri: str) -> None:
    with pytest.raises(BenchError, match="write it as amqp://guest:guest@localhost:5672/"):
        Address.of(uri)


def test_tls_verifies_unless_told_otherwise_and_a_bad_file_is_a_sentence(tmp_path: Path) -> None:
    assert Address.of("amqp://").context() is None
    strict, lax = Address.of("amqps://").context(), Address.of("amqps://", verifies=False).context()
    assert strict is not None
    assert lax is not None
    assert (strict.verify_mode, lax.verify_mode) == (ssl.CERT_REQUIRED, ssl.CERT_NONE)
    with pytest.raises(BenchError, match="name a PEM file"):
        Address.of("amqps://", str(tmp_path / "none.pem")).context()


def test_publishers_share_the_queues_and_queues_the_publishers() -> None:
    plan = dataclasses.replace(PLAN, publishers=2, queues=("a", "b", "c"))
    assert [plan.routing_keys(0), plan.routing_keys(1)] == [["a", "c"], ["b"]]
    plan = dataclasses.replace(PLAN, publishers=3, queues=("a", "b"))
    assert [plan.routing_keys(number) for number in range(3)] == [["a"], ["b"], ["a"]]
    assert [plan.queue(number) for number in range(3)] == ["a", "b", "a"]
    assert dataclasses.replace(PLAN, exchange="x", routing_key="k").routing_keys(0) == ["k"]


def test_a_count_is_divided_and_none_is_lost() -> None:
    plan = dataclasses.replace(PLAN, publishers=3, count=10)
    assert [plan.count_of(number) for number in range(3)] == [4, 3, 3]
    assert PLAN.count_of(0) == 0


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_client_is_in_one_process_and_no_process_has_both_sides(processes: int) -> None:
    found = shares(dataclasses.replace(PLAN, publishers=3, consumers=7, processes=processes))
    assert [number for share in found for number in share.publishers] == [0, 1, 2]
    assert [number for share in found for number in share.consumers] == list(range(7))
    assert all(bool(share.publishers) is not bool(share.consumers) for share in found)
    assert [share.number for share in found] == list(range(len(found)))


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Address.of("amqp://me:secret@host"))
