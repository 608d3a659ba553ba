"""Connections: /api/connections. AMQP's; those of the stream protocol are not served yet."""

from __future__ import annotations

from typing import Final

from amqpd.auth.users import User
from amqpd.management.answer import ABSENT, DONE, Answer, Column, Columns, Listing, One
from amqpd.management.auth import Tag, has
from amqpd.management.errors import Missing, NotAuthorised
from amqpd.management.request import Request
from amqpd.management.resources.queues import GARBAGE_COLLECTION
from amqpd.management.router import route
from amqpd.management.statistics import NO_RATE, octet_details
from amqpd.management.values import plain, text
from amqpd.protocol.connection import Connection
from amqpd.protocol.events import PROTOCOL
from amqpd.protocol.session import Session
from amqpd.protocol.state import ENDED

NOT_OURS: Final = "User not authorised to access object"
CLOSED_HERE: Final = "Closed via management plugin"


def session_of(connection: Connection) -> Session:
    """Who is at the other end of a connection that was opened."""
    assert connection.session is not None  # only such ones are listed
    return connection.session


def state(request: Request, connection: Connection) -> str:
    """What it does."""
    if connection.state in ENDED:
        return "closing"
    if connection.throttle.blocked:
        return "blocked"
    return "flow" if connection.throttle.held else "running"


def user_provided_name(request: Request, connection: Connection) -> object:
    """What the client calls itself; there is no key if it does not."""
    name = session_of(connection).client_properties.text("connection_name")
    return ABSENT if name is None else text(name)


def tls(name: str) -> Column:
    """A column with what TLS has agreed on."""

    def column(request: Request, connection: Connection) -> str:
        agreed = connection.address.tls
        return "" if agreed is None else str(getattr(agreed, name))

    return column


def certificate(name: str) -> Column:
    """A column with what the client's certificate says."""

    def column(request: Request, connection: Connection) -> str:
        agreed = connection.address.tls
        found = None if agreed is None else agreed.certificate
        return "" if found is None else str(getattr(found, name))

    return column


COLUMNS: Final = Columns(
    {
        "auth_mechanism": lambda request, connection: connection.handshake.mechanism,
        "channel_max": lambda request, connection: connection.handshake.channel_max,
        "channels": lambda request, connection: len(connection.channels.all()),
        "client_properties": lambda request, connection: plain(session_of(connection).client_properties),
        "connected_at": lambda request, connection: int(connection.connected_at),
        "frame_max": lambda request, connection: connection.handshake.frame_max,
        "garbage_collection": lambda request, connection: GARBAGE_COLLECTION,
        "host": lambda request, connection: connection.address.host,
        "name": lambda request, connection: session_of(connection).name,
        "node": lambda request, connection: request.node.name,
        "peer_cert_issuer": certificate("issuer"),
        "peer_cert_subject": certificate("subject"),
        "peer_cert_validity": certificate("validity"),
        "peer_host": lambda request, connection: connection.address.peer_host,
        "peer_port": lambda request, connection: connection.address.peer_port,
        "port": lambda request, connection: connection.address.port,
        "protocol": lambda request, connection: PROTOCOL,
        "recv_cnt": lambda request, connection: int(connection.reads),
        "recv_oct": lambda request, connection: int(connection.received),
        "recv_oct_details": octet_details("recv_oct"),
        "reductions": lambda request, connection: 0,
        "reductions_details": lambda request, connection: NO_RATE,
        "send_cnt": lambda request, connection: int(connection.output.writes),
        "send_oct": lambda request, connection: int(connection.output.sent),
        "send_oct_details": octet_details("send_oct"),
        "send_pend": lambda request, connection: connection.output.pending,
        "ssl": lambda request, connection: connection.address.tls is not None,
        "ssl_cipher": tls("cipher"),
        "ssl_hash": tls("hash"),
        "ssl_key_exchange": tls("key_exchange"),
        "ssl_protocol": tls("protocol"),
        "state": state,
        "timeout": lambda request, connection: connection.handshake.heartbeat,
        "type": lambda request, connection: "network",
        "user": lambda request, connection: text(session_of(connection).user.name),
        "user_provided_name": user_provided_name,
        "user_who_performed_action": lambda request, connection: text(session_of(connection).user.name),
        "vhost": lambda request, connection: session_of(connection).vhost.name,
    }
)
BRIEF: Final = Columns({name: COLUMNS.table[name] for name in ("name", "vhost", "user", "node")})


def visible(request: Request) -> list[Connection]:
    """The connections that the user may see: its own, or all of them with the tag monitoring."""
    everything = has(request.user, Tag.MONITORING)
    found = request.node.connections.all()
    return [one for one in found if everything or session_of(one).user.name == request.user.name]


def show_list(request: Request) -> Listing:
    """All connections that the user may see, or those of one virtual host."""
    vhosts = set(request.vhosts()) if "vhost" in request.path or "x-vhost" in request.headers else None
    items = [one for one in visible(request) if vhosts is None or session_of(one).vhost in vhosts]
    return Listing(COLUMNS, items, paged=True, name=lambda connection: session_of(connection).name)


def find(request: Request) -> Connection:
    """The connection of the path.

    Raises:
        Missing: there is none.
        NotAuthorised: it is somebody else's.
    """
    name = request.path["connection"]
    for connection in request.node.connections.all():
        session = session_of(connection)
        if session.name == name:
            check_sight(request, session.user)
            return connection
    raise Missing


def check_sight(request: Request, owner: User) -> None:
    """Refuse a look at what is somebody else's.

    Raises:
        NotAuthorised: it is, and the user has not the tag monitoring.
    """
    if owner.name != request.user.name and not has(request.user, Tag.MONITORING):
        raise NotAuthorised(NOT_OURS)


def show(request: Request) -> One:
    """One connection."""
    return One(COLUMNS, find(request))


def close(request: Request) -> Answer:
    """Close a connection, for the reason in the header ``X-Reason``."""
    connection = find(request)
    if session_of(connection).user.name != request.user.name and not has(request.user, Tag.ADMINISTRATOR):
        raise NotAuthorised(NOT_OURS)
    connection.force_close(reason(request))
    return DONE


def reason(request: Request) -> str:
    """What the client is told; the header's octets are UTF-8."""
    given = request.headers.get("x-reason")
    return CLOSED_HERE if given is None else given.encode("latin-1").decode("utf-8", "replace")


def of_user(request: Request) -> list[Connection]:
    """The connections of the user in the path.

    Raises:
        NotAuthorised: it is another one than that of the request, who is no administrator.
    """
    name = request.path["username"]
    if name != request.user.name and not has(request.user, Tag.ADMINISTRATOR):
        raise NotAuthorised(NOT_OURS)
    return [one for one in request.node.connections.all() if session_of(one).user.name == name]


def show_of_user(request: Request) -> Listing:
    """The connections of a user, in brief."""
    return Listing(BRIEF, of_user(request))


def close_of_user(request: Request) -> Answer:
    """Close all connections of a user."""
    for connection in of_user(request):
        connection.force_close(reason(request))
    return DONE


ROUTES: Final = (
    route("/connections", get=show_list),
    route("/connections/{connection}", get=show, delete=close),
    route("/connections/username/{username}", get=show_of_user, delete=close_of_user),
    route("/vhosts/{vhost}/connections", get=show_list),
)
