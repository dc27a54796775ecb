"""The embedded ledger: one SQLite file, for all processes of one machine."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..checks import check_reference
from ..clock import utc_now
from ..errors import ConfigurationError
from .batch import Batches, Work
from .entry import Entry, Glance, Intent, Payer, State, Total
from .mounts import read_mounts
from .planning import (
    LONGEST_LEASE,
    begun,
    check_lease,
    check_owned,
    check_same,
    check_save,
    checked_intents,
    claimed,
    glances,
    identity,
    is_free,
    next_version,
    planned,
    stale,
    total,
    unplanned,
)
from .rows import COLUMNS, STATE_COLUMNS, entry_from, intent_row, state_row
from .sqlite_file import SQLiteFile

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence

    from ..errors import Outcome

R = TypeVar("R")

PAGE = 1000
"""Entries that are read at a time."""

# SQLite before 3.32 takes no more values in one statement.
_VALUES = 900

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM"
_BEGIN = (
    f"INSERT INTO entries ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608  (our names)
    "ON CONFLICT (reference) DO NOTHING"
)
_UPDATE = (
    f"UPDATE entries SET {', '.join(f'{column} = ?' for column in STATE_COLUMNS)} "  # noqa: S608  (our names)
    "WHERE reference = ? AND version = ? AND request_id = ? AND endpoint = ? AND kind = ? AND amount = ? "
    "AND currency_code = ?"
)
# What most entries of a campaign are compared by: a whole entry takes four times as long.
_GLANCE = (
    "SELECT reference, state, goal, "
    "kind, amount, currency_code, program_id, product_type, partner_id, endpoint FROM entries"
)
_DUE = (
    f"{_SELECT} entries WHERE partner_id = ? AND endpoint = ? AND due_at <= ? "
    "AND (lease_until IS NULL OR lease_until <= ? OR lease_until > ?) ORDER BY due_at, reference LIMIT ?"
)


class SQLiteLedger:
    """
    Keeps entries in a file of mode 0600 on a local disk.

    Any number of processes and tasks of one machine may use the file. For more machines take PostgresLedger.

    Args:
        path: the file; made if there is none.
        clock: a callable giving the aware UTC time.
        mounts: returns the table of mounts; network file systems are refused.
        sqlite_version: decides the journal's mode, see
            :func:`~agcod_async.ledger.sqlite_file.wal_is_safe`.

    Raises:
        LedgerError:
            on entering: the file cannot be made, read or written, is no ledger, was written by a newer
            version, or is on a network file system.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] = utc_now,
        mounts: Callable[[], str] = read_mounts,
        sqlite_version: tuple[int, ...] = sqlite3.sqlite_version_info,
    ) -> None:
        if str(path) in ("", ":memory:"):
            raise ConfigurationError("path: a file is needed; MemoryLedger is what forgets")
        self._clock = clock
        self._file = SQLiteFile(Path(path), mounts=mounts, version=sqlite_version)
        self._batches: Batches[sqlite3.Connection] | None = None

    async def plan(self, intents: Iterable[Intent], *, payer: Payer, due_in: float = 0.0) -> list[Entry]:
        """Note what is to be issued."""
        intents = list(intents)
        wanted = checked_intents(intents, payer)
        fresh = _planner(payer, self._clock(), due_in)
        entries = await self._write(partial(_plan, wanted=wanted, payer=payer, fresh=fresh))
        return [entries[intent.reference] for intent in intents]

    async def begin(
        self, intent: Intent, *, payer: Payer, owner: str, lease: float, signing: datetime | None = None
    ) -> tuple[Entry, bool]:
        """Plan, claim and mark as sent."""
        check_lease(owner, lease)
        wanted = checked_intents([intent], payer)
        now = self._clock()
        fresh = _planner(payer, now, 0.0)
        start = partial(begun, owner=owner, lease=lease, now=now, signing=signing)
        return await self._write(partial(_begin, wanted=wanted, payer=payer, fresh=fresh, start=start))

    async def get(self, reference: str) -> Entry | None:
        """Return the entry of a reference."""
        check_reference(reference)
        return await self._read(partial(_get, reference=reference))

    async def find(self, references: Collection[str]) -> dict[str, Entry]:
        """Return the entries of some references."""
        return await self._read(partial(_known, references=list(references)))

    async def look(self, intents: Sequence[Intent], *, payer: Payer) -> list[Glance | None]:
        """Return how intents stand."""
        return await self._read(partial(_look, intents=intents, payer=payer))

    async def claim(self, reference: str, *, payer: Payer, owner: str, lease: float) -> Entry | None:
        """Take an entry."""
        check_reference(reference)
        check_lease(owner, lease)
        now = self._clock()
        work = partial(_claim, reference=reference, payer=payer, owner=owner, lease=lease, now=now)
        return await self._write(work)

    async def claim_due(self, *, payer: Payer, owner: str, lease: float, limit: int) -> list[Entry]:
        """Take what is due."""
        check_lease(owner, lease)
        now = self._clock()
        work = partial(_claim_due, payer=payer, owner=owner, lease=lease, limit=limit, now=now)
        return await self._write(work)

    async def save(self, entry: Entry, *, retired: Entry | None = None) -> Entry:
        """Store the next state of an entry."""
        check_save(entry, retired)
        return await self._write(partial(_save, entry=entry, retired=retired), outcome="unknown")

    async def due(self, now: datetime, limit: int, *, payer: Payer) -> list[Entry]:
        """Return what could be claimed."""
        return await self._read(partial(_due, payer=payer, now=now, limit=limit))

    async def history(self, reference: str) -> list[Entry]:
        """Return the dead generations of a reference."""
        check_reference(reference)
        return await self._read(partial(_history, reference=reference))

    async def summary(self, *, payer: Payer | None = None) -> list[Total]:
        """Return counts and sums."""
        return await self._read(partial(_summary, payer=payer))

    async def entries(
        self, states: Collection[State] = (), *, payer: Payer | None = None
    ) -> AsyncIterator[Entry]:
        """Iterate over entries."""
        after = ""
        while page := await self._read(partial(_page, after=after, states=tuple(states), payer=payer)):
            for entry in page:
                yield entry
            after = page[-1].reference

    async def note(self, name: str) -> str | None:
        """Return a note."""
        return await self._read(partial(_note, name=name))

    async def take_note(self, name: str, note: str | None) -> None:
        """Remember a note."""
        await self._write(partial(_take_note, name=name, note=note))

    async def __aenter__(self) -> Self:
        if self._batches is not None:
            raise ConfigurationError("this ledger is open already")
        batches: Batches[sqlite3.Connection] = Batches(self._file.run_all)
        try:
            await batches.first(self._file.open)
        except BaseException:
            await batches.aclose(self._file.close)
            raise
        self._batches = batches
        return self

    async def __aexit__(self, *_: object) -> None:
        batches, self._batches = self._batches, None
        if batches is not None:
            await batches.aclose(self._file.close)

    async def _read(self, run: Callable[[sqlite3.Connection], R]) -> R:
        return await self._do(Work(run=run, writes=False, outcome="not_sent"))

    async def _write(self, run: Callable[[sqlite3.Connection], R], outcome: Outcome = "not_sent") -> R:
        return await self._do(Work(run=run, writes=True, outcome=outcome))

    async def _do(self, work: Work[sqlite3.Connection, R]) -> R:
        if self._batches is None:
            raise ConfigurationError("this ledger is not open: use it in 'async with'")
        return await self._batches.do(work)


