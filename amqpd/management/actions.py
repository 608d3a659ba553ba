"""What a request changes that an AMQP client could change as well: it is done as on a channel of the user's own, with
the same checks of permissions and the same errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amqpd.broker.vhost import VHost
from amqpd.errors import NotAllowed
from amqpd.management.errors import NO_VHOST_ACCESS, NotAuthorised
from amqpd.management.request import Request
from amqpd.protocol.direct import DirectChannel
from amqpd.protocol.handshake import open_session
from amqpd.protocol.session import Session


def session(request: Request, vhost: VHost) -> Session:
    """What an AMQP client has who opened the virtual host as this user.

    Raises:
        NotAuthorised: it could not.
    """
    services = request.node.services
    name = f"{request.peer} -> HTTP API"
    try:
        return open_session(services.broker, services.users, services.limits, request.user, vhost.name, name)
    except NotAllowed:
        raise NotAuthorised(NO_VHOST_ACCESS) from None


@contextmanager
def channel(request: Request, vhost: VHost) -> Iterator[DirectChannel]:
    """A channel of the user who sends the request.

    Raises:
        NotAuthorised: an AMQP client could not open the virtual host as this user.
    """
    opened = DirectChannel(session(request, vhost), request.node.broker.context)
    try:
        yield opened
    finally:
        opened.close()
