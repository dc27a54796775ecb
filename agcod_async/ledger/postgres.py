"""The ledger of many machines: tables in PostgreSQL."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import asyncpg
from asyncpg import exceptions

from ..checks import check_reference
from ..clock import utc_now
from ..errors import ConfigurationError, LedgerError
from . import postgres_tables as tables
from .entry import Entry, Glance, Intent, Payer, State, Total
from .planning import (
    begun,
    check_lease,
    check_save,
    checked_intents,
    glances,
    planned,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
    from datetime import datetime
    from typing import TypeAlias

    from ..errors import Outcome
    from .postgres_tables import Connection

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]

R = TypeVar("R")

PAGE = 1000
"""Entries that are read at a time."""

RETRY_DELAYS = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts when the server or the connection is away, or a transaction was a victim."""

_COMMAND_TIMEOUT = 30.0

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What a connection says that was cut off between two steps of one statement.
    asyncpg.InternalClientError,
    exceptions.PostgresConnectionError,
    exceptions.CannotConnectNowError,
    exceptions.AdminShutdownError,
    exceptions.CrashShutdownError,
    exceptions.DeadlockDetectedError,
    exceptions.SerializationError,
)


class PostgresLedger:
    """
    Keeps entries in the tables ``agcod_entries`` and ``agcod_history``.

    A connection that is lost is made again, and what was under way is repeated: every step is safe to.

    Args:
        dsn: where the database is; or a pool of the application's, which is not closed.
        clock: a callable giving the aware UTC time. Machines should agree on it within a fraction of a
            lease; if they do not, work is done twice, and issued once.
        max_size: connections at most.

    Raises:
        LedgerError:
            on entering: the server cannot be reached, the tables cannot be made, or are of a newer version.
    """

    def __init__(
        self, dsn: str | Pool, *, clock: Callable[[], datetime] = utc_now, max_size: int = 10
    ) -> None:
        self._dsn = dsn
        self._clock = clock
        self._max_size = max_size
        self._pool: Pool | None = None

    async def plan(
        self,
        intents: Iterable[Intent],
        *,
        payer: Payer,
        due_in: float = 0.0,
        connection: Connection | None = None,
    ) -> list[Entry]:
        """
        Note what is to be issued.

        With *connection*, inside the application's own transaction: its order and our intent are
        committed together. Recovery issues what nobody has issued after that.
        """
        intents = list(intents)
        wanted = checked_intents(intents, payer)
        now = self._clock()
        fresh = {key: planned(intent, payer, now, due_in) for key, intent in wanted.items()}
        work = partial(tables.plan, fresh=fresh, wanted=wanted, payer=payer)
        entries = await (self._run(work) if connection is None else _once(work, connection))
        return [entries[intent.reference] for intent in intents]

    async def begin(
        self, intent: Intent, *, payer: Payer, owner: str, lease: float, signing: datetime | None = None
    ) -> tuple[Entry, bool]:
        """Plan, claim and mark as sent."""
        check_lease(owner, lease)
        wanted = checked_intents([intent], payer)
        now = self._clock()
        fresh = planned(wanted[intent.reference], payer, now)
        start = partial(begun, owner=owner, lease=lease, now=now, signing=signing)
        # Committed, though nobody heard of it, it is for recovery to go on with.
        return await self._run(tables.Begin(fresh, start, wanted), lost="unknown")

    async def get(self, reference: str) -> Entry | None:
        """Return the entry of a reference."""
        check_reference(reference)
        return await self._run(partial(tables.get, reference=reference))

    async def find(self, references: Collection[str]) -> dict[str, Entry]:
        """Return the entries of some references."""
        return await self._run(partial(tables.find, references=list(references)))

    async def look(self, intents: Sequence[Intent], *, payer: Payer) -> list[Glance | None]:
        """Return how intents stand."""
        found = await self.find([intent.reference for intent in intents])
        return glances(found, intents, payer)

    async def claim(self, reference: str, *, payer: Payer, owner: str, lease: float) -> Entry | None:
        """Take an entry."""
        check_reference(reference)
        check_lease(owner, lease)
        now = self._clock()
        work = partial(tables.claim, reference=reference, payer=payer, owner=owner, lease=lease, now=now)
        return await self._run(work)

    async def claim_due(self, *, payer: Payer, owner: str, lease: float, limit: int) -> list[Entry]:
        """Take what is due."""
        check_lease(owner, lease)
        now = self._clock()
        work = partial(tables.claim_due, payer=payer, owner=owner, lease=lease, limit=limit, now=now)
        return await self._run(work)

    async def save(self, entry: Entry, *, retired: Entry | None = None) -> Entry:
        """Store the next state of an entry."""
        check_save(entry, retired)
        return await self._run(tables.Save(entry, retired), outcome="unknown")

    async def due(self, now: datetime, limit: int, *, payer: Payer) -> list[Entry]:
        """Return what could be claimed."""
        return await self._run(partial(tables.due, payer=payer, now=now, limit=limit))

    async def history(self, reference: str) -> list[Entry]:
        """Return the dead generations of a reference."""
        check_reference(reference)
        query = f"{tables.SELECT} agcod_history WHERE reference = $1 ORDER BY generation"
        return await self._run(partial(tables.fetch, query=query, arguments=(reference,)))

    async def summary(self, *, payer: Payer | None = None) -> list[Total]:
        """Return counts and sums."""
        return await self._run(partial(tables.summary, payer=payer))

    async def entries(
        self, states: Collection[State] = (), *, payer: Payer | None = None
    ) -> AsyncIterator[Entry]:
        """Iterate over entries."""
        after = ""
        query = (
            f"{tables.SELECT} agcod_entries WHERE reference > $1 AND (state = ANY($2) OR $2 IS NULL) "
            f"AND ((partner_id = $3 AND endpoint = $4) OR $3 IS NULL) ORDER BY reference LIMIT {PAGE}"
        )
        wanted = (list(states) or None, payer and payer.partner_id, payer and payer.endpoint)
        while page := await self._run(partial(tables.fetch, query=query, arguments=(after, *wanted))):
            for entry in page:
                yield entry
            after = page[-1].reference

    async def note(self, name: str) -> str | None:
        """Return a note."""
        return await self._run(partial(tables.note, name=name))

    async def take_note(self, name: str, note: str | None) -> None:
        """Remember a note."""
        await self._run(partial(tables.take_note, name=name, note=note))

    async def __aenter__(self) -> Self:
        if self._pool is not None:
            raise ConfigurationError("this ledger is open already")
        if not isinstance(self._dsn, str):
            self._pool = self._dsn
        else:
            # It connects when it is used, so what is wrong with the address is told there.
            self._pool = await asyncpg.create_pool(
                self._dsn, min_size=0, max_size=self._max_size, command_timeout=_COMMAND_TIMEOUT
            )
        try:
            await self._run(tables.migrate)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        pool, self._pool = self._pool, None
        if pool is not None and isinstance(self._dsn, str):
            await pool.close()

    async def _run(
        self,
        work: Callable[[Connection], Awaitable[R]],
        outcome: Outcome = "not_sent",
        lost: Outcome | None = None,
    ) -> R:
        """
        Do *work*, again if the connection is lost. What had been committed then, it finds.

        A failure says *outcome* about the money; or *lost*, once a connection was lost during the work.
        """
        pool = self._pool
        if pool is None:
            raise ConfigurationError("this ledger is not open: use it in 'async with'")
        for delay in (*RETRY_DELAYS, None):
            if pool is not self._pool:
                raise LedgerError("PostgreSQL: closed before it could be reached again", outcome=outcome)
            is_connected = False
            try:
                async with pool.acquire() as connection:
                    is_connected = True
                    return await work(connection)
            except _LOST as exc:
                if is_connected and lost is not None:
                    outcome = lost
                if delay is None:
                    raise _failure(exc, outcome) from exc
                await asyncio.sleep(delay)
            except asyncpg.PostgresError as exc:
                raise _failure(exc, outcome) from exc
        raise AssertionError("unreachable")


async def _once(work: Callable[[Connection], Awaitable[R]], connection: Connection) -> R:
    try:
        return await work(connection)
    except (*_LOST, asyncpg.PostgresError) as exc:
        raise _failure(exc, "not_sent") from exc


def _failure(exc: Exception, outcome: Outcome) -> LedgerError:
    return LedgerError(f"PostgreSQL: {type(exc).__name__}: {exc}", outcome=outcome)
