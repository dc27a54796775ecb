"""
The throttle beside other rate limiters: speed and refusals at four kinds of servers, and CPU per grant.

Everything runs in virtual time: the clocks that the other libraries read (`time.time`, `time.monotonic`)
follow the event loop's, and threads that they start are run at once. Where a library only answers "no",
the bench asks again when it may be time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib import import_module
from time import process_time
from typing import Any, TypeVar
from unittest.mock import patch

from aiolimiter import AsyncLimiter

from agcod_async import LocalThrottle
from tests.support.servers import Traffic, drive, models
from tests.support.virtual_time import VirtualTimeLoop

CALLS = 10_000
JITTERS = (0.0, 0.02, 0.05)
_EPOCH = 1_800_000_000.0

T = TypeVar("T")
Acquire = Callable[[], Awaitable[object]]


def ours() -> Acquire:
    throttle = LocalThrottle()
    return lambda: throttle.acquire("CreateGiftCard")


def aiolimiter_10_1() -> Acquire:
    return AsyncLimiter(10, 1).acquire


def aiolimiter_1_01() -> Acquire:
    return AsyncLimiter(1, 0.1).acquire


def pyrate_limiter() -> Acquire:
    module = import_module("pyrate_limiter")
    bucket = module.InMemoryBucket([module.Rate(10, 1000)])
    limiter = module.Limiter(bucket)
    return lambda: limiter.try_acquire_async("account")


def limits_moving_window() -> Acquire:
    limits, storage = import_module("limits"), import_module("limits.aio.storage")
    strategies = import_module("limits.aio.strategies")
    limiter = strategies.MovingWindowRateLimiter(storage.MemoryStorage())
    rate = limits.parse("10/second")

    async def acquire() -> None:
        while not await limiter.hit(rate, "account"):
            reset, _ = await limiter.get_window_stats(rate, "account")
            await asyncio.sleep(max(0.001, reset - time.time()))

    return acquire


def throttled_py() -> Acquire:
    module = import_module("throttled.asyncio")
    limiter: Any = module.Throttled(
        key="account",
        using="token_bucket",
        quota=module.rate_limiter.per_sec(10, burst=10),
        store=module.MemoryStore(),
        timeout=3600,
    )
    return lambda: limiter.limit()  # noqa: PLW0108  (typed by the lambda)


CANDIDATES: dict[str, Callable[[], Acquire]] = {
    "ours": ours,
    "AsyncLimiter(10, 1)": aiolimiter_10_1,
    "AsyncLimiter(1, 0.1)": aiolimiter_1_01,
    "pyrate-limiter": pyrate_limiter,
    "limits, moving window": limits_moving_window,
    "throttled-py, burst 10": throttled_py,
}


class CreepingLoop(VirtualTimeLoop):
    """Every look at the clock takes a nanosecond: some libraries wait in circles for less than that."""

    def time(self) -> float:
        self._jumping.now += 1e-9
        return self._jumping.now


def run_virtually(main: Coroutine[object, object, T]) -> T:
    with asyncio.Runner(loop_factory=CreepingLoop) as runner:
        return runner.run(main)


@contextmanager
def clocks_follow(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let the standard library's clocks, as other packages read them, tell the loop's time."""

    def nanoseconds() -> int:
        return round((_EPOCH + loop.time()) * 1e9)

    def seconds() -> float:
        return _EPOCH + loop.time()

    async def at_once(function: Callable[..., T], *arguments: object) -> T:
        return function(*arguments)

    with (
        patch("time.time", seconds),
        patch("time.monotonic", seconds),
        patch("time.time_ns", nanoseconds),
        patch("time.monotonic_ns", nanoseconds),
        patch("asyncio.to_thread", at_once),
        patch("pyrate_limiter.clocks.monotonic_ns", nanoseconds),
        patch("pyrate_limiter.limiter.monotonic", seconds),
    ):
        yield


def run(make: Callable[[], Acquire], jitter: float, *, is_bursty: bool) -> Traffic:
    """Return what 10,000 calls of one candidate came to."""

    async def main() -> Traffic:
        with clocks_follow(asyncio.get_running_loop()):
            return await drive(make(), calls=CALLS, jitter=jitter, is_bursty=is_bursty)

    return run_virtually(main())


def cpu_per_grant(waiters: int, grants: int = 20_000) -> float:
    """Return the seconds of CPU that a grant takes with so many tasks in line all the time."""

    async def main() -> float:
        throttle = LocalThrottle()
        done = 0

        async def call() -> None:
            nonlocal done
            while True:
                await throttle.acquire("CreateGiftCard")
                done += 1

        tasks = [asyncio.create_task(call()) for _ in range(waiters)]
        await asyncio.sleep(1)
        first, start = done, process_time()
        await asyncio.sleep(grants * 0.105)
        seconds = (process_time() - start) / (done - first)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return seconds

    return run_virtually(main())


def main() -> None:
    """Print both tables."""
    names = list(models())
    print(f"refusals per {CALLS:,} calls at a limit of 10/s, and calls per second while there is demand")
    print(f"{'':<24}{'demand':<9}{'jitter':>6}{'calls/s':>9}  " + "".join(f"{name:>16}" for name in names))
    for label, make in CANDIDATES.items():
        for is_bursty in (False, True):
            for jitter in JITTERS:
                traffic = run(make, jitter, is_bursty=is_bursty)
                demand = "bursty" if is_bursty else "steady"
                row = f"{label:<24}{demand:<9}{jitter * 1000:>3.0f} ms{traffic.rate:>9.2f}  "
                print(row + "".join(f"{traffic.refusals[name]:>16}" for name in names), flush=True)
    print("\nCPU per grant")
    for waiters in (1, 1_000, 100_000):
        print(f"{waiters:>8,} waiters  {cpu_per_grant(waiters) * 1e6:6.1f} us")


if __name__ == "__main__":
    main()
