"""The throttle of one process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, ThrottleTimeout
from ..events import Hook, Hooks, RateChanged
from ..model import OPERATIONS
from .bucket import Bucket
from .line import Line, Priority, Waiter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The service's own limits (Incentives API, "Throttling"): all operations together, and two of their own.
ACCOUNT_RATE = 10.0
OPERATION_RATES: Mapping[str, float] = {"GetGiftCardActivityPage": 1.0, "GetAvailableFunds": 1.0}

# A lane that opens within this is open: or two limits in step would miss each other by a rounding.
_TOLERANCE = 1e-3


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
        if burst < 1:
            raise ConfigurationError("burst: at least 1 request leaves at a time")
        self._account = Bucket("rate", rate, burst, margin)
        self._operations = {
            name: Bucket(f"operation_rates[{name!r}]", each, 1, margin)
            for name, each in checked_operations(operation_rates).items()
        }
        self._hooks = Hooks(hooks)
        self._line = Line()
        self._timer: asyncio.TimerHandle | None = None
        self._turn: Waiter | None = None

    async def acquire(
        self, operation: str, /, *, priority: Priority = "interactive", max_wait: float | None = None
    ) -> None:
        """Wait until a request of *operation* may leave."""
        lane = operation if operation in self._operations else None
        if max_wait is not None and self._line.ahead(priority) * self._account.interval > max_wait:
            raise ThrottleTimeout(f"more than {max_wait:g} s of calls wait already")
        waiter = self._line.join(lane, priority)
        try:
            if self._line.is_head(waiter):
                self._pump()
            await turn_of(waiter, max_wait)
            now = asyncio.get_running_loop().time()
            await self._account.take(now)
            if lane is not None:
                await self._operations[lane].take(now)
        finally:
            self._line.leave(waiter)
            if self._turn is waiter:
                self._turn = None
                self._pump()

    def note(self, operation: str | None) -> None:
        """Count a request of *operation* that another throttle let pass."""
        now = asyncio.get_running_loop().time()
        self._account.note(now)
        if operation in self._operations:
            self._operations[operation].note(now)

    def accepted(self, operation: str, /, seconds: float) -> None:
        """A clean answer: regain a step, if it is time."""
        bucket = self._bucket(operation)
        if bucket.pace.accepted(asyncio.get_running_loop().time(), seconds):
            self._report(operation, "clean answers")

    def refused(self, operation: str, /) -> None:
        """Pause everybody, and slow down what was refused."""
        bucket, now = self._bucket(operation), asyncio.get_running_loop().time()
        if bucket.pace.refused(now):
            self._account.pace.paused_until = bucket.pace.paused_until
            self._report(operation, "refused by the service")

    @property
    def waiting(self) -> int:
        """How many calls wait here."""
        return self._line.waiting

    @property
    def rate(self) -> float:
        """Requests per second that pass at present, over all operations."""
        return 1 / self._account.interval

    @property
    def next_slot(self) -> float:
        """Seconds until an interactive call that comes now could leave."""
        wait = max(0.0, self._account.wait(asyncio.get_running_loop().time()))
        return wait + self._line.ahead("interactive") * self._account.interval

    async def aclose(self) -> None:
        """Forget the timer; whoever waits, waits for ever."""
        if self._timer is not None:
            self._timer.cancel()

    def _bucket(self, operation: str) -> Bucket:
        return self._operations.get(operation, self._account)

    def _report(self, operation: str, reason: str) -> None:
        bucket = self._bucket(operation)
        scope = "account" if bucket is self._account else operation
        self._hooks.emit(RateChanged(scope=scope, rate=1 / bucket.interval, reason=reason))

    def _pump(self) -> None:
        """Give the turn to whoever is first and may leave now, or come back when somebody may."""
        if self._turn is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait = self._account.wait(now)
        if wait <= 0:
            self._turn = self._line.next(lambda lane: self._lane_wait(lane, now) <= _TOLERANCE)
            if self._turn is not None:
                self._turn.turn.set_result(None)
                return
        if lanes := [self._lane_wait(lane, now) for lane in self._line.lanes()]:
            self._timer = loop.call_at(now + max(wait, min(lanes)), self._pump)

    def _lane_wait(self, lane: str | None, now: float) -> float:
        return 0.0 if lane is None else self._operations[lane].wait(now)


def checked_operations(rates: Mapping[str, float]) -> Mapping[str, float]:
    """Refuse rates for operations that do not exist."""
    for name in rates:
        if name not in OPERATIONS:
            raise ConfigurationError(f"operation_rates: {name!r} is none of {', '.join(OPERATIONS)}")
    return rates


async def turn_of(waiter: Waiter, max_wait: float | None) -> None:
    """Wait for *waiter*'s turn, but not for longer than *max_wait* seconds."""
    if max_wait is None:
        await waiter.turn
        return
    try:
        async with asyncio.timeout(max_wait):
            await waiter.turn
    except TimeoutError:
        raise ThrottleTimeout(f"no slot within {max_wait:g} s") from None
