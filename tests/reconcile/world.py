"""Two books whose every difference was planted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from agcod_async import AgcodSession, Credentials, Endpoint, Money, RetryPolicy
from agcod_async.emulator import Activity, Emulator
from agcod_async.errors import AccountError, ResendError
from agcod_async.ledger import Entry, Intent, MemoryLedger, Payer, states
from agcod_async.model import Account
from agcod_async.testing import NoThrottle

START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 3, 2, tzinfo=UTC)
NOW = datetime(2026, 3, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
VALUE = Money("25.00", "USD")


class Books:
    """An emulated account and a ledger, both still empty, at a time that the test moves."""

    def __init__(
        self, *, ledger=None, settings=None, throttle=None, hooks=(), retry=None, clock=None
    ) -> None:
        self.now = NOW
        self.clock = clock or (lambda: self.now)
        self.emulator = Emulator(clock=self.clock, throttle=None, settings=settings)
        partner = self.emulator.partner
        self.session = AgcodSession(
            partner.partner_id,
            Credentials(partner.access_key_id, partner.secret_access_key),
            Endpoint.custom("https://localhost", region="us-east-1"),
            http_client=self.emulator.http_client(),
            retry=retry or RetryPolicy(max_attempts=1),
            throttle=throttle or NoThrottle(),
            clock=self.clock,
            hooks=hooks,
        )
        self.payer = Payer(partner_id="Acme1", endpoint=self.session.endpoint.identity)
        self.ledger = ledger or MemoryLedger(clock=self.clock)

    # There

    def listed(
        self,
        request_id: str,
        at: datetime,
        value: Money | None = VALUE,
        *,
        kind: str = "GCCreation",
        is_real: bool = True,
        failure: str | None = None,
    ) -> None:
        """Write a line of activity, as if the service had."""
        self.emulator.state.activity.append(
            Activity(
                at=at,
                kind=kind,
                partner_id="Acme1",
                request_id=request_id,
                gc_id=None if failure else f"A{request_id[-12:]}",
                card_number=None,
                amount=value and value.amount,
                currency=value and value.currency_code,
                failure_code=failure,
                is_real=is_real and failure is None,
            )
        )

    def cancelled(self, request_id: str, at: datetime) -> None:
        self.listed(request_id, at, None, kind="GCCancellation")

    # Here

    async def planned(self, reference: str, at: datetime, value: Money = VALUE, **intent) -> Entry:
        self.now, now = at, self.now
        try:
            [entry] = await self.ledger.plan(
                [Intent(reference=reference, value=value, **intent)], payer=self.payer
            )
        finally:
            self.now = now
        return entry

    async def sent(self, reference: str, at: datetime, value: Money = VALUE, **intent) -> Entry:
        entry = await self.planned(reference, at, value, **intent)
        return await self.ledger.save(states.mark_sent(entry, at))

    async def issued(
        self,
        reference: str,
        at: datetime,
        value: Money = VALUE,
        *,
        after: timedelta = timedelta(0),
        **intent,
    ) -> Entry:
        """Sent at once, and settled by a repeat *after* that."""
        entry = await self.sent(reference, at, value, **intent)
        if after:
            entry = states.mark_sent(states.still_unknown(entry, at, at, ResendError()), at + after)
        return await self.ledger.save(states.settle_issued(entry, at + after, None))

    async def refused(self, reference: str, at: datetime) -> Entry:
        entry = await self.sent(reference, at)
        error = AccountError(error_code="F300", error_type="InsufficientFunds")
        return await self.ledger.save(states.settle_refused(entry, at, error))

    async def reversing(self, reference: str, at: datetime, goal="undo", **intent) -> Entry:
        entry = await self.sent(reference, at, **intent)
        return await self.ledger.save(states.begin_reverse(entry, goal, at))

    async def reversed(self, reference: str, at: datetime, **intent) -> Entry:
        entry = await self.reversing(reference, at, **intent)
        return await self.ledger.save(states.settle_reversed(entry, at))

    async def replaced(self, reference: str, at: datetime) -> tuple[Entry, Entry]:
        """Return the dead generation, and the one that was issued instead."""
        entry = await self.reversing(reference, at, goal="replace")
        fresh, dead = states.renew(states.settle_reversed(entry, at), at)
        entry = await self.ledger.save(fresh, retired=dead)
        entry = await self.ledger.save(states.mark_sent(entry, at))
        return dead, await self.ledger.save(states.settle_issued(entry, at, None))

    async def abandoned(self, reference: str, at: datetime) -> Entry:
        entry = await self.sent(reference, at)
        return await self.ledger.save(states.abandon(states.still_unknown(entry, at, at)))


Planted = Counter[tuple[str, str | None]]
Case = Callable[[Books, str, datetime], Awaitable[dict[str | None, str | list[str]]]]
"""Plants something at a time, and returns what must be found about each request id."""


async def matched(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at)
    return {entry.request_id: "matched"}


async def repeated(books: Books, name: str, at: datetime):
    """The code was asked for again, once with another amount, which the service lists as asked."""
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at)
    books.listed(entry.request_id, at + SECOND, is_real=False)
    books.listed(entry.request_id, at + SECOND, Money("99.00", "USD"), is_real=False)
    return {entry.request_id: "matched"}


async def written_otherwise(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at, Money(Decimal("2.5E+1"), "USD"))
    return {entry.request_id: "matched"}


async def undone(books: Books, name: str, at: datetime):
    entry = await books.reversed(name, at)
    books.listed(entry.request_id, at)
    books.cancelled(entry.request_id, at)
    return {entry.request_id: "matched"}


async def replaced(books: Books, name: str, at: datetime):
    dead, alive = await books.replaced(name, at)
    books.listed(dead.request_id, at)
    books.cancelled(dead.request_id, at)
    books.listed(alive.request_id, at)
    return {dead.request_id: "matched", alive.request_id: "matched"}


async def lost_here(books: Books, name: str, at: datetime):
    books.listed(f"Acme1{name}", at)
    return {f"Acme1{name}": "missing_here"}


async def foreign_and_cancelled(books: Books, name: str, at: datetime):
    books.listed(f"Acme1{name}", at)
    books.cancelled(f"Acme1{name}", at)
    return {f"Acme1{name}": "missing_here"}


async def lost_there(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    return {entry.request_id: "missing_there"}


async def other_amount(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at, Money("52.00", "USD"))
    return {entry.request_id: "amount_differs"}


async def no_amount(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at, None)
    return {entry.request_id: "amount_differs"}


async def other_currency(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at, Money("25.00", "CAD"))
    return {entry.request_id: "currency_differs"}


async def cancelled_there(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at)
    books.cancelled(entry.request_id, at)
    return {entry.request_id: "cancelled_there"}


async def reversed_here(books: Books, name: str, at: datetime):
    entry = await books.reversed(name, at)
    books.listed(entry.request_id, at)
    return {entry.request_id: "reversed_here"}


async def withdrawn(books: Books, name: str, at: datetime):
    """Undone before anything had left: there is nothing there, and nothing to say."""
    entry = await books.planned(name, at)
    await books.ledger.save(states.withdraw(entry, at))
    return {}


async def refused_here(books: Books, name: str, at: datetime):
    entry = await books.refused(name, at)
    books.listed(entry.request_id, at)
    return {entry.request_id: "refused_here"}


async def refused(books: Books, name: str, at: datetime):
    entry = await books.refused(name, at)
    books.listed(entry.request_id, at, failure="InsufficientFunds")
    return {entry.request_id: "failed"}


async def failed_elsewhere(books: Books, name: str, at: datetime):
    books.listed(f"Acme1{name}", at, failure="InsufficientFunds")
    return {f"Acme1{name}": "failed"}


async def failed_then_issued(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at, failure="InsufficientFunds")
    books.listed(entry.request_id, at)
    return {entry.request_id: "matched"}


async def issued_but_failed(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at, failure="InsufficientFunds")
    return {entry.request_id: "missing_there"}


async def planned(books: Books, name: str, at: datetime):
    await books.planned(name, at)
    return {}


async def planned_and_charged(books: Books, name: str, at: datetime):
    """A backup was restored: the next request will meet the card."""
    entry = await books.planned(name, at)
    books.listed(entry.request_id, at)
    return {entry.request_id: "open_here"}


async def open_and_charged(books: Books, name: str, at: datetime):
    entry = await books.sent(name, at)
    books.listed(entry.request_id, at)
    return {entry.request_id: "open_here"}


async def open_and_unheard_of(books: Books, name: str, at: datetime):
    entry = await books.sent(name, at)
    return {entry.request_id: "open_here"}


async def reversing(books: Books, name: str, at: datetime):
    entry = await books.reversing(name, at)
    books.listed(entry.request_id, at)
    books.cancelled(entry.request_id, at)
    return {entry.request_id: "open_here"}


async def abandoned(books: Books, name: str, at: datetime):
    entry = await books.abandoned(name, at)
    books.listed(entry.request_id, at)
    return {entry.request_id: "open_here"}


async def charged_twice(books: Books, name: str, at: datetime):
    """The dead generation was never given back."""
    dead, alive = await books.replaced(name, at)
    books.listed(dead.request_id, at)
    books.listed(alive.request_id, at)
    return {dead.request_id: "duplicate", alive.request_id: "matched"}


async def charged_once_but_for_the_wrong_id(books: Books, name: str, at: datetime):
    """The dead generation is the one that Amazon kept."""
    dead, alive = await books.replaced(name, at)
    books.listed(dead.request_id, at)
    books.listed(alive.request_id, at)
    books.cancelled(alive.request_id, at)
    return {dead.request_id: "reversed_here", alive.request_id: "cancelled_there"}


async def one_id_charged_twice(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at)
    books.listed(entry.request_id, at)
    return {entry.request_id: ["matched", "duplicate"]}


async def unheard_of_type(books: Books, name: str, at: datetime):
    books.listed(f"Acme1{name}", at, kind="GCSomethingNew")
    return {f"Acme1{name}": "unknown_activity"}


async def unheard_of_type_of_a_card(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at)
    books.listed(entry.request_id, at)
    books.listed(entry.request_id, at, kind="GCSomethingNew")
    return {entry.request_id: ["matched", "unknown_activity"]}


async def activation(books: Books, name: str, at: datetime):
    """Nobody knows what it is called there."""
    entry = await books.issued(name, at, kind="activate", card_number="1" * 19)
    books.listed(entry.request_id, at, kind="GCActivation")
    return {entry.request_id: "unlisted"}


async def load(books: Books, name: str, at: datetime):
    entry = await books.issued(name, at, kind="load", account=Account(id="customer", type="2"))
    return {entry.request_id: "unlisted"}


CASES: list[Case] = [
    matched, repeated, written_otherwise, undone, replaced, lost_here, foreign_and_cancelled,
    lost_there, other_amount, no_amount, other_currency, cancelled_there, reversed_here, withdrawn,
    refused_here, refused, failed_elsewhere, failed_then_issued, issued_but_failed, planned,
    planned_and_charged, open_and_charged, open_and_unheard_of, reversing, abandoned, charged_twice,
    charged_once_but_for_the_wrong_id, one_id_charged_twice, unheard_of_type, unheard_of_type_of_a_card,
    activation, load,
]  # fmt: skip


def flat(expected: dict[str | None, str | list[str]]) -> Planted:
    """Return what must be found, as often as it must be."""
    return Counter(
        (kind, request_id)
        for request_id, kinds in expected.items()
        for kind in ([kinds] if isinstance(kinds, str) else kinds)
    )
