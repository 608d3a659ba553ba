"""What a run needs in the broker: declared before it, removed after it, over a connection that blocks."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Final

from pamqp import commands

from amqpd.bench.client.session import Role, Session
from amqpd.bench.faults import NOT_FOUND, BenchError, channel_refused, not_there
from amqpd.bench.plan import Address, Plan
from amqpd.wire.methods import Method
from amqpd.wire.output import Wire

SECONDS: Final = 30.0  # for an answer
READ: Final = 65_536


class RefusedError(Exception):
    """The broker closed the channel over a method."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class SocketWire(Wire):
    """A socket that blocks."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock

    def write(self, data: bytes) -> None:
        self._sock.sendall(data)

    def close(self) -> None:
        self._sock.close()


class Dialogue(Role):
    """One method at a time, and its answer.

    Attributes:
        is_open: the channel is.
        waits: for an answer.
        answer: what came; None when the broker closed the channel instead.
        refusal: code and text of that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False
        self.waits = False
        self.answer: Method | None = None
        self.refusal = (0, "")

    def ask(self) -> None:
        """A method is about to be sent."""
        self.waits = True
        self.answer = None

    def opened(self, session: Session) -> None:
        self.is_open = True

    def method(self, method: Method) -> None:
        self.waits = False
        self.answer = method

    def refused(self, code: int, text: str) -> bool:
        self.is_open = False
        self.waits = False
        self.refusal = (code, text)
        return True


class Caller:
    """A connection for methods that are answered. Blocks.

    Raises:
        BenchError: there is no connection.
    """

    def __init__(self, address: Address) -> None:
        self._where = address.where
        self._dialogue = Dialogue()
        name = "amqpd bench: topology"
        self._session = Session(self._dialogue, address.user, address.password, address.vhost, address.where, name)
        self._socket = self._connected(address)
        self._session.begin(SocketWire(self._socket))
        self._read_until_open()

    def call(self, command: type[Method], **arguments: object) -> Method:
        """Send a method and return its answer.

        Raises:
            RefusedError: the broker closed the channel; another one is open.
            BenchError: the connection has ended.
        """
        dialogue = self._dialogue
        dialogue.ask()
        self._session.send(command, **arguments)
        while dialogue.waits:
            self._read()
        if dialogue.answer is None:
            self._read_until_open()
            raise RefusedError(*dialogue.refusal)
        return dialogue.answer

    def close(self) -> None:
        """Close in order."""
        self._session.close()
        while not self._session.ended:
            self._read()

    def _connected(self, address: Address) -> socket.socket:
        context = address.context()
        try:
            sock = socket.create_connection((address.host, address.port), timeout=SECONDS)
            return sock if context is None else context.wrap_socket(sock, server_hostname=address.host)
        except OSError as error:  # ssl.SSLError is one
            raise BenchError(not_there(address.where, error)) from None

    def _read_until_open(self) -> None:
        while not self._dialogue.is_open:
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ)
        except OSError as error:
            self._session.lost(str(error))
        else:
            if data:
                self._session.receive(data)
            else:
                self._session.lost("closed by the broker")
        if self._session.fault is not None:
            raise BenchError(self._session.fault)


@dataclass
class Made:
    """What a run has declared, and removes again."""

    queues: list[str] = field(default_factory=list)
    exchanges: list[str] = field(default_factory=list)


def prepare(plan: Plan, caller: Caller) -> Made:
    """Declare and bind what the run needs. A queue that the user named and that is there stays as it is.

    Raises:
        BenchError: the broker refused something.
    """
    made = Made()
    if plan.fans_out:
        ask(
            caller,
            f"exchange '{plan.exchange}'",
            commands.Exchange.Declare,
            exchange=plan.exchange,
            exchange_type="fanout",
        )
        made.exchanges.append(plan.exchange)
    for queue in plan.queues:
        if not (plan.named and exists(caller, queue)):
            declare(plan, caller, queue)
            made.queues.append(queue)
        if plan.exchange:
            what = f"to bind queue '{queue}' to exchange '{plan.exchange}'"
            names = {"queue": queue, "exchange": plan.exchange, "routing_key": plan.routing_key}
            ask(caller, what, commands.Queue.Bind, **names)
    return made


def exists(caller: Caller, queue: str) -> bool:
    """True if there is such a queue.

    Raises:
        BenchError: this user may not look.
    """
    try:
        caller.call(commands.Queue.Declare, queue=queue, passive=True)
    except RefusedError as refusal:
        if refusal.code == NOT_FOUND:
            return False
        raise BenchError(channel_refused(refusal.code, refusal.text, f"queue '{queue}'")) from None
    return True


def declare(plan: Plan, caller: Caller, queue: str) -> None:
    """Declare one of the run's queues.

    Raises:
        BenchError: the broker refused it.
    """
    arguments = {"x-queue-type": plan.queue_type} if plan.queue_type != "classic" else {}
    ask(
        caller,
        f"queue '{queue}'",
        commands.Queue.Declare,
        queue=queue,
        durable=plan.durable,
        arguments=arguments,
    )


def ask(caller: Caller, what: str, command: type[Method], **arguments: object) -> None:
    """Call a method.

    Raises:
        BenchError: the broker refused what it was for.
    """
    try:
        caller.call(command, **arguments)
    except RefusedError as refusal:
        raise BenchError(channel_refused(refusal.code, refusal.text, what)) from None


def remove(made: Made, caller: Caller) -> None:
    """Delete what was made. What is gone already is fine.

    Raises:
        BenchError: the broker refused it, or is gone.
    """
    for queue in made.queues:
        ask(caller, f"to delete queue '{queue}'", commands.Queue.Delete, queue=queue)
    for exchange in made.exchanges:
        ask(caller, f"to delete exchange '{exchange}'", commands.Exchange.Delete, exchange=exchange)
