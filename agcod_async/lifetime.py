"""From a session's first call to its end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Protocol

from .errors import ConfigurationError


class Closable(Protocol):
    """Something that is closed in the end."""

    async def aclose(self) -> None:
        """Close it."""
        ...


class Lifetime:
    """Binds a session and all its views to one event loop, where its connections are."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owned = AsyncExitStack()
        self.is_over = False

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the session's loop, which is the one of its first call; refuse any other."""
        self.check()
        running = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = running
        elif self._loop is not running:
            raise ConfigurationError(
                "this session belongs to another event loop, where its connections are: make one per loop"
            )
        return running

    def check(self) -> None:
        """Refuse to go on after the end: asked again before each request leaves."""
        if self.is_over:
            raise ConfigurationError("this session is closed: make a new one")

    def own(self, part: Closable) -> None:
        """Close *part* in the end."""
        self._owned.push_async_callback(part.aclose)

    async def end(self) -> None:
        """Close what the session owns, all of it, whatever goes wrong with one."""
        self.is_over = True
        await self._owned.aclose()
