"""What the tests of the protocol share: a world in which no crash goes unnoticed, and a client with an open channel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.builders import Client, World


@pytest.fixture
def world() -> Iterator[World]:
    """A broker. The test fails if a fault of the broker's own came to light, even one that the client was told of."""
    world = World()
    yield world
    assert world.observer.crashes == []


@pytest.fixture
def client(world: World) -> Client:
    """A client of that broker whose channel 1 is open."""
    client = world.client()
    client.open(1)
    return client
