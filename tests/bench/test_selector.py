"""The event loop's timers are exact enough for publishers."""

from __future__ import annotations

import selectors
import socket

import pytest

from amqpd.bench import selector
from amqpd.bench.selector import new_loop

pytestmark = pytest.mark.skipif(not hasattr(selectors, "EpollSelector"), reason="this system has no epoll")


def test_it_waits_for_parts_of_a_millisecond_and_hears_sockets_meanwhile() -> None:
    one, other = socket.socketpair()
    with one, other, selector.ExactSelector() as waiting:
        waiting.register(one, selectors.EVENT_READ)
        assert waiting.select(0.000_3) == []
        other.send(b"x")
        assert [key.fileobj for key, _ in waiting.select(10)] == [one]
        assert [key.fileobj for key, _ in waiting.select(0.001)] == [one]
        assert [key.fileobj for key, _ in waiting.select(0)] == [one]


def test_a_loop_runs_with_it() -> None:
    loop = new_loop()
    loop.call_later(0.000_5, loop.stop)
    loop.run_forever()
    loop.close()