# What runs in the thread, inside a transaction


def _planner(payer: Payer, now: datetime, due_in: float) -> Callable[[Intent], Entry]:
    return partial(planned, payer=payer, now=now, due_in=due_in)


def _plan(
    connection: sqlite3.Connection,
    *,
    wanted: Mapping[str, Intent],
    payer: Payer,
    fresh: Callable[[Intent], Entry],
) -> dict[str, Entry]:
    entries = _known(connection, list(wanted))
    check_same(entries, wanted, payer)
    new = {reference: fresh(intent) for reference, intent in wanted.items() if reference not in entries}
    _insert(connection, "entries", new.values())
    return {**entries, **new}


def _begin(
    connection: sqlite3.Connection,
    *,
    wanted: Mapping[str, Intent],
    payer: Payer,
    fresh: Callable[[Intent], Entry],
    start: Callable[[Entry], Entry | None],
) -> tuple[Entry, bool]:
    [(reference, intent)] = wanted.items()
    first = start(fresh(intent))
    assert first is not None  # what is new has neither a past nor a driver
    # Most references are new, and one statement both finds that out and notes it.
    if connection.execute(_BEGIN, _row(first)).rowcount == 1:
        return first, True
    [known] = _known(connection, [reference]).values()
    check_same({reference: known}, wanted, payer)
    mine = start(known)
    if mine is None:
        return known, False
    return _update(connection, known, mine), True


