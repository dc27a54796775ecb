"""Both books side by side: a temporary SQLite table each, on disk as far as memory does not hold them."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

import msgspec

from ..money import Money
from .findings import Finding, FindingKind, Here, There, is_in_time, judge, span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence

    from ..ledger import Entry, State
    from ..model import CardActivity
    from ..statement import Effect

R = TypeVar("R")

BATCH = 1000
"""Rows that are handed to the thread, or back, at a time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# In KiB: what is beyond it goes to the disk.
_CACHE = 16_384
_CHARGE = msgspec.json.Decoder(Money | None)

_SCHEMA = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{_CACHE};

CREATE TABLE there (
    request_id TEXT NOT NULL PRIMARY KEY,
    charges TEXT NOT NULL,
    refunds INTEGER NOT NULL,
    repeats INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    unknowns INTEGER NOT NULL,
    charged_at INTEGER,
    refunded_at INTEGER,
    failed_at INTEGER,
    unknown_at INTEGER,
    gc_id TEXT,
    failure_code TEXT,
    unknown_type TEXT
) WITHOUT ROWID;

CREATE TABLE here (
    request_id TEXT NOT NULL PRIMARY KEY,
    reference TEXT NOT NULL,
    generation INTEGER NOT NULL,
    state TEXT NOT NULL,
    amount TEXT NOT NULL,
    currency_code TEXT NOT NULL,
    gc_id TEXT,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    is_listed INTEGER NOT NULL,
    is_in_time INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX here_reference ON here (reference);
"""

# The first of each time, type and code stays; charges are gathered, a line each.
_NOTE = """
INSERT INTO there VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (request_id) DO UPDATE SET
    charges = charges || excluded.charges,
    refunds = refunds + excluded.refunds,
    repeats = repeats + excluded.repeats,
    failures = failures + excluded.failures,
    unknowns = unknowns + excluded.unknowns,
    charged_at = coalesce(charged_at, excluded.charged_at),
    refunded_at = coalesce(refunded_at, excluded.refunded_at),
    failed_at = coalesce(failed_at, excluded.failed_at),
    unknown_at = coalesce(unknown_at, excluded.unknown_at),
    gc_id = coalesce(gc_id, excluded.gc_id),
    failure_code = coalesce(failure_code, excluded.failure_code),
    unknown_type = coalesce(unknown_type, excluded.unknown_type)
"""

# A ledger may be far longer than the time: only what can meet a record, or should have, is kept.
_ENTER = """
WITH entry (
    request_id, reference, generation, state, amount, currency_code, gc_id, since, until,
    is_listed, is_in_time
) AS (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT OR REPLACE INTO here SELECT * FROM entry
WHERE is_in_time OR EXISTS (SELECT 1 FROM there WHERE there.request_id = entry.request_id)
"""

_REACH = """
SELECT min(since), max(until) FROM here LEFT JOIN there USING (request_id)
WHERE is_listed AND (
    (state = 'issued' AND is_in_time AND coalesce(charges, '') = '' AND coalesce(repeats, 0) = 0)
    OR (state = 'reversed' AND charges <> '' AND refunds = 0)
)
"""

_COLUMNS = """
    request_id, charges, refunds, repeats, failures, unknowns, charged_at, refunded_at, failed_at, unknown_at,
    there.gc_id AS gc_id_there, failure_code, unknown_type,
    reference, generation, state, amount, currency_code, here.gc_id AS gc_id_here, until,
    is_listed, is_in_time
"""
_PAIRS = f"""
WITH pairs AS (
SELECT {_COLUMNS},
    state <> 'issued' AND charges <> '' AND EXISTS (
        SELECT 1 FROM here AS other JOIN there AS its USING (request_id)
        WHERE other.reference = here.reference AND other.request_id <> here.request_id
        AND its.charges <> '' AND its.refunds = 0
    ) AS has_charged_sibling
FROM there LEFT JOIN here USING (request_id)
UNION ALL
SELECT {_COLUMNS}, 0
FROM here LEFT JOIN there USING (request_id) WHERE there.request_id IS NULL
)
SELECT * FROM pairs
ORDER BY coalesce(charged_at, refunded_at, failed_at, unknown_at, until), request_id
"""  # noqa: S608  (names of our own)


class Pair(NamedTuple):
    """One row of the two books side by side; times are microseconds."""

    request_id: str
    charges: str | None
    refunds: int | None
    repeats: int | None
    failures: int | None
    unknowns: int | None
    charged_at: int | None
    refunded_at: int | None
    failed_at: int | None
    unknown_at: int | None
    gc_id_there: str | None
    failure_code: str | None
    unknown_type: str | None
    reference: str | None
    generation: int | None
    state: State | None
    amount: str | None
    currency_code: str | None
    gc_id_here: str | None
    until: int | None
    is_listed: int | None
    is_in_time: int | None
    has_charged_sibling: int | None


class Worksheet:
    """
    Holds what both books say about a time until it is compared. Its file has no name, and goes with it.

    Args:
        start: the first moment of the time.
        end: the first moment after it.
    """

    def __init__(self, start: datetime, end: datetime) -> None:
        self._start, self._end = start, end
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="agcod-reconcile")
        self._file = ExitStack()

    async def note(self, records: Iterable[tuple[CardActivity, Effect]]) -> None:
        """Enter records of the activity."""
        rows = [_there_row(record, effect) for record, effect in records]
        await self._run(lambda: self._connection.executemany(_NOTE, rows))

    async def enter(self, entries: Iterable[tuple[Entry, bool]]) -> None:
        """Enter entries of the ledger, each with whether its kind is listed there, after the activity."""
        rows = [_here_row(entry, is_listed, self._start, self._end) for entry, is_listed in entries]
        await self._run(lambda: self._connection.executemany(_ENTER, rows))

    async def reach(self) -> tuple[datetime, datetime] | None:
        """Return from when to when the records lie, if there are any, whose absence would be a difference."""
        since, until = await self._run(lambda: self._connection.execute(_REACH).fetchone())
        return None if since is None else (_moment(since), _moment(until))

    async def findings(self, kinds: Collection[FindingKind] = ()) -> AsyncIterator[Finding]:
        """Compare the books, ascending by time."""
        found = await self._run(lambda: self._compare(frozenset(kinds)))
        while batch := await self._run(partial(_take, found)):
            for finding in batch:
                yield finding

    async def count_no_ops(self) -> int:
        """Return how many records changed nothing, failures apart."""
        query = "SELECT coalesce(sum(repeats), 0) FROM there"
        count: int = (await self._run(lambda: self._connection.execute(query).fetchone()))[0]
        return count

    async def __aenter__(self) -> Self:
        try:
            await self._run(self._open)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def _open(self) -> None:
        # Without a name, and private to this connection.
        self._connection = self._file.enter_context(closing(sqlite3.connect("", isolation_level=None)))
        self._connection.executescript(_SCHEMA)
        self._connection.execute("BEGIN")

    async def _close(self) -> None:
        # What is under way ends first: it is the same thread. The file goes even if its user is cancelled.
        closed = asyncio.wrap_future(self._executor.submit(self._file.close))
        self._executor.shutdown(wait=False)
        await asyncio.shield(closed)

    async def _run(self, work: Callable[[], R]) -> R:
        return await self._loop.run_in_executor(self._executor, work)

    def _compare(self, kinds: frozenset[FindingKind]) -> Iterator[Finding]:
        start, end = _micros(self._start), _micros(self._end)
        for row in map(Pair._make, self._connection.execute(_PAIRS)):
            for finding in _findings(row, start, end):
                if not kinds or finding.kind in kinds:
                    yield finding


def _take(found: Iterator[Finding]) -> Sequence[Finding]:
    return [*islice(found, BATCH)]


def _findings(row: Pair, start: int, end: int) -> Iterator[Finding]:
    """Return what is to be said of a row: its verdict, charges beyond the first, and what nobody can read."""

    def is_within(at: int | None) -> bool:
        # What cannot be read was listed for the time that was asked for.
        return at is None or start <= at < end

    here = _here(row)
    there = _there(row, counts_failures=is_within(row.failed_at))
    happened_at = row.charged_at if there.charges else row.refunded_at
    if is_within(happened_at) or not (there.charges or there.refunds):
        kind = judge(there, here)
        if kind is not None:
            issued = here.value if here and here.state == "issued" else None
            detail = row.unknown_type if kind == "unlisted" else row.failure_code
            yield _finding(row, kind, charged=next(iter(there.kept), None), issued=issued, detail=detail)
        for charge in there.kept[1:]:
            yield _finding(row, "duplicate", charged=charge)
    if there.unknowns and is_within(row.unknown_at) and (here is None or here.is_listed):
        yield _finding(row, "unknown_activity", at=row.unknown_at, detail=row.unknown_type)


def _finding(
    row: Pair,
    kind: FindingKind,
    *,
    charged: Money | None = None,
    issued: Money | None = None,
    at: int | None = None,
    detail: str | None = None,
) -> Finding:
    times = (at, row.charged_at, row.refunded_at, row.until, row.failed_at)
    first = next((each for each in times if each is not None), None)
    return Finding(
        kind=kind,
        request_id=row.request_id or None,
        reference=row.reference,
        generation=row.generation,
        state=row.state,
        charged=charged,
        issued=issued,
        at=None if first is None else _moment(first),
        gc_id=row.gc_id_there or row.gc_id_here,
        detail=detail,
    )


def _there(row: Pair, *, counts_failures: bool) -> There:
    return There(
        charges=tuple(_CHARGE.decode(line) for line in (row.charges or "").split("\n")[:-1]),
        refunds=row.refunds or 0,
        repeats=row.repeats or 0,
        failures=(row.failures or 0) if counts_failures else 0,
        unknowns=row.unknowns or 0,
    )


def _here(row: Pair) -> Here | None:
    if row.state is None:
        return None
    assert row.amount is not None
    assert row.currency_code is not None
    return Here(
        value=Money(Decimal(row.amount), row.currency_code),
        state=row.state,
        is_listed=bool(row.is_listed),
        is_in_time=bool(row.is_in_time),
        has_charged_sibling=bool(row.has_charged_sibling),
    )


def _there_row(record: CardActivity, effect: Effect) -> tuple[object, ...]:
    if effect in ("charge", "refund") and not record.request_id:
        effect = "unknown"
    at = None if record.activity_time is None else _micros(record.activity_time)
    return (
        record.request_id or "",
        msgspec.json.encode(record.card_value).decode() + "\n" if effect == "charge" else "",
        *(effect == each for each in ("refund", "repeat", "failed", "unknown")),
        *(at if effect == each else None for each in ("charge", "refund", "failed", "unknown")),
        record.gc_id,
        record.failure_code,
        record.activity_type if effect == "unknown" else None,
    )


def _here_row(entry: Entry, is_listed: bool, start: datetime, end: datetime) -> tuple[object, ...]:
    since, until = span(entry)
    return (
        entry.request_id,
        entry.reference,
        entry.generation,
        entry.state,
        str(entry.value.amount),
        entry.value.currency_code,
        entry.gc_id,
        _micros(since),
        _micros(until),
        is_listed,
        is_in_time(entry, start, end),
    )


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
