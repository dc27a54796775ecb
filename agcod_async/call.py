"""What one call learns from its failed attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import AgcodError, ClockSkewError, SystemFaultError, ThrottlingError, UnknownServiceError
from .events import ClockCorrected, Hooks, RetryScheduled

if TYPE_CHECKING:
    from .clock import SkewedClock
    from .retry import RetryPolicy
    from .throttle import Throttle


class CallReviewer:
    """Completes the errors of one call, passes on what they teach, and says whether to go on."""

    __slots__ = ("_clock", "_hooks", "_operation", "_policy", "_skew_corrected", "_throttle", "request_id")

    def __init__(
        self,
        operation: str,
        request_id: str | None,
        *,
        policy: RetryPolicy,
        throttle: Throttle,
        clock: SkewedClock,
        hooks: Hooks,
    ) -> None:
        self._operation = operation
        self.request_id = request_id
        self._policy = policy
        self._throttle = throttle
        self._clock = clock
        self._hooks = hooks
        self._skew_corrected = False

    def review(self, error: AgcodError) -> bool:
        """An attempt ended in *error*: return whether another one makes sense."""
        error.operation, error.request_id = self._operation, self.request_id
        if isinstance(error, ThrottlingError):
            self._throttle.refused(self._operation)
        if isinstance(error, ClockSkewError):
            return self._corrects_skew(error)
        if isinstance(error, SystemFaultError | UnknownServiceError):
            return self._policy.system_faults
        return error.is_retry_safe

    def _corrects_skew(self, error: ClockSkewError) -> bool:
        if self._skew_corrected:
            self._clock.forget()
            return False
        skew = self._clock.learn(error)
        if skew is None:
            return False
        self._skew_corrected = True
        self._hooks.emit(ClockCorrected(seconds=skew.total_seconds()))
        return True

    def announce(self, error: AgcodError, delay: float) -> None:
        """Another attempt follows in *delay* seconds."""
        self._hooks.emit(
            RetryScheduled(
                operation=self._operation,
                request_id=self.request_id,
                attempt=error.attempts,
                delay=delay,
                error=type(error).__name__,
            )
        )
