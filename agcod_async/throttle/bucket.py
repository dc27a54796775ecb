"""One limit of the account, in one process."""

from __future__ import annotations

from collections import deque

from aiolimiter import AsyncLimiter

from ..errors import ConfigurationError
from .pace import Pace


class Bucket:
    """
    Keeps one rate: aiolimiter holds the long run, a log of the last grants holds each window.

    A leaky bucket alone lets a full burst and a full second's leak pass within its first second. The
    window is wider than the service's by the margin, so that jitter on the way cannot make it narrower.

    Args:
        name: whose rate, for messages.
        rate: requests per second.
        burst: how many may leave at once after a rest.
        margin: seconds by which the window is widened.
    """

    def __init__(self, name: str, rate: float, burst: int, margin: float) -> None:
        check_rate(name, rate)
        if not 0 <= margin <= 10:
            raise ConfigurationError("margin: from 0 to 10 seconds, by which each window is widened")
        self.pace = Pace(margin)
        self._per_window = max(1, int(rate))
        self._burst = min(burst, self._per_window)
        # Bursts of a rate such as 9.5 need a whole second, or two of nine would fall into one.
        self._seconds = self._per_window / rate if self._burst == 1 else max(1.0, self._per_window / rate)
        self._limiter = AsyncLimiter(self._burst, self._burst / rate)
        self._grants: deque[float] = deque([float("-inf")] * self._per_window, maxlen=self._per_window)

    @property
    def interval(self) -> float:
        """Seconds from one grant to the next at the present pace."""
        return (self._seconds + self.pace.margin) / self._per_window / self.pace.factor

    def wait(self, now: float) -> float:
        """Seconds until a request may leave; zero or less: now."""
        interval, grants = self.interval, self._grants
        return (
            max(
                grants[-self._burst] + self._burst * interval,
                grants[0] + self._per_window * interval,
                self.pace.paused_until,
            )
            - now
        )

    async def take(self, now: float) -> None:
        """Take a slot: at once, because the window is never faster than the bucket."""
        await self._limiter.acquire()
        self.note(now)

    def note(self, now: float) -> None:
        """A request left that was granted elsewhere."""
        self._grants.append(now)


def check_rate(name: str, rate: float) -> None:
    """Refuse a rate that could never grant anything."""
    if not 0 < rate < float("inf"):
        raise ConfigurationError(f"{name}: {rate} requests per second: a number greater than 0 is needed")
