"""What happens inside a session, as frozen values for hooks and logs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, ClassVar, Literal

from .errors import ConfigurationError, Outcome
from .secret import mask

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from .money import Money

LOGGER = logging.getLogger("agcod_async")
LOGGER.addHandler(logging.NullHandler())


def _without_secrets(record: logging.LogRecord) -> bool:
    """The last guard: no text that looks like a secret passes, whoever wrote it into this log."""
    record.msg, record.args = mask(record.getMessage()), None
    return True


LOGGER.addFilter(_without_secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base class of every event. No event carries a secret or a body."""

    level: ClassVar[int] = logging.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Event):
    """A call of the session began: everything until its CallEnded, in this task, belongs to it."""

    level: ClassVar[int] = logging.DEBUG

    operation: str
    request_id: str | None
    server: str
    """The host name of the endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleWaited(Event):
    """The throttle let a call pass after *seconds*, which are 0 where it was its turn already."""

    level: ClassVar[int] = logging.DEBUG

    operation: str
    request_id: str | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(Event):
    """A request is about to be sent: number *attempt* of its call, from 1."""

    level: ClassVar[int] = logging.DEBUG

    operation: str
    request_id: str | None
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded(Event):
    """An attempt that was started ended, with an answer of *http_status* or without one."""

    level: ClassVar[int] = logging.DEBUG

    operation: str
    request_id: str | None
    attempt: int
    seconds: float
    http_status: int | None
    error: str | None
    """The name of the error's class, or None after a success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """A call ended, over all its attempts, the throttle's line and the waits between them included."""

    level: ClassVar[int] = logging.DEBUG

    operation: str
    request_id: str | None
    attempts: int
    seconds: float
    outcome: Literal["success"] | Outcome
    """What is known now; a call that was cancelled after something had been sent is ``unknown``."""
    error: str | None
    """The name of the error's class, or None after a success."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityIncomplete(Event):
    """The pages of activity ended before as many records had come as were announced."""

    level: ClassVar[int] = logging.WARNING

    received: int
    announced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LowFunds(Event):
    """The funds fell below a threshold; it comes again only after they were back."""

    level: ClassVar[int] = logging.WARNING

    available: Money
    threshold: Money | None
    """None where it is the one in days."""
    average_daily_spend: Money | None
    """Over the last 14 days, where it is known by now."""
    days_remaining: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FundsUnreadable(Event):
    """A monitor of the funds got no answer, and asks again in *retry_in* seconds."""

    level: ClassVar[int] = logging.WARNING

    operation: str | None
    error: str
    """The name of the error's class."""
    retry_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardStep(Event):
    """The issuer took a step with a reward, and the ledger says by now what came of it."""

    level: ClassVar[int] = logging.DEBUG

    reference: str
    kind: str
    """``create``, ``activate`` or ``load``."""
    request_id: str
    generation: int
    before: str
    """The state of the entry before the step; ``issued`` where a card was fetched again."""
    state: str
    value: Money
    error: str | None
    """The name of the class of what the step's request ended with, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardNeedsPerson(Event):
    """A reward stayed unknown for 24 hours: somebody has to ask the service about this request id."""

    level: ClassVar[int] = logging.ERROR

    reference: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChanged(Event):
    """The throttle lets another number of requests per second pass than before."""

    level: ClassVar[int] = logging.WARNING

    scope: str
    """``account``, or the operation whose own rate it is."""
    rate: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleStoreLost(Event):
    """The shared throttle's store does not answer; this process keeps to its own share until it does."""

    level: ClassVar[int] = logging.ERROR

    error: str
    """The name of the error's class."""
    rate: float
    """Requests per second of this process until then; 0 where it fails closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleStoreBack(Event):
    """The shared throttle's store answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRefreshed(Event):
    """Calls are signed with another key pair from now on."""

    key: str
    """The end of its access key id."""
    previous: str
    """The same of the pair before; equal where only the secret is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRefreshFailed(Event):
    """The provider fails, or has no fit pair: calls are signed with the last good one until it mends."""

    level: ClassVar[int] = logging.WARNING

    key: str
    error: str
    """What is wrong, and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRejected(Event):
    """The gateway does not accept the provider's new pair; calls are signed with the one before it."""

    level: ClassVar[int] = logging.ERROR

    key: str
    used: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAgeing(Event):
    """The key pair has to be replaced within *days_left* days; told once a day."""

    level: ClassVar[int] = logging.WARNING

    key: str
    days_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOverdue(Event):
    """The key pair is 180 days old or older: replace it; told once a day."""

    level: ClassVar[int] = logging.ERROR

    key: str
    days_left: int
    """0, or how many days ago, negative."""


Hook = Callable[[Event], object]
"""Called with every event, in the event loop; what it raises is logged and goes no further."""


class Hooks:
    """Who is told of events: the log, and the hooks of the user."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self._hooks = _checked(hooks)

    def joined_by(self, hooks: Sequence[Hook]) -> Hooks:
        """Return these and *hooks*."""
        return Hooks((*self._hooks, *_checked(hooks)))

    @property
    def are_watched(self) -> bool:
        """Whether anybody would see an event of every call."""
        return bool(self._hooks) or LOGGER.isEnabledFor(logging.DEBUG)

    def emit(self, event: Event) -> None:
        """Tell everybody. What a hook raises is logged, by name only, and goes no further."""
        LOGGER.log(event.level, "%s", event)
        for hook in self._hooks:
            try:
                hook(event)
            except Exception as exc:  # noqa: BLE001  (a hook never breaks a call)
                LOGGER.warning("the hook %r raised %s", hook, type(exc).__name__)


def _checked(hooks: Sequence[Hook]) -> tuple[Hook, ...]:
    if not isinstance(hooks, Iterable):
        raise ConfigurationError("hooks: a sequence of functions is needed, such as [print]")
    for hook in hooks:
        if not callable(hook) or iscoroutinefunction(hook):
            raise ConfigurationError(f"hooks: {hook!r} is no function that can be called with an event")
    return tuple(hooks)
