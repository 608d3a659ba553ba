"""What is read from a client's response to the SASL mechanisms."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.auth.certificate import PeerCertificate
from amqpd.auth.sasl import MECHANISMS, AMQPlain, Anonymous, Asked, Credentials, External, Mechanism, Plain
from amqpd.errors import Disconnect
from amqpd.wire.table import Field, Table

ASKED = Asked(anonymous_user="visitor")
CERTIFICATE = PeerCertificate("CN=shop,O=Example", "shop", "CN=ca", "2026 - 2027")


def amqplain(values: dict[str, object]) -> bytes:
    return Table.of(values).raw


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
    assert Plain().respond(response, ASKED) == Credentials("PLAIN", user, password)


@pytest.mark.parametrize(
    "response", [b"", b"\0", b"guest", b"\0guest", b"x\0guest\0guest", b"\0guest\0guest\0", b"a\0b"]
)
def test_a_plain_response_of_another_form_ends_the_connection_after_three_seconds(response: bytes) -> None:
    with pytest.raises(Disconnect, match="malformed PLAIN") as caught:
        Plain().respond(response, ASKED)
    assert caught.value.linger == 3.0


def test_amqplain_is_a_table_without_its_length() -> None:
    response = amqplain({"LOGIN": "guest", "PASSWORD": "gr\xfcn", "other": 1})
    assert AMQPlain().respond(response, ASKED) == Credentials("AMQPLAIN", "guest", "gr\xfcn".encode())


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
        AMQPlain().respond(response, ASKED)
    assert caught.value.linger == 3.0


@given(st.sampled_from(list(MECHANISMS.values())), st.binary())
def test_no_response_raises_anything_but_disconnect(mechanism: Mechanism, response: bytes) -> None:
    with contextlib.suppress(Disconnect):
        assert mechanism.respond(response, ASKED).mechanism == mechanism.name


@given(st.binary())
def test_external_takes_the_users_name_from_the_certificate_and_no_password(response: bytes) -> None:
    assert External().respond(response, Asked(CERTIFICATE)) == Credentials("EXTERNAL", "CN=shop,O=Example", None)
    by_name = Asked(CERTIFICATE, by_common_name=True)
    assert External().respond(response, by_name) == Credentials("EXTERNAL", "shop", None)


def test_external_without_a_certificate_ends_the_connection() -> None:
    with pytest.raises(Disconnect, match="no certificate"):
        External().respond(b"guest", ASKED)


@given(st.binary())
def test_anonymous_is_one_certain_user_whatever_the_client_says(response: bytes) -> None:
    assert Anonymous().respond(response, ASKED) == Credentials("ANONYMOUS", "visitor", None)
