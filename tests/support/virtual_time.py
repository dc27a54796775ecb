"""An event loop whose clock jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: the loop's clock moves on by as long as it would have waited."""

    now = 0.0

    def select(self, timeout: float | None = None):
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: every task waits, and no timer is set")
            # At least a nanosecond: rounding may ask to be woken "now" for ever.
            self.now += max(timeout, 1e-9) if timeout else 0.0
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop for tests of waiting: an hour passes in milliseconds. Not for sockets or threads."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["virtual-time"]
)
"""Marks a single test, or a module by ``pytestmark``, to run in virtual time."""


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* in a virtual time of its own, for tests that are no coroutines themselves."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