def _claim(
    connection: sqlite3.Connection,
    *,
    reference: str,
    payer: Payer,
    owner: str,
    lease: float,
    now: datetime,
) -> Entry | None:
    entry = _get(connection, reference)
    if entry is None:
        raise unplanned(reference)
    check_owned(entry, payer)
    if not is_free(entry, owner, now):
        return None
    return _update(connection, entry, claimed(entry, owner, lease, now))


def _claim_due(
    connection: sqlite3.Connection, *, payer: Payer, owner: str, lease: float, limit: int, now: datetime
) -> list[Entry]:
    due = _due(connection, payer=payer, now=now, limit=limit)
    return [_update(connection, entry, claimed(entry, owner, lease, now)) for entry in due]


def _save(connection: sqlite3.Connection, *, entry: Entry, retired: Entry | None) -> Entry:
    stored = _update(connection, retired or entry, next_version(entry))
    if retired is not None:
        _insert(connection, "history", [retired])
    return stored


def _update(connection: sqlite3.Connection, before: Entry, after: Entry) -> Entry:
    """Compare and set."""
    reference, version, request_id, endpoint, kind, amount, currency = identity(before)
    key = (reference, version, request_id, endpoint, kind, str(amount), currency)
    if connection.execute(_UPDATE, (*state_row(after, _micros), *key)).rowcount != 1:
        raise stale(before)
    return after


def _insert(connection: sqlite3.Connection, table: str, entries: Iterable[Entry]) -> None:
    rows = [_row(entry) for entry in entries]
    if not rows:
        return
    # Most columns of a new entry are empty, and a statement has its own cost: in a third of the time without.
    used = [place for place in range(len(COLUMNS)) if any(row[place] is not None for row in rows)]
    names, marks = ", ".join(COLUMNS[place] for place in used), f"({', '.join('?' * len(used))})"
    values, size = itemgetter(*used), _VALUES // len(used)
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        statement = f"INSERT INTO {table} ({names}) VALUES {', '.join([marks] * len(some))}"  # noqa: S608  (names of our own)
        connection.execute(statement, [*chain.from_iterable(map(values, some))])


def _get(connection: sqlite3.Connection, reference: str) -> Entry | None:
    rows = connection.execute(f"{_SELECT} entries WHERE reference = ?", (reference,))
    return next(map(_entry, rows), None)


def _known(connection: sqlite3.Connection, references: Sequence[str]) -> dict[str, Entry]:
    known: dict[str, Entry] = {}
    for start in range(0, len(references), _VALUES):
        some = references[start : start + _VALUES]
        marks = ", ".join("?" * len(some))
        for row in connection.execute(f"{_SELECT} entries WHERE reference IN ({marks})", some):
            entry = _entry(row)
            known[entry.reference] = entry
    return known


