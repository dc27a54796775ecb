"""A process that stands still for longer than its lease, and goes on as if nothing had happened."""

from __future__ import annotations

import asyncio
import signal

import msgspec
import pytest

from agcod_async.emulator import Fault
from tests.processes.campaign import LEASE, Campaign
from tests.processes.worker import Job, Said, Undo


async def say(worker, job) -> Said:
    worker.give(job)
    return msgspec.json.decode(await worker.process.stdout.readline(), type=Said)


@pytest.mark.parametrize("other", ["undo", "issue"])
async def test_what_it_hands_out_is_what_stands_now(store, words, other):
    """Stopped in the middle of a create, it wakes to a reward that another process has undone, or issued."""
    campaign = Campaign(store.place, words, faults=0.0)
    faults = campaign.emulator.faults
    async with campaign.gateway():
        frozen, awake = await asyncio.gather(campaign.start(), campaign.start())
        await asyncio.gather(
            *(say(one, Job(number=0, reference=f"warm-up-{one.process.pid}")) for one in (frozen, awake))
        )
        faults.arm(Fault("delay", operation="CreateGiftCard", seconds=0.5, times=1))
        asked = asyncio.create_task(say(frozen, Job(number=1, reference="order", budget=600.0)))
        while not faults.fired:
            await asyncio.sleep(0.005)
        frozen.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE * 1.1)
        job = Undo(number=2, reference="order") if other == "undo" else Job(number=2, reference="order")
        said = await say(awake, job)
        frozen.process.send_signal(signal.SIGCONT)
        late = await asked
    cards = [card for card in campaign.state.cards.values() if card.is_live]
    if other == "undo":
        assert (said.state, late.error, late.code) == ("reversed", "RewardUndone", None)
        assert len(cards) == 2
    else:
        assert late.error is None
        assert (said.gc_id, said.code) == (late.gc_id, late.code)
        assert len(cards) == 3
