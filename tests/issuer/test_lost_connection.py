"""PostgreSQL ends a connection before or after any one statement of an issuance."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from agcod_async import Money, RewardUndone
from tests.issuer.world import World
from tests.support.optional import require

USD = Money("25.00", "USD")


class Cut:
    """A connection whose server process is ended at one of the statements of all."""

    def __init__(self, connection, cuts) -> None:
        self._connection, self._cuts = connection, cuts

    def __getattr__(self, name):
        return getattr(self._connection, name)

    async def fetch(self, query, *arguments):
        return await self._pass(self._connection.fetch, query, *arguments)

    async def execute(self, query, *arguments):
        return await self._pass(self._connection.execute, query, *arguments)

    async def _pass(self, send, query, *arguments):
        when = self._cuts.next()
        if when == "before":
            await self._cuts.end(self._connection.get_server_pid())
        done = await send(query, *arguments)
        if when == "after":
            # Committed, and the answer never comes.
            await self._cuts.end(self._connection.get_server_pid())
            raise ConnectionResetError("the server is gone")
        return done


class Cuts:
    def __init__(self, admin) -> None:
        self._admin = admin
        self._left, self._when = 0, None

    def arm(self, number, when):
        self._left, self._when = number, when

    def next(self):
        self._left -= 1
        if self._left == -1:
            return self._when
        return None

    @property
    def has_struck(self):
        return self._left < 0

    async def end(self, pid):
        assert await self._admin.fetchval("SELECT pg_terminate_backend($1)", pid)
        # The signal is on its way; the process ends a moment later.
        while await self._admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid):
            await asyncio.sleep(0.001)


class CutPool:
    """A pool whose connections can be cut."""

    def __init__(self, pool, cuts) -> None:
        self._pool, self._cuts = pool, cuts
        self.close = pool.close

    @asynccontextmanager
    async def acquire(self):
        async with self._pool.acquire() as connection:
            yield Cut(connection, self._cuts)


@asynccontextmanager
async def scene(dsn, monkeypatch):
    asyncpg = require("asyncpg")
    from agcod_async.ledger import postgres

    monkeypatch.setattr(postgres, "RETRY_DELAYS", (0.0, 0.01, 0.1, 0.5))

    def clock():
        return datetime.now(UTC)

    async with postgres.PostgresLedger(dsn, clock=clock) as ledger:
        admin = await asyncpg.connect(dsn)
        try:
            cuts = Cuts(admin)
            ledger._pool = CutPool(ledger._pool, cuts)
            world = World(ledger=ledger)
            world.clock = world.emulator.clock._source = clock
            world.new_issuer()
            world.cuts = cuts
            yield world
        finally:
            await admin.close()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_at_any_statement_the_call_goes_on(postgres_dsn, monkeypatch, when):
    """Nobody notices: the card is issued, once, asked for again, undone, and stays undone."""
    async with scene(postgres_dsn, monkeypatch) as w:
        number = 0
        while number == 0 or w.cuts.has_struck:
            reference = f"order-{number}"
            w.cuts.arm(number, when)
            card = await w.issuer.issue(reference, USD)
            assert [one.gc_id for one in w.live_cards] == [card.gc_id]
            assert (await w.new_issuer().issue(reference, USD)).claim_code == card.claim_code
            assert (await w.issuer.undo(reference)).state == "reversed"
            with pytest.raises(RewardUndone):
                await w.issuer.issue(reference, USD)
            assert w.live_cards == []
            await w.issuer.recover()
            number += 1
        assert number > 8
        assert {total.state: total.count for total in await w.ledger.summary()} == {"reversed": number}
