"""Spend per day as bars of text."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ..money import Money
from .values import money_record

if TYPE_CHECKING:
    from datetime import date

    from ..funds import Spending
    from .output import Record

WIDTH = 40
"""Characters of the longest bar."""

_MOST_GAPS = 366


def spend_per_day(spending: Spending) -> list[Record]:
    """Return the net spend of each day and currency; days between two without any are there, too."""
    by_currency: dict[str, dict[date | None, Money]] = {}
    for (day, currency), money in spending.by_day.items():
        by_currency.setdefault(currency, {})[day] = money
    return [
        {"day": "unknown" if day is None else day.isoformat(), **money_record(money, "spent")}
        for currency, days in sorted(by_currency.items())
        for day, money in _without_gaps(days, currency).items()
    ]


def with_bars(records: list[Record], encoding: str | None) -> list[Record]:
    """
    Return the records of :func:`spend_per_day` with a bar each, to scale within a currency.

    *encoding* is the terminal's: where it has no blocks, the bars are of number signs.
    """
    block = "█" if "█".encode(encoding or "utf-8", "ignore") else "#"
    longest: dict[object, float] = {}
    for record in records:
        currency, spent = record["currency"], _number(record)
        longest[currency] = max(longest.get(currency, 0.0), spent)
    return [
        {**record, "": block * round(WIDTH * _number(record) / (longest[record["currency"]] or 1.0))}
        for record in records
    ]


def _without_gaps(days: dict[date | None, Money], currency: str) -> dict[date | None, Money]:
    known = [day for day in days if day is not None]
    if not known or (known[-1] - known[0]).days > _MOST_GAPS:
        return days
    every = [known[0] + timedelta(days=number) for number in range((known[-1] - known[0]).days + 1)]
    filled: dict[date | None, Money] = {None: days[None]} if None in days else {}
    return filled | {day: days.get(day, Money(0, currency)) for day in every}


def _number(record: Record) -> float:
    # A bar needs no cents.
    return float(str(record["spent"]))
