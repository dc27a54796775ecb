"""A ledger that forgets: for tests."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Self

from ..checks import check_reference
from ..clock import utc_now
from .entry import Entry, Glance, Intent, Payer, State, Total
from .planning import (
    begun,
    check_lease,
    check_owned,
    check_same,
    check_save,
    checked_intents,
    claimed,
    glances,
    identity,
    is_due,
    is_free,
    next_version,
    planned,
    stale,
    total,
    unplanned,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
    from datetime import datetime


class MemoryLedger:
    """Keeps entries as long as it lives. Each method is one step of the loop, begun a step later."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._history: defaultdict[str, list[Entry]] = defaultdict(list)
        self._notes: dict[str, str] = {}

    async def plan(self, intents: Iterable[Intent], *, payer: Payer, due_in: float = 0.0) -> list[Entry]:
        """Note what is to be issued."""
        intents = list(intents)
        wanted = checked_intents(intents, payer)
        await asyncio.sleep(0)
        self._plan(wanted, payer, due_in)
        return [self._entries[intent.reference] for intent in intents]

    async def begin(
        self, intent: Intent, *, payer: Payer, owner: str, lease: float, signing: datetime | None = None
    ) -> tuple[Entry, bool]:
        """Plan, claim and mark as sent."""
        check_lease(owner, lease)
        wanted = checked_intents([intent], payer)
        await asyncio.sleep(0)
        self._plan(wanted, payer, 0.0)
        entry = self._entries[intent.reference]
        mine = begun(entry, owner, lease, self._clock(), signing)
        return self._put(mine or entry), mine is not None

    async def get(self, reference: str) -> Entry | None:
        """Return the entry of a reference."""
        check_reference(reference)
        await asyncio.sleep(0)
        return self._entries.get(reference)

    async def find(self, references: Collection[str]) -> dict[str, Entry]:
        """Return the entries of some references."""
        await asyncio.sleep(0)
        return {each: self._entries[each] for each in references if each in self._entries}

    async def look(self, intents: Sequence[Intent], *, payer: Payer) -> list[Glance | None]:
        """Return how intents stand."""
        await asyncio.sleep(0)
        return glances(self._entries, intents, payer)

    async def claim(self, reference: str, *, payer: Payer, owner: str, lease: float) -> Entry | None:
        """Take an entry."""
        check_reference(reference)
        check_lease(owner, lease)
        await asyncio.sleep(0)
        if reference not in self._entries:
            raise unplanned(reference)
        entry, now = self._entries[reference], self._clock()
        check_owned(entry, payer)
        return self._put(claimed(entry, owner, lease, now)) if is_free(entry, owner, now) else None

    async def claim_due(self, *, payer: Payer, owner: str, lease: float, limit: int) -> list[Entry]:
        """Take what is due."""
        check_lease(owner, lease)
        await asyncio.sleep(0)
        now = self._clock()
        return [self._put(claimed(entry, owner, lease, now)) for entry in self._due(payer, now, limit)]

    async def save(self, entry: Entry, *, retired: Entry | None = None) -> Entry:
        """Store the next state of an entry."""
        check_save(entry, retired)
        await asyncio.sleep(0)
        before, known = retired or entry, self._entries.get(entry.reference)
        if known is None or identity(known) != identity(before):
            raise stale(entry)
        if retired:
            self._history[entry.reference].append(retired)
        return self._put(next_version(entry))

    async def due(self, now: datetime, limit: int, *, payer: Payer) -> list[Entry]:
        """Return what could be claimed."""
        await asyncio.sleep(0)
        return self._due(payer, now, limit)

    async def history(self, reference: str) -> list[Entry]:
        """Return the dead generations of a reference."""
        check_reference(reference)
        await asyncio.sleep(0)
        return [*self._history.get(reference, ())]

    async def summary(self, *, payer: Payer | None = None) -> list[Total]:
        """Return counts and sums."""
        await asyncio.sleep(0)
        sums: defaultdict[tuple[str, str, State, str], list[Decimal]] = defaultdict(list)
        for entry in self._entries.values():
            if payer in (None, entry.payer):
                key = (entry.partner_id, entry.endpoint, entry.state, entry.value.currency_code)
                sums[key].append(entry.value.amount)
        return [total(*key, len(amounts), sum(amounts, Decimal(0))) for key, amounts in sorted(sums.items())]

    async def entries(
        self, states: Collection[State] = (), *, payer: Payer | None = None
    ) -> AsyncIterator[Entry]:
        """Iterate over entries."""
        for reference in sorted(self._entries):
            await asyncio.sleep(0)
            entry = self._entries[reference]
            if (not states or entry.state in states) and payer in (None, entry.payer):
                yield entry

    async def note(self, name: str) -> str | None:
        """Return a note."""
        await asyncio.sleep(0)
        return self._notes.get(name)

    async def take_note(self, name: str, note: str | None) -> None:
        """Remember a note."""
        await asyncio.sleep(0)
        if note is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = note

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def _plan(self, wanted: dict[str, Intent], payer: Payer, due_in: float) -> None:
        known = {reference: self._entries[reference] for reference in wanted if reference in self._entries}
        check_same(known, wanted, payer)
        now = self._clock()
        for reference, intent in wanted.items():
            if reference not in known:
                self._entries[reference] = planned(intent, payer, now, due_in)

    def _put(self, entry: Entry) -> Entry:
        self._entries[entry.reference] = entry
        return entry

    def _due(self, payer: Payer, now: datetime, limit: int) -> list[Entry]:
        due = [entry for entry in self._entries.values() if entry.payer == payer and is_due(entry, now)]
        return sorted(due, key=lambda entry: (entry.due_at, entry.reference))[:limit]
