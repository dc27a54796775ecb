"""The account's real rate, end to end, in virtual time: ten in any second, counted strictly."""

from __future__ import annotations

import asyncio
from random import Random

import httpx
import pytest

from agcod_async import AgcodSession, Credentials, Endpoint, Money
from agcod_async.bulk import Campaign
from agcod_async.emulator import Emulator, Throttle
from agcod_async.ledger import Intent, MemoryLedger
from tests.support.sessions import loop_clock


@pytest.fixture
def anyio_backend(virtual_time):
    """A hundred seconds take one."""
    return virtual_time


class Distant(httpx.AsyncBaseTransport):
    """A network in between: each way takes another time."""

    def __init__(self, near: httpx.AsyncBaseTransport) -> None:
        self._near = near
        self._rng = Random(3)

    async def handle_async_request(self, request):
        await asyncio.sleep(self._rng.uniform(0.05, 0.09))
        response = await self._near.handle_async_request(request)
        await asyncio.sleep(self._rng.uniform(0.05, 0.09))
        return response


async def test_a_thousand_rewards_go_at_the_accounts_rate_and_none_is_refused():
    """At 94 % of ten a second or more, through the default throttle, with 40 ms of jitter on the way."""
    emulator = Emulator(clock=loop_clock, throttle=Throttle(model="sliding"))
    events = []
    partner = emulator.partner
    async with httpx.AsyncClient(transport=Distant(emulator.transport())) as client:
        session = AgcodSession(
            partner.partner_id,
            Credentials(partner.access_key_id, partner.secret_access_key),
            Endpoint.custom("https://localhost", region="us-east-1"),
            http_client=client,
            clock=loop_clock,
            rng=Random(1),
            hooks=[lambda event: events.append(type(event).__name__)],
        )
        rewards = [Intent(reference=f"order-{number}", value=Money(5, "USD")) for number in range(1000)]
        clock = asyncio.get_running_loop().time
        async with session, Campaign(session, MemoryLedger(clock=loop_clock), rewards) as campaign:
            start = clock()
            states = [receipt.state async for receipt in campaign]
            rate = len(states) / (clock() - start)
    assert states == ["issued"] * 1000
    assert "RetryScheduled" not in events
    assert "RateChanged" not in events
    assert emulator.state.spent("Acme1") == 5000
    assert rate >= 9.4, rate
