"""Logging in: who is let in, what the others are told, and what is counted."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Callable

import pytest

from amqpd.auth.certificate import PeerCertificate
from amqpd.auth.login import Login, LoginFailure, LoginPolicy, NotFromHere
from amqpd.auth.sasl import Credentials
from amqpd.auth.users import User, UserStore
from amqpd.errors import Disconnect, LoginRefused
from tests.auth.passwords import BCRYPT_OF_SECRET

REFUSED = "ACCESS_REFUSED - Login was refused using authentication mechanism {}. For details see the broker logfile."
ELSEWHERE = "this user may only connect from the broker's own machine"
CERTIFICATE = PeerCertificate("CN=shop,O=Example", "shop", "CN=ca", "2026 - 2027")
ALL = LoginPolicy(["PLAIN", "AMQPLAIN", "EXTERNAL", "ANONYMOUS"], anonymous_user="visitor")


def login(policy: LoginPolicy | None = None) -> Login:
    """The way in for guest, and for one without a password."""
    users = UserStore()
    users.add("guest", b"guest")
    users.add("empty", b"")
    return Login(users, policy)


def with_bcrypt() -> Login:
    """The way in for one user whose password, secret, is hashed with bcrypt."""
    users = UserStore()
    users.put(User("slow", BCRYPT_OF_SECRET, "bcrypt"))
    return Login(users)


def plain(user: str, password: bytes) -> Credentials:
    return Credentials("PLAIN", user, password)


@pytest.mark.parametrize(
    ("policy", "certificate", "offered"),
    [
        (None, None, ["PLAIN", "AMQPLAIN"]),
        (None, CERTIFICATE, ["PLAIN", "AMQPLAIN"]),
        (ALL, None, ["PLAIN", "AMQPLAIN", "ANONYMOUS"]),
        (ALL, CERTIFICATE, ["PLAIN", "AMQPLAIN", "EXTERNAL", "ANONYMOUS"]),
        (LoginPolicy(["EXTERNAL"]), None, []),
    ],
)
def test_external_is_offered_to_clients_with_a_certificate_and_the_rest_as_configured(
    policy: LoginPolicy | None, certificate: PeerCertificate | None, offered: list[str]
) -> None:
    assert login(policy).offered(certificate) == offered


@pytest.mark.parametrize("name", ["plain", "EXTERNAL", "ANONYMOUS", "", "PLAIN "])
def test_a_mechanism_that_is_not_offered_ends_the_connection_after_three_seconds(name: str) -> None:
    with pytest.raises(Disconnect, match="unknown authentication mechanism") as caught:
        login().credentials(name, b"\0guest\0guest", CERTIFICATE)
    assert caught.value.linger == 3.0


def test_what_is_configured_reaches_the_mechanisms() -> None:
    assert login(ALL).credentials("ANONYMOUS", b"", None).user == "visitor"
    assert login(ALL).credentials("EXTERNAL", b"", CERTIFICATE).user == "CN=shop,O=Example"
    by_name = LoginPolicy(["EXTERNAL"], by_common_name=True)
    assert login(by_name).credentials("EXTERNAL", b"", CERTIFICATE).user == "shop"


def test_the_right_password_gives_the_user() -> None:
    tested = login()
    assert tested.authenticate(plain("guest", b"guest"), "127.0.0.1") is tested.users.find("guest")


def test_a_user_whom_the_mechanism_has_proved_needs_no_password_but_must_exist() -> None:
    tested = login(ALL)
    shop = tested.users.add("CN=shop,O=Example", b"")
    assert tested.authenticate(tested.credentials("EXTERNAL", b"", CERTIFICATE), "10.0.0.1") is shop
    with pytest.raises(LoginRefused):
        tested.authenticate(tested.credentials("ANONYMOUS", b"", None), "127.0.0.1")


@pytest.mark.parametrize(
    ("credentials", "peer", "reason"),
    [
        (plain("guest", b"wrong"), "127.0.0.1", "wrong password"),
        (Credentials("AMQPLAIN", "guest", b""), "127.0.0.1", "wrong password"),
        (plain("nobody", b"guest"), "127.0.0.1", "no such user"),
        (plain("guest", b"guest"), "10.0.0.1", ELSEWHERE),
        (
            Credentials("ANONYMOUS", "guest", None),
            "10.0.0.1",
            "this user may only connect from the broker's own machine",
        ),
        (plain("guest", b"wrong"), "10.0.0.1", "wrong password"),
        (plain("empty", b""), "127.0.0.1", "wrong password"),
    ],
)
def test_every_refusal_reads_the_same_for_the_client_and_tells_the_log_why(
    credentials: Credentials, peer: str, reason: str
) -> None:
    with pytest.raises(LoginRefused) as caught:
        login().authenticate(credentials, peer)
    assert caught.value.reply_text == REFUSED.format(credentials.mechanism)
    assert (caught.value.code, caught.value.closes_connection, caught.value.about_method) == (403, True, False)
    cause = caught.value.__cause__
    assert isinstance(cause, LoginFailure)
    assert str(cause) == reason
    assert isinstance(cause, NotFromHere) is (reason == ELSEWHERE)


def test_attempts_are_counted_by_protocol() -> None:
    tested = login()
    tested.authenticate(plain("guest", b"guest"), "127.0.0.1")
    for protocol in ("amqp091", "http", "http"):
        with pytest.raises(LoginRefused):
            tested.authenticate(plain("guest", b"x"), "127.0.0.1", protocol)
    counts = {name: (count.all, count.succeeded, count.failed) for name, count in tested.attempts.by_protocol.items()}
    assert counts == {"amqp091": (2, 1, 1), "http": (2, 0, 2)}
    tested.attempts.reset()
    assert tested.attempts.by_protocol == {}


def test_only_a_check_of_bcrypt_is_slow() -> None:
    assert not login().begin(plain("guest", b"guest"), "127.0.0.1").is_slow
    assert with_bcrypt().begin(plain("slow", b"secret"), "127.0.0.1").is_slow


def test_a_user_who_does_not_exist_is_refused_no_sooner_than_one_who_does() -> None:
    assert with_bcrypt().begin(plain("nobody", b"secret"), "127.0.0.1").is_slow
    with pytest.raises(LoginRefused) as caught:
        with_bcrypt().authenticate(plain("nobody", b"secret"), "127.0.0.1")
    assert str(caught.value.__cause__) == "no such user"


def test_bcrypt_lets_in_who_knows_the_password_and_is_not_run_for_the_same_again() -> None:
    tested = with_bcrypt()
    user = tested.authenticate(plain("slow", b"secret"), "10.0.0.1")
    assert not tested.begin(plain("slow", b"secret"), "10.0.0.1").is_slow
    assert tested.authenticate(plain("slow", b"secret"), "10.0.0.1") is user
    assert tested.begin(plain("slow", b"other"), "10.0.0.1").is_slow
    with pytest.raises(LoginRefused):
        tested.authenticate(plain("slow", b"other"), "10.0.0.1")


def test_a_user_who_was_changed_since_is_checked_anew() -> None:
    tested = with_bcrypt()
    tested.authenticate(plain("slow", b"secret"), "10.0.0.1")
    tested.users.put(User("slow", BCRYPT_OF_SECRET, "bcrypt"))
    assert tested.begin(plain("slow", b"secret"), "10.0.0.1").is_slow


def delete(users: UserStore) -> None:
    users.delete("slow")


def change_password(users: UserStore) -> None:
    users.add("slow", b"new")


@pytest.mark.parametrize("change", [delete, change_password])
def test_of_a_user_who_is_none_any_more_nothing_is_remembered(change: Callable[[UserStore], None]) -> None:
    tested = with_bcrypt()
    user = tested.authenticate(plain("slow", b"secret"), "10.0.0.1")
    change(tested.users)
    assert [kept for kept in gc.get_referrers(user) if isinstance(kept, dict)] == []
    assert not tested.begin(plain("nobody", b"secret"), "10.0.0.1").is_slow  # nobody else would be, either


def test_a_user_who_does_not_exist_is_compared_with_another_one_when_the_last_is_deleted() -> None:
    tested = with_bcrypt()
    tested.users.put(User("slower", BCRYPT_OF_SECRET, "bcrypt"))
    tested.users.delete("slower")
    assert tested.begin(plain("nobody", b"secret"), "127.0.0.1").is_slow


def test_a_user_who_was_changed_while_the_password_was_checked_is_refused() -> None:
    tested = with_bcrypt()
    check = tested.begin(plain("slow", b"secret"), "10.0.0.1")
    check.run()
    tested.users.add("slow", b"new")
    with pytest.raises(LoginRefused) as caught:
        tested.finish(check)
    assert "changed or deleted meanwhile" in str(caught.value.__cause__)


def test_a_check_that_nobody_waits_for_is_not_run() -> None:
    check = with_bcrypt().begin(plain("slow", b"secret"), "10.0.0.1")
    check.abandoned = True
    check.run()
    assert not check.matched


def test_without_the_library_the_log_tells_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tested = with_bcrypt()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("amqpd.auth.password.find_spec", lambda name: None)
    with pytest.raises(LoginRefused) as caught:
        tested.authenticate(plain("slow", b"secret"), "127.0.0.1")
    assert "pip install 'amqpd[bcrypt]'" in str(caught.value.__cause__)
