"""A session: the facts of an open connection, and what its user may do."""

from __future__ import annotations

import pytest

from amqpd.auth.permissions import Access, Permission
from amqpd.auth.users import User
from amqpd.errors import AccessRefused
from amqpd.protocol.session import Session, has_capability
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.builders import World


def session(permission: Permission | None = None, frame_max: int = 131_072, properties: Table = EMPTY_TABLE) -> Session:
    """A session of the user "someone" in "/"."""
    world = World()
    user = world.users.put(User("someone", ""))
    world.users.permissions.set("someone", "/", permission or Permission(".*", ".*", ".*"))
    return Session(user, world.vhost, world.users, frame_max, properties, None, 100)


@pytest.mark.parametrize(("frame_max", "payload"), [(131_072, 131_064), (4096, 4088), (0, 0)])
def test_a_frame_holds_eight_octets_less_than_frame_max_and_zero_is_no_limit(frame_max: int, payload: int) -> None:
    assert session(frame_max=frame_max).payload_max == payload


PATTERNS = {Access.CONFIGURE: "^c", Access.WRITE: "^w", Access.READ: "^r"}


@pytest.mark.parametrize("access", Access)
def test_a_queue_is_checked_by_its_name_and_the_access(access: Access) -> None:
    tested = session(Permission("^c", "^w", "^r"))
    tested.check_queue(access, PATTERNS[access][1:])
    with pytest.raises(AccessRefused) as caught:
        tested.check_queue(access, "x")
    assert caught.value.reply_text == (
        f"ACCESS_REFUSED - {access} access to queue 'x' in vhost '/' refused for user 'someone'"
    )


@pytest.mark.parametrize("access", Access)
def test_an_exchange_is_checked_by_its_name_and_the_access(access: Access) -> None:
    tested = session(Permission("^c", "^w", "^r"))
    tested.check_exchange(access, PATTERNS[access][1:])
    with pytest.raises(AccessRefused) as caught:
        tested.check_exchange(access, "x")
    assert caught.value.reply_text == (
        f"ACCESS_REFUSED - {access} access to exchange 'x' in vhost '/' refused for user 'someone'"
    )


def test_the_default_exchange_is_checked_as_amq_default() -> None:
    session(Permission("", r"^amq\.default$", "")).check_exchange(Access.WRITE, "")
    with pytest.raises(AccessRefused, match=r"write access to exchange 'amq.default' in vhost '/' refused"):
        session(Permission("", "", "")).check_exchange(Access.WRITE, "")


@pytest.mark.parametrize(
    ("properties", "announced"),
    [
        ({"capabilities": {"it": True}}, True),
        ({"capabilities": {"it": False}}, False),
        ({"capabilities": {"it": 1}}, False),
        ({"capabilities": {"other": True}}, False),
        ({"capabilities": "it"}, False),
        ({"capabilities": [True]}, False),
        ({"it": True}, False),
        ({}, False),
    ],
)
def test_a_capability_counts_if_it_is_true_in_a_table(properties: dict[str, object], announced: bool) -> None:
    assert has_capability(Table.of(properties), "it") is announced


@pytest.mark.parametrize("announced", [True, False])
def test_a_session_knows_whether_cancellations_are_understood(announced: bool) -> None:
    properties = Table.of({"capabilities": Field.of({"consumer_cancel_notify": announced})})
    assert session(properties=properties).notify_cancel is announced
