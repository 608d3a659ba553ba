"""One process of a run: some of its publishers, or some of its consumers, on one event loop."""

from __future__ import annotations

import asyncio
import signal
import ssl
from multiprocessing.connection import Connection
from typing import Final

from amqpd.bench.client.consumer import Consumer
from amqpd.bench.client.histogram import Histogram
from amqpd.bench.client.pace import LEAST_TICK, NS
from amqpd.bench.client.publisher import Publisher
from amqpd.bench.client.session import Role, Session
from amqpd.bench.faults import BenchError, not_there
from amqpd.bench.plan import Share
from amqpd.bench.samples import Begin, Counts, Failed, Phase, Ready, Sample
from amqpd.bench.selector import new_loop
from amqpd.bench.sockets import ClientSocket, PublisherSocket, nanoseconds
from amqpd.clock import Clock, SystemClock

SAMPLE_SECONDS: Final = 0.25
READY_SECONDS: Final = 60.0
CLOSE_SECONDS: Final = 3.0


def work(share: Share, pipe: Connection) -> None:
    """What the process does: connect, say Ready, wait for Begin, send Samples until Stop, and leave."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process at the terminal, which then says Stop
    loop = new_loop()
    asyncio.set_event_loop(loop)
    worker = Worker(share, pipe, loop, SystemClock())
    try:
        worker.run()
    except BenchError as error:
        pipe.send(Failed(str(error)))
    finally:
        loop.close()
        pipe.close()


class Worker:
    """The clients of one process.

    Args:
        pipe: to the process that drives the run.
    """

    def __init__(self, share: Share, pipe: Connection, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._share = share
        self._plan = share.plan
        self._pipe = pipe
        self._loop = loop
        self._clock = clock
        self._latencies = Histogram()
        self._confirms = Histogram()
        self._publishers: list[Publisher] = []
        self._consumers: list[Consumer] = []
        self._sockets: list[ClientSocket] = []
        self._fault: str | None = None
        self._phase = Phase.WARMUP

    def run(self) -> None:
        """Do all of it.

        Raises:
            BenchError: a connection did not come about, or was lost.
        """
        self._connect()
        self._pipe.send(Ready())
        self._loop.add_reader(self._pipe.fileno(), self._told)
        self._loop.run_forever()
        self._loop.remove_reader(self._pipe.fileno())
        self._close()

    def _connect(self) -> None:
        tls = self._plan.address.context()
        for number in self._share.publishers:
            self._connect_publisher(number, tls)
        for number in self._share.consumers:
            self._connect_consumer(number, tls)
        timeout = self._loop.call_later(READY_SECONDS, self._not_ready)
        if not self._all_ready():
            self._loop.run_forever()
        timeout.cancel()
        self._raise_fault()
        for socket in self._sockets:
            self._keep_alive(socket.session)

    def _connect_publisher(self, number: int, tls: ssl.SSLContext | None) -> None:
        plan = self._plan
        publisher = Publisher(
            plan.exchange,
            plan.routing_keys(number),
            plan.run,
            plan.size,
            plan.persistent,
            False,
            plan.window,
            plan.rate / plan.publishers,
            plan.count_of(number),
            self._now,
            self._confirms,
        )
        publisher.on_ready = self._became_ready
        self._publishers.append(publisher)
        session = self._session(publisher, f"publisher {number}")
        self._open(PublisherSocket(session, publisher, self._clock), tls)

    def _connect_consumer(self, number: int, tls: ssl.SSLContext | None) -> None:
        plan = self._plan
        arguments: dict[str, object] = {"x-stream-offset": plan.offset} if plan.offset else {}
        consumer = Consumer(
            plan.queue(number), plan.run, plan.prefetch, plan.ack_every, arguments, self._now, self._latencies
        )
        consumer.on_ready = self._became_ready
        self._consumers.append(consumer)
        self._open(ClientSocket(self._session(consumer, f"consumer {number}")), tls)

    def _session(self, role: Role, name: str) -> Session:
        address = self._plan.address
        name = f"amqpd bench: {name}"
        session = Session(role, address.user, address.password, address.vhost, address.where, name)
        session.on_end = self._ended
        return session

    def _open(self, socket: ClientSocket, tls: ssl.SSLContext | None) -> None:
        address = self._plan.address
        self._sockets.append(socket)
        try:
            connecting = self._loop.create_connection(lambda: socket, address.host, address.port, ssl=tls)
            self._loop.run_until_complete(connecting)
        except OSError as error:
            raise BenchError(not_there(address.where, error)) from None
        except RuntimeError:  # a session's end has stopped the loop
            pass
        self._raise_fault()

    def _keep_alive(self, session: Session) -> None:
        if session.half_interval:
            session.tick()
            self._loop.call_later(session.half_interval, self._keep_alive, session)

    def _all_ready(self) -> bool:
        return all(one.ready for one in self._publishers) and all(one.ready for one in self._consumers)

    def _became_ready(self) -> None:
        if len(self._sockets) == len(self._share.publishers) + len(self._share.consumers) and self._all_ready():
            self._loop.stop()

    def _not_ready(self) -> None:
        where = self._plan.address.where
        self._fault = f"{where} has not answered for {READY_SECONDS:.0f} s: look into the broker's log."
        self._loop.stop()

    def _ended(self) -> None:
        faults = (socket.session.fault for socket in self._sockets)
        self._fault = self._fault or next((fault for fault in faults if fault is not None), None)
        if self._fault is not None or all(socket.session.ended for socket in self._sockets):
            self._loop.stop()

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise BenchError(self._fault)

    def _told(self) -> None:
        try:
            message = self._pipe.recv()
        except EOFError:  # nobody is there any more to tell
            message = None
        if isinstance(message, Begin):
            self._begin(message.moment)
        else:
            self._loop.stop()

    def _begin(self, moment: int) -> None:
        for index, publisher in enumerate(self._publishers):
            publisher.begin(moment + self._phase_of(self._share.publishers[index]))
        if self._plan.warmup:
            self._loop.call_at(moment / NS + self._plan.warmup, self._measure)
        else:
            self._measure(moment)
        self._loop.call_at(moment / NS, self._publish)
        self._loop.call_later(SAMPLE_SECONDS, self._sample_regularly)

    def _publish(self) -> None:
        for socket in self._sockets:
            if isinstance(socket, PublisherSocket):
                socket.publish()

    def _phase_of(self, publisher: int) -> int:
        """Nanoseconds by which a publisher's ticks come later than the first one's: not all at the same moment."""
        plan = self._plan
        tick = max(NS * plan.publishers / plan.rate, LEAST_TICK) if plan.rate else 0.0
        return int(tick * publisher / plan.publishers)

    def _measure(self, moment: int = 0) -> None:
        """The warm-up is over, or there is none and the run begins at this nanosecond."""
        self._sample()  # what it has of the warm-up is not measured
        self._phase = Phase.MEASURED
        self._sample(moment)
        if not self._plan.count:
            self._loop.call_later(self._plan.seconds, self._finish)

    def _sample_regularly(self) -> None:
        if self._phase is not Phase.DONE:
            self._sample()
            self._loop.call_later(SAMPLE_SECONDS, self._sample_regularly)

    def _finish(self) -> None:
        """The time is over: this is the last sample that counts."""
        if self._phase is not Phase.DONE:
            self._phase = Phase.DONE
            self._sample()

    def _sample(self, moment: int = 0) -> None:
        """Tell how it stands, now or at a moment that is to come and before which nothing happens."""
        sessions = (socket.session for socket in self._sockets)
        blocked = next((session.blocked for session in sessions if session.blocked is not None), "")
        self._pipe.send(
            Sample(
                self._phase,
                moment or self._now(),
                self._counts(),
                self._latencies.entries(),
                int(self._latencies.largest),
                self._confirms.entries(),
                int(self._confirms.largest),
                blocked,
            )
        )
        self._latencies.clear()
        self._confirms.clear()

    def _counts(self) -> Counts:
        return Counts(
            published=sum(publisher.published for publisher in self._publishers),
            confirmed=sum(publisher.confirmed for publisher in self._publishers),
            nacked=sum(publisher.nacked for publisher in self._publishers),
            returned=sum(publisher.returned for publisher in self._publishers),
            delivered=sum(consumer.delivered for consumer in self._consumers),
            octets=sum(consumer.octets for consumer in self._consumers),
            waiting=sum(publisher.waiting for publisher in self._publishers),
            late=sum(publisher.late for publisher in self._publishers),
        )

    def _close(self) -> None:
        self._finish()
        for publisher in self._publishers:
            publisher.stop()
        for consumer in self._consumers:
            consumer.acknowledge_rest()
        for socket in self._sockets:
            socket.session.close()
        self._loop.call_later(CLOSE_SECONDS, self._loop.stop)
        if not all(socket.session.ended for socket in self._sockets):
            self._loop.run_forever()
        for socket in self._sockets:
            socket.abort()
        self._raise_fault()

    def _now(self) -> int:
        return nanoseconds(self._clock)
