"""How a client says who it is: the SASL mechanisms, and the check of what they yield.

Rule: what may live here ends in a User or in a refusal. A response that its mechanism does not know is a Disconnect
after three seconds, a wrong login is LoginRefused; the connection knows which clients may be told about the latter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from amqpd.auth.users import User, UserStore
from amqpd.errors import Disconnect, LoginRefused
from amqpd.wire.table import Table, TableError

REFUSAL_SECONDS = 3.0  # RabbitMQ's, so that guessing is slow


class Credentials(NamedTuple):
    """What a mechanism found in the client's response."""

    mechanism: str
    user: str
    password: bytes


class LoginFailure(Exception):
    """Why a login was refused: for the log, never for the client. It is the ``__cause__`` of a LoginRefused."""


class Mechanism(ABC):
    """A SASL mechanism of one step."""

    name: ClassVar[str]

    @abstractmethod
    def respond(self, response: bytes) -> Credentials:
        """Read the response of connection.start_ok.

        Raises:
            Disconnect: the response is malformed.
        """

    def malformed(self, reason: str) -> Disconnect:
        """What to raise when it is."""
        return Disconnect(f"malformed {self.name} response: {reason}", linger=REFUSAL_SECONDS)


class Plain(Mechanism):
    """PLAIN: exactly NUL user NUL password. RabbitMQ takes no authorization identity before the first NUL."""

    name = "PLAIN"

    def respond(self, response: bytes) -> Credentials:
        parts = response.split(b"\0")
        if len(parts) != 3 or parts[0]:
            raise self.malformed("not NUL user NUL password")
        return Credentials(self.name, parts[1].decode("utf-8", "surrogateescape"), parts[2])


class AMQPlain(Mechanism):
    """AMQPLAIN: a field table without its length, with the longstrs LOGIN and PASSWORD."""

    name = "AMQPLAIN"

    def respond(self, response: bytes) -> Credentials:
        try:
            table = Table(response)
        except TableError as error:
            raise self.malformed(str(error)) from None
        user, password = table.text("LOGIN"), table.text("PASSWORD")
        if user is None or password is None:
            raise self.malformed("LOGIN or PASSWORD is missing or not a longstr")
        return Credentials(self.name, user, password.encode("utf-8", "surrogateescape"))


MECHANISMS: Mapping[str, Mechanism] = {mechanism.name: mechanism for mechanism in (Plain(), AMQPlain())}


def find_mechanism(name: str) -> Mechanism:
    """The mechanism of this name, upper and lower case told apart.

    Raises:
        Disconnect: not one that is offered.
    """
    if name not in MECHANISMS:
        raise Disconnect(f"unknown authentication mechanism {name!r}", linger=REFUSAL_SECONDS)
    return MECHANISMS[name]


def authenticate(store: UserStore, credentials: Credentials, peer: str) -> User:
    """The user that the credentials belong to.

    Args:
        store: the users.
        credentials: what the mechanism found.
        peer: address the client connects from.

    Raises:
        LoginRefused: with the same text for every reason, so that users cannot be guessed; its cause tells the reason.
    """
    try:
        return _authenticate(store, credentials, peer)
    except LoginFailure as failure:
        raise LoginRefused(
            f"Login was refused using authentication mechanism {credentials.mechanism}. "
            "For details see the broker logfile.",
            about_method=False,
        ) from failure


def _authenticate(store: UserStore, credentials: Credentials, peer: str) -> User:
    user = store.find(credentials.user)
    if user is None:
        raise LoginFailure("no such user")
    if not user.has_password(credentials.password):
        raise LoginFailure("wrong password")
    if not store.may_connect_from(user, peer):
        raise LoginFailure("this user may only connect from the broker's own machine")
    return user
