"""The gateway in a loop whose clock jumps: hours of it take no time."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from agcod_async.emulator import Emulator, FaultKind

from . import foreign
from .conftest import NOON


@pytest.fixture
def anyio_backend(virtual_time):
    """Nothing here waits."""
    return virtual_time


@pytest.fixture
def emulator():
    """A gateway that lives in the time of the loop, throttle included."""
    return Emulator(clock=lambda: NOON + timedelta(seconds=asyncio.get_running_loop().time()))


async def _create(client, emulator, name):
    request = foreign.request(emulator, "CreateGiftCard", foreign.create_fields(name, 1))
    url = f"https://{foreign.HOST}{request.path}"
    return await client.post(url, content=request.body, headers=dict(request.headers))


async def test_a_late_answer_is_late_in_the_time_of_the_loop(emulator):
    """An hour of waiting, and the answer is that of the hour before."""
    emulator.faults.once(FaultKind.DELAY, seconds=3600)
    async with httpx.AsyncClient(transport=emulator.transport(), timeout=None) as client:
        begin = asyncio.get_running_loop().time()
        response = await _create(client, emulator, "Acme1a")
        assert asyncio.get_running_loop().time() - begin >= 3600
    assert response.status_code == 200
    assert emulator.clock() - emulator.state.cards["Acme1a"].created_at >= timedelta(hours=1)


async def test_a_client_that_gives_up_does_so_in_the_time_of_the_loop(emulator):
    """After its own six seconds, though the answer takes an hour."""
    emulator.faults.once(FaultKind.DELAY, seconds=3600)
    async with httpx.AsyncClient(transport=emulator.transport(), timeout=6) as client:
        begin = asyncio.get_running_loop().time()
        with pytest.raises(httpx.ReadTimeout):
            await _create(client, emulator, "Acme1a")
        assert 6 <= asyncio.get_running_loop().time() - begin < 7


async def test_the_throttle_counts_in_the_time_of_the_loop(emulator):
    """Twenty at once are ten too many; ten a second for a minute are not one too many."""
    async with httpx.AsyncClient(transport=emulator.transport()) as client:
        burst = await asyncio.gather(*(_create(client, emulator, f"Acme1b{index}") for index in range(20)))
        assert sorted(response.status_code for response in burst) == [200] * 10 + [400] * 10
        await asyncio.sleep(1)
        for index in range(600):
            await asyncio.sleep(0.1001)
            assert (await _create(client, emulator, f"Acme1c{index}")).status_code == 200
