"""Keeping within the account's rate: one process, or many that share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..errors import ConfigurationError
from .line import Priority
from .local import LocalThrottle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..endpoints import Endpoint
    from ..events import Hook

__all__ = ["LocalThrottle", "Priority", "Throttle", "throttle_from"]


class Throttle(Protocol):
    """Grants each attempt its moment. One instance serves all who share an account's budget."""

    async def acquire(
        self, operation: str, /, *, priority: Priority = "interactive", max_wait: float | None = None
    ) -> None:
        """
        Wait until a request of *operation* may leave. Cancelling the wait takes nothing.

        Raises:
            ThrottleTimeout: it would not be within *max_wait* seconds.
        """
        ...

    def accepted(self, operation: str, /, seconds: float) -> None:
        """The service took a request of *operation*, and answered it *seconds* after it left."""
        ...

    def refused(self, operation: str, /) -> None:
        """The service refused a request of *operation* for its rate."""
        ...

    @property
    def waiting(self) -> int:
        """How many calls wait here."""
        ...

    @property
    def rate(self) -> float:
        """Requests per second that pass at present, over all operations."""
        ...

    @property
    def next_slot(self) -> float:
        """Seconds until an interactive call that comes now could leave."""
        ...

    async def aclose(self) -> None:
        """Close what the throttle holds open."""
        ...


def throttle_from(
    environ: Mapping[str, str], partner_id: str, endpoint: Endpoint, hooks: Sequence[Hook]
) -> Throttle | None:
    """Return the shared throttle that ``AGCOD_THROTTLE_URL`` names, if it is set."""
    url = environ.get("AGCOD_THROTTLE_URL", "")
    if not url:
        return None
    try:
        from .redis import RedisThrottle
    except ModuleNotFoundError:
        raise ConfigurationError("AGCOD_THROTTLE_URL: needs agcod-async[redis]") from None
    return RedisThrottle(partner_id, endpoint, url, hooks=hooks)
