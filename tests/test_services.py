"""The recipes of docs/services.md, run as they stand: a web service and a worker that pay each order once."""

from __future__ import annotations

import asyncio
import pickle
import runpy
from contextlib import suppress

import httpx
import pytest

from agcod_async import CredentialsError, OutcomePending
from agcod_async.emulator import Emulator, Fault, FaultKind
from tests.support.optional import require
from tests.test_examples import DOCUMENTS, python_blocks


@pytest.fixture
async def gateway(monkeypatch, tmp_path):
    """The emulator, in the environment of the recipes, and an empty folder for their ledger."""
    emulator = Emulator()
    async with emulator.serve() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield emulator


@pytest.fixture
def recipes(tmp_path):
    """All blocks, as one module."""
    require("fastapi")
    require("aiohttp")
    module = tmp_path / "services.py"
    module.write_text("\n".join(python_blocks(DOCUMENTS["services"])), encoding="utf-8")
    return runpy.run_path(str(module), run_name="services")


@pytest.fixture(params=["fastapi", "aiohttp"])
async def client(request, gateway, recipes):
    """A client of the service, which runs as its framework runs it."""
    if request.param == "aiohttp":
        from aiohttp.test_utils import TestServer

        async with (
            TestServer(recipes["make_app"]()) as server,
            httpx.AsyncClient(base_url=str(server.make_url(""))) as client,
        ):
            yield client
        return
    app = recipes["app"]
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope, receive, send):
            await app({**scope, "state": dict(state)}, receive, send)

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(with_state), base_url="http://service"
        ) as client:
            yield client


def spent(gateway) -> int:
    return 10_000 - gateway.state.funds["Acme1"]


async def test_an_order_is_paid_once(client, gateway):
    """Double clicks, retries of the browser, two tabs: one card, one charge, and nothing caches its code."""
    answers = await asyncio.gather(*(client.post("/orders/4711/reward") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["code"] for answer in answers}) == 1
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert spent(gateway) == 25


async def test_a_refusal_is_an_answer(client, gateway):
    """The client learns why, and that asking again may help."""
    gateway.state.funds["Acme1"] = 5
    refused = await client.post("/orders/4711/reward")
    assert (refused.status_code, "InsufficientFunds" in refused.text) == (409, True)
    gateway.state.funds["Acme1"] = 10_000
    assert (await client.post("/orders/4711/reward")).status_code == 200
    assert spent(gateway) == 25


async def test_a_client_that_goes_away_has_its_card_the_next_time(client, gateway):
    """The handler is cancelled while the gateway takes its time; the charge is not lost, and not repeated."""
    gateway.faults.arm(Fault(FaultKind.DELAY, operation="CreateGiftCard", seconds=0.3))
    asking = asyncio.create_task(client.post("/orders/4711/reward"))
    while not gateway.faults.fired:
        await asyncio.sleep(0.01)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    again = await client.post("/orders/4711/reward")
    assert again.json()["state"] == "issued"
    assert spent(gateway) == 25


async def test_what_a_crash_left_open_is_taken_up_at_the_start(gateway, recipes):
    """Nobody asks for the order again; the service settles it all the same."""
    gateway.faults.arm(Fault(FaultKind.DROP_AFTER, operation="CreateGiftCard", times=5))
    async with recipes["issuing"]() as issuer:
        with pytest.raises(OutcomePending):
            await issuer.issue("order-4711", recipes["Money"]("25.00", "USD"), budget=0.01)
    gateway.faults.clear()
    async with recipes["issuing"]() as issuer, asyncio.timeout(30):
        assert (await issuer.wait("order-4711")).state == "issued"
    assert spent(gateway) == 25


async def test_a_job_that_runs_twice(gateway, recipes):
    """What it returns can be stored, and holds no code; what it raises can be pickled by the queue."""
    async with recipes["issuing"]() as issuer:
        first, again = [await recipes["reward_job"](issuer, "4711") for _ in range(2)]
        assert first == again
        assert first["state"] == "issued"
        gateway.state.funds["Acme1"] = 5
        refused = await recipes["reward_job"](issuer, "4712")
        assert refused == {"state": "refused", "error": "InsufficientFunds"}
        gateway.set_key_status(gateway.partner.access_key_id, "inactive")
        with pytest.raises(CredentialsError) as caught:
            await recipes["reward_job"](issuer, "4713")
        assert type(pickle.loads(pickle.dumps(caught.value))) is CredentialsError
