"""Ledgers of each kind, and a clock that stands still."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from agcod_async.ledger import MemoryLedger, SQLiteLedger
from tests.support.postgres import PostgresServer, find_binaries, require

START = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
_schemas = itertools.count(1)


class Clock:
    """Moves when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="session")
def postgres_server():
    try:
        import asyncpg  # noqa: F401
    except ImportError:
        require(False, "needs asyncpg: pip install 'agcod-async[postgres]'")
    require(find_binaries(), "needs a PostgreSQL server: apt-get install postgresql")
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres_dsn(postgres_server):
    """A schema of its own for each test."""
    import asyncpg

    name = f"test{next(_schemas)}"

    async def make():
        connection = await asyncpg.connect(postgres_server.dsn)
        await connection.execute(f"CREATE SCHEMA {name}")
        await connection.close()

    asyncio.run(make())
    return f"{postgres_server.dsn}&search_path={name}"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def open_ledger(request, tmp_path, clock):
    """A function that opens the same ledger, again and again."""
    if request.param == "memory":
        memory = MemoryLedger(clock=clock)

        @asynccontextmanager
        async def opened():
            async with memory as ledger:
                yield ledger

        return opened
    if request.param == "sqlite":
        return lambda: SQLiteLedger(tmp_path / "ledger.db", clock=clock)
    dsn = request.getfixturevalue("postgres_dsn")
    from agcod_async.ledger import PostgresLedger

    return lambda: PostgresLedger(dsn, clock=clock)


@pytest.fixture
async def ledger(open_ledger):
    async with open_ledger() as ledger:
        yield ledger
