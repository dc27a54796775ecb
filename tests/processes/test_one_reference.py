"""The same job, started everywhere at once."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.processes.campaign import Campaign
from tests.processes.worker import Job, Said

PROCESSES, TASKS = 4, 50


@pytest.mark.parametrize("faults", [0.0, 0.34], ids=["fair", "foul"])
async def test_four_processes_with_fifty_tasks_each_get_one_card(store, words, faults):
    """One charge, and the same card and code for everybody who asked."""
    campaign = Campaign(store.place, words, faults=faults)
    async with campaign.gateway():
        workers = await asyncio.gather(*(campaign.start() for _ in range(PROCESSES)))
        # All of them are up, and have made their connections, before the race begins.
        await asyncio.gather(*(ask(worker, f"warm-up-{n}") for n, worker in enumerate(workers)))
        said = await asyncio.gather(*(ask(worker, "order-4711", TASKS) for worker in workers))
    cards = {(one.gc_id, one.code) for answers in said for one in answers}
    [card] = [card for card in campaign.state.cards.values() if card.gc_id in dict(cards)]
    assert cards == {(card.gc_id, campaign.state.claim_code(card.gc_id))}
    assert len([card for card in campaign.state.cards.values() if card.is_live]) == 1 + PROCESSES
    assert campaign.state.spent("Acme1") == 25 * (1 + PROCESSES)
    campaign.search([store.folder, words])


async def ask(worker, reference: str, times: int = 1) -> list[Said]:
    """Ask *times* times at once, and those who got no answer again, as a queue would."""
    answers: list[Said] = []
    while len(answers) < times:
        open_now = times - len(answers)
        for number in range(open_now):
            worker.give(Job(number=number, reference=reference))
        for _ in range(open_now):
            said = msgspec.json.decode(await worker.process.stdout.readline(), type=Said)
            assert said.error in (None, "OutcomePending"), said
            if said.error is None:
                answers.append(said)
    return answers
