"""The throttle of one process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import ThrottleTimeout
from ..events import Hook, Hooks, RateChanged
from ..model import OPERATIONS
from .bucket import Limits
from .line import Line, Priority, Waiter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The service's own limits (Incentives API, "Throttling"): all operations together, and two of their own.
ACCOUNT_RATE = 10.0
OPERATION_RATES: Mapping[str, float] = {
    name: 1.0 for name, operation in OPERATIONS.items() if operation.rate_limited
}

# Seconds. A lane that opens within them is open: or two limits in step would miss each other by a rounding.
_TOLERANCE = 1e-6


class LocalThrottle:
    """
    Holds the account's rate over all operations, and the rates that single operations have besides.

    A slot is taken from all its buckets at once, and given when it comes to whoever is first then. A
    refusal by the service pauses everybody and slows down; clean answers give the rate back by steps.

    Args:
        rate: requests in any second, over all operations.
        operation_rates: requests per second for single operations; below 1 for less than one a second.
        burst:
            how many requests may leave at once after a rest. 1 spaces them evenly, which no kind of
            limiter refuses; *rate* suits a service that counts its windows.
        margin: seconds by which each window is widened, so that network jitter breaks no limit.
        hooks: called with each change of the rate.
    """

    def __init__(
        self,
        rate: float = ACCOUNT_RATE,
        operation_rates: Mapping[str, float] = OPERATION_RATES,
        *,
        burst: int = 1,
        margin: float = 0.05,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self._limits = Limits(rate, operation_rates, burst=burst, margin=margin)
        self._hooks = Hooks(hooks)
        self._line = Line()
        self._timer: asyncio.TimerHandle | None = None
        self._turn: Waiter | None = None

    async def acquire(
        self, operation: str, /, *, priority: Priority = "interactive", max_wait: float | None = None
    ) -> None:
        """Wait until a request of *operation* may leave."""
        lane = self._limits.lane(operation)
        if max_wait is not None:
            check_wait(self.wait_behind(self._line.ahead(lane, priority), lane), max_wait)
        if self._is_free(lane):
            await self._limits.take(lane)
            return
        waiter = self._line.join(lane, priority)
        try:
            if self._line.is_head(waiter):
                self._pump()
            await waiter.wait(max_wait)
            await self._limits.take(lane)
        finally:
            self._line.leave(waiter)
            if self._turn is waiter:
                self._turn = None
                self._pump()

    def wait_behind(self, ahead: int, lane: str | None) -> float:
        """Seconds that pass at least before a call leaves that has *ahead* others of its lane before it."""
        return self._limits.wait_behind(ahead, lane)

    def note(self, lane: str | None) -> None:
        """Count a request that another throttle let pass."""
        self._limits.note(lane)

    def accepted(self, operation: str, /, seconds: float) -> None:
        """A clean answer: regain a step, if it is time."""
        lane = self._limits.lane(operation)
        if self._limits.bucket(lane).pace.accepted(asyncio.get_running_loop().time(), seconds):
            self._report(lane, "clean answers")

    def refused(self, operation: str, /) -> None:
        """Pause everybody, and slow down what was refused."""
        lane = self._limits.lane(operation)
        pace = self._limits.bucket(lane).pace
        if pace.refused(asyncio.get_running_loop().time()):
            self._limits.account.pace.paused_until = pace.paused_until
            self._report(lane, "refused by the service")

    @property
    def waiting(self) -> int:
        """How many calls wait here."""
        return self._line.waiting

    @property
    def rate(self) -> float:
        """Requests per second that pass at present, over all operations."""
        return 1 / self._limits.account.interval

    @property
    def next_slot(self) -> float:
        """Seconds until an interactive call that comes now could leave."""
        return self.wait_behind(self._line.ahead(None, "interactive"), None)

    async def aclose(self) -> None:
        """Send those who wait away with a ConfigurationError."""
        self._line.close()
        self._stop_timer()

    def _is_free(self, lane: str | None) -> bool:
        """Whether a call may leave at once: nobody waits, and no limit stands against it."""
        self._line.ensure_open()
        if self._turn is not None or not self._line.is_empty:
            return False
        now = asyncio.get_running_loop().time()
        return all(bucket.wait(now) <= 0 for bucket in self._limits.buckets(lane))

    def _report(self, lane: str | None, reason: str) -> None:
        rate = 1 / self._limits.bucket(lane).interval
        self._hooks.emit(RateChanged(scope=lane or "account", rate=rate, reason=reason))

    def _pump(self) -> None:
        """Give the turn to whoever is first and may leave now, or come back when somebody may."""
        if self._turn is not None:
            return
        self._stop_timer()
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait = self._limits.account.wait(now)
        if wait <= 0:
            self._turn = self._line.next(lambda lane: self._limits.bucket(lane).wait(now) <= _TOLERANCE)
            if self._turn is not None:
                self._turn.turn.set_result(None)
                return
        if waits := [self._limits.bucket(lane).wait(now) for lane in self._line.lanes()]:
            # Never "now": the clock must have moved on, or rounding would bring us back for ever.
            self._timer = loop.call_at(now + max(wait, min(waits), _TOLERANCE), self._pump)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def check_wait(least: float, max_wait: float) -> None:
    """Refuse at once what can only end in a timeout."""
    if least > max_wait:
        raise ThrottleTimeout(f"no slot within {max_wait} s: at least {least:.3f} s of calls wait already")
