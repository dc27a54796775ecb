"""The limits of an account, in one process."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from aiolimiter import AsyncLimiter

from ..errors import ConfigurationError
from ..model import OPERATIONS
from .pace import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        if not 0 < rate < float("inf"):
            raise ConfigurationError(f"{name}: {rate} requests per second: a number greater than 0 is needed")
        if not 0 <= margin <= 10:
            raise ConfigurationError("margin: from 0 to 10 seconds, by which each window is widened")
        self.pace = Pace(margin)
        self._per_window = max(1, int(rate))
        self._burst = min(burst, self._per_window)
        # Bursts of a rate such as 9.5 need a whole second, or two of nine would fall into one.
        self._seconds = self._per_window / rate if self._burst == 1 else max(1.0, self._per_window / rate)
        # A millionth faster, or rounding would let it close what the window has just opened.
        self._limiter = AsyncLimiter(self._burst, self._burst / rate * (1 - 1e-6))
        self._grants: deque[float] = deque([float("-inf")] * self._per_window, maxlen=self._per_window)

    @property
    def spacing(self) -> float:
        """Seconds from one grant to the next at the full rate."""
        return (self._seconds + self.pace.margin) / self._per_window

    @property
    def interval(self) -> float:
        """Seconds from one grant to the next at the present pace."""
        return self.spacing / self.pace.factor

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

    def wait_behind(self, ahead: int, now: float) -> float:
        """Seconds that pass at least before a request leaves that has *ahead* others before it."""
        return max(0.0, self.wait(now)) + ahead // self._burst * self._burst * self.interval

    async def take(self) -> None:
        """Take a slot: at once, because the window is never faster than the bucket."""
        await self._limiter.acquire()
        self.note()

    def note(self) -> None:
        """A request leaves now, whoever granted it."""
        self._grants.append(asyncio.get_running_loop().time())


class Limits:
    """The limits of an account: one over all operations, and those that single operations have besides."""

    def __init__(
        self, rate: float, operation_rates: Mapping[str, float], *, burst: int, margin: float
    ) -> None:
        if unknown := operation_rates.keys() - OPERATIONS:
            raise ConfigurationError(
                f"operation_rates: {min(unknown)!r} is none of {', '.join(sorted(OPERATIONS))}"
            )
        if burst < 1:
            raise ConfigurationError("burst: at least 1 request leaves at a time")
        self.account = Bucket("rate", rate, burst, margin)
        self._operations = {
            name: Bucket(f"operation_rates[{name!r}]", each, 1, margin)
            for name, each in operation_rates.items()
        }

    def lane(self, operation: str) -> str | None:
        """The lane that a call of *operation* waits in: its own, if it has a rate of its own."""
        return operation if operation in self._operations else None

    def bucket(self, lane: str | None) -> Bucket:
        """The narrowest limit of a lane."""
        return self.account if lane is None else self._operations[lane]

    def buckets(self, lane: str | None) -> tuple[Bucket, ...]:
        """All limits of a lane."""
        return (self.account,) if lane is None else (self.account, self._operations[lane])

    def wait_behind(self, ahead: int, lane: str | None) -> float:
        """Seconds that pass at least before a call leaves that has *ahead* others of its lane before it."""
        now = asyncio.get_running_loop().time()
        return max(bucket.wait_behind(ahead, now) for bucket in self.buckets(lane))

    def note(self, lane: str | None) -> None:
        """A request of *lane* leaves now, whoever granted it."""
        for bucket in self.buckets(lane):
            bucket.note()
