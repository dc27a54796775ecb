"""The ledger's tables in PostgreSQL: what runs on one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import LedgerError
from .planning import (
    LONGEST_LEASE,
    check_owned,
    check_same,
    claimed,
    identity,
    is_free,
    next_version,
    stale,
    total,
    unplanned,
)
from .rows import COLUMNS, STATE_COLUMNS, entry_from, intent_row, state_row
from .schema import migrations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from typing import TypeAlias

    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    from .entry import Entry, Intent, Payer, Total

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

# Two machines that start together must not both make the tables.
_SCHEMA_LOCK = 0x4147434F

_NAMES = ", ".join(COLUMNS)
SELECT = f"SELECT {_NAMES} FROM"
# Rows travel as one JSON text: any number of them, amounts as exact text.
_INSERT = (
    "INSERT INTO agcod_entries SELECT * FROM json_populate_recordset(NULL::agcod_entries, $1::json) "
    "ORDER BY reference ON CONFLICT (reference) DO NOTHING RETURNING reference"
)
_RETIRE = "INSERT INTO agcod_history SELECT * FROM json_populate_record(NULL::agcod_history, $1::json)"
_UPDATE = (
    "UPDATE agcod_entries SET "  # noqa: S608  (names of our own)
    + ", ".join(f"{column} = ${number}" for number, column in enumerate(STATE_COLUMNS, start=8))
    + " WHERE reference = $1 AND version = $2 AND request_id = $3"
    + " AND endpoint = $4 AND kind = $5 AND amount = $6 AND currency_code = $7"
)
_HAS_SCHEMA = (
    "SELECT count(*) FROM pg_catalog.pg_class "
    "WHERE relname = 'agcod_schema' AND pg_catalog.pg_table_is_visible(oid)"
)
_DUE = (
    f"{SELECT} agcod_entries WHERE partner_id = $1 AND endpoint = $2 "
    "AND due_at <= $3 AND (lease_until IS NULL OR lease_until <= $3 OR lease_until > $5) "
    "ORDER BY due_at, reference LIMIT $4"
)


async def plan(
    connection: Connection, *, fresh: Mapping[str, Entry], wanted: Mapping[str, Intent], payer: Payer
) -> dict[str, Entry]:
    """Plan all of *fresh*, or nothing, and return the entries by reference."""
    async with connection.transaction():
        known = await find(connection, list(fresh))
        check_same(known, wanted, payer)
        new = [entry for reference, entry in fresh.items() if reference not in known]
        inserted = await _insert(connection, new)
        # Somebody else has planned the rest meanwhile, perhaps as something else.
        others = await find(connection, [entry.reference for entry in new if entry.reference not in inserted])
        check_same(others, wanted, payer)
        return {**known, **others, **{reference: fresh[reference] for reference in inserted}}


class Begin:
    """Inserts *fresh* as begun, or begins what is there; knows, when it is repeated, what it has written."""

    def __init__(
        self, fresh: Entry, start: Callable[[Entry], Entry | None], wanted: Mapping[str, Intent]
    ) -> None:
        self._fresh = fresh
        self._start = start
        self._wanted = wanted
        self._written: Entry | None = None

    async def __call__(self, connection: Connection) -> tuple[Entry, bool]:
        """Begin, on one connection."""
        written, first = self._written, self._start(self._fresh)
        self._written = self._written or first
        if first and await _insert(connection, [first]):
            return first, True
        known = await _expect(connection, self._fresh.reference)
        check_same({known.reference: known}, self._wanted, self._fresh.payer)
        if known == written:
            return known, True
        self._written = mine = self._start(known)
        if mine and not await _update(connection, known, mine):
            return await _expect(connection, known.reference), False
        return mine or known, mine is not None


async def claim(
    connection: Connection, *, reference: str, payer: Payer, owner: str, lease: float, now: datetime
) -> Entry | None:
    """Take an entry."""
    while True:
        entry = await _expect(connection, reference)
        check_owned(entry, payer)
        if not is_free(entry, owner, now):
            return None
        mine = claimed(entry, owner, lease, now)
        if await _update(connection, entry, mine):
            return mine


async def due(
    connection: Connection, *, payer: Payer, now: datetime, limit: int, locks: str = ""
) -> list[Entry]:
    """Return what is due and free."""
    arguments = (payer.partner_id, payer.endpoint, now, limit, now + LONGEST_LEASE)
    return await fetch(connection, query=_DUE + locks, arguments=arguments)


async def claim_due(
    connection: Connection, *, payer: Payer, owner: str, lease: float, limit: int, now: datetime
) -> list[Entry]:
    """Take what is due."""
    async with connection.transaction():
        found = await due(connection, payer=payer, now=now, limit=limit, locks=" FOR UPDATE SKIP LOCKED")
        mine = [claimed(entry, owner, lease, now) for entry in found]
        rows = [_update_row(before, after) for before, after in zip(found, mine, strict=True)]
        await connection.executemany(_UPDATE, rows)
    return mine


class Save:
    """Compares and sets; knows, when it is repeated, what its own lost attempt has written."""

    def __init__(self, entry: Entry, retired: Entry | None) -> None:
        self._before = retired or entry
        self._retired = retired
        self._after = next_version(entry)
        self._is_repeated = False

    async def __call__(self, connection: Connection) -> Entry:
        """Save, on one connection."""
        is_repeated, self._is_repeated = self._is_repeated, True
        if self._retired is None:
            is_done = await _update(connection, self._before, self._after)
        else:
            is_done = await self._retire(connection, _record(self._retired))
        if is_done or (is_repeated and await get(connection, self._before.reference) == self._after):
            return self._after
        raise stale(self._before)

    async def _retire(self, connection: Connection, dead: dict[str, object]) -> bool:
        async with connection.transaction():
            if not await _update(connection, self._before, self._after):
                return False
            await connection.execute(_RETIRE, _json(dead))
        return True


async def _update(connection: Connection, before: Entry, after: Entry) -> bool:
    """Compare and set; return whether it was done."""
    return await connection.execute(_UPDATE, *_update_row(before, after)) == "UPDATE 1"


def _update_row(before: Entry, after: Entry) -> tuple[object, ...]:
    return *identity(before), *state_row(after)


async def _insert(connection: Connection, entries: Iterable[Entry]) -> set[str]:
    """Insert those whose reference is new, and return which."""
    records = [_record(entry) for entry in entries]
    rows = await connection.fetch(_INSERT, _json(records)) if records else []
    return {row["reference"] for row in rows}


def _record(entry: Entry) -> dict[str, object]:
    return dict(zip(COLUMNS, (*intent_row(entry), *state_row(entry)), strict=True))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def get(connection: Connection, reference: str) -> Entry | None:
    """Return the entry of a reference."""
    found = await find(connection, [reference])
    return found.get(reference)


async def _expect(connection: Connection, reference: str) -> Entry:
    entry = await get(connection, reference)
    if entry is None:
        raise unplanned(reference)
    return entry


async def find(connection: Connection, references: list[str]) -> dict[str, Entry]:
    """Return the entries of those references that have one."""
    if not references:
        return {}
    query = f"{SELECT} agcod_entries WHERE reference = ANY($1)"
    found = await fetch(connection, query=query, arguments=(references,))
    return {entry.reference: entry for entry in found}


async def fetch(connection: Connection, *, query: str, arguments: tuple[Any, ...]) -> list[Entry]:
    """Return the entries that *query* selects."""
    return [entry_from(tuple(row)) for row in await connection.fetch(query, *arguments)]


async def summary(connection: Connection, *, payer: Payer | None) -> list[Total]:
    """Return counts and sums."""
    rows = await connection.fetch(
        "SELECT partner_id, endpoint, state, currency_code, count(*), sum(amount) FROM agcod_entries "
        "WHERE (partner_id = $1 AND endpoint = $2) OR $1 IS NULL "
        "GROUP BY partner_id, endpoint, state, currency_code",
        payer and payer.partner_id,
        payer and payer.endpoint,
    )
    return [total(*row) for row in sorted(tuple(row) for row in rows)]


async def note(connection: Connection, *, name: str) -> str | None:
    """Return a note."""
    text: str | None = await connection.fetchval("SELECT note FROM agcod_notes WHERE name = $1", name)
    return text


async def take_note(connection: Connection, *, name: str, note: str | None) -> None:
    """Remember a note, or forget it."""
    if note is None:
        await connection.execute("DELETE FROM agcod_notes WHERE name = $1", name)
    else:
        await connection.execute(
            "INSERT INTO agcod_notes (name, note) VALUES ($1, $2) "
            "ON CONFLICT (name) DO UPDATE SET note = excluded.note",
            name,
            note,
        )


async def migrate(connection: Connection) -> None:
    """Bring the tables up to date. Where they are, nothing is touched: no right to create is needed."""
    newest = migrations("postgres")[-1].number
    if await _version(connection) == newest:
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
        number = await _version(connection)
        if number > newest:
            raise LedgerError(
                f"PostgreSQL: the ledger's schema is {number}, and this version knows {newest}: "
                "upgrade agcod-async"
            )
        for step in migrations("postgres"):
            if step.number > number:
                await connection.execute(step.script)


async def _version(connection: Connection) -> int:
    # Not to_regclass: what it has looked for in vain once, it may not find later in the same transaction.
    if not await connection.fetchval(_HAS_SCHEMA):
        return 0
    number: int = await connection.fetchval("SELECT max(version) FROM agcod_schema")
    return number
