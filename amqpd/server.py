"""The server: what is made in which order, what starts and stops when."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
import signal
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from amqpd import __version__
from amqpd.auth.login import Login, LoginPolicy
from amqpd.auth.password import PasswordRules
from amqpd.auth.recovery import restore_accounts
from amqpd.auth.seed import FirstUser, seed, seed_vhost
from amqpd.auth.users import UserStore
from amqpd.broker.broker import Broker
from amqpd.broker.context import Context
from amqpd.broker.recovery import Recovery
from amqpd.catalog.directory import DataDirectory, DataDirectoryError
from amqpd.catalog.error import CatalogError
from amqpd.clock import Clock, SystemClock
from amqpd.config import Config
from amqpd.definitions.faults import FileError
from amqpd.log.damage import NewerFormat
from amqpd.logs import ERROR, INFO, ROOT, WARNING, event
from amqpd.management.node import Listener, Node
from amqpd.management.serving import HTTPServer
from amqpd.management.sockets import WAY_OUT, bind_http, bind_metrics, installed
from amqpd.net.commands import Commands
from amqpd.net.control import ControlSocket
from amqpd.net.disk import DiskThread, DiskWatch
from amqpd.net.driver import LoopDriver
from amqpd.net.files import file_limit, raise_file_limit
from amqpd.net.gate import Gate
from amqpd.net.listeners import AMQPS, ListenError, Listeners, bind, url_of
from amqpd.net.memory import MemoryWatch, total_memory
from amqpd.net.observer import LogObserver
from amqpd.net.tls import Certificates, TLSError, settings_of
from amqpd.net.tls_watch import CertificateWatch
from amqpd.net.workers import ThreadWorkers
from amqpd.opening import open_storage
from amqpd.progress import StorageReport
from amqpd.protocol.limits import Limits
from amqpd.protocol.registry import Connections
from amqpd.protocol.services import Services

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from amqpd.loading import Loading

SHUTDOWN_REASON: Final = "broker forced connection closure with reason 'shutdown'"
# Clients have so many seconds to answer connection.close, then their sockets are cut off.
SHUTDOWN_SECONDS: Final = 2.0
# The disk has so many seconds to take what is left; a disk that is full never does.
FLUSH_SECONDS: Final = 6.0
CANNOT_START: Final = 1
# RabbitMQ's names for what is spoken.
PROTOCOLS: Final = {
    "amqp": "amqp",
    "amqps": "amqp/ssl",
    "http": "http",
    "https": "https",
    "metrics": "http/prometheus",
}
SECURE: Final = frozenset({"amqps", "https"})
RELOAD: Final = (signal.SIGHUP,) if sys.platform != "win32" else ()
BAD_DATA: Final = 2  # a data directory or definitions that cannot be used
BAD_CONFIGURATION: Final = 2
# Objects that live long (messages waiting in queues) make the default thresholds stop everything for 90 ms a time.
GC_THRESHOLDS: Final = (50_000, 20, 100)


class Server:
    """One amqpd.

    Args:
        config: how it is to run.
        clock: its time.
        logger: parent of the loggers of its parts.

    Raises:
        DataDirectoryError, CatalogError: the data directory cannot be used.
        FileError: the definitions cannot be read.
        TLSError: a certificate cannot be used.
    """

    def __init__(self, config: Config, clock: Clock, logger: logging.Logger) -> None:
        self.config = config
        self.clock = clock
        self._loading = loading_of(config, clock, logger.getChild("definitions"))
        self.certificates = certificates_of(config)  # before anything is opened
        self._report = StorageReport(clock, logger.getChild("storage"), sys.stderr)
        self.storage, self._directory = open_storage(config, clock, self._report.damaged)
        self.context = Context(clock, self.storage.commits.timers, self.storage.commits.turn, os.urandom, self.storage)
        self.context.turn.on_fault = self._fault
        self.broker = Broker(
            self.context, f"amqpd@{socket.gethostname()}", config.default_vhost, recovers=self._directory is not None
        )
        self.users = UserStore(self.broker, loopback_users=config.loopback_users, rules=password_rules_of(config))
        if self._directory is None:
            self._seed()
        self._workers = ThreadWorkers(self.context)
        self.connections = Connections(self.context)
        self.connections.watch(self.broker, self.users)
        self.services = Services(
            self.broker,
            self.users,
            limits_of(config),
            LogObserver(logger.getChild("net")),
            __version__,
            self.connections,
            Login(self.users, login_policy_of(config)),
            self._workers,
        )
        gate, files = Gate(clock, config.handshake_max), file_limit()
        self.listeners = Listeners(self.services, logger.getChild("net"), gate, files)
        self.control = ControlSocket(self.context, Commands(self.broker).execute, logger.getChild("control"))
        self.ports: dict[str, int] = {}
        self.urls: dict[str, list[str]] = {}
        self.node = Node(self.services, started=clock.monotonic(), pid=os.getpid())
        self.http = HTTPServer(
            "amqpd.management.app", self._make_http_app, files, self.context, logger.getChild("management")
        )
        self._http_sockets: dict[str, list[socket.socket]] = {}
        self.metrics = HTTPServer(
            "amqpd.management.metrics.app", self._make_metrics_app, files, self.context, logger.getChild("metrics")
        )
        self._metrics_sockets: list[socket.socket] = []
        self.tls_watch: CertificateWatch | None = None
        self._logger = logger
        self._driver: LoopDriver | None = None
        self._disk: DiskThread | None = None

    async def start(self) -> None:
        """Recover and listen. When this returns, every listener accepts.

        Raises:
            ListenError: an address cannot be listened on.
            NewerFormat, CatalogError, OSError: the data directory cannot be used.
            FileError: the definitions cannot be imported.
        """
        sockets = self._bind()
        self._http_sockets = bind_http(self.config, tls=self.certificates is not None)
        self._metrics_sockets = bind_metrics(self.config)
        if self._directory is not None:
            self._recover(self._directory)
        if self._loading is not None:
            self._loading.run(self.broker, self.users)
        self._driver = LoopDriver(self.context, asyncio.get_running_loop())
        MemoryWatch(self.broker, self.config.memory_limit(total_memory()), self._logger.getChild("memory"))
        self._listen(sockets)
        if self._directory is not None:
            await self.control.start(self._directory.path)
        self._describe()

    def _bind(self) -> dict[str, list[socket.socket]]:
        """The AMQP sockets by what is spoken on them."""
        config = self.config
        sockets = {} if config.no_plain else {"amqp": bind(config.host, config.port)}
        if self.certificates is not None:
            sockets["amqps"] = bind(config.host, config.tls_port, AMQPS)
        return sockets

    def _listen(self, bound: dict[str, list[socket.socket]]) -> None:
        for scheme, sockets in bound.items():
            tls = self.certificates if scheme == "amqps" else None
            self.listeners.start(sockets, None if tls is None else tls.context)
            self._publish(scheme, scheme, sockets)
        if self.certificates is not None:
            self.tls_watch = CertificateWatch(self.certificates, self.context, self._logger.getChild("tls"))

    def _publish(self, name: str, scheme: str, sockets: list[socket.socket]) -> None:
        """Tell everybody where something is served."""
        self.ports[name] = sockets[0].getsockname()[1]
        self.urls[name] = [url_of(sock, scheme) for sock in sockets]
        protocol = PROTOCOLS.get(name, PROTOCOLS[scheme])
        self.node.listeners += [listener_of(protocol, sock, scheme in SECURE) for sock in sockets]

    def reload(self) -> None:
        """Read certificates again, as SIGHUP asks for."""
        if self.tls_watch is not None:
            self.tls_watch.reload()

    def _describe(self) -> None:
        """Tell the HTTP API what it cannot know."""
        config, node = self.config, self.node
        node.data_dir = None if self._directory is None else self._directory.path
        node.memory_limit = config.memory_limit(total_memory())
        node.disk_free_limit = config.disk_free_limit
        node.allowed_origins = config.management_origins
        certificates = self.certificates
        if certificates is not None:
            node.certificates = lambda: certificates.shown
        for scheme, sockets in self._http_sockets.items():
            self._publish("management" if scheme == "http" else "management-tls", scheme, sockets)
        if self._metrics_sockets:
            self._publish("metrics", "http", self._metrics_sockets)
            self.urls["metrics"] = [f"{url}/metrics" for url in self.urls["metrics"]]

    def serve_http(self) -> None:
        """Load the HTTP stack, which takes longer than everything else, and serve; clients that connect can wait."""
        if self._http_sockets:
            self.node.rates.start()
            secure = None if self.certificates is None else self.certificates.context
            self.http.start(self._http_sockets.get("http", []), self._http_sockets.get("https", []), secure)
        elif not self.config.no_management and not installed():
            event(self._logger, WARNING, "management.missing", way_out=WAY_OUT)
        if self._metrics_sockets:
            self.metrics.start(self._metrics_sockets, [], None)

    def _make_http_app(self) -> ASGIApp:
        from amqpd.management.app import make_app  # it takes long, and is there now

        gc.freeze()
        return make_app(self.node, self._logger.getChild("management"))

    def _make_metrics_app(self) -> ASGIApp:
        from amqpd.management.metrics.app import make_metrics_app  # as above

        return make_metrics_app(self.node)

    def _seed(self) -> None:
        """Make what a new broker has; definitions with users stand in for its first user."""
        if self._loading is not None and self._loading.brings_users:
            seed_vhost(self.broker)
        else:
            seed(self.broker, self.users, first_user_of(self.config))
        if self._loading is not None:
            self._loading.tell_of_first_user(self.config.default_user)

    def _recover(self, directory: DataDirectory) -> None:
        """Bring back what is in the data directory, and let everything that changes from now on go there."""
        self.restore()
        self._disk = DiskThread(self.context, asyncio.get_running_loop())
        DiskWatch(self.broker, directory.path, self.config.disk_free_limit, self._logger.getChild("storage"))

    def restore(self) -> None:
        """Bring back what is in the data directory; there is one."""
        catalog = self.storage.catalog
        assert catalog is not None  # there is a directory
        try:
            topology = catalog.load()
            Recovery(self.broker, topology, self._report).run()
            restore_accounts(self.users, topology, self._report)
            if not topology.seeded:
                self._seed()
        finally:
            self._report.end()

    def _fault(self, fault: Exception) -> None:
        event(self._logger, ERROR, "server.fault", error=fault)

    async def stop(self) -> None:
        """Stop accepting, close every connection with 320, and wait SHUTDOWN_SECONDS for the clients to agree."""
        self.listeners.stop()
        self.listeners.gate.close()
        self.control.stop()
        self.http.stop()
        self.metrics.stop()
        sockets = list(self.listeners.open_sockets)
        for open_socket in sockets:
            if open_socket.connection is not None:
                open_socket.connection.force_close(SHUTDOWN_REASON)
        self._workers.stop()
        self.context.turn.finish()
        with anyio.move_on_after(SHUTDOWN_SECONDS):
            while self.listeners.open_sockets:  # noqa: ASYNC110 - an event would be work for every socket that closes
                await anyio.sleep(0.01)
        for open_socket in list(self.listeners.open_sockets):
            open_socket.abort()
        await self.http.finish()
        await self.metrics.finish()
        await self._finish_commits()
        if self._driver is not None:
            self._driver.stop()

    async def _finish_commits(self) -> None:
        """Bring everything to the disk, and let go of the data directory."""
        if self._disk is None or self._directory is None:
            return
        commits = self.storage.commits
        commits.close()
        with anyio.move_on_after(FLUSH_SECONDS):
            while not (self.context.turn.idle and commits.idle):
                self.context.turn.finish()
                await anyio.sleep(0.001)
        self._disk.stop()
        try:
            self.storage.close()
        except OSError as error:
            event(self._logger, ERROR, "storage.unclosed", error=str(error))
        self._directory.close()


def loading_of(config: Config, clock: Clock, logger: logging.Logger) -> Loading | None:
    """What loads the definitions that the configuration names, if it names any.

    Raises:
        FileError: they cannot be read.
    """
    if config.definitions is None:
        return None
    from amqpd.loading import Loading  # 0.7 MB of memory, which few need

    return Loading(config.definitions, clock, logger, sys.stderr, config.definitions_skip_if_unchanged)


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status: 0, or one of those above."""
    clock = SystemClock()
    begun = clock.monotonic()
    options = {"use_uvloop": find_spec("uvloop") is not None}
    raise_file_limit()
    try:
        server = Server(config, clock, logging.getLogger(ROOT))
        anyio.run(serve, server, begun, backend="asyncio", backend_options=options)
    except ListenError as error:
        sys.stderr.write(f"amqpd: {error}\n")
        return CANNOT_START
    except (DataDirectoryError, CatalogError, NewerFormat, FileError) as error:
        sys.stderr.write(f"amqpd: {error}\n")
        return BAD_DATA
    except TLSError as error:
        sys.stderr.write(f"amqpd: {error}\n")
        return BAD_CONFIGURATION
    return 0


