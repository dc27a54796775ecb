"""PostgreSQL goes away in the middle of everything, and comes back."""

from __future__ import annotations

import asyncio

import pytest

from tests.processes.campaign import Campaign

_OTHERS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


@pytest.mark.once
async def test_a_server_that_drops_its_clients_and_restarts_costs_nothing(postgres_store, words):
    """Connections end at any moment, the server twice; no reward is lost, none is paid for twice."""
    import asyncpg

    terminated = 0
    server = postgres_store.server

    async def terminate():
        nonlocal terminated
        for number in range(40):
            await asyncio.sleep(0.1)
            try:
                connection = await asyncpg.connect(server.dsn)
                terminated += await connection.fetchval(_OTHERS)
                await connection.close()
            except (OSError, asyncpg.PostgresError):
                continue
            if number in (15, 30):
                await asyncio.to_thread(server.stop, "immediate" if number == 15 else "fast")
                await asyncio.to_thread(server.start)

    campaign = Campaign(postgres_store.place, words, seed=3, rewards=300, kills=4, errors=["LedgerError"])
    tally = await campaign.run(terminate)
    campaign.search([postgres_store.folder, words])
    print(terminated, tally)
    assert terminated > 50
    assert tally.cards > 250
