"""The time of the gateway: real, frozen or shifted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


class Clock:
    """Calling it gives the aware UTC time. It runs with its source until it is frozen or shifted."""

    def __init__(self, source: Callable[[], datetime] = utc_now) -> None:
        self._source = source
        self._frozen: datetime | None = None
        self._shift = timedelta()

    def __call__(self) -> datetime:
        """The time."""
        return (self._frozen or self._source()) + self._shift

    @property
    def is_frozen(self) -> bool:
        """Whether time stands still."""
        return self._frozen is not None

    def freeze(self, at: datetime | None = None) -> None:
        """Stop time, now or at the given moment."""
        if at is not None and at.tzinfo is None:
            raise ValueError("a naive datetime: give the time zone, for example tzinfo=UTC")
        self._frozen, self._shift = (at or self()).astimezone(UTC), timedelta()

    def shift(self, by: timedelta) -> None:
        """Move time by so much; it goes on, or stands still, as before."""
        self._shift += by

    def reset(self) -> None:
        """Back to the time of the source."""
        self._frozen, self._shift = None, timedelta()
