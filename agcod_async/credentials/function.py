"""Any function as a provider, and functions that block."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Generic, TypeVar

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .pair import Credentials

T = TypeVar("T")


class OneAtATime(Generic[T]):
    """
    Runs a blocking function in the loop's executor.

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
            running = self._running = loop.run_in_executor(None, self._function)
        return await asyncio.shield(running)


class CallableCredentials:
    """
    Asks a function, which returns :class:`Credentials`.

    Args:
        function: async, or one that may block: that runs in the loop's executor, never twice at a time.
        max_age: seconds for which a session uses a pair before it asks again.
    """

    def __init__(
        self, function: Callable[[], Credentials | Awaitable[Credentials]], *, max_age: float = 60.0
    ) -> None:
        if not callable(function):
            raise ConfigurationError("function: something to be called without arguments is needed")
        self.max_age = checked_age(max_age)
        self._function = function
        self._in_executor = OneAtATime(function)

    async def get_credentials(self) -> Credentials:
        """Return what the function returns."""
        result = self._function() if iscoroutinefunction(self._function) else await self._in_executor()
        return await result if isawaitable(result) else result


def checked_age(max_age: float) -> float:
    """Refuse an age that is none."""
    if not (isinstance(max_age, int | float) and max_age >= 0):
        raise ConfigurationError("max_age: seconds of at least 0 are needed")
    return max_age
