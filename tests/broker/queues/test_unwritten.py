"""Messages that are to be written are found by position, whatever was taken out before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.message import make_message
from amqpd.broker.queues.unwritten import TRIM_AT, Gathered, Unwritten
from amqpd.wire.properties import EMPTY_PROPERTIES

MESSAGE = make_message("", "", EMPTY_PROPERTIES, b"")


def unwritten(position: int) -> Unwritten:
    return Unwritten(position, 0, MESSAGE, True, None)


def positions(items: list[Unwritten]) -> list[int]:
    return [int(item.position) for item in items]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 4)),
        st.tuples(st.just("take"), st.integers(-3, 40)),
        st.tuples(st.just("range"), st.integers(-3, 40)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(0, 1 << 60))
def test_it_is_a_map_of_positions(steps: list[tuple[str, int]], start: int) -> None:
    gathered = Gathered()
    model: list[int] = []
    end = start
    for step, number in steps:
        if step == "add":
            end += number
            gathered.add(unwritten(end - 1))
            model.append(end - 1)
        elif step == "take":
            found = gathered.take(start + number)
            assert (found is not None) == (start + number in model)
            if found is not None:
                assert found.position == start + number
                model.remove(start + number)
        else:
            taken = [position for position in model if start + number <= position <= start + number + 5]
            assert positions(gathered.take_range(start + number, start + number + 5)) == taken
            model = [position for position in model if position not in taken]
        assert positions(gathered.all()) == model
        assert gathered.count == len(model)
        if model:
            assert gathered.first == model[0]
            assert gathered.end > model[-1]


def test_what_is_taken_from_the_front_takes_no_memory() -> None:
    """Also if there is always something left."""
    gathered = Gathered()
    for position in range(10 * TRIM_AT):
        gathered.add(unwritten(position))
        if position >= 10:
            assert gathered.take(position - 10) is not None
    assert gathered.count == 10
    assert gathered.end - gathered.first == 10
    assert gathered.places <= 2 * TRIM_AT


def test_cleared_it_begins_anew() -> None:
    gathered = Gathered()
    gathered.add(unwritten(7))
    gathered.clear()
    assert gathered.take(7) is None
    gathered.add(unwritten(3))
    assert positions(gathered.all()) == [3]
