"""The quorum queue: the contract, and the rules that are its own."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.broker.queues.contract import QueueMachine, arguments_of
from tests.broker.queues.models import ConsumerModel, QueueModel, QuorumModel, RingModel, Rules


class QuorumMachine(QueueMachine):
    arguments = arguments_of(
        {"queue_type": "quorum"},
        {"delivery_limit": st.integers(0, 3), "dead_letter_strategy": st.just("at-least-once")},
    )

    def new_model(self, rules: Rules, ring: RingModel[ConsumerModel]) -> QueueModel:
        return QuorumModel(rules, ring)


TestQuorumMachine = QuorumMachine.TestCase
