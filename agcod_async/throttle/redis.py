"""The throttle of many processes: they share one account's budget through Redis or Valkey."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from ..environment import require_variable
from ..errors import ConfigurationError, ThrottleUnavailable
from ..events import Hook, Hooks, RateChanged, ThrottleStoreBack, ThrottleStoreLost
from .bucket import Limits
from .line import Line, Priority
from .local import ACCOUNT_RATE, OPERATION_RATES, LocalThrottle, check_wait
from .store import PROBE_EVERY, Store, StoreLost

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from ..endpoints import Endpoint

# Seconds after which a slot is past, and a silence of the store may be this process's own.
_STALE = 0.5

_ATTEMPTS = 3


class RedisThrottle:
    """
    Holds one account's rates over all processes and machines that name the same store, partner and endpoint.

    Slots are reserved on the store's clock, one round trip each. When the store is slow or gone, this
    process keeps to its own share of the rate (or fails closed), and comes back by itself.

    Args:
        partner_id: whose account.
        endpoint: where; sandbox and production have budgets of their own.
        url: ``redis://…``; by default the environment variable ``AGCOD_THROTTLE_URL``.
        rate: requests in any second, over all operations and all processes.
        operation_rates: the same for single operations.
        margin: seconds by which each window is widened against network jitter.
        expected_processes:
            how many share the budget: without the store each keeps to that part of it. An operation at
            less than one request per second and process can then be asked twice in its interval.
        fail_closed: whether calls fail with ThrottleUnavailable while the store is away, instead.
        hooks: called with each change of the rate, and when the store goes and comes.

    Raises:
        ConfigurationError:
            an argument cannot work; at the first call: the store cannot be reached or used.
    """

    def __init__(
        self,
        partner_id: str,
        endpoint: Endpoint,
        url: str | None = None,
        *,
        rate: float = ACCOUNT_RATE,
        operation_rates: Mapping[str, float] = OPERATION_RATES,
        margin: float = 0.05,
        expected_processes: int = 1,
        fail_closed: bool = False,
        hooks: Sequence[Hook] = (),
    ) -> None:
        if expected_processes < 1:
            raise ConfigurationError("expected_processes: at least this one shares the budget")
        url = url or require_variable(os.environ, "AGCOD_THROTTLE_URL")
        self._limits = Limits(rate, operation_rates, burst=1, margin=margin)
        self._share = LocalThrottle(
            _share(rate, expected_processes),
            {name: _share(each, expected_processes) for name, each in operation_rates.items()},
            margin=margin,
        )
        self._store = Store(url, f"{partner_id}@{endpoint.host}")
        # Between the last slot of one's own share and the store's first: as long as that share's slots are
        # apart, no second holds more than the rate, however the processes' slots fell together.
        self._quiet = 0.0 if fail_closed else min(1.0, 1 / self._share.rate) + margin
        self._fail_closed = fail_closed
        self._hooks = Hooks(hooks)
        self._line = Line()
        self._servers: set[str | None] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._checked: asyncio.Task[None] | None = None
        self._is_up = True
        self._share_waits: set[asyncio.Timeout] = set()

    async def acquire(
        self, operation: str, /, *, priority: Priority = "interactive", max_wait: float | None = None
    ) -> None:
        """Wait until a request of *operation* may leave."""
        self._line.ensure_open()
        await self._check_once()
        if self._fail_closed and not self._is_up:
            raise _unavailable()
        lane = self._limits.lane(operation)
        if max_wait is not None:
            check_wait(self._wait_behind(self._line.ahead(lane, priority), lane), max_wait)
        waiter = self._line.join(lane, priority)
        if lane not in self._servers:
            self._servers.add(lane)
            self._start(self._serve(lane))
        try:
            await waiter.wait(max_wait)
        except BaseException:
            if waiter.has_turn:
                # The slot came while the call was being cancelled: it is for the next one.
                self._grant(lane)
            raise
        finally:
            self._line.leave(waiter)

    def accepted(self, operation: str, /, seconds: float) -> None:
        """A clean answer: what it took tells the jitter; the store counts the time for the steps."""
        self._limits.bucket(self._limits.lane(operation)).pace.measured(seconds)
        self._share.accepted(operation, seconds)

    def refused(self, operation: str, /) -> None:
        """Pause everybody in all processes, and slow down what was refused."""
        self._share.refused(operation)
        if not self._line.is_closed:
            self._start(self._tell_refused(self._limits.lane(operation)))

    @property
    def waiting(self) -> int:
        """How many calls of this process wait here."""
        return self._line.waiting

    @property
    def rate(self) -> float:
        """Requests per second that pass at present: of all processes, or of this one without the store."""
        return 1 / self._limits.account.interval if self._is_up else self._share.rate

    @property
    def next_slot(self) -> float:
        """Seconds until an interactive call that comes now could leave, if no other process took slots."""
        return self._wait_behind(self._line.ahead(None, "interactive"), None)

    async def aclose(self) -> None:
        """Send those who wait away with a ConfigurationError, and close the store's connections."""
        self._line.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._share.aclose()
        await self._store.aclose()

    def _wait_behind(self, ahead: int, lane: str | None) -> float:
        return self._limits.wait_behind(ahead, lane) if self._is_up else self._share.wait_behind(ahead, lane)

    # Slots

    async def _serve(self, lane: str | None) -> None:
        """Take slots for a lane as long as somebody waits in it, and give each to whoever is first then."""
        try:
            while self._line.has(lane):
                await self._slot(lane)
        finally:
            self._servers.discard(lane)

    async def _slot(self, lane: str | None) -> None:
        if await self._store_slot(lane) or await self._share_slot(lane):
            self._grant(lane)

    async def _store_slot(self, lane: str | None) -> bool:
        """Wait for a slot of the store; return whether one came."""
        clock = asyncio.get_running_loop().time
        for _ in range(_ATTEMPTS):
            if not self._is_up:
                return False
            asked = clock()
            try:
                delay = await self._reserve(lane)
            except StoreLost as exc:
                # Whoever was frozen himself cannot blame the store.
                if clock() - asked < _STALE:
                    self._lose(exc)
                continue
            await asyncio.sleep(delay)
            # Whoever slept past his slot, in a frozen process, asks for another one.
            if clock() - asked - delay < _STALE:
                self._limits.note(lane)
                self._share.note(lane)
                return True
        return False

    async def _share_slot(self, lane: str | None) -> bool:
        """Wait for a slot of this process's share; return whether one came before the store did."""
        if self._fail_closed:
            self._line.dismiss(_unavailable, [lane])
            return False
        try:
            async with asyncio.timeout(None) as wait:
                self._share_waits.add(wait)
                try:
                    await self._share.acquire(lane or "")
                finally:
                    self._share_waits.discard(wait)
        except TimeoutError:
            return False
        self._limits.note(lane)
        return True

    async def _reserve(self, lane: str | None) -> float:
        bucket = self._limits.bucket(lane)
        own, not_before = (0.0, 0.0)
        if lane is not None:
            # What this process did without the store, or before it lost its memory, counts too.
            own, not_before = bucket.spacing, bucket.wait(asyncio.get_running_loop().time())
        slot = await self._store.reserve(lane, self._limits.account.spacing, own, max(0.0, not_before))
        self._note_factor(None, slot.factor)
        if lane is not None:
            self._note_factor(lane, slot.lane_factor)
        return slot.delay

    def _grant(self, lane: str | None) -> None:
        if waiter := self._line.next([lane].__contains__):
            waiter.turn.set_result(None)

    # The store's coming and going

    async def _check_once(self) -> None:
        """Use the store for the first time: what is wrong with it then is the configuration."""
        if self._checked is None:
            self._checked = self._start(self._store.check())
        try:
            await asyncio.shield(self._checked)
        except ConfigurationError:
            self._checked = None
            raise

    def _lose(self, exc: StoreLost) -> None:
        if not self._is_up:
            return
        self._is_up = False
        rate = 0.0 if self._fail_closed else self._share.rate
        self._hooks.emit(ThrottleStoreLost(error=exc.error, rate=rate))
        self._start(self._probe())

    async def _probe(self) -> None:
        """Find the store again, and use it from the moment that all processes agree on."""
        await asyncio.sleep(max(0.0, await self._found() - self._quiet))
        self._is_up = True
        now = asyncio.get_running_loop().time()
        for wait in self._share_waits:
            wait.reschedule(now)
        self._hooks.emit(ThrottleStoreBack())

    async def _found(self) -> float:
        """Wait until the store answers; return the seconds from then on until its slots count."""
        while True:
            await asyncio.sleep(PROBE_EVERY)
            try:
                return await self._store.resume(self._quiet)
            except StoreLost:
                pass

    # The fleet's pace

    async def _tell_refused(self, lane: str | None) -> None:
        self._limits.bucket(lane).pace.widen()
        try:
            self._note_factor(lane, await self._store.refused(lane or "account"))
        except StoreLost as exc:
            self._lose(exc)

    def _note_factor(self, lane: str | None, factor: float) -> None:
        bucket = self._limits.bucket(lane)
        before, bucket.pace.factor = bucket.pace.factor, factor
        if factor == before:
            return
        if factor == 1.0:
            bucket.pace.relax()
        reason = "refused by the service" if factor < before else "clean answers"
        self._hooks.emit(RateChanged(scope=lane or "account", rate=1 / bucket.interval, reason=reason))

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _share(rate: float, processes: int) -> float:
    # A whole number, because that many may fall into the same second in each process.
    return rate // processes if rate >= processes else rate / processes


def _unavailable() -> ThrottleUnavailable:
    return ThrottleUnavailable("the store of the shared throttle is away")
