"""Serving HTTP: an application on sockets that listen already, in the event loop of the broker, by uvicorn's protocol.

Only uvicorn's protocol is used, not its server: that one handles signals and wakes up ten times a second.

Rule: what may live here moves requests between sockets and an ASGI application, whatever that does.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from amqpd.broker.context import Context
from amqpd.logs import ERROR, event
from amqpd.net.entrance import Entrance
from amqpd.net.gate import Gate

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn.server import ServerState

STOP_SECONDS: Final = 1.0  # that requests under way have
KEEP_ALIVE_SECONDS: Final = 60
MOST_CONNECTIONS: Final = 1000
STACK: Final = ("uvicorn.config", "uvicorn.server", "amqpd.management.patience")
TLS_SECONDS: Final = 10.0  # that the first octet and a handshake may take
# AMQP's clients need files more than those of HTTP: these have one in so many at most.
SHARE_OF_FILES: Final = 8
TOO_MANY: Final = "too many HTTP connections have no request under way"


class HTTPServer:
    """Serves one application. Half of the connections that there may be can be without a request.

    Args:
        module: imported on a worker thread before anything is served; it has everything that takes long to import.
        make: makes the application, with that imported.
        files: how many the process may open.
        context: its timers.
        logger: for what goes wrong.
    """

    def __init__(
        self, module: str, make: Callable[[], ASGIApp], files: int, context: Context, logger: logging.Logger
    ) -> None:
        self._module = module
        self._make = make
        self._logger = logger
        self._files = files
        self._context = context
        self._most = min(MOST_CONNECTIONS, files // SHARE_OF_FILES)
        self._gate = Gate(context.clock, self._most // 2, TOO_MANY)
        self._sockets: dict[socket.socket, ssl.SSLContext | None] = {}
        self._entrance: Entrance | None = None
        self._state: ServerState | None = None
        self._starting: asyncio.Task[None] | None = None

    def start(
        self, plain: list[socket.socket], secure: list[socket.socket] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        """Serve on these sockets as soon as possible; clients that connect meanwhile wait.

        Args:
            plain: HTTP is spoken there.
            secure: HTTPS is spoken there, with what tls shows.
        """
        self._sockets = dict.fromkeys(plain) | dict.fromkeys(secure or [], tls)
        self._starting = asyncio.get_running_loop().create_task(self._start())

    async def ready(self) -> None:
        """Wait until it serves."""
        if self._starting is not None:
            await self._starting

    async def _start(self) -> None:
        try:
            await anyio.to_thread.run_sync(import_all, (self._module, *STACK))
            await self._serve()
        except Exception as fault:
            event(self._logger, ERROR, "management.unavailable", error=fault)

    async def _serve(self) -> None:
        from uvicorn.config import Config  # these take long, and are there now: see STACK
        from uvicorn.server import ServerState

        from amqpd.management.patience import PatientProtocol

        config = Config(
            self._make(),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            limit_concurrency=self._most,
        )
        config.load()
        state = self._state = ServerState()
        make = partial(PatientProtocol, timers=self._context.timers, config=config, state=state)
        self._entrance = Entrance(make, self._gate, self._files, TLS_SECONDS, self._context, self._logger)
        for sock, tls in self._sockets.items():
            self._entrance.open([sock], tls)

    def stop(self) -> None:
        """Accept no more."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
        if self._entrance is not None:
            self._entrance.close()
        for sock in self._sockets:
            sock.close()

    async def finish(self) -> None:
        """Give requests under way STOP_SECONDS, then cut all connections off."""
        state = self._state
        if state is None:
            return
        for connection in list(state.connections):
            connection.shutdown()
        with anyio.move_on_after(STOP_SECONDS):
            while state.connections:  # noqa: ASYNC110 - an event would be work for every connection that closes
                await anyio.sleep(0.01)
        self._gate.close()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()


def import_all(modules: Iterable[str]) -> None:
    """Import modules, in whatever thread: on the event loop those of uvicorn would hold everybody else for 90 ms."""
    for module in modules:
        importlib.import_module(module)
