"""Logging in: what a client may use for it, and the check of what it sends.

A check has three parts, because the one in the middle may take tenths of a second (bcrypt) and then belongs on another
thread: begin() finds out what is to be compared, PasswordCheck.run() compares, finish() decides.

Rule: what may live here ends in a User or in a refusal, which the client is told without a reason.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from amqpd.auth.attempts import Attempts
from amqpd.auth.certificate import PeerCertificate
from amqpd.auth.password import PasswordError
from amqpd.auth.sasl import DEFAULT_MECHANISMS, MECHANISMS, REFUSAL_SECONDS, Asked, Credentials, External
from amqpd.auth.users import GUEST, User, UserStore
from amqpd.errors import Disconnect, LoginRefused

AMQP: Final = "amqp091"
"""The protocol under which attempts to log in are counted here."""


class LoginFailure(Exception):
    """Why a login was refused: for the log, never for the client. It is the ``__cause__`` of a LoginRefused."""


class NotFromHere(LoginFailure):
    """The password is right, but the user may not connect from where it does."""


class LoginPolicy(NamedTuple):
    """How clients may log in.

    Args:
        mechanisms: names, those that are offered, in that order. EXTERNAL is only to clients that showed a certificate.
        anonymous_user: who ANONYMOUS logs in as.
        by_common_name: EXTERNAL takes the certificate's common name for the user's name, not the distinguished one.
    """

    mechanisms: Sequence[str] = DEFAULT_MECHANISMS
    anonymous_user: str = GUEST
    by_common_name: bool = False


class PasswordCheck:
    """Whether somebody's password is right: what is to be found out, and what was.

    Args:
        credentials: what the client says.
        user: who that is, if there is such a user.
        decoy: a user whose password takes long to check. Somebody who does not exist is answered no sooner.
        peer: address the client connects from.
    """

    def __init__(self, credentials: Credentials, user: User | None, decoy: User | None, peer: str) -> None:
        self.credentials = credentials
        self.user = user
        self.peer = peer
        self.abandoned = False
        """Nobody wants to know any more."""
        self.matched = credentials.password is None
        self.fault = ""
        self._examined = user if user is not None else decoy

    @property
    def is_slow(self) -> bool:
        """True if run() takes so long that nothing else may wait for it."""
        return not self.matched and self._examined is not None and self._examined.is_slow

    @property
    def is_slow_to_repeat(self) -> bool:
        """True if the same check would take so long again."""
        return self.credentials.password is not None and self.user is not None and self.user.is_slow

    def run(self) -> None:
        """Find out. May be called in any thread."""
        if self.matched or self.abandoned or self._examined is None:
            return
        try:
            right = self._examined.has_password(self.credentials.password or b"")
        except PasswordError as error:
            self.fault = str(error)
        else:
            self.matched = right and self.user is not None


class Login:
    """The way in for clients of all protocols.

    Args:
        users: who may.
        policy: how.
    """

    def __init__(self, users: UserStore, policy: LoginPolicy | None = None) -> None:
        self.users = users
        self.attempts = Attempts()
        self._key = os.urandom(32)
        self._seen: dict[User, bytes] = {}  # users whose check is slow, and a digest of their password
        self._policy = policy or LoginPolicy()
        users.on_gone.append(self._forget)

    @property
    def mechanisms(self) -> list[str]:
        """Those that are configured."""
        return list(self._policy.mechanisms)

    def offered(self, certificate: PeerCertificate | None) -> list[str]:
        """The mechanisms for a client with this certificate, or without."""
        return [name for name in self._policy.mechanisms if name != External.name or certificate is not None]

    def credentials(self, mechanism: str, response: bytes, certificate: PeerCertificate | None) -> Credentials:
        """What the client says of itself.

        Raises:
            Disconnect: the mechanism is not offered (upper and lower case are told apart), or the response malformed.
        """
        if mechanism not in self.offered(certificate):
            raise Disconnect(f"unknown authentication mechanism {mechanism!r}", linger=REFUSAL_SECONDS)
        asked = Asked(certificate, self._policy.by_common_name, self._policy.anonymous_user)
        return MECHANISMS[mechanism].respond(response, asked)

    def begin(self, credentials: Credentials, peer: str) -> PasswordCheck:
        """Prepare a check; whoever gets it runs it, here or elsewhere, and then calls finish()."""
        user = self.users.find(credentials.user)
        check = PasswordCheck(credentials, user, self.users.decoy, peer)
        if check.is_slow and user is not None:
            seen = self._seen.get(user)
            # Whoever asks over HTTP logs in with every request.
            check.matched = seen is not None and hmac.compare_digest(seen, self._digest(credentials))
        return check

    def finish(self, check: PasswordCheck, protocol: str = AMQP) -> User:
        """The user whom a check that has run lets in.

        Raises:
            LoginRefused: with the same text for every reason, so that users cannot be guessed; its cause tells it.
        """
        try:
            user = self._admitted(check)
        except LoginFailure as failure:
            self.attempts.failed(protocol)
            raise LoginRefused(
                f"Login was refused using authentication mechanism {check.credentials.mechanism}. "
                "For details see the broker logfile.",
                about_method=False,
            ) from failure
        self.attempts.succeeded(protocol)
        if check.is_slow_to_repeat:
            self._seen[user] = self._digest(check.credentials)
        return user

    def authenticate(self, credentials: Credentials, peer: str, protocol: str = AMQP) -> User:
        """All three parts at once, however long it takes.

        Raises:
            LoginRefused: as finish().
        """
        check = self.begin(credentials, peer)
        check.run()
        return self.finish(check, protocol)

    def _forget(self, user: User) -> None:
        self._seen.pop(user, None)

    def _digest(self, credentials: Credentials) -> bytes:
        return hmac.digest(self._key, credentials.password or b"", "sha256")

    def _admitted(self, check: PasswordCheck) -> User:
        user = check.user
        if user is None:
            raise LoginFailure("no such user")
        if check.fault:
            raise LoginFailure(check.fault)
        if not check.matched:
            raise LoginFailure("wrong password")
        if self.users.find(user.name) is not user:
            raise LoginFailure("this user was changed or deleted meanwhile")
        if not self.users.may_connect_from(user, check.peer):
            raise NotFromHere("this user may only connect from the broker's own machine")
        return user