async def serve(server: Server, begun: float) -> None:
    """Start, say so, wait for a signal, stop.

    Args:
        begun: the monotonic second at which starting began.
    """
    logger = logging.getLogger(ROOT)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, *RELOAD) as signals:
        await server.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        announce(server, server.clock.monotonic() - begun)
        server.serve_http()
        async for received in signals:
            if received in RELOAD:
                server.reload()
                continue
            event(logger, INFO, "server.stopping", signal=received.name)
            break
        await server.stop()
        event(logger, INFO, "server.stopped")


def announce(server: Server, seconds: float) -> None:
    """Tell people, container tools and test fixtures that every listener accepts."""
    urls = [url for urls in server.urls.values() for url in urls]
    ready_file = server.config.ready_file
    if ready_file is not None:
        write_ready_file(ready_file, server)
    sys.stdout.write(f"amqpd {__version__} ready in {seconds * 1000:.0f} ms: {' '.join(urls)}\n")
    sys.stdout.write("Server startup complete; 0 plugins started.\n")
    sys.stdout.flush()


def write_ready_file(path: Path, server: Server) -> None:
    """Write pid, ports and urls, complete or not at all: whoever waits for the file may read it at once."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps({"pid": os.getpid(), "ports": server.ports, "urls": server.urls}) + "\n")
    partial.replace(path)


def limits_of(config: Config) -> Limits:
    """The numbers of the configuration that the protocol needs."""
    return Limits(
        channel_max=config.channel_max,
        frame_max=config.frame_max,
        heartbeat=config.heartbeat,
        handshake_timeout=config.handshake_timeout,
        max_message_size=config.max_message_size,
        consumer_max=config.consumer_max_per_channel,
        connection_max=config.connection_max,
        channels_max=config.channel_max_per_node,
    )


def listener_of(protocol: str, sock: socket.socket, tls: bool) -> Listener:
    """A listening socket, as the HTTP API tells of it."""
    address, port = sock.getsockname()[:2]
    return Listener(protocol, address, port, tls)


def first_user_of(config: Config) -> FirstUser:
    """Who can log in at first."""
    return FirstUser(
        config.default_user,
        config.default_pass.encode("utf-8", "surrogateescape"),
        config.default_user_tags,
        config.default_configure,
        config.default_write,
        config.default_read,
    )


def password_rules_of(config: Config) -> PasswordRules:
    """What new passwords have to be like."""
    pattern = config.password_pattern
    return PasswordRules(config.password_min_length, re.compile(pattern) if pattern else None)


def login_policy_of(config: Config) -> LoginPolicy:
    """How clients may log in."""
    by_common_name = config.ssl_cert_login_from == "common_name"
    return LoginPolicy(config.auth_mechanisms, config.anonymous_login_user, by_common_name)


def certificates_of(config: Config) -> Certificates | None:
    """The certificates that the configuration names; None if TLS is off.

    Raises:
        TLSError: they cannot be used.
    """
    settings = settings_of(config)
    return None if settings is None else Certificates(settings)
