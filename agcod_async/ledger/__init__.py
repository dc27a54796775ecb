"""The ledger: what was to be issued, and what became of it. An Issuer keeps it; nobody else writes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from .entry import Entry, Glance, Goal, Intent, Kind, Payer, State, Total
from .memory import MemoryLedger
from .schema import schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Sequence
    from datetime import datetime
    from types import TracebackType

    from .postgres import PostgresLedger
    from .sqlite import SQLiteLedger

__all__ = [
    "Entry",
    "Glance",
    "Goal",
    "Intent",
    "Kind",
    "Ledger",
    "MemoryLedger",
    "Payer",
    "PostgresLedger",
    "SQLiteLedger",
    "State",
    "Total",
    "schema",
]


class Ledger(Protocol):
    """
    Remembers entries, durably: what a method has returned from survives the process and the machine.

    Each method is one transaction. A cancelled call has happened or has not, and nothing between.

    It may hold the entries of several payers (partners, endpoints). A reference is unique in it: it belongs
    to the payer that planned it first, and no other may plan, begin or claim it.

    Whoever drives an entry calls itself by an *owner* name of its own, new for each drive (two tasks of
    one process are two owners). The lease saves double work; safety comes from the version alone, so
    every card is handed out only after a :meth:`save` that succeeded.

    Methods raise LedgerError when the store fails them.
    """

    async def plan(self, intents: Iterable[Intent], *, payer: Payer, due_in: float = 0.0) -> list[Entry]:
        """
        Note what is to be issued, all or nothing, and return the entries in the order of *intents*.

        A reference that is known already gives the entry that it has. Recovery drives new entries from
        *due_in* seconds on, if nobody else has by then.

        Raises:
            ConfigurationError:
                an intent cannot work, or its reference stands for another kind, value, card, account,
                programme or payer already; nothing was written.
        """
        ...

    async def begin(
        self, intent: Intent, *, payer: Payer, owner: str, lease: float, signing: datetime | None = None
    ) -> tuple[Entry, bool]:
        """
        Plan one intent, claim it and mark it as sent, in one transaction.

        *signing* is the time by the clock that signs, where that is not the ledger's.

        Returns:
            The entry, and whether it was done, so that it is the caller's to send now. If not, the entry
            has a past or another driver, and is returned as it stands: claim it.

        Raises:
            ConfigurationError: as for :meth:`plan`.
        """
        ...

    async def get(self, reference: str) -> Entry | None:
        """Return the entry of a reference, if it has one."""
        ...

    async def find(self, references: Collection[str]) -> dict[str, Entry]:
        """Return the entries of those of *references* that have one, without writing anything."""
        ...

    async def look(self, intents: Sequence[Intent], *, payer: Payer) -> list[Glance | None]:
        """
        Return how *intents* stand, in their order, without writing anything; None is what was never planned.

        A plan of them would succeed if none disagrees. Amounts are in the form the wire wants.
        """
        ...

    async def claim(self, reference: str, *, payer: Payer, owner: str, lease: float) -> Entry | None:
        """
        Take an entry for *lease* seconds, or prolong one's own lease.

        What is found as ``sent`` has an unknown request from then on.

        Returns:
            None when somebody else holds a lease that is still alive.

        Raises:
            ConfigurationError: the reference was never planned, or belongs to another payer.
        """
        ...

    async def claim_due(self, *, payer: Payer, owner: str, lease: float, limit: int) -> list[Entry]:
        """
        Take what is due and free of one payer, oldest first.

        Those who ask at the same time get different ones.
        """
        ...

    async def save(self, entry: Entry, *, retired: Entry | None = None) -> Entry:
        """
        Store the next state of an entry if it still has the version it was read with.

        With *retired*, the dead generation goes into the history in the same transaction.

        Returns:
            The entry as stored: work on with this one.

        Raises:
            StaleEntry: somebody else has moved it on. Nothing was written; hand nothing out.
        """
        ...

    async def due(self, now: datetime, limit: int, *, payer: Payer) -> list[Entry]:
        """Return what *payer* could claim at *now*, oldest first, without claiming it."""
        ...

    async def history(self, reference: str) -> list[Entry]:
        """Return the dead generations of a reference, oldest first."""
        ...

    async def summary(self, *, payer: Payer | None = None) -> list[Total]:
        """Return counts and exact sums by payer, state and currency; of all payers, or of one."""
        ...

    def entries(self, states: Collection[State] = (), *, payer: Payer | None = None) -> AsyncIterator[Entry]:
        """
        Iterate over all entries, or those in *states*, or of *payer*, in the order of their references.

        The order is that of code points.

        Read in pages: what changes meanwhile may show its old or its new state.
        """
        ...

    async def note(self, name: str) -> str | None:
        """Return what was noted under *name*."""
        ...

    async def take_note(self, name: str, note: str | None) -> None:
        """
        Remember *note* under *name*, in the place of the one before; None forgets it.

        For what saves work: nothing that decides about money may depend on a note.
        """
        ...

    async def __aenter__(self) -> Self:
        """Open it."""
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Close it, after what is under way."""
        ...


def __getattr__(name: str) -> object:
    # Whoever keeps no such ledger loads no SQL library.
    if name == "SQLiteLedger":
        from .sqlite import SQLiteLedger

        return SQLiteLedger
    if name == "PostgresLedger":
        from .postgres import PostgresLedger

        return PostgresLedger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
