"""When codes expire: never, or at the end of a local day ten years on, by currency."""

from datetime import UTC, datetime, timedelta

# Hours east of UTC. A table of this size spares the need for a time zone database; the recorded ends
# of day are those of JPY and EUR, the others follow from the places.
_EAST = {
    "JPY": 9, "SGD": 8, "AED": 4, "SAR": 3, "TRY": 3, "EGP": 2, "ZAR": 2,
    "EUR": 1, "PLN": 1, "SEK": 1, "GBP": 0, "MXN": -6,
}  # fmt: skip
_EUROPEAN_SUMMER = frozenset({"EUR", "PLN", "SEK", "GBP"})
_NEVER = frozenset({"USD", "CAD", "AUD"})


def expires_at(created_at: datetime, currency: str) -> datetime | None:
    """The last second of a card, or None where cards do not expire."""
    if currency in _NEVER:
        return None
    east = timedelta(hours=_EAST.get(currency, 0))
    local = created_at + east
    # The 28th of February stands in for a 29th that the year in question does not have.
    year, day = local.year + 10, 28 if (local.month, local.day) == (2, 29) else local.day
    end = datetime(year, local.month, day, 23, 59, 59, tzinfo=UTC) - east
    return end - timedelta(hours=1) if currency in _EUROPEAN_SUMMER and _is_summer(end) else end


def _is_summer(at: datetime) -> bool:
    return _last_sunday(at.year, 3) <= at < _last_sunday(at.year, 10)


def _last_sunday(year: int, month: int) -> datetime:
    last = datetime(year, month, 31, 1, tzinfo=UTC)
    return last - timedelta(days=(last.weekday() + 1) % 7)
