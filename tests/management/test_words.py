"""Values of bodies that several resources have."""

from __future__ import annotations

import pytest

from amqpd.management.errors import BadRequest
from amqpd.management.words import limits_of, words


@pytest.mark.parametrize("value", ["a,b", "a, b,", ["a", "b"], [" a", "", "b"]])
def test_words_are_a_list_or_a_text_with_commas(value: object) -> None:
    assert words("tags", value) == ("a", "b")


@pytest.mark.parametrize("value", [5, None, ["a", 5], {"a": 1}, ["\ud800"]])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(BadRequest, match="tags"):
        words("tags", value)


def test_limits_are_whole_numbers_with_known_names() -> None:
    assert limits_of("limits", []) == {}
    assert limits_of("limits", {"max-channels": 2}) == {"max-channels": 2}
    for value in (5, {"max-channels": "2"}, {"max-channels": True}, {"unknown": 1}):
        with pytest.raises(BadRequest, match="limits"):
            limits_of("limits", value)
