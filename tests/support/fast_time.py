"""Real loops, sockets and processes whose time runs faster, so that a lease of a minute ends in seconds."""

from __future__ import annotations

import asyncio
import selectors
from datetime import UTC, datetime, timedelta


class _FastSelector(selectors.DefaultSelector):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self._speed)


class FastLoop(asyncio.SelectorEventLoop):
    """One second of the world is *speed* seconds of this loop."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        super().__init__(_FastSelector(speed))

    def time(self) -> float:
        return super().time() * self._speed


class FastClock:
    """The wall clock to it: from *began* on, which all processes know, it runs *speed* times as fast."""

    def __init__(self, began: datetime, speed: float) -> None:
        self._began = began
        self._speed = speed
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return self._began + (datetime.now(UTC) - self._began) * self._speed + self.ahead
