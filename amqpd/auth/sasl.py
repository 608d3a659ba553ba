"""How a client says who it is: the SASL mechanisms.

Rule: what may live here reads what a client sends. Whether it is true, login.py finds out. A response that its
mechanism does not know is a Disconnect after three seconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final, NamedTuple

from amqpd.auth.certificate import PeerCertificate
from amqpd.errors import Disconnect
from amqpd.wire.table import Table, TableError

REFUSAL_SECONDS: Final = 3.0  # RabbitMQ's, so that guessing is slow


class Credentials(NamedTuple):
    """What a mechanism found in the client's response.

    Args:
        password: None if the mechanism itself has proved who the user is.
    """

    mechanism: str
    user: str
    password: bytes | None


class Asked(NamedTuple):
    """What mechanisms may need beside the response.

    Args:
        certificate: that the client showed to TLS, if it did.
        by_common_name: EXTERNAL takes the certificate's common name for the user's name, not the distinguished one.
        anonymous_user: who ANONYMOUS logs in as.
    """

    certificate: PeerCertificate | None = None
    by_common_name: bool = False
    anonymous_user: str = "guest"


class Mechanism(ABC):
    """A SASL mechanism of one step."""

    name: ClassVar[str]

    @abstractmethod
    def respond(self, response: bytes, asked: Asked) -> Credentials:
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

    def respond(self, response: bytes, asked: Asked) -> Credentials:
        parts = response.split(b"\0")
        if len(parts) != 3 or parts[0]:
            raise self.malformed("not NUL user NUL password")
        return Credentials(self.name, parts[1].decode("utf-8", "surrogateescape"), parts[2])


class AMQPlain(Mechanism):
    """AMQPLAIN: a field table without its length, with the longstrs LOGIN and PASSWORD."""

    name = "AMQPLAIN"

    def respond(self, response: bytes, asked: Asked) -> Credentials:
        try:
            table = Table(response)
        except TableError as error:
            raise self.malformed(str(error)) from None
        user, password = table.text("LOGIN"), table.text("PASSWORD")
        if user is None or password is None:
            raise self.malformed("LOGIN or PASSWORD is missing or not a longstr")
        return Credentials(self.name, user, password.encode("utf-8", "surrogateescape"))


class External(Mechanism):
    """EXTERNAL: TLS has verified the client's certificate, whose subject is the user. The response does not matter."""

    name = "EXTERNAL"

    def respond(self, response: bytes, asked: Asked) -> Credentials:
        if asked.certificate is None:  # it is not offered then
            raise self.malformed("the client has shown no certificate")
        certificate = asked.certificate
        return Credentials(self.name, certificate.common_name if asked.by_common_name else certificate.subject, None)


class Anonymous(Mechanism):
    """ANONYMOUS: everybody is one certain user. The response does not matter."""

    name = "ANONYMOUS"

    def respond(self, response: bytes, asked: Asked) -> Credentials:
        return Credentials(self.name, asked.anonymous_user, None)


MECHANISMS: Final[Mapping[str, Mechanism]] = {
    mechanism.name: mechanism for mechanism in (Plain(), AMQPlain(), External(), Anonymous())
}
DEFAULT_MECHANISMS: Final = (Plain.name, AMQPlain.name)
