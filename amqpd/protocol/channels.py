"""The channels of one connection, and which of them a frame is for (AMQP 0-9-1 section 2.2.5).

Rule: what may live here knows channels by their numbers: it opens and closes them, and leads frames to them. What a
channel is has its own file, what a method does to an open one stands in methods/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from mypy_extensions import i64
from pamqp import commands

from amqpd.broker.message import route_of
from amqpd.errors import ChannelError, CommandInvalid, NotAllowed, UnexpectedFrame
from amqpd.protocol.channel import Channel, ChannelState
from amqpd.protocol.content import Awaiting
from amqpd.protocol.dispatch import HANDLERS
from amqpd.protocol.events import channel_opened
from amqpd.protocol.held import Held
from amqpd.protocol.patience import Patience
from amqpd.protocol.transaction import incomplete
from amqpd.wire.frames import BASIC_PUBLISH, METHOD
from amqpd.wire.methods import Method, make

if TYPE_CHECKING:
    from amqpd.protocol.connection import Connection

TX_COMMIT: Final = 0x005A0014


@final
class Channels:
    """The channels that are open, or closing.

    Args:
        connection: whose they are.

    ``last`` is the one that was found last, for most frames are for the same one as the frame before.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._by_number: dict[int, Channel] = {}
        self.last: Channel | None = None

    def __len__(self) -> int:
        return len(self._by_number)

    def all(self) -> list[Channel]:
        """In the order in which they were opened."""
        return list(self._by_number.values())

    def find(self, number: i64) -> Channel | None:
        """The channel of that number, or None."""
        channel = self._by_number.get(int(number))
        if channel is not None:
            if self.last is not None:
                self.last.publishing.count()
            self.last = channel
        return channel

    @property
    def consuming(self) -> bool:
        """One of them has consumers, or deliveries that are not settled."""
        # HOT: once per message published to a crowded queue
        for channel in self._by_number.values():  # noqa: SIM110  a generator for any() would cost more than the look
            if channel.consumers or channel.ledger.count:
                return True
        return False

    def resume_consumers(self) -> None:
        """There is room in the output again."""
        for channel in self._by_number.values():
            channel.resume_consumers()

    def take_frame(self, kind: i64, number: i64, payload: bytes) -> None:
        """Take a frame that is neither for channel 0 nor a heartbeat; the connection runs.

        Raises:
            AMQPError: what it asks for cannot be.
            Disconnect: it cannot be understood.
        """
        channel = self._by_number.get(int(number))
        if channel is not None and channel.state is ChannelState.CLOSING:
            self._take_while_closing(channel, kind, payload)
        elif channel is not None and channel.held is not None:
            channel.held.keep(kind, payload)
        elif channel is not None and channel.content.awaiting is not Awaiting.METHOD:
            self._take_content(channel, kind, payload)
        elif kind != METHOD:
            raise UnexpectedFrame("expected method frame, got non method frame instead", about_method=False)
        else:
            self._take_method(channel, number, self._connection.decode(payload))

    def resume(self, channel: Channel, held: Held) -> None:
        """A channel has waited long enough: it answers, and takes the frames that came meanwhile."""
        channel.receptive = True
        if held.lost:  # only what a commit waits for can be
            self._connection.processing = TX_COMMIT
            self._connection.fail(incomplete(), channel.number)
        else:
            channel.output.write(held.answer)
        for kind, payload in held.frames:
            self._connection.on_frame(kind, channel.number, payload)
        channel.publishing.count()

    def close_all(self) -> None:
        """The connection ends, and its channels with it."""
        channels = self.all()
        self._connection.services.connections.channels -= len(channels)
        self._by_number.clear()
        self.last = None
        for channel in channels:
            channel.close()

    def _take_while_closing(self, channel: Channel, kind: i64, payload: bytes) -> None:
        """Between channel.close and close_ok everything else is discarded; crossing closes are answered."""
        if kind != METHOD:
            return
        method = self._connection.decode(payload)
        if isinstance(method, commands.Channel.CloseOk):
            self._remove(channel)
        elif isinstance(method, commands.Channel.Close):
            channel.send(make(commands.Channel.CloseOk))

    def _take_content(self, channel: Channel, kind: i64, payload: bytes) -> None:
        self._connection.processing = BASIC_PUBLISH
        if channel.content.take(int(kind), payload):
            channel.receptive = True
            channel.publishing.publish_assembled(channel.content)
            channel.publishing.count()
        self._connection.heed_alarms()

    def _take_method(self, channel: Channel | None, number: i64, method: Method) -> None:
        if channel is None:
            if not isinstance(method, commands.Channel.Open):
                raise ChannelError("expected 'channel.open'")
            self._open(int(number))
        elif isinstance(method, commands.Basic.Publish):
            channel.content.begin(
                route_of(method.exchange, method.routing_key), method.mandatory | method.immediate << 1
            )
            channel.receptive = False
        elif isinstance(method, commands.Channel.Open):
            raise ChannelError("second 'channel.open' seen")
        elif isinstance(method, commands.Channel.Close):
            self._remove(channel)
            channel.close()
            channel.send(make(commands.Channel.CloseOk))
        else:
            handler = HANDLERS.get(type(method))
            if handler is None:
                raise CommandInvalid("unimplemented method")
            handler(channel, method)

    def _open(self, number: int) -> None:
        connection = self._connection
        limit, count = connection.handshake.channel_max, len(self._by_number)
        if limit and count >= limit:
            raise NotAllowed(
                f"number of channels opened ({count}) has reached the negotiated channel_max ({limit})",
                about_method=False,
            )
        self._check_node_limit()
        session = connection.session
        assert session is not None  # the connection runs
        self._check_limit_of_user(session.user.name)
        patience = Patience(connection.services.limits.consumer_timeout)
        channel = Channel(number, session, connection.output, connection.throttle, connection.context, patience)
        self._by_number[number] = channel
        connection.services.connections.channels += 1
        channel.vhost.totals.join(channel)
        connection.context.counters.churn.channel_created += 1
        channel.on_resume = self.resume
        channel_opened(channel)
        channel.send(make(commands.Channel.OpenOk))

    def _check_node_limit(self) -> None:
        services = self._connection.services
        limit, node = services.limits.channels_max, services.broker.cluster_name
        if limit is not None and services.connections.channels >= limit:
            raise NotAllowed(
                f"number of channels opened on node '{node}' has reached the maximum allowed limit of ({limit})",
                about_method=False,
            )

    def _check_limit_of_user(self, name: str) -> None:
        services = self._connection.services
        user = services.users.find(name)
        limit = None if user is None else user.max_channels
        if limit is not None and services.connections.channels_of_user(name) >= limit:
            raise NotAllowed(
                f"number of channels opened for user '{name}' has reached the maximum allowed user limit of ({limit})",
                about_method=False,
            )

    def _remove(self, channel: Channel) -> None:
        self._connection.services.connections.channels -= 1
        del self._by_number[int(channel.number)]
        if self.last is channel:
            self.last = None
