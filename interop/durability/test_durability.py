"""A short run of the crash test. A long one: python -m interop.durability --kills 200."""

from __future__ import annotations

import pytest

from interop.durability.campaign import Campaign


@pytest.mark.timeout(180)
def test_a_broker_that_is_killed_keeps_what_it_confirmed() -> None:
    campaign = Campaign(8, 1)
    campaign.run()
    print(campaign.table())
    assert len(campaign.ledger.confirmed) > 100, "nothing was tried"
    assert len(campaign.stream.confirmed) > 100
    assert campaign.stream.first > 0, "retention was not at work"
    assert campaign.faults == []