def _look(connection: sqlite3.Connection, *, intents: Sequence[Intent], payer: Payer) -> list[Glance | None]:
    rows: dict[str, tuple[Any, ...]] = {}
    for start in range(0, len(intents), _VALUES):
        some = [intent.reference for intent in intents[start : start + _VALUES]]
        marks = ", ".join("?" * len(some))
        for row in connection.execute(f"{_GLANCE} WHERE reference IN ({marks})", some):
            rows[row[0]] = row
    same: dict[tuple[Any, ...], Glance] = {}
    account = payer.partner_id, payer.endpoint
    seen: list[Glance | None] = []
    for intent in intents:
        row = rows.get(intent.reference)
        value = intent.value
        if row is None:
            seen.append(None)
        elif intent.kind == row[3] == "create" and row[4:] == (
            str(value.amount), value.currency_code, intent.program_id, intent.product_type, *account,
        ):  # fmt: skip
            key = row[1:3]
            seen.append(same.get(key) or same.setdefault(key, Glance(*key)))
        else:
            seen += glances(_known(connection, [intent.reference]), [intent], payer)
    return seen


def _due(connection: sqlite3.Connection, *, payer: Payer, now: datetime, limit: int) -> list[Entry]:
    moment = _micros(now)
    values = (payer.partner_id, payer.endpoint, moment, moment, _micros(now + LONGEST_LEASE), limit)
    return [*map(_entry, connection.execute(_DUE, values))]


def _history(connection: sqlite3.Connection, *, reference: str) -> list[Entry]:
    rows = connection.execute(f"{_SELECT} history WHERE reference = ? ORDER BY generation", (reference,))
    return [*map(_entry, rows)]


def _page(
    connection: sqlite3.Connection, *, after: str, states: Sequence[State], payer: Payer | None
) -> list[Entry]:
    within = f"AND state IN ({', '.join('?' * len(states))})" if states else ""
    mine, payers = _paid_by(payer)
    rows = connection.execute(
        f"{_SELECT} entries WHERE reference > ? {within} {mine} ORDER BY reference LIMIT {PAGE}",
        (after, *states, *payers),
    )
    return [*map(_entry, rows)]


def _summary(connection: sqlite3.Connection, *, payer: Payer | None) -> list[Total]:
    # SQLite would add text up as floats: it counts, and Python adds.
    counts: defaultdict[tuple[str, str, State, str], int] = defaultdict(int)
    sums: defaultdict[tuple[str, str, State, str], Decimal] = defaultdict(Decimal)
    mine, payers = _paid_by(payer)
    group = "partner_id, endpoint, state, currency_code, amount"
    query = f"SELECT {group}, count(*) FROM entries WHERE 1 {mine} GROUP BY {group}"  # noqa: S608  (our names)
    for partner_id, endpoint, state, currency, amount, count in connection.execute(query, payers):
        counts[partner_id, endpoint, state, currency] += count
        sums[partner_id, endpoint, state, currency] += count * Decimal(amount)
    return [total(*key, counts[key], amount) for key, amount in sorted(sums.items())]


def _note(connection: sqlite3.Connection, *, name: str) -> str | None:
    rows: list[tuple[str]] = connection.execute("SELECT note FROM notes WHERE name = ?", (name,)).fetchall()
    return rows[0][0] if rows else None


def _take_note(connection: sqlite3.Connection, *, name: str, note: str | None) -> None:
    if note is None:
        connection.execute("DELETE FROM notes WHERE name = ?", (name,))
    else:
        connection.execute("INSERT OR REPLACE INTO notes (name, note) VALUES (?, ?)", (name, note))


def _paid_by(payer: Payer | None) -> tuple[str, tuple[str, ...]]:
    """Return what a WHERE goes on with, and its values."""
    if payer is None:
        return "", ()
    return "AND partner_id = ? AND endpoint = ?", (payer.partner_id, payer.endpoint)


def _row(entry: Entry) -> tuple[object, ...]:
    return (*intent_row(entry, str), *state_row(entry, _micros))


def _entry(row: Sequence[object]) -> Entry:
    return entry_from(row, _moment)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
