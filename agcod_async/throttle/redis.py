"""The throttle of many processes: they share one account's budget through Redis or Valkey."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from ..environment import require_variable
from ..errors import ConfigurationError, ThrottleTimeout, ThrottleUnavailable
from ..events import Hook, Hooks, RateChanged, ThrottleStoreBack, ThrottleStoreLost
from .bucket import Bucket
from .line import Line, Priority
from .local import ACCOUNT_RATE, OPERATION_RATES, LocalThrottle, checked_operations, turn_of
from .store import PROBE_EVERY, Reservation, Store, StoreErrors

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from ..endpoints import Endpoint

_STALE = 1.0

# Seconds without grants before the store's slots count again: what left meanwhile is not in the store.
_QUIET = 0.55


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
        expected_processes: how many share the budget: without the store each keeps to that part of it.
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
        self._store = Store(url, f"{partner_id}@{endpoint.host}")
        self._account = Bucket("rate", rate, 1, margin)
        self._operations = {
            name: Bucket(f"operation_rates[{name!r}]", each, 1, margin)
            for name, each in checked_operations(operation_rates).items()
        }
        self._share = LocalThrottle(
            _share(rate, expected_processes),
            {name: _share(each, expected_processes) for name, each in operation_rates.items()},
            margin=margin,
        )
        self._fail_closed = fail_closed
        self._hooks = Hooks(hooks)
        self._line = Line()
        self._servers: dict[str | None, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._checked: asyncio.Task[None] | None = None
        self._is_up = True
        self._factors: dict[str | None, float] = {}

    async def acquire(
        self, operation: str, /, *, priority: Priority = "interactive", max_wait: float | None = None
    ) -> None:
        """Wait until a request of *operation* may leave."""
        await self._check_once()
        if self._fail_closed and not self._is_up:
            raise ThrottleUnavailable("the store of the shared throttle is away")
        if max_wait is not None and self._line.ahead(priority) * self._account.interval > max_wait:
            raise ThrottleTimeout(f"more than {max_wait:g} s of calls wait already")
        lane = operation if operation in self._operations else None
        waiter = self._line.join(lane, priority)
        if lane not in self._servers:
            self._servers[lane] = self._start(self._serve(lane))
        try:
            await turn_of(waiter, max_wait)
        except BaseException:
            if waiter.turn.done() and not waiter.turn.cancelled():
                # The slot came while the call was being cancelled: it is for the next one.
                self._grant(lane)
            raise
        finally:
            self._line.leave(waiter)

    def accepted(self, operation: str, /, seconds: float) -> None:
        """A clean answer: what it took tells the jitter; the store counts the time for the steps."""
        self._bucket(operation).pace.accepted(asyncio.get_running_loop().time(), seconds)
        self._share.accepted(operation, seconds)

    def refused(self, operation: str, /) -> None:
        """Pause everybody in all processes, and slow down what was refused."""
        self._share.refused(operation)
        self._start(self._tell_refused(operation))

    @property
    def waiting(self) -> int:
        """How many calls of this process wait here."""
        return self._line.waiting

    @property
    def rate(self) -> float:
        """Requests per second that pass at present: of all processes, or of this one without the store."""
        return self._fleet_rate(None) if self._is_up else self._share.rate

    @property
    def next_slot(self) -> float:
        """Seconds until an interactive call that comes now could leave, if no other process took slots."""
        return self._share.next_slot if not self._is_up else self._line.ahead("interactive") / self.rate

    async def aclose(self) -> None:
        """Give up waiting calls' places and close the store's connections."""
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._share.aclose()
        await self._store.aclose()

    # Slots

    async def _serve(self, lane: str | None) -> None:
        """Take slots for a lane as long as somebody waits in it, and give each to whoever is first then."""
        try:
            while self._line.has(lane):
                await self._slot(lane)
                self._grant(lane)
        except Exception as exc:  # noqa: BLE001  (whoever waits must learn of it, whatever it is)
            while waiter := self._line.next(lambda other: other == lane):
                waiter.turn.set_exception(exc)
        finally:
            del self._servers[lane]

    async def _slot(self, lane: str | None) -> None:
        """Wait for the next slot of a lane, wherever it comes from."""
        clock = asyncio.get_running_loop().time
        while self._is_up:
            try:
                reservation = await self._reserve(lane)
            except StoreErrors as exc:
                self._lose(exc)
                break
            slot = clock() + reservation.delay
            await asyncio.sleep(reservation.delay)
            # Whoever slept past his slot, in a frozen process, asks for another one.
            if clock() - slot < _STALE:
                self._share.note(lane)
                return
        if self._fail_closed:
            raise ThrottleUnavailable("the store of the shared throttle is away")
        await self._share.acquire(lane or "")

    async def _reserve(self, lane: str | None) -> Reservation:
        lane_interval = self._operations[lane].interval if lane is not None else 0.0
        reservation = await self._store.reserve(lane, self._account.interval, lane_interval)
        self._note_factor(None, reservation.factor)
        if lane is not None:
            self._note_factor(lane, reservation.lane_factor)
        return reservation

    def _grant(self, lane: str | None) -> None:
        if waiter := self._line.next(lambda other: other == lane):
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

    def _lose(self, exc: BaseException) -> None:
        if not self._is_up:
            return
        self._is_up = False
        rate = 0.0 if self._fail_closed else self._share.rate
        self._hooks.emit(ThrottleStoreLost(error=type(exc).__name__, rate=rate))
        self._start(self._probe())

    async def _probe(self) -> None:
        """Find the store again, and use it from the moment that all processes agree on."""
        while not self._is_up:
            await asyncio.sleep(PROBE_EVERY)
            try:
                delay = await self._store.resume()
            except StoreErrors:
                continue
            await asyncio.sleep(max(0.0, delay - _QUIET))
            self._is_up = True
            self._hooks.emit(ThrottleStoreBack())

    # The fleet's pace

    async def _tell_refused(self, operation: str) -> None:
        lane = operation if operation in self._operations else None
        self._bucket(operation).pace.widen()
        try:
            self._note_factor(lane, await self._store.refused(lane or "account"))
        except StoreErrors as exc:
            self._lose(exc)

    def _note_factor(self, lane: str | None, factor: float) -> None:
        before = self._factors.get(lane, 1.0)
        if factor == before:
            return
        self._factors[lane] = factor
        if factor == 1.0:
            self._bucket(lane or "").pace.relax()
        reason = "refused by the service" if factor < before else "clean answers"
        self._hooks.emit(RateChanged(scope=lane or "account", rate=self._fleet_rate(lane), reason=reason))

    def _fleet_rate(self, lane: str | None) -> float:
        return self._factors.get(lane, 1.0) / self._bucket(lane or "").interval

    def _bucket(self, operation: str) -> Bucket:
        return self._operations.get(operation, self._account)

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _share(rate: float, processes: int) -> float:
    # A whole number, because that many may fall into the same second in each process.
    return rate // processes if rate >= processes else rate / processes
