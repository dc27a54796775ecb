"""A program that compares its books and watches its funds, as a type checker sees it; never run."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import assert_type

from agcod_async import AgcodSession, Event, LowFunds, Money
from agcod_async.funds import FundsMonitor, FundsReading, Spending, read_funds, read_spending
from agcod_async.ledger import Ledger
from agcod_async.reconcile import CurrencyTotal, Finding, FindingKind, Reconciliation, reconcile

START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


async def compare(session: AgcodSession, ledger: Ledger) -> bool:
    async with reconcile(session, ledger, START, END, progress=print) as result:
        assert_type(result, Reconciliation)
        assert_type(result.totals, tuple[CurrencyTotal, ...])
        async for finding in result.findings():
            assert_type(finding, Finding)
            assert_type(finding.kind, FindingKind)
            assert_type(finding.charged, Money | None)
        return result.is_balanced


def on_event(event: Event) -> None:
    if isinstance(event, LowFunds):
        assert_type(event.days_remaining, Decimal | None)


async def watch(session: AgcodSession) -> None:
    assert_type(await read_funds(session), FundsReading)
    spending = await read_spending(session, START, END)
    assert_type(spending, Spending)
    assert_type(spending.by_day, dict[tuple[date | None, str], Money])
    monitor = FundsMonitor(session, below=[Money("500.00", "USD")], days_below=3, hooks=[on_event])
    async for reading in monitor.readings():
        assert_type(reading.days_remaining, Decimal | None)
    await monitor.run()
