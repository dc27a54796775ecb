"""The throttle of one process: every second holds at most what the account allows."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The service's own limits (Incentives API, "Throttling"): all operations together, and two of their own.
ACCOUNT_RATE = 10.0
OPERATION_RATES: Mapping[str, float] = {"GetGiftCardActivityPage": 1.0, "GetAvailableFunds": 1.0}
_PAUSE = 1.0


class LocalThrottle:
    """
    Holds the account's rate over all operations, and the rates that single operations have besides.

    Waiters are served first come, first served; those of an operation with a rate of its own wait in a
    line of their own first, so that they hold nobody else up. A slot is taken from all buckets at once.

    Args:
        rate: requests in any second, over all operations; a fraction above 1 is rounded down.
        operation_rates: requests per second for single operations; below 1 for less than one a second.
        margin: seconds by which each window is widened, so that network jitter breaks no limit.
    """

    def __init__(
        self,
        rate: float = ACCOUNT_RATE,
        operation_rates: Mapping[str, float] = OPERATION_RATES,
        *,
        margin: float = 0.05,
    ) -> None:
        if not 0 <= margin < math.inf:
            raise ConfigurationError("margin: the seconds to widen each window by are 0 or more")
        self._account = _Bucket("rate", rate, margin)
        self._operations = {
            name: _Bucket(f"operation_rates[{name!r}]", each, margin)
            for name, each in operation_rates.items()
        }

    async def acquire(self, operation: str, /) -> None:
        """Wait until a request of *operation* may leave."""
        own = self._operations.get(operation)
        if own is None:
            async with self._account.line:
                await self._account.ready()
                await self._account.take()
            return
        async with own.line:
            await own.ready()
            # Waiting for the account takes nothing from the operation's bucket and can only fill it.
            async with self._account.line:
                await self._account.ready()
                await self._account.take()
                await own.take()

    def slow_down(self) -> None:
        """Let nobody pass for a second."""
        self._account.pause(_PAUSE)


class _Bucket:
    """
    One limit: aiolimiter keeps the rate, a log of the last grants keeps each window.

    A leaky bucket alone lets a full burst and a full second's leak pass within its first second.
    """

    def __init__(self, field: str, rate: float, margin: float) -> None:
        if not 0 < rate < math.inf:
            raise ConfigurationError(f"{field}: {rate} requests per second can never be granted")
        # Imported here: it reads the metadata of installed packages, a tenth of this package's import.
        from aiolimiter import AsyncLimiter

        burst = max(1, int(rate))
        # At least a second, or a rate of 9.5 would let two bursts of nine into one.
        self._window = max(1.0, burst / rate) + margin
        self._limiter = AsyncLimiter(burst, burst / rate)
        self._grants: deque[float] = deque([float("-inf")] * burst, maxlen=burst)
        self._paused_until = float("-inf")
        self.line = asyncio.Lock()

    async def ready(self) -> None:
        """Wait, at the head of the line, until the window has room. Takes nothing."""
        clock = asyncio.get_running_loop().time
        while (wait := max(self._grants[0] + self._window, self._paused_until) - clock()) > 0:
            await asyncio.sleep(wait)

    async def take(self) -> None:
        """Take a slot: at once, because the window is never faster than the bucket."""
        await self._limiter.acquire()
        self._grants.append(asyncio.get_running_loop().time())

    def pause(self, seconds: float) -> None:
        """Let nobody pass for so long."""
        self._paused_until = asyncio.get_running_loop().time() + seconds
