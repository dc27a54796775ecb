"""The ledger against Amazon's activity: whether every card that was charged is one that was issued."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..events import ActivityIncomplete
from ..ledger import Payer
from ..money import Money
from ..statement import ACTIVITY_TYPES, check_activity_types, effect, statement, whole_seconds
from .findings import DIFFERENCES, FORWARD, CurrencyTotal, Finding, FindingKind
from .worksheet import BATCH, Worksheet

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping

    from ..events import Event
    from ..ledger import Entry, Ledger
    from ..model import CardActivity
    from ..session import AgcodSession
    from ..statement import Effect

__all__ = ["DIFFERENCES", "CurrencyTotal", "Finding", "FindingKind", "Reconciliation", "reconcile"]

MARGIN = timedelta(minutes=30)
"""
How far beyond the time both ways the activity is read at least: a card can be cancelled for 15 minutes, a
request lives for 15, and the two clocks differ.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What came of comparing the two books over a time. Its findings can be read inside the context only."""

    start: datetime
    end: datetime
    counts: Mapping[FindingKind, int]
    """How many findings there are of each kind."""

    totals: tuple[CurrencyTotal, ...]
    """By currency."""

    no_ops: int
    """Records of repeats that changed nothing; failures have findings."""

    received: int
    """Records of activity that were read, those around the time included."""

    incomplete: ActivityIncomplete | None
    """Set where fewer records came than Amazon announced: what is missing there may not be missing then."""

    _worksheet: Worksheet = field(repr=False)

    @property
    def is_balanced(self) -> bool:
        """Whether both books say the same, and everything was read."""
        return self.incomplete is None and not any(self.counts.get(kind) for kind in DIFFERENCES)

    def findings(self, kinds: Collection[FindingKind] = DIFFERENCES) -> AsyncIterator[Finding]:
        """Iterate over the findings of these *kinds* (empty: of all), ascending by time."""
        return self._worksheet.findings(kinds)


@asynccontextmanager
async def reconcile(
    session: AgcodSession,
    ledger: Ledger,
    start: datetime,
    end: datetime,
    *,
    activity_types: Mapping[str, str] = ACTIVITY_TYPES,
    progress: Callable[[str, int], object] | None = None,
) -> AsyncGenerator[Reconciliation]:
    """
    Compare the ledger with Amazon's activity from *start* (included) to *end* (excluded).

    A card belongs to the time in which Amazon charged it; one that Amazon does not list, to that in which it
    was settled here. So windows that touch find everything once, and nothing at their edges that is not
    there: the activity is read beyond them, as far as a missing record could lie. What is under way now is
    found open: leave the last minutes out.

    Memory stays flat; both books meet in a temporary file. Pages of 1000 records come one per second.

    Args:
        session: the account, with the activity page switched on.
        ledger: open. Only the entries of the session's partner and endpoint count, with all their ids.
        start: aware, whole seconds count.
        end: aware, after *start*, and not in the future.
        activity_types:
            the operation behind each activityType. Only those of gift cards are public; name those of
            activations and loads here if you know them, or their entries are ``unlisted``.
        progress: called with ``activity`` or ``ledger`` and how many of each were read so far.

    Raises:
        ConfigurationError: the time or a type cannot be.
        AgcodError: a page could not be read: nothing can be said then.
    """
    start, end = whole_seconds("start", start), whole_seconds("end", end)
    check_activity_types(activity_types)
    now = session.clock()
    if not start < end <= now:
        raise ConfigurationError("end: must be after start, and not in the future")
    async with AsyncExitStack() as stack:
        sheet = await stack.enter_async_context(Worksheet(start, end))
        reading = _Reading(session, ledger, sheet, activity_types, progress or (lambda _book, _count: None))
        first, last = start - MARGIN, min(end + MARGIN, whole_seconds("now", now + timedelta(seconds=1)))
        # The activity first: an intent is stored before its request leaves, so what is listed is known here.
        await reading.read_activity(first, last)
        await reading.read_ledger()
        reach = await sheet.reach()
        if reach is not None:
            earliest, latest = reach[0] - MARGIN, min(reach[1] + MARGIN, session.clock())
            await reading.read_activity(whole_seconds("start", earliest), first)
            await reading.read_activity(last, whole_seconds("end", latest))
        counts, totals = await _summed(sheet)
        yield Reconciliation(
            start=start,
            end=end,
            counts=counts,
            totals=totals,
            no_ops=await sheet.count_no_ops(),
            received=reading.records,
            incomplete=reading.incomplete,
            _worksheet=sheet,
        )


class _Reading:
    """Fills a worksheet from both books."""

    def __init__(
        self,
        session: AgcodSession,
        ledger: Ledger,
        sheet: Worksheet,
        activity_types: Mapping[str, str],
        progress: Callable[[str, int], object],
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._sheet = sheet
        self._types = activity_types
        self._progress = progress
        listed = set(activity_types.values())
        self._listed = {kind for kind, operation in FORWARD.items() if operation in listed}
        self.records = 0
        self.entries = 0
        self.incomplete: ActivityIncomplete | None = None

    async def read_activity(self, start: datetime, end: datetime) -> None:
        """Note every record from *start* to *end*; nothing where they are the wrong way round."""
        batch: list[tuple[CardActivity, Effect]] = []
        async for record in statement(self._session, start, end, hook=self._hear):
            batch.append((record, effect(record, self._types)))
            if len(batch) == BATCH:
                await self._note(batch)
                batch = []
        await self._note(batch)

    async def read_ledger(self) -> None:
        """Enter every entry of the account, and the dead generations of each."""
        session = self._session
        payer = Payer(partner_id=session.partner_id, endpoint=session.endpoint.identity)
        batch: list[tuple[Entry, bool]] = []
        async for entry in self._ledger.entries(payer=payer):
            # A first generation has no history to ask for.
            dead = await self._ledger.history(entry.reference) if entry.generation > 1 else []
            batch.extend((each, each.kind in self._listed) for each in (*dead, entry))
            if len(batch) >= BATCH:
                await self._enter(batch)
                batch = []
        await self._enter(batch)

    async def _note(self, batch: list[tuple[CardActivity, Effect]]) -> None:
        await self._sheet.note(batch)
        self.records += len(batch)
        self._progress("activity", self.records)

    async def _enter(self, batch: list[tuple[Entry, bool]]) -> None:
        await self._sheet.enter(batch)
        self.entries += len(batch)
        self._progress("ledger", self.entries)

    def _hear(self, event: Event) -> None:
        if isinstance(event, ActivityIncomplete):
            self.incomplete = event


async def _summed(sheet: Worksheet) -> tuple[Mapping[FindingKind, int], tuple[CurrencyTotal, ...]]:
    counts: Counter[FindingKind] = Counter()
    charged: defaultdict[str, Decimal] = defaultdict(Decimal)
    issued: defaultdict[str, Decimal] = defaultdict(Decimal)
    unlisted: defaultdict[str, Decimal] = defaultdict(Decimal)
    async for finding in sheet.findings():
        counts[finding.kind] += 1
        if finding.charged is not None:
            charged[finding.charged.currency_code] += finding.charged.amount
        if finding.issued is not None and finding.kind != "charged_earlier":
            side = unlisted if finding.kind == "unlisted" else issued
            side[finding.issued.currency_code] += finding.issued.amount
    totals = tuple(
        CurrencyTotal(
            charged=Money(charged[currency], currency),
            issued=Money(issued[currency], currency),
            unlisted=Money(unlisted[currency], currency),
        )
        for currency in sorted({*charged, *issued, *unlisted})
    )
    return counts, totals
