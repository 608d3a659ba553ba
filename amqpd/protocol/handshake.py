"""The handshake: from connection.start to connection.open_ok (AMQP 0-9-1 section 2.2.4).

Rule: what may live here happens once per connection, before it runs. Its outcome is a Session.
"""

from __future__ import annotations

from typing import Final, final

from pamqp import commands

from amqpd.auth.certificate import PeerCertificate
from amqpd.auth.login import Login, PasswordCheck
from amqpd.auth.users import User, UserStore
from amqpd.broker.broker import Broker
from amqpd.broker.vhost import VHost
from amqpd.errors import Disconnect, LoginRefused, NotAllowed
from amqpd.protocol.limits import Limits
from amqpd.protocol.registry import Connections
from amqpd.protocol.session import Session, has_capability
from amqpd.wire.methods import client_properties_of, make, response_of
from amqpd.wire.table import EMPTY_TABLE, Table

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
# 0-9-1, and the header of AMQP 0-9 that old clients send and RabbitMQ takes.
ACCEPTED_HEADERS: Final = frozenset({PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09"})
MIN_FRAME_MAX: Final = 4096
LINGER: Final = 3.0  # seconds before a socket is closed that gets no answer

CAPABILITIES: Final = (
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
)
# Clients branch on these two: what is announced is the RabbitMQ that amqpd behaves like.
PRODUCT: Final = "RabbitMQ"
COMPATIBLE_VERSION: Final = "4.0.5"


def server_properties(cluster_name: str, version: str) -> Table:
    """What connection.start says of the server."""
    return Table.of(
        {
            "capabilities": dict.fromkeys(CAPABILITIES, True),
            "cluster_name": cluster_name,
            "copyright": "amqpd contributors",
            "information": f"amqpd {version}, an AMQP 0-9-1 broker in Python",
            "platform": f"amqpd {version}",
            "product": PRODUCT,
            "version": COMPATIBLE_VERSION,
        }
    )


@final
class Handshake:
    """What one connection has agreed on so far.

    Args:
        broker: whose virtual hosts can be opened.
        login: who can log in, and how.
        limits: what is offered.
        connections: that are open already.
        peer: the client's address, for users that may log in from this machine only.
        certificate: that the client has shown, if it has.
    """

    def __init__(
        self,
        broker: Broker,
        login: Login,
        limits: Limits,
        connections: Connections,
        peer: str,
        certificate: PeerCertificate | None,
    ) -> None:
        self._connections = connections
        self._broker = broker
        self._login = login
        self._users = login.users
        self._limits = limits
        self._peer = peer
        self._certificate = certificate
        self._user: User | None = None
        self.client_properties: Table = EMPTY_TABLE
        self.mechanism = ""
        self.login = ""  # the user that the client says it is, known or not
        self.refusal = ""  # why it was not let in, which it is not told
        self.channel_max = limits.channel_max
        self.frame_max = limits.frame_max
        self.heartbeat = 0

    def start(self, version: str) -> commands.Connection.Start:
        """The first method, sent when the protocol header was right."""
        return make(
            commands.Connection.Start,
            version_major=0,
            version_minor=9,
            server_properties=server_properties(self._broker.cluster_name, version),
            mechanisms=" ".join(self._login.offered(self._certificate)).encode(),
            locales=b"en_US",
        )

    def start_ok(self, method: commands.Connection.StartOk) -> PasswordCheck:
        """What has to be checked before the client is let in, which admit() does.

        Raises:
            Disconnect: unknown mechanism or malformed response.
        """
        self.client_properties = client_properties_of(method)
        self.mechanism = method.mechanism
        credentials = self._login.credentials(method.mechanism, response_of(method), self._certificate)
        self.login = credentials.user
        return self._login.begin(credentials, self._peer)

    def admit(self, check: PasswordCheck) -> User:
        """Let the client in, if the check has shown that it is who it says.

        Raises:
            Disconnect: it is not, and does not understand being told so (capability ``authentication_failure_close``).
            LoginRefused: it is not.
        """
        try:
            self._user = self._login.finish(check)
        except LoginRefused as refusal:
            self.refusal = str(refusal.__cause__)
            if has_capability(self.client_properties, "authentication_failure_close"):
                raise
            raise Disconnect(f"login of {self.login!r} refused: {self.refusal}", LINGER) from refusal
        return self._user

    def tune(self) -> commands.Connection.Tune:
        """The offer that follows a successful login."""
        limits = self._limits
        return make(
            commands.Connection.Tune,
            channel_max=limits.channel_max,
            frame_max=limits.frame_max,
            heartbeat=limits.heartbeat,
        )

    def tune_ok(self, method: commands.Connection.TuneOk) -> None:
        """Take the client's choice.

        Raises:
            Disconnect: a value above what was offered, or below what is possible.
        """
        check_choice("frame_max", method.frame_max, self._limits.frame_max, MIN_FRAME_MAX)
        check_choice("channel_max", method.channel_max, self._limits.channel_max, 1)
        self.frame_max = method.frame_max
        self.channel_max = method.channel_max
        self.heartbeat = method.heartbeat

    def open(self, method: commands.Connection.Open, connection: str) -> Session:
        """Open a virtual host.

        Args:
            connection: the connection's name.

        Raises:
            NotAllowed: it does not exist, has as many connections as it may have, as the user has, or the user has no
                permission there.
        """
        assert self._user is not None  # the state table: no open without start_ok
        vhost = self._broker.vhosts.get(method.virtual_host)
        if vhost is not None:
            self._check_limits(vhost, self._user.name)
        return open_session(
            self._broker,
            self._users,
            self._limits,
            self._user,
            method.virtual_host,
            connection,
            self.frame_max,
            self.client_properties,
        )

    def _check_limits(self, vhost: VHost, user: str) -> None:
        limit = vhost.max_connections
        if limit is not None and self._connections.of_vhost(vhost.name) >= limit:
            raise NotAllowed(
                f"access to vhost '{vhost.name}' refused for user '{user}': connection limit ({limit}) is reached"
            )
        found = self._users.find(user)
        limit = None if found is None else found.max_connections
        if limit is not None and self._connections.of_user(user) >= limit:
            raise NotAllowed(f"connection refused for user '{user}': user connection limit ({limit}) is reached")


def open_session(
    broker: Broker,
    users: UserStore,
    limits: Limits,
    user: User,
    name: str,
    connection: str,
    frame_max: int = 0,
    client_properties: Table = EMPTY_TABLE,
) -> Session:
    """Open a virtual host for a user who was authenticated.

    Args:
        name: of the virtual host.
        connection: what events and the firehose say that it happens on.

    Raises:
        NotAllowed: it does not exist, or the user has no permission there.
    """
    vhost = broker.vhosts.get(name)
    if vhost is None:
        raise NotAllowed(f"vhost {name} not found")
    if users.permissions.find(user.name, name) is None:
        raise NotAllowed(f"access to vhost '{name}' refused for user '{user.name}'")
    return Session(
        user,
        vhost,
        users,
        frame_max,
        client_properties,
        limits.consumer_max,
        limits.max_message_size,
        connection,
    )


def check_choice(name: str, chosen: int, offered: int, least: int) -> None:
    """Hold a client's tune_ok value against the offer; 0 means "no limit" on both sides.

    Raises:
        Disconnect: not acceptable.
    """
    if chosen and chosen < least:
        raise Disconnect(f"negotiated {name} = {chosen} is lower than the minimum allowed value ({least})", LINGER)
    if offered and (chosen == 0 or chosen > offered):
        shown = "0 (no limit)" if chosen == 0 else str(chosen)
        raise Disconnect(f"negotiated {name} = {shown} is higher than the maximum allowed value ({offered})", LINGER)
