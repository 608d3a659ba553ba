"""Waiting for something outside this process: always a condition with a deadline, never a fixed nap."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.02


def eventually(check: Callable[[], T | None], what: str, timeout: float = 10.0) -> T:
    """Return the first truthy result of `check`.

    Args:
        check: called again and again, about every 20 ms.
        what: the awaited condition in words, for the message.
        timeout: seconds until it is given up.

    Raises:
        TimeoutError: `check` was never truthy within `timeout`.
    """
    deadline = time.monotonic() + timeout
    while not (result := check()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what}")
        time.sleep(POLL_SECONDS)
    return result


async def eventually_async(check: Callable[[], T | None], what: str, timeout: float = 10.0) -> T:  # noqa: ASYNC109 - mirrors `eventually`
    """As `eventually`, but lets the event loop run between two checks."""
    deadline = time.monotonic() + timeout
    while not (result := check()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what}")
        await asyncio.sleep(POLL_SECONDS)
    return result


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
