"""Real processes, sockets, files and servers: whatever dies, each reward is one card."""

from __future__ import annotations

import pytest

from tests.processes.campaign import Campaign


@pytest.mark.once
async def test_three_thousand_rewards_survive_fifty_kills(store, words):
    """Over TLS, with a third of the requests gone wrong: charged is what was handed out, to the cent."""
    campaign = Campaign(store.place, words, rewards=3000, kills=50, freezes=4, denials=4)
    tally = await campaign.run()
    campaign.search([store.folder, words])
    print(tally)
    assert tally.kills >= 50
    assert tally.freezes == 4
    assert len(tally.faults) >= 19
    assert tally.faults.total() > 0.28 * tally.requests
    assert tally.cards > 2500
    assert tally.unknown > 100


async def test_a_small_campaign(store, words):
    """The same in small, on every Python."""
    campaign = Campaign(store.place, words, seed=2, rewards=40, workers=2, kills=2)
    tally = await campaign.run()
    campaign.search([store.folder, words])
    assert tally.kills == 2
    assert tally.cards > 30
