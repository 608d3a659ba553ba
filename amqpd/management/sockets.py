"""The sockets of the HTTP API: bound when the broker starts, served when the HTTP stack is there.

Rule: what may live here imports nothing of that stack; see serving.py.
"""

from __future__ import annotations

import socket
from importlib.util import find_spec
from typing import Final

from amqpd.config import Config
from amqpd.net.listeners import Options, bind

OPTIONS: Final = Options("--management-host", "--management-port", ", or --no-management")
NEEDED: Final = ("starlette", "uvicorn", "regex")
WAY_OUT: Final = "pip install 'amqpd[management]' adds the HTTP API, --no-management stops asking for it."


def bind_http(config: Config) -> list[socket.socket]:
    """The listening sockets of the HTTP API; none if it is not wanted or not installed.

    Raises:
        ListenError: an address is taken, not there or not allowed.
    """
    if config.no_management or not installed():
        return []
    return bind(config.management_hosts, config.management_port, OPTIONS)


def installed() -> bool:
    """True if what the HTTP API is made with can be imported."""
    return all(find_spec(name) is not None for name in NEEDED)


def http_url(sock: socket.socket) -> str:
    """Where a listening socket can be reached."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if sock.family == socket.AF_INET6 else f"http://{host}:{port}"
