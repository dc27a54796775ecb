"""Keeping within the account's rate: the protocol, and the throttle of one process."""

from __future__ import annotations

from typing import Protocol

from .local import LocalThrottle

__all__ = ["LocalThrottle", "Throttle"]


class Throttle(Protocol):
    """Grants each attempt its moment. One instance serves all who share an account's budget."""

    async def acquire(self, operation: str, /) -> None:
        """Wait until a request of *operation* may leave. Cancelling the wait takes nothing."""
        ...

    def slow_down(self) -> None:
        """The service refused a request for its rate: let nobody pass for a moment."""
        ...
