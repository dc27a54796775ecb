"""An event loop whose clock jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: the loop's clock moves on by as long as it would have waited."""

    now = 0.0

    def select(self, timeout: float | None = None):
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: every task waits, and no timer is set")
            # At least a nanosecond: rounding may ask to be woken "now" for ever.
            self.now += max(timeout, 1e-9)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop for tests of waiting: an hour passes in milliseconds. Not for sockets or threads."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now
