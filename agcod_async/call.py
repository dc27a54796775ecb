"""What one call learns from its failed attempts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .diagnosis import diagnosis_of
from .errors import (
    AgcodError,
    ClockSkewError,
    CredentialsError,
    SignatureError,
    SystemFaultError,
    ThrottlingError,
    UnknownServiceError,
)
from .events import ClockCorrected, Hooks, RetryScheduled
from .signer import explain
from .support import Evidence, Exchange

if TYPE_CHECKING:
    from .clock import SkewedClock
    from .credentials import Credentials, Keys
    from .endpoints import Endpoint
    from .retry import RetryPolicy
    from .throttle import Throttle
    from .wire import HTTPRequest, HTTPResponse


class CallReviewer:
    """Completes the errors of one call, passes on what they teach, and says whether to go on."""

    __slots__ = (
        "_clock",
        "_endpoint",
        "_hooks",
        "_key_replaced",
        "_keys",
        "_operation",
        "_partner_id",
        "_policy",
        "_skew_corrected",
        "_throttle",
        "request",
        "request_id",
        "response",
        "signed_with",
    )

    def __init__(
        self,
        operation: str,
        request_id: str | None,
        *,
        partner_id: str,
        endpoint: Endpoint,
        policy: RetryPolicy,
        throttle: Throttle,
        clock: SkewedClock,
        keys: Keys,
        hooks: Hooks,
    ) -> None:
        self._operation = operation
        self.request_id = request_id
        self._partner_id = partner_id
        self._endpoint = endpoint
        self._policy = policy
        self._throttle = throttle
        self._clock = clock
        self._keys = keys
        self._hooks = hooks
        self._skew_corrected = False
        self._key_replaced = False
        self.signed_with: Credentials | None = None
        """The pair of the present attempt."""
        self.request: HTTPRequest | None = None
        """What was last signed and sent; looked at only if the attempt fails."""
        self.response: HTTPResponse | None = None

    def review(self, error: AgcodError) -> bool:
        """An attempt ended in *error*: return whether another one makes sense."""
        error.operation, error.request_id = self._operation, self.request_id
        if self.request is not None:
            self._keep_evidence(error, self.request)
        if isinstance(error, ThrottlingError):
            self._throttle.refused(self._operation)
        if isinstance(error, ClockSkewError):
            return self._corrects_skew(error)
        if isinstance(error, CredentialsError | SignatureError):
            return self._has_another_key()
        if isinstance(error, SystemFaultError | UnknownServiceError):
            return self._policy.system_faults
        return error.is_retry_safe

    def _keep_evidence(self, error: AgcodError, request: HTTPRequest) -> None:
        response = self.response
        error.evidence = Evidence(
            partial(_exchange, request, response, self._partner_id, self._endpoint.name)
        )
        if response is not None and isinstance(error, SignatureError | CredentialsError | ClockSkewError):
            steps = explain(request)
            was_accepted = self._keys.was_accepted(steps.access_key_id)
            error.diagnosis = diagnosis_of(
                error, response.body, steps, self._endpoint, was_accepted=was_accepted
            )

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

    def _has_another_key(self) -> bool:
        assert self.signed_with is not None  # only what was sent is refused
        was_replaced, self._key_replaced = self._key_replaced, True
        return not was_replaced and self._keys.has_other_than(self.signed_with)

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


def _exchange(
    request: HTTPRequest, response: HTTPResponse | None, partner_id: str, endpoint: str
) -> Exchange:
    return Exchange.of(explain(request), response, partner_id=partner_id, endpoint=endpoint)
