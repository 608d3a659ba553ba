"""Logging in: what is read from a client's response, and what it is told."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.auth.sasl import MECHANISMS, AMQPlain, Credentials, LoginFailure, Plain, authenticate, find_mechanism
from amqpd.auth.users import UserStore
from amqpd.errors import Disconnect, LoginRefused
from amqpd.wire.table import Field, Table

REFUSED = "ACCESS_REFUSED - Login was refused using authentication mechanism {}. For details see the broker logfile."


def amqplain(values: dict[str, object]) -> bytes:
    return Table.of(values).raw


def test_the_mechanisms_are_offered_in_this_order() -> None:
    assert list(MECHANISMS) == ["PLAIN", "AMQPLAIN"]


@pytest.mark.parametrize("name", ["plain", "EXTERNAL", "", "PLAIN "])
def test_a_mechanism_that_is_not_offered_ends_the_connection_after_three_seconds(name: str) -> None:
    with pytest.raises(Disconnect) as caught:
        find_mechanism(name)
    assert caught.value.linger == 3.0


@pytest.mark.parametrize(
    ("response", "user", "password"),
    [
        (b"\0guest\0guest", "guest", b"guest"),
        (b"\0\0", "", b""),
        (b"\0gr\xc3\xbcn\0\xff", "gr\xfcn", b"\xff"),
        (b"\0\xff\0x", "\udcff", b"x"),
    ],
)
def test_plain_is_nul_user_nul_password(response: bytes, user: str, password: bytes) -> None:
    assert find_mechanism("PLAIN").respond(response) == Credentials("PLAIN", user, password)


@pytest.mark.parametrize(
    "response", [b"", b"\0", b"guest", b"\0guest", b"x\0guest\0guest", b"\0guest\0guest\0", b"a\0b"]
)
def test_a_plain_response_of_another_form_ends_the_connection_after_three_seconds(response: bytes) -> None:
    with pytest.raises(Disconnect, match="malformed PLAIN") as caught:
        Plain().respond(response)
    assert caught.value.linger == 3.0


def test_amqplain_is_a_table_without_its_length() -> None:
    response = amqplain({"LOGIN": "guest", "PASSWORD": "gr\xfcn", "other": 1})
    assert find_mechanism("AMQPLAIN").respond(response) == Credentials("AMQPLAIN", "guest", "gr\xfcn".encode())


@pytest.mark.parametrize(
    "response",
    [
        b"",
        amqplain({"LOGIN": "guest"}),
        amqplain({"PASSWORD": "guest"}),
        amqplain({"LOGIN": 1, "PASSWORD": "guest"}),
        amqplain({"LOGIN": "guest", "PASSWORD": Field("x", b"guest")}),
        amqplain({"login": "guest", "password": "guest"}),
        Table.of({"LOGIN": "guest", "PASSWORD": "guest"}).encode(),
        amqplain({"LOGIN": "guest", "PASSWORD": "guest"})[:-1],
    ],
)
def test_an_amqplain_response_without_login_and_password_ends_the_connection(response: bytes) -> None:
    with pytest.raises(Disconnect, match="malformed AMQPLAIN") as caught:
        AMQPlain().respond(response)
    assert caught.value.linger == 3.0


@given(st.sampled_from(list(MECHANISMS.values())), st.binary())
def test_no_response_raises_anything_but_disconnect(mechanism: Plain | AMQPlain, response: bytes) -> None:
    with contextlib.suppress(Disconnect):
        assert mechanism.respond(response).mechanism == mechanism.name


def test_the_right_password_gives_the_user() -> None:
    users = UserStore()
    users.add("guest", b"guest")
    user = authenticate(users, Credentials("PLAIN", "guest", b"guest"), "127.0.0.1")
    assert user is users.find("guest")


@pytest.mark.parametrize(
    ("credentials", "peer", "reason"),
    [
        (Credentials("PLAIN", "guest", b"wrong"), "127.0.0.1", "wrong password"),
        (Credentials("AMQPLAIN", "guest", b""), "127.0.0.1", "wrong password"),
        (Credentials("PLAIN", "nobody", b"guest"), "127.0.0.1", "no such user"),
        (
            Credentials("PLAIN", "guest", b"guest"),
            "10.0.0.1",
            "this user may only connect from the broker's own machine",
        ),
        (Credentials("PLAIN", "empty", b""), "127.0.0.1", "wrong password"),
    ],
)
def test_every_refusal_reads_the_same_for_the_client_and_tells_the_log_why(
    credentials: Credentials, peer: str, reason: str
) -> None:
    users = UserStore()
    users.add("guest", b"guest")
    users.add("empty", b"")
    with pytest.raises(LoginRefused) as caught:
        authenticate(users, credentials, peer)
    assert caught.value.reply_text == REFUSED.format(credentials.mechanism)
    assert (caught.value.code, caught.value.closes_connection, caught.value.about_method) == (403, True, False)
    assert isinstance(caught.value.__cause__, LoginFailure)
    assert str(caught.value.__cause__) == reason
