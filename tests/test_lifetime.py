"""From a session's first call to its end."""

from __future__ import annotations

import asyncio

import pytest

from agcod_async import ConfigurationError
from agcod_async.lifetime import Lifetime


class Part:
    """Remembers that it was closed, and may fail at it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1
        if self.error:
            raise self.error


async def test_everything_is_closed_whatever_goes_wrong():
    """A throttle that cannot say goodbye to its store must not leave the HTTP client's sockets open."""
    parts = [Part(), Part(OSError("gone")), Part()]
    lifetime = Lifetime()
    for part in parts:
        lifetime.own(part)
    with pytest.raises(OSError, match="gone"):
        await lifetime.end()
    await lifetime.end()
    assert [part.closed for part in parts] == [1, 1, 1]
    assert lifetime.is_over
    with pytest.raises(ConfigurationError, match="closed"):
        lifetime.loop()


def test_one_loop():
    """Connections belong to the loop they were made in: another one is refused, not half served."""
    lifetime = Lifetime()

    async def first() -> None:
        assert lifetime.loop() is asyncio.get_running_loop()
        assert lifetime.loop() is asyncio.get_running_loop()

    async def second() -> None:
        with pytest.raises(ConfigurationError, match="another event loop"):
            lifetime.loop()

    asyncio.run(first())
    asyncio.run(second())
