"""When an attempt is followed by another: tenacity drives, these rules decide."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from operator import methodcaller
from typing import TYPE_CHECKING, Protocol, Self

from tenacity import DoSleep, RetryCallState, Retrying

from .errors import AgcodError, ConfigurationError, PostconditionError, ResponseError, ThrottlingError

if TYPE_CHECKING:
    from random import Random
    from types import TracebackType


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """
    How often and how fast one session call repeats what is retry-safe.

    Between attempts it waits a random part of an exponentially growing delay ("full jitter"). All times
    are seconds.
    """

    max_attempts: int = 5
    """Attempts of one call, the first one included; 1 switches retries off."""

    max_elapsed: float = 30.0
    """
    Nothing is repeated later than this after the call's first attempt has failed. The throttle's line
    comes on top: bound it with ``max_wait``.
    """

    base_delay: float = 0.05
    """The longest first wait; it doubles with each attempt."""

    throttled_delay: float = 1.0
    """The longest first wait after a ThrottlingError."""

    max_delay: float = 20.0
    """The longest wait of all, a wait that the service asks for included."""

    quota: int = 100
    """
    Retries a session can spend before it must earn them again, so that an outage is not answered by a
    storm: a retry costs one, a call that succeeds gives one tenth back, or the one its last retry cost.
    """

    system_faults: bool = False
    """Whether SystemFaultError and UnknownServiceError are repeated too: safe, of unknown benefit."""

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ConfigurationError("max_attempts must be at least 1: the first attempt counts")
        for name in ("max_elapsed", "base_delay", "throttled_delay", "max_delay", "quota"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(f"{name} must not be negative")


class Reviewer(Protocol):
    """Who makes a call, and learns from its failed attempts."""

    def review(self, error: AgcodError) -> bool:
        """An attempt ended in *error*: return whether another one makes sense."""
        ...

    def announce(self, error: AgcodError, delay: float) -> None:
        """Another attempt follows in *delay* seconds."""
        ...


class Retries:
    """What the calls of one session share: the policy, the quota and the randomness."""

    def __init__(self, policy: RetryPolicy, rng: Random) -> None:
        self.policy = policy
        self._rng = rng
        # In tenths, because ten times 0.1 is less than one.
        self._quota = 10 * policy.quota

    def attempts(self, reviewer: Reviewer) -> Attempts:
        """Return the attempts of one call, to be walked with ``async for`` and left by ``return``."""
        return Attempts(self, reviewer)

    def delay(self, error: AgcodError, attempt: int) -> float:
        """Return the seconds to wait after *error* ended attempt number *attempt*."""
        policy = self.policy
        first = policy.throttled_delay if isinstance(error, ThrottlingError) else policy.base_delay
        longest = min(policy.max_delay, first * 2 ** min(attempt - 1, 62))
        asked = error.retry_after if isinstance(error, ResponseError) else None
        return max(self._rng.uniform(0, longest), min(asked or 0.0, policy.max_delay))

    def spend(self) -> bool:
        """Take one retry from the quota, if one is left."""
        if self._quota < 10:
            return False
        self._quota -= 10
        return True

    def earn(self, attempt: int) -> None:
        """Give back what a success on attempt number *attempt* is worth."""
        self._quota = min(10 * self.policy.quota, self._quota + (1 if attempt == 1 else 10))


class Attempts(RetryCallState):
    """One call: tenacity's state of it, the answers to tenacity's questions, and what is unknown."""

    def __init__(self, retries: Retries, reviewer: Reviewer) -> None:
        super().__init__(_TENACITY, fn=None, args=(), kwargs={})
        self._retries = retries
        self._reviewer = reviewer
        self._last_unknown: AgcodError | None = None
        self._first_failure: float | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Self:
        # tenacity is asked about failures alone, because nearly every call has none.
        if self.outcome is not None:
            _TENACITY.begin()
            pause = _TENACITY.iter(self)
            assert isinstance(pause, DoSleep)  # or it has raised what the call ends with
            self.prepare_for_next_attempt()
            await asyncio.sleep(pause)
        return self

    def __enter__(self) -> None:
        """Begin an attempt."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if kind is None or error is None:
            return False
        self.set_exception((kind, error, traceback))
        return True

    def should_retry(self) -> bool:
        """Whether the outcome of this attempt asks for another one."""
        error = self.outcome.exception() if self.outcome else None
        if not isinstance(error, AgcodError):
            if self._last_unknown is not None and isinstance(error, Exception):
                # A clock or a throttle of the caller's failed: what may have been executed stays unknown.
                raise self._last_unknown from error
            return False
        error.attempts = self.attempt_number
        again = self._reviewer.review(error)
        # A refusal of this attempt says nothing about an earlier one that may still be on its way;
        # an answer about the card itself does.
        if self._last_unknown is not None and not isinstance(error, PostconditionError):
            error.outcome = "unknown"
        if error.outcome == "unknown":
            self._last_unknown = error
        return again

    def delay(self) -> float:
        """Return the seconds to wait before it."""
        return self._retries.delay(self._error(), self.attempt_number)

    def should_stop(self) -> bool:
        """Whether a limit stands against it."""
        policy, now = self._retries.policy, asyncio.get_running_loop().time()
        if self._first_failure is None:
            self._first_failure = now
        return (
            self.attempt_number >= policy.max_attempts
            or now + self.upcoming_sleep - self._first_failure > policy.max_elapsed
            or not self._retries.spend()
        )

    def before_sleep(self) -> None:
        """Tell the reviewer of the wait."""
        self._reviewer.announce(self._error(), self.upcoming_sleep)

    def _error(self) -> AgcodError:
        error = self.outcome.exception() if self.outcome else None
        assert isinstance(error, AgcodError)  # nothing else is retried
        return error


# One for all calls: it asks each call about itself, and never waits, so that calls cannot meet in it.
_TENACITY = Retrying(
    retry=methodcaller("should_retry"),
    wait=methodcaller("delay"),
    stop=methodcaller("should_stop"),
    before_sleep=methodcaller("before_sleep"),
    reraise=True,
)
