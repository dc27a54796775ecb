"""No limit at all: for what never leaves this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .line import Priority


class NoThrottle:
    """A throttle that lets everybody pass at once."""

    waiting = 0
    rate = float("inf")
    next_slot = 0.0

    async def acquire(
        self, operation: str, /, *, priority: Priority = "interactive", max_wait: float | None = None
    ) -> None:
        """Let the request leave."""

    def accepted(self, operation: str, /, seconds: float) -> None:
        """Stay as fast as ever."""

    def refused(self, operation: str, /) -> None:
        """Stay as fast as ever."""

    async def aclose(self) -> None:
        """Nothing is held open."""
