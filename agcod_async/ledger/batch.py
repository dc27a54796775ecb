"""Group commit: what waits together is done together, by one thread, in one transaction."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from ..errors import Outcome

# Of the loop, for which a batch that still grows is held back.
_STEPS = 8

C = TypeVar("C")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Generic[C, R]):
    """One piece of a transaction."""

    run: Callable[[C], R]
    writes: bool
    outcome: Outcome
    """What a failure of the store says about the money."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a piece: its result, or the error that it alone failed with."""

    result: Any = None
    error: Exception | None = None


class Batches(Generic[C]):
    """
    Hands pieces of work to one thread, in batches: all that has come while the batch before was running.

    Everything goes through the loop's ``run_in_executor``, so that a simulated loop can run it inline.

    Args:
        run_all: does a batch, in one transaction; raises LedgerError if none of it was done.
    """

    def __init__(self, run_all: Callable[[Sequence[Work[C, Any]]], Sequence[Done]]) -> None:
        self._run_all = run_all
        self._loop = asyncio.get_running_loop()
        self._executor: Executor = ThreadPoolExecutor(1, thread_name_prefix="agcod-ledger")
        self._waiting: list[tuple[Work[C, Any], asyncio.Future[Any]]] = []
        self._idle = asyncio.Event()
        self._idle.set()

    async def do(self, work: Work[C, R]) -> R:
        """Do a piece of work. Cancelled, it may be done or not."""
        if asyncio.get_running_loop() is not self._loop:
            raise LedgerError("this ledger was opened in another event loop: open one per loop")
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting.append((work, future))
        if self._idle.is_set():
            self._idle.clear()
            # Not at once: the tasks that are ready now can still join the batch.
            self._loop.call_soon(self._gather, len(self._waiting))
        return await future

    async def aclose(self, last: Callable[[], None]) -> None:
        """Finish what is waiting, then do *last* in the same thread."""
        await self._idle.wait()
        await self._loop.run_in_executor(self._executor, last)
        self._executor.shutdown()

    async def first(self, work: Callable[[], None]) -> None:
        """Do *work* before any batch."""
        await self._loop.run_in_executor(self._executor, work)

    def _gather(self, before: int, steps: int = _STEPS) -> None:
        """Begin the next batch as soon as a step of the loop brings nothing more to it."""
        waiting = len(self._waiting)
        if waiting > before and steps:
            self._loop.call_soon(self._gather, waiting, steps - 1)
        else:
            self._next()

    def _next(self) -> None:
        batch = [(work, future) for work, future in self._waiting if not future.cancelled()]
        self._waiting = []
        if not batch:
            self._idle.set()
            return
        works = [work for work, _ in batch]
        running = asyncio.ensure_future(self._loop.run_in_executor(self._executor, self._run_all, works))
        running.add_done_callback(partial(self._finish, batch))

    def _finish(
        self,
        batch: Sequence[tuple[Work[C, Any], asyncio.Future[Any]]],
        running: asyncio.Future[Sequence[Done]],
    ) -> None:
        failure = running.exception()
        results = [Done(error=_own(failure, work)) for work, _ in batch] if failure else running.result()
        for (_, future), done in zip(batch, results, strict=True):
            if future.cancelled():
                continue
            if done.error:
                future.set_exception(done.error)
            else:
                future.set_result(done.result)
        self._loop.call_soon(self._gather, len(self._waiting))


def _own(failure: BaseException, work: Work[Any, Any]) -> LedgerError:
    # An exception of its own for each, because tracebacks grow where one is raised.
    error = LedgerError(str(failure.args[0]) if failure.args else repr(failure), outcome=work.outcome)
    error.__cause__ = failure
    return error
