"""The ledger against a dict: whatever is entered, settled, skipped and restored in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from amqpd.broker.message import make_message
from amqpd.broker.queues.delivery import Delivery
from amqpd.errors import PreconditionFailed
from amqpd.protocol.ledger import CHUNK, Ledger
from amqpd.wire.properties import EMPTY_PROPERTIES
from tests.broker.queues.takers import make_queue
from tests.builders import World

MESSAGE = make_message("", "q", EMPTY_PROPERTIES, b"")
QUEUE = make_queue(World())


def delivery() -> Delivery:
    """Another delivery."""
    return Delivery(QUEUE, MESSAGE, 0, 0, 0, None)


def filled(count: int) -> tuple[Ledger, list[Delivery]]:
    """A ledger with deliveries under the tags from 1."""
    ledger = Ledger()
    deliveries = [delivery() for _ in range(count)]
    for each in deliveries:
        ledger.add(each)
    return ledger, deliveries


class LedgerAgainstDict(RuleBasedStateMachine):
    """Tags are drawn near the live ones and far from them; numbers of entries so that chunks fill and empty."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.model: dict[int, Delivery] = {}
        self.held: list[Delivery] = []
        self.next = 1

    @initialize(start=st.sampled_from([0, CHUNK - 2, CHUNK - 1, 2 * CHUNK]))
    def begin_near_the_end_of_a_chunk(self, start: int) -> None:
        self.skip(start)

    @rule(count=st.sampled_from([1, 2, 3, CHUNK - 1, CHUNK, CHUNK + 1]))
    def add(self, count: int) -> None:
        for _ in range(count):
            entry = delivery()
            assert self.ledger.add(entry) == self.next
            assert entry.tag == self.next
            self.model[self.next] = entry
            self.next += 1

    @rule(count=st.sampled_from([1, 2, CHUNK - 1, CHUNK]))
    def skip(self, count: int) -> None:
        for _ in range(count):
            assert self.ledger.skip() == self.next
            self.next += 1

    @rule(data=st.data(), hold=st.booleans())
    def settle(self, data: st.DataObject, hold: bool) -> None:
        tag = data.draw(self.tags())
        if tag in self.model:
            entry = self.ledger.settle(tag)
            assert entry is self.model.pop(tag)
            self.keep([entry], hold)
        else:
            with pytest.raises(PreconditionFailed, match=f"unknown delivery tag {tag % 2**64}$"):
                self.ledger.settle(tag)

    @rule(data=st.data(), hold=st.booleans())
    def settle_up_to(self, data: st.DataObject, hold: bool) -> None:
        tag = data.draw(self.tags())
        if tag in self.model:
            expected = [self.model.pop(each) for each in sorted(self.model) if each <= tag]
            assert self.ledger.settle_up_to(tag) == expected
            self.keep(expected, hold)
        elif tag != 0:
            with pytest.raises(PreconditionFailed, match=f"unknown delivery tag {tag % 2**64}$"):
                self.ledger.settle_up_to(tag)

    @rule(hold=st.booleans(), as_tag_zero=st.booleans())
    def settle_all(self, hold: bool, as_tag_zero: bool) -> None:
        expected = [self.model[tag] for tag in sorted(self.model)]
        assert (self.ledger.settle_up_to(0) if as_tag_zero else self.ledger.settle_all()) == expected
        self.model.clear()
        self.keep(expected, hold)

    @rule()
    def restore(self) -> None:
        self.ledger.restore(self.held)
        self.model.update({entry.tag: entry for entry in self.held})
        self.held = []

    @invariant()
    def the_count_is_right(self) -> None:
        assert self.ledger.count == len(self.model)

    @invariant()
    def only_chunks_with_entries_are_kept_and_the_one_being_filled(self) -> None:
        live = {tag // CHUNK for tag in self.model}
        kept = set(self.ledger._chunks)
        assert live <= kept
        assert len(kept - live) <= 1

    def tags(self) -> st.SearchStrategy[int]:
        odd = st.sampled_from([0, 1, self.next - 1, self.next, self.next + CHUNK, -1, -(2**63), 2**63 - 1])
        near = st.integers(0, self.next)
        return st.one_of(st.sampled_from(sorted(self.model)), near, odd) if self.model else st.one_of(near, odd)

    def keep(self, entries: list[Delivery], hold: bool) -> None:
        if hold:
            self.held += entries


TestLedgerAgainstDict = LedgerAgainstDict.TestCase
TestLedgerAgainstDict.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_tags_begin_at_1() -> None:
    assert Ledger().add(delivery()) == 1


def test_a_tag_can_be_settled_once() -> None:
    ledger, deliveries = filled(1)
    assert ledger.settle(1) is deliveries[0]
    with pytest.raises(PreconditionFailed, match=r"unknown delivery tag 1$"):
        ledger.settle(1)


def test_a_skipped_tag_is_unknown() -> None:
    ledger = Ledger()
    ledger.skip()
    ledger.add(delivery())
    with pytest.raises(PreconditionFailed, match=r"unknown delivery tag 1$"):
        ledger.settle(1)


def test_settling_up_to_a_tag_requires_the_tag_itself_and_else_settles_nothing() -> None:
    ledger, _ = filled(3)
    ledger.settle(2)
    with pytest.raises(PreconditionFailed, match=r"unknown delivery tag 2$"):
        ledger.settle_up_to(2)
    assert ledger.count == 2


def test_a_tag_above_63_bits_is_shown_as_the_client_sent_it() -> None:
    with pytest.raises(PreconditionFailed, match=f"unknown delivery tag {2**64 - 1}$"):
        Ledger().settle(-1)


def test_one_message_that_is_never_settled_keeps_one_chunk_and_not_all_behind_it() -> None:
    ledger, _ = filled(1)
    for _ in range(20 * CHUNK):
        ledger.settle(ledger.add(delivery()))
    assert len(ledger._chunks) <= 2


def test_settling_up_to_a_tag_passes_over_tags_that_needed_no_acknowledgement() -> None:
    ledger, deliveries = filled(1)
    for _ in range(3 * CHUNK):
        ledger.skip()
    last = delivery()
    tag = ledger.add(last)
    assert ledger.settle_up_to(tag) == [*deliveries, last]


@pytest.mark.parametrize("skipped", [0, 1, 3 * CHUNK])
def test_after_a_rollback_deliveries_go_on_behind_what_was_restored(skipped: int) -> None:
    ledger, deliveries = filled(3)
    held = ledger.settle_all()
    for _ in range(skipped):
        ledger.skip()
    ledger.restore(held)
    added = delivery()
    assert ledger.add(added) == 4 + skipped
    assert ledger.settle_up_to(4 + skipped) == [*deliveries, added]


def test_what_a_rollback_restores_stands_under_its_old_tags() -> None:
    ledger, deliveries = filled(3)
    ledger.restore(ledger.settle_up_to(2))
    assert ledger.settle(1) is deliveries[0]
    assert ledger.settle_up_to(3) == deliveries[1:]
