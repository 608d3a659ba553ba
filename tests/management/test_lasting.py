"""Objects that stay are not looked at while they are young, and the collector goes on afterwards."""

from __future__ import annotations

import gc

import pytest

from amqpd.management.lasting import lasting


def is_old(found: object) -> bool:
    return any(other is found for other in gc.get_objects(generation=2))


def test_what_is_made_counts_as_old_in_the_end() -> None:
    with lasting():
        assert not gc.isenabled()
        made: list[object] = [[]]
        assert not is_old(made)
    assert gc.isenabled()
    assert is_old(made)
    assert not is_old([made])


def test_the_collector_goes_on_when_it_fails() -> None:
    with pytest.raises(ValueError, match="wrong"), lasting():
        raise ValueError("wrong")
    assert gc.isenabled()
