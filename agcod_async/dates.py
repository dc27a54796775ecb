"""The service's ways to write a moment, to and from aware datetimes."""

from __future__ import annotations

from datetime import UTC, datetime

from .errors import ConfigurationError

_MONTHS = {
    month: number
    for number, month in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
_ZONES = {"UTC", "GMT", "Z"}


def parse_date(text: str | None) -> datetime | None:
    """
    Return the moment that *text* names, in UTC, or None where there is none or it cannot be read.

    Read are Java's ``Tue Mar 04 22:59:59 UTC 2036``, ISO basic ``20260304T101500Z``, ISO extended with
    ``T`` or a space, with or without a zone (UTC is meant), in whatever field they turn up.
    """
    if not text:
        return None
    try:
        return _java(text) if text[0].isalpha() else _iso(text)
    except (ValueError, OverflowError):
        return None


def _java(text: str) -> datetime:
    _, month, day, clock, zone, year = text.split()
    if zone not in _ZONES or month not in _MONTHS:
        raise ValueError(text)
    hour, minute, second = clock.split(":")
    return datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)


def _iso(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_http_date(text: str | None) -> datetime | None:
    """Return the moment of an HTTP Date header, or None where it cannot be read."""
    # Imported here: most programs never see a refusal for time, and its import is a long one.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else None


def wire_date(moment: datetime, field: str) -> str:
    """Write *moment* as an activity request wants it: UTC, to the second, ``2026-03-01T00:00:00``."""
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise ConfigurationError(
            f"{field}: a datetime with a time zone is needed, such as datetime(2026, 3, 1, tzinfo=UTC)"
        )
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        raise ConfigurationError(f"{field}: {moment} has no date in UTC: give one that has") from None
    return utc.replace(tzinfo=None).isoformat(timespec="seconds")
