"""Pages: the latest messages of a stream, and what was read back lately, within bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.queues.stream.page import OVERHEAD, Page, PageCache, Tail, octets_of, page_in
from tests.broker.queues.takers import message

LIMIT = 5000
PAGE = 1000


def filled(first: int, sizes: list[int]) -> Page:
    page = Page(first)
    for size in sizes:
        page.add(message(b""), size)
    return page


@given(st.integers(0, 2**60), st.lists(st.integers(0, 3000), max_size=60))
def test_the_tail_has_the_latest_messages_without_a_gap_and_not_much_more_than_its_limit(
    first: int, sizes: list[int]
) -> None:
    tail = Tail(first, LIMIT, PAGE)
    sent = []
    for number, size in enumerate(sizes):
        sent.append(message(b"%d" % number))
        tail.add(sent[-1], size)
    end = first + len(sizes)
    assert tail.page_of(end) is None
    assert tail.page_of(tail.first - 1) is None
    kept = 0
    for offset in range(tail.first, end):
        page = tail.page_of(offset)
        assert page is not None
        assert page.messages[offset - page.first] is sent[offset - first]
        kept += sizes[offset - first] + OVERHEAD
    assert kept <= LIMIT + 2 * (PAGE + 3000 + OVERHEAD)
    # A page leaves as a whole, and only when there is too much with it.
    assert tail.first == first or kept + PAGE + 3000 + OVERHEAD > LIMIT


def test_a_new_tail_is_empty_and_begins_where_it_is_told() -> None:
    tail = Tail(7)
    assert tail.first == 7
    assert [tail.page_of(offset) for offset in (0, 6, 7, 8)] == [None] * 4


def test_a_message_that_is_larger_than_the_whole_tail_is_there_until_the_next() -> None:
    tail = Tail(0, LIMIT, PAGE)
    for _ in range(3):
        tail.add(message(b""), 10 * LIMIT)
    assert tail.page_of(2) is not None


def test_the_cache_keeps_what_was_asked_for_last() -> None:
    cache = PageCache(3 * (1000 + OVERHEAD))
    for base in range(3):
        cache.put(("s", base, 0), [filled(base, [1000])])
    assert cache.get(("s", 0, 0)) is not None
    cache.put(("s", 3, 0), [filled(3, [1000])])
    assert [base for base in range(4) if cache.get(("s", base, 0)) is not None] == [0, 2, 3]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8), st.lists(st.integers(0, 900), max_size=3)), max_size=40)
)
def test_the_cache_is_within_its_limit_or_has_one_block_and_gives_what_was_put(
    puts: list[tuple[int, int, list[int]]],
) -> None:
    limit = 3000
    cache = PageCache(limit)
    put: dict[tuple[str, int, int], list[Page]] = {}
    for stream, base, sizes in puts:
        key = (str(stream), base, 0)
        pages = put[key] = [filled(base, [size]) for size in sizes]
        cache.put(key, pages)
        there = {key: cache.get(key) for key in put}
        kept = [pages for pages in there.values() if pages is not None]
        assert all(found is None or found is put[key] for key, found in there.items())
        assert there[key] is pages
        assert sum(map(octets_of, kept)) <= limit or len(kept) == 1
    cache.drop("0")
    assert all(cache.get(key) is None for key in put if key[0] == "0")
    left = [pages for key, pages in put.items() if cache.get(key) is not None]
    assert sum(map(octets_of, left)) <= limit or len(left) == 1


def test_room_that_was_dropped_is_there_for_others() -> None:
    cache = PageCache(2500)
    cache.put(("a", 0, 0), [filled(0, [1000])])
    cache.put(("a", 1, 0), [filled(1, [1000])])
    cache.drop("a")
    for base in range(2):
        cache.put(("b", base, 0), [filled(base, [1000])])
    assert all(cache.get(("b", base, 0)) is not None for base in range(2))


def test_the_page_of_an_offset_or_else_the_first_one_behind_it() -> None:
    early, late = filled(3, [1, 1]), filled(8, [1])
    found = [page_in([early, late], offset) for offset in (0, 3, 4, 5, 7, 8, 9)]
    assert found == [early, early, early, late, late, late, None]
    assert page_in([], 0) is None
