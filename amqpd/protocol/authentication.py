"""A login, from the client's response to tune or refusal.

The check of a password that is hashed with bcrypt takes tenths of a second. It runs on another thread, and meanwhile
the connection takes no more frames: what the client sent ahead is kept.

Rule: what may live here is what happens between start_ok and tune.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pamqp import commands

from amqpd.auth.login import PasswordCheck
from amqpd.errors import Disconnect, LoginRefused
from amqpd.protocol.events import login_failed, login_succeeded
from amqpd.protocol.state import ConnectionState

if TYPE_CHECKING:
    from amqpd.protocol.connection import Connection


@final
class Authentication:
    """One attempt of one client.

    Args:
        connection: in state STARTING.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._check: PasswordCheck | None = None

    def begin(self, method: commands.Connection.StartOk) -> None:
        """Take the client's response; a check that takes its time is only begun.

        Raises:
            Disconnect, LoginRefused: the client is not let in.
        """
        connection = self._connection
        try:
            check = connection.handshake.start_ok(method)
        except Disconnect as error:
            login_failed(connection.events, connection, error)
            raise
        if not check.is_slow:
            check.run()
            self._decide(check)
            return
        self._check = check
        connection.authentication = self
        connection.state = ConnectionState.AUTHENTICATING
        connection.throttle.examine()
        connection.services.workers.run(check.run, self._examined)

    def abandon(self) -> None:
        """The connection ends: nobody wants to know any more."""
        if self._check is not None:
            self._check.abandoned = True

    def _examined(self) -> None:
        connection = self._connection
        if connection.state is not ConnectionState.AUTHENTICATING:
            return  # it ended meanwhile
        connection.throttle.examined()
        connection.carry_out(self._settle)
        connection.receive(b"")  # what came meanwhile

    def _settle(self) -> None:
        assert self._check is not None  # it was run
        self._decide(self._check)

    def _decide(self, check: PasswordCheck) -> None:
        connection = self._connection
        try:
            user = connection.handshake.admit(check)
        except (LoginRefused, Disconnect) as error:
            login_failed(connection.events, connection, error)
            raise
        connection.services.observer.authenticated(connection, user.name)
        login_succeeded(connection.events, connection)
        connection.send(connection.handshake.tune())
        connection.state = ConnectionState.TUNING
