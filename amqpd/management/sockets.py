"""The sockets of the HTTP API and of the metrics: bound when the broker starts, served when the HTTP stack is there.

Rule: what may live here imports nothing of that stack; see serving.py.
"""

from __future__ import annotations

import socket
from importlib.util import find_spec
from typing import Final

from amqpd.config import Config
from amqpd.net.listeners import Options, bind

OPTIONS: Final = Options("--management-host", "--management-port", ", or --no-management")
TLS_OPTIONS: Final = Options("--management-host", "--management-tls-port", ", or --no-management")
METRICS_OPTIONS: Final = Options("--management-host", "--metrics-port", ", or --no-management")
METRICS_NEEDED: Final = ("starlette", "uvicorn", "prometheus_client")
NEEDED: Final = ("starlette", "uvicorn", "regex")
WAY_OUT: Final = "pip install 'amqpd[management]' adds the HTTP API, --no-management stops asking for it."


def bind_http(config: Config, tls: bool) -> dict[str, list[socket.socket]]:
    """The listening sockets of the HTTP API by their schemes; none if it is not wanted or not installed.

    Args:
        tls: there is a certificate to show.

    Raises:
        ListenError: an address is taken, not there or not allowed.
    """
    if config.no_management or not installed():
        return {}
    hosts = config.management_hosts
    sockets = {} if config.no_plain else {"http": bind(hosts, config.management_port, OPTIONS)}
    if tls:
        sockets["https"] = bind(hosts, config.management_tls_port, TLS_OPTIONS)
    return sockets


def bind_metrics(config: Config) -> list[socket.socket]:
    """The listening sockets of the metrics; none if they are not wanted or what makes them is not installed.

    Raises:
        ListenError: as bind_http().
    """
    if config.no_management or not all(find_spec(name) is not None for name in METRICS_NEEDED):
        return []
    return bind(config.management_hosts, config.metrics_port, METRICS_OPTIONS)


def installed() -> bool:
    """True if what the HTTP API is made with can be imported."""
    return all(find_spec(name) is not None for name in NEEDED)
