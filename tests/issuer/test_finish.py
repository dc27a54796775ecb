"""Before session and ledger are closed: steps that are under way are waited for, or cut."""

from __future__ import annotations

import asyncio

import pytest

from agcod_async import Money, OutcomePending
from tests.issuer.world import world

USD = Money("25.00", "USD")


@pytest.fixture
def anyio_backend(virtual_time):
    return virtual_time


async def given_up_on(w, seconds):
    """Ask for a reward whose answer takes *seconds*, without the patience for it."""
    w.faults.once("delay", operation="CreateGiftCard", seconds=seconds)
    with pytest.raises(OutcomePending):
        await w.issuer.issue("order", USD, budget=0.1)


async def test_a_step_under_way_ends_by_itself():
    """The answer is noted, and nobody has to wait for a lease afterwards."""
    async with world() as w:
        await given_up_on(w, 2.0)
        await w.issuer.finish(within=15.0)
        assert (w.now, (await w.entry("order")).state) == (pytest.approx(2.0, abs=0.1), "issued")


async def test_a_step_that_takes_too_long_is_cut():
    """The ledger is true at that moment too: a request may have left."""
    async with world() as w:
        await given_up_on(w, 5.0)
        await w.issuer.finish(within=1.0)
        assert (w.now, (await w.entry("order")).state) == (pytest.approx(1.1, abs=0.1), "sent")
        assert w.drives == []


async def test_whoever_is_cancelled_while_waiting_leaves_nothing_running():
    """The second Ctrl-C."""
    async with world() as w:
        await given_up_on(w, 5.0)
        task = asyncio.create_task(w.issuer.finish(within=15.0))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert w.drives == []


async def test_nothing_under_way():
    """Then there is nothing to wait for."""
    async with world() as w:
        await w.issuer.finish(within=15.0)
        assert w.now == 0
