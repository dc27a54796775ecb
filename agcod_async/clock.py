"""The time that signatures are made for: this machine's, corrected by the gateway's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from .refusals import CLOCK_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from .errors import ClockSkewError


# A machine may wake up in 1970; a gateway in the year 9999 is mistaken, and no clock could follow it.
_FURTHEST = timedelta(days=100 * 365)


def utc_now() -> datetime:
    """Return this machine's time."""
    return datetime.now(UTC)


class SkewedClock:
    """
    A clock that learns from refusals how far it is off.

    All calls of a session share it, so one refusal corrects them all.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._skew = timedelta(0)

    def now(self) -> datetime:
        """Return the corrected time."""
        return self._clock() + self._skew

    def learn(self, error: ClockSkewError) -> timedelta | None:
        """
        Take over the gateway's time from its refusal.

        Returns:
            How far this machine's clock is behind, if the refused signature really was off: a refusal
            for "time" without a difference in time is not mended by signing again.
        """
        if error.server_date is None or error.signed_at is None:
            return None
        if abs(error.server_date - error.signed_at) < CLOCK_WINDOW / 3:
            return None
        skew = error.server_date - self._clock()
        if abs(skew) > _FURTHEST:
            return None
        self._skew = skew
        return skew

    def forget(self) -> None:
        """Trust this machine again: the correction did not help."""
        self._skew = timedelta(0)
