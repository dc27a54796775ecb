"""Any function as a provider, and functions that block."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from inspect import isawaitable, iscoroutinefunction
from threading import Thread
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .pair import Credentials

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


class _Threads(Executor):
    """
    Runs each call in a thread of its own, which a process does not wait for when it ends.

    The loop's default executor would be waited for: a vault that hangs would hold up the end for ever.
    """

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        future: Future[R] = Future()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as exc:  # noqa: BLE001  (as other executors do: who waits gets it)
                future.set_exception(exc)

        Thread(target=run, name="agcod-credentials", daemon=True).start()
        return future


_THREADS = _Threads()


class OneAtATime(Generic[T]):
    """
    Runs a blocking function in a thread.

    Whoever asks while it runs waits for that run: however often a function that hangs is asked for, it
    takes one thread.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._running: asyncio.Future[T] | None = None

    async def __call__(self) -> T:
        """Return what the function returns."""
        loop = asyncio.get_running_loop()
        running = self._running
        if running is None or running.done() or running.get_loop() is not loop:
            running = self._running = loop.run_in_executor(_THREADS, self._function)
        return await asyncio.shield(running)


class CallableCredentials:
    """
    Asks a function, which returns :class:`Credentials`.

    Args:
        function: async, or one that may block: that runs in a thread of its own, never twice at a time.
        max_age: seconds for which a session uses a pair before it asks again.
    """

    def __init__(
        self, function: Callable[[], Credentials | Awaitable[Credentials]], *, max_age: float = 60.0
    ) -> None:
        if not callable(function):
            raise ConfigurationError("function: something to be called without arguments is needed")
        self.max_age = checked_age(max_age)
        self._function = function
        self._in_thread = OneAtATime(function)

    async def get_credentials(self) -> Credentials:
        """Return what the function returns."""
        result = self._function() if iscoroutinefunction(self._function) else await self._in_thread()
        return await result if isawaitable(result) else result


def checked_age(max_age: float) -> float:
    """Refuse an age that is none."""
    if not (isinstance(max_age, int | float) and max_age >= 0):
        raise ConfigurationError("max_age: seconds of at least 0 are needed")
    return max_age
