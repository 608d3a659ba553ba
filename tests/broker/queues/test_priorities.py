"""Priorities of a classic queue: the contract, and which message is the head."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.broker.queues.contract import QueueMachine, arguments_of
from tests.broker.queues.models import ClassicModel, ConsumerModel, QueueModel, RingModel, Rules


class PriorityMachine(QueueMachine):
    arguments = arguments_of({"max_priority": 5}, {"max_priority": st.sampled_from([1, 9, 255])})

    def new_model(self, rules: Rules, ring: RingModel[ConsumerModel]) -> QueueModel:
        return ClassicModel(rules, ring)


TestPriorityMachine = PriorityMachine.TestCase
