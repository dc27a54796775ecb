"""What happens inside a session, as frozen values for hooks and logs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, ClassVar

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

LOGGER = logging.getLogger("agcod_async")
LOGGER.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base class of every event. No event carries a secret or a body."""

    level: ClassVar[int] = logging.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(Event):
    """An attempt failed, and another one follows after *delay* seconds."""

    operation: str
    request_id: str | None
    attempt: int
    delay: float
    error: str
    """The name of the error's class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockCorrected(Event):
    """This machine's clock is off by *seconds* (positive: it is behind); signatures allow for it now."""

    level: ClassVar[int] = logging.WARNING

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlistedCurrency(Event):
    """No marketplace known for the endpoint uses this currency; the service will have the last word."""

    level: ClassVar[int] = logging.WARNING

    currency_code: str
    endpoint: str


Hook = Callable[[Event], object]
"""Called with every event, in the event loop; what it raises is logged and goes no further."""


class Hooks:
    """Who is told of events: the log, and the hooks of the user."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        for hook in hooks:
            if iscoroutinefunction(hook):
                raise ConfigurationError(f"hooks: {hook!r} is a coroutine function; give one that is called")
        self._hooks = tuple(hooks)

    def emit(self, event: Event) -> None:
        """Tell everybody. What a hook raises is logged, by name only, and goes no further."""
        LOGGER.log(event.level, "%s", event)
        for hook in self._hooks:
            try:
                hook(event)
            except Exception as exc:  # noqa: BLE001  (a hook never breaks a call)
                LOGGER.warning("the hook %r raised %s", hook, type(exc).__name__)
