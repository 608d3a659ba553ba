"""Names that the broker makes up."""

from __future__ import annotations

import base64
import os
import re

from amqpd.broker.context import Context
from amqpd.clock import ManualClock, Timers
from amqpd.turn import Turn
from tests.builders import World


def context_with(octets: bytes) -> Context:
    """A context whose randomness is known."""
    clock = ManualClock()
    return Context(clock, Timers(clock), Turn(), lambda size: octets[:size])


def test_a_unique_name_is_the_prefix_and_128_random_bits() -> None:
    octets = bytes(range(240, 256))
    name = context_with(octets).unique_name("amq.gen")
    prefix, _, rest = name.partition("-")
    assert prefix == "amq.gen"
    assert base64.urlsafe_b64decode(rest + "==") == octets


def test_a_unique_name_has_22_characters_that_need_no_escaping() -> None:
    clock = ManualClock()
    context = Context(clock, Timers(clock), Turn(), os.urandom)
    names = [context.unique_name("amq.ctag") for _ in range(100)]
    assert all(re.fullmatch(r"amq\.ctag-[A-Za-z0-9_-]{22}", name) for name in names)
    assert len(set(names)) == 100


def test_the_world_of_the_tests_makes_names_that_repeat_from_world_to_world() -> None:
    assert World().context.unique_name("q") == World().context.unique_name("q")
