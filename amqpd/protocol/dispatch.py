"""Which function handles which method, on channel 0 and on an open channel.

Rule: a method that is not in HANDLERS is one that clients may not send on a channel (503), but for those that make,
close and fill a channel (channel.open, channel.close, basic.publish: Channels handles them itself) and basic.ack, which
the frame reader takes apart for Connection.on_ack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pamqp import commands

from amqpd.protocol.channel import Channel
from amqpd.protocol.methods import access, basic, confirm, exchange, queue, tx
from amqpd.protocol.methods import channel as channel_class
from amqpd.protocol.methods import connection as connection_class
from amqpd.wire.methods import AccessRequest, Method

if TYPE_CHECKING:
    from amqpd.protocol.connection import Connection

# Any: every handler takes exactly the class that is its key, which no type of a mapping can say.
ConnectionHandler: TypeAlias = "Callable[[Connection, Any], None]"
Handler: TypeAlias = Callable[[Channel, Any], None]

CONNECTION_HANDLERS: Final[Mapping[type[Method], ConnectionHandler]] = {
    commands.Connection.StartOk: connection_class.start_ok,
    commands.Connection.SecureOk: connection_class.secure_ok,
    commands.Connection.TuneOk: connection_class.tune_ok,
    commands.Connection.Open: connection_class.open,
    commands.Connection.Close: connection_class.close,
    commands.Connection.CloseOk: connection_class.close_ok,
    commands.Connection.UpdateSecret: connection_class.update_secret,
}

HANDLERS: Final[Mapping[type[Method], Handler]] = {
    commands.Channel.Flow: channel_class.flow,
    AccessRequest: access.request,
    commands.Exchange.Declare: exchange.declare,
    commands.Exchange.Delete: exchange.delete,
    commands.Exchange.Bind: exchange.bind,
    commands.Exchange.Unbind: exchange.unbind,
    commands.Queue.Declare: queue.declare,
    commands.Queue.Bind: queue.bind,
    commands.Queue.Unbind: queue.unbind,
    commands.Queue.Purge: queue.purge,
    commands.Queue.Delete: queue.delete,
    commands.Basic.Qos: basic.qos,
    commands.Basic.Consume: basic.consume,
    commands.Basic.Cancel: basic.cancel,
    commands.Basic.CancelOk: basic.cancel_ok,
    commands.Basic.Get: basic.get,
    commands.Basic.Nack: basic.nack,
    commands.Basic.Reject: basic.reject,
    commands.Basic.Recover: basic.recover,
    commands.Basic.RecoverAsync: basic.recover_async,
    commands.Confirm.Select: confirm.select,
    commands.Tx.Select: tx.select,
    commands.Tx.Commit: tx.commit,
    commands.Tx.Rollback: tx.rollback,
}
