"""Cancellation at every await there is: counts them, and strikes at the one that is wanted."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class Strikes:
    """
    Counts the awaits of the tasks of some coroutines.

    Args:
        names: how the qualified names of their functions begin.
    """

    def __init__(self, *names: str) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        """Those that are counted, and still run."""
        self._names = names
        self._left = 0
        self._strike: Callable[[], object] | None = None

    @property
    def is_armed(self) -> bool:
        """Whether it has not struck yet."""
        return self._strike is not None

    def arm(self, number: int, strike: Callable[[], object]) -> None:
        """Call *strike* when so many awaits have begun."""
        self._left, self._strike = number, strike

    def disarm(self) -> None:
        self._strike = None

    def factory(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """The loop's task factory."""
        if not getattr(coro, "__qualname__", "").startswith(self._names):
            return asyncio.Task(coro, loop=loop, **options)
        task = asyncio.Task(self._counted(coro), loop=loop, **options)
        self.tasks.add(task)

        def ended(_: object) -> None:
            self.tasks.discard(task)
            # Cancelled before its first step, it would be missed.
            coro.close()

        task.add_done_callback(ended)
        return task

    async def _counted(self, coro: Coroutine[Any, Any, Any]) -> Any:
        return await self._watch(coro)

    @types.coroutine
    def _watch(self, coro: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        thrown: BaseException | None = None
        while True:
            try:
                waited = coro.send(None) if thrown is None else coro.throw(thrown)
            except StopIteration as stop:
                return stop.value
            self._count()
            thrown = None
            try:
                yield waited
            except BaseException as exc:  # noqa: BLE001  (passed on, whatever it is)
                thrown = exc

    def _count(self) -> None:
        self._left -= 1
        if self._strike is not None and self._left < 0:
            # Not at once: the task has to begin to wait first.
            asyncio.get_running_loop().call_soon(self._strike)
            self._strike = None
