"""HTTP connections whose clients must not take forever: to send a request, to take an answer, or to send the next one.

Rule: what may live here decides when a connection has to go. What is spoken on it is uvicorn's matter.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from amqpd.clock import Timer, Timers
from amqpd.net.gate import Arrival

SECONDS: Final = 20.0
"""From the first octet of a request, or the connection's beginning, to the end of the headers; and those in which
something of an answer has to be taken."""


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, which by itself waits as long as it takes. The client is an arrival except while it has a
    request under way: others may take its place.

    Args:
        arrival: the client's.
        timers: the broker's.
        config, state: uvicorn's.
    """

    def __init__(self, arrival: Arrival, timers: Timers, config: Config, state: ServerState) -> None:
        super().__init__(config, state, {}, asyncio.get_running_loop())
        self._arrival = arrival
        self._timers = timers
        self._request: Timer | None = None  # by then the headers must be here, or the last octets taken
        self._taking: Timer | None = None  # looks whether something of the answer was taken
        self._unsent = 0

    @property
    def _busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until there was a request
        return cycle is not None and not cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        self._arrival.cut = transport.abort
        self._await_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._busy:
            self._arrival.leave()
            stop(self._request)
            self._request = None
        elif self._request is None:
            self._await_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._busy:  # there is no further request that came with the last one
            self._arrival.come_back()
            if self.transport.is_closing():
                self._await_request()

    def _await_request(self) -> None:
        self._request = self._timers.call_later(SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._taking = self._timers.call_later(SECONDS, self._see_what_was_taken)

    def resume_writing(self) -> None:
        stop(self._taking)
        super().resume_writing()

    def _see_what_was_taken(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent >= self._unsent:
            self.transport.abort()
            return
        self._unsent = unsent
        self._taking = self._timers.call_later(SECONDS, self._see_what_was_taken)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrival.leave()
        stop(self._request)
        stop(self._taking)
        super().connection_lost(exc)


def stop(timer: Timer | None) -> None:
    """Cancel a timer, if there is one."""
    if timer is not None:
        timer.cancel()
