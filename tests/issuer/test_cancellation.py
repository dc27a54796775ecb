"""A client that hangs up, a deadline, a shutdown: at every single await, with real files, servers and TLS."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from agcod_async import AgcodSession, Issuer, Money, RetryPolicy
from agcod_async.emulator import Emulator
from agcod_async.ledger import Intent, MemoryLedger
from tests.ledger.worker import opened
from tests.support.fast_time import FastClock, FastLoop
from tests.support.optional import require
from tests.support.strikes import Strikes

USD = Money("25.00", "USD")
SPEED = 50.0

# httpcore leaves a connection that is cancelled in its handshake to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def anyio_backend():
    return ("asyncio", {"loop_factory": partial(FastLoop, SPEED)})


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.once)])
def place(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("postgres_dsn")
    return None if request.param == "memory" else str(tmp_path / "ledger.db")


@pytest.fixture(params=["caller", pytest.param("deadline", marks=pytest.mark.once), "shutdown"])
def how(request):
    """The caller's task is cancelled, or has a deadline, or the whole process ends."""
    return request.param


class Scene:
    """A gateway on a socket, a ledger on its disk, and time that can be skipped."""

    def __init__(self, server, emulator, ledger, clock) -> None:
        self.emulator, self.ledger, self.clock = emulator, ledger, clock
        self.session = AgcodSession.from_env(
            server.environment, clock=clock, timeout=50.0, retry=RetryPolicy(max_attempts=1)
        )
        self.strikes = Strikes("Issuer.", "Drive.")

    def issuer(self) -> Issuer:
        """As after a restart."""
        return Issuer(self.session, self.ledger)

    def live(self, entry) -> list[str]:
        card = self.emulator.state.cards.get(entry.request_id) if entry else None
        return [card.gc_id] if card and card.is_live else []

    async def interrupted(self, call, number, how) -> bool:
        """Begin a call, interrupt it at its await of this *number*, and return whether it came to that."""
        task = asyncio.create_task(_within(self.strikes, call, number, how))
        await asyncio.wait([task])
        struck = not self.strikes.is_armed
        self.strikes.disarm()
        if not task.cancelled() and (error := task.exception()):
            assert struck
            assert isinstance(error, TimeoutError), error
        if how == "shutdown" and self.strikes.tasks:
            # As asyncio.run does.
            await asyncio.wait(self.strikes.tasks)
        return struck

    async def is_true(self, reference) -> None:
        """The ledger does not say less than what the gateway has done."""
        entry = await self.ledger.get(reference)
        if entry is None or entry.state in ("planned", "refused", "reversed"):
            assert self.live(entry) == []
        if entry is not None and entry.state == "issued":
            assert self.live(entry) == [entry.gc_id]

    def later(self) -> None:
        """A minute passes: nobody's lease is left."""
        self.clock.ahead += timedelta(seconds=61)


async def _within(strikes, call, number, how):
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    deadline = asyncio.timeout(None)

    def strike():
        if how == "deadline":
            deadline.reschedule(loop.time())
        else:
            for task in (me, *(strikes.tasks if how == "shutdown" else ())):
                task.cancel()

    async with deadline:
        loop.set_task_factory(strikes.factory)
        strikes.arm(number, strike)
        work = asyncio.ensure_future(call)
        try:
            await work
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait([work])
            raise
        finally:
            loop.set_task_factory(None)


@asynccontextmanager
async def scene(place):
    require("uvicorn")
    require("trustme")
    clock = FastClock(datetime.now(UTC), SPEED)
    emulator = Emulator(clock=clock, throttle=None)
    emulator.state.funds["Acme1"] = None
    ledger = MemoryLedger(clock=clock) if place is None else opened(place, clock)
    async with emulator.serve() as server, ledger:
        made = Scene(server, emulator, ledger, clock)
        async with made.session:
            yield made
            await asyncio.gather(*made.strikes.tasks, return_exceptions=True)
    gc.collect()


@pytest.mark.parametrize("fault", [None, "drop_after"])
async def test_issue(place, how, fault):
    """Wherever it was interrupted, the same reference is one card afterwards."""
    async with scene(place) as s:
        number, struck = 0, True
        while struck:
            reference = f"order-{number}"
            if fault:
                s.emulator.faults.once(fault, operation="CreateGiftCard")
            struck = await s.interrupted(s.issuer().issue(reference, USD), number, how)
            s.emulator.faults.clear()
            await s.is_true(reference)
            s.later()
            card = await s.issuer().issue(reference, USD)
            assert s.live(await s.ledger.get(reference)) == [card.gc_id]
            assert sum(one.is_live for one in s.emulator.state.cards.values()) == number + 1
            number += 1
        assert number > 8


@pytest.mark.parametrize("fault", [None, "drop_before"])
async def test_undo(place, how, fault):
    """Wherever it was interrupted, undoing it again ends it, and nothing is paid."""
    async with scene(place) as s:
        number, struck = 0, True
        while struck:
            reference = f"order-{number}"
            await s.issuer().issue(reference, USD)
            if fault:
                s.emulator.faults.once(fault, operation="CancelGiftCard")
            struck = await s.interrupted(s.issuer().undo(reference), number, how)
            s.emulator.faults.clear()
            await s.is_true(reference)
            s.later()
            assert (await s.issuer().undo(reference)).state == "reversed"
            assert not any(one.is_live for one in s.emulator.state.cards.values())
            number += 1
        assert number > 8


async def test_recover(place, how):
    """Wherever it was interrupted, the next round finds what is left of several entries."""
    async with scene(place) as s:
        number, struck = 0, True
        while struck:
            references = [f"order-{number}-{each}" for each in range(3)]
            issuer = s.issuer()
            intents = [Intent(reference=reference, value=USD) for reference in references]
            await s.ledger.plan(intents, payer=issuer.payer)
            s.emulator.faults.once("drop_after", operation="CreateGiftCard")
            struck = await s.interrupted(issuer.recover(), number, how)
            s.emulator.faults.clear()
            for reference in references:
                await s.is_true(reference)
            s.later()
            await s.issuer().recover()
            s.later()
            await s.issuer().recover()
            for reference in references:
                entry = await s.ledger.get(reference)
                assert entry.state == "issued"
                assert (await s.issuer().issue(reference, USD)).gc_id == entry.gc_id
            assert sum(one.is_live for one in s.emulator.state.cards.values()) == 3 * (number + 1)
            number += 1
        assert number > 8
