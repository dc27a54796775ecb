"""Ledgers of each kind, and a clock that stands still."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from agcod_async.ledger import MemoryLedger, SQLiteLedger

START = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


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
