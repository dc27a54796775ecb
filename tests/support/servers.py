"""How a service may count its limit: four models, for traffic in any kind of time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Protocol


class Server(Protocol):
    """Counts the requests that arrive; times are seconds that never go back."""

    def admits(self, now: float) -> bool:
        """Whether the request that arrives now is taken."""
        ...


class FixedWindow:
    """So many from each full second to the next."""

    def __init__(self, rate: int = 10) -> None:
        self.rate = rate
        self._window, self._count = -1, 0

    def admits(self, now: float) -> bool:
        if int(now) != self._window:
            self._window, self._count = int(now), 0
        self._count += 1
        return self._count <= self.rate


class SlidingWindow:
    """The strict reading: so many in any second, wherever it begins."""

    def __init__(self, rate: int = 10) -> None:
        self.rate = rate
        self._taken: deque[float] = deque()

    def admits(self, now: float) -> bool:
        # A nanosecond for the rounding of sums of floats.
        while self._taken and self._taken[0] <= now - 1 + 1e-9:
            self._taken.popleft()
        if len(self._taken) >= self.rate:
            return False
        self._taken.append(now)
        return True


class TokenBucket:
    """Tokens trickle in at the rate, up to *burst* of them wait."""

    def __init__(self, burst: int, rate: int = 10) -> None:
        self.rate, self.burst = rate, burst
        self._level, self._at = float(burst), 0.0

    def admits(self, now: float) -> bool:
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level < 1 - 1e-9:
            return False
        self._level -= 1
        return True


def models() -> dict[str, Server]:
    """Fresh servers of every kind, by name."""
    return {
        "fixed window": FixedWindow(),
        "sliding window": SlidingWindow(),
        "bucket of 10": TokenBucket(10),
        "bucket of 2": TokenBucket(2),
    }


@dataclass(frozen=True)
class Traffic:
    """What came of a run."""

    calls: int
    refusals: dict[str, int]
    """By the name of the server."""
    rate: float
    """Calls per second, while somebody wanted to call."""


async def drive(
    acquire: Callable[[], Awaitable[object]],
    *,
    calls: int,
    jitter: float,
    is_bursty: bool,
    seed: int = 1,
    servers: dict[str, Server] | None = None,
) -> Traffic:
    """
    Send calls that *acquire* grants to servers that are a delay of 20 ms and a jitter away.

    Steady demand is twenty callers who never stop; bursty demand is bursts of 20 to 200, with rests
    of up to five seconds between them.
    """
    servers = servers or models()
    loop, random = asyncio.get_running_loop(), Random(seed)
    refusals = dict.fromkeys(servers, 0)
    busy = 0.0

    def arrive() -> None:
        for name, server in servers.items():
            refusals[name] += not server.admits(loop.time())

    async def call() -> None:
        await acquire()
        loop.call_later(0.02 + random.uniform(0, jitter), arrive)

    async def callers(share: Iterator[int]) -> None:
        for _ in share:
            await call()

    left = calls
    while left:
        size = min(left, random.randint(20, 200)) if is_bursty else left
        share, start = iter(range(size)), loop.time()
        async with asyncio.TaskGroup() as group:
            for _ in range(size if is_bursty else 20):
                group.create_task(callers(share))
        busy += loop.time() - start
        left -= size
        await asyncio.sleep(random.uniform(1, 5))
    return Traffic(calls, refusals, calls / busy)


def most_in_a_second(times: Iterable[float]) -> int:
    """Return how many moments the fullest second holds, wherever it begins."""
    ordered, window, most = sorted(times), deque[float](), 0
    for at in ordered:
        window.append(at)
        while window[0] <= at - 1 + 1e-9:
            window.popleft()
        most = max(most, len(window))
    return most


def gaps(times: Iterable[float]) -> list[float]:
    """Return the seconds between each moment and the next."""
    return [later - earlier for earlier, later in pairwise(sorted(times))]
