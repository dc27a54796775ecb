"""Everything this package raises, each error with its outcome and its next step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from .support import Evidence, Exchange, SupportReport

if TYPE_CHECKING:
    from datetime import datetime

    from .signing import Diagnosis

Outcome = Literal["refused", "unknown", "not_sent"]
"""What is known about the money when a call ends in an error.

``refused``: this call changed nothing. ``not_sent``: the request never left this machine.
``unknown``: the request may have been executed; repeating it with the same id finds out.
"""

StopReason = Literal["asked", "max_total", "max_failures", "funds", "account", "key", "silence"]
"""Why a campaign ended early."""


class AgcodError(Exception):
    """Base class of every error raised by this package; plain fields only, so it pickles."""

    outcome: Outcome = "unknown"
    """What happened to the money, over *all* attempts of the call that raised this."""

    is_retry_safe: bool = False
    """Whether sending the same request again can do no harm, and might do good."""

    def __init__(
        self, message: str = "", *, operation: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        """The operation as the service spells it, for example ``CreateGiftCard``."""
        self.request_id = request_id
        """The id of the request: with it the same call can be repeated or reversed."""
        self.attempts = 0
        """How many attempts the call made, the first one included."""
        self.evidence: Evidence | None = None

    @property
    def exchange(self) -> Exchange | None:
        """What was last sent and answered, masked; None where nothing was sent."""
        return None if self.evidence is None else self.evidence.exchange

    def support_report(self) -> SupportReport:
        """Return what the service's support asks for; nothing in it is worth money."""
        known = {"error": type(self).__name__, "outcome": self.outcome, **vars(self)}
        facts = {name: value for name, value in known.items() if name not in _NO_FACTS}
        return SupportReport(summary=str(self), facts=facts, exchange=_last_exchange(self))

    def __str__(self) -> str:
        call = " ".join(filter(None, (self.operation, self.request_id)))
        text = ": ".join(filter(None, (call, self._summary())))
        if self.outcome == "unknown":
            text += " [outcome unknown" + (
                ": repeat with the same id to find out]" if self.request_id else "]"
            )
        return text

    def _summary(self) -> str:
        return self.message


_NO_FACTS = frozenset(("message", "evidence", "diagnosis", "response", "_report"))


def _last_exchange(error: BaseException) -> Exchange | None:
    """Return the exchange of *error*, or of what it was raised from."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        exchange: Exchange | None = getattr(cause, "exchange", None)
        if exchange is not None:
            return exchange
        cause = cause.__cause__
    return None


class ConfigurationError(AgcodError, ValueError):
    """The caller's input cannot work; nothing was sent. The message names the field and the fix."""

    outcome: Outcome = "not_sent"


class Problem(NamedTuple):
    """What is wrong with one line of a file of rewards."""

    line: int
    """Counted from 1, the header included; of rewards that come from no file, their number."""
    column: str | None
    """The field, where one is to blame."""
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: " + (f"{self.column}: " if self.column else "") + self.reason


class InvalidRewards(ConfigurationError):
    """Rewards that were to be issued in bulk are not in order; nothing was sent. All lines are named."""

    def __init__(
        self, message: str = "", *, problems: tuple[Problem, ...] = (), count: int = 0, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.problems = problems
        """The first thousand."""
        self.count = count
        """Of all."""


class CampaignStopped(AgcodError):
    """
    A campaign ended before its last reward: what it had not begun was not sent.

    What it had begun is in the ledger as it stands, and running it again continues.
    """

    outcome: Outcome = "not_sent"

    def __init__(self, message: str = "", *, reason: StopReason = "asked", **fields: Any) -> None:
        super().__init__(message, **fields)
        self.reason: StopReason = reason


class CredentialsUnavailable(AgcodError):
    """No key pair was to be had: a provider failed or hung, or a file is half written; nothing was sent."""

    outcome: Outcome = "not_sent"
    is_retry_safe = True


class ThrottleTimeout(AgcodError):
    """The throttle could not grant a slot within the ``max_wait`` that was asked for; nothing was sent."""

    outcome: Outcome = "not_sent"


class ThrottleUnavailable(AgcodError):
    """The store of the shared throttle is away and ``fail_closed`` was asked for; nothing was sent."""

    outcome: Outcome = "not_sent"
    is_retry_safe = True


class LedgerError(AgcodError):
    """
    The ledger could not be read or written; the message says why and what to do.

    Its outcome is ``not_sent`` where the ledger failed before anything could have left, and ``unknown``
    where it failed to note what became of a request: the entry is still open then, and recovery finds out.
    """

    def __init__(self, message: str = "", *, outcome: Outcome = "not_sent", **fields: Any) -> None:
        super().__init__(message, **fields)
        self.outcome = outcome


class StaleEntry(LedgerError):
    """Somebody else has moved the entry on since it was read: read it again, and hand nothing out."""

    def __init__(self, message: str = "", *, outcome: Outcome = "unknown", **fields: Any) -> None:
        super().__init__(message, outcome=outcome, **fields)


class IllegalTransition(LedgerError):
    """What was asked of an entry would break a money rule: the program that asked is wrong."""

    def __init__(self, message: str = "", *, outcome: Outcome = "unknown", **fields: Any) -> None:
        super().__init__(message, outcome=outcome, **fields)


class OutcomePending(AgcodError):
    """A reward is not settled yet. Asking again with the same reference, or recovery, continues it."""

    def __init__(
        self, message: str = "", *, reference: str | None = None, since: datetime | None = None, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.reference = reference
        self.since = since
        """When its present request id was planned; None while the ledger has not answered."""


class RewardAbandoned(OutcomePending):
    """
    A reward stayed unknown for 24 hours: it is a case for a person, and for the service's support.

    Its :meth:`support_report` is told from the ledger; ``Issuer.support_report(reference)`` makes the same
    in any other process.
    """

    def __init__(self, message: str = "", *, report: SupportReport | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self._report = report

    def support_report(self) -> SupportReport:
        """Return what the service's support asks for; nothing in it is worth money."""
        return super().support_report() if self._report is None else self._report


class RewardUndone(AgcodError):
    """The reward of this reference was undone, on purpose; nothing lives under it."""

    outcome: Outcome = "refused"


class UndoTooLate(AgcodError):
    """The service does not take the reward back any more: the card lives."""

    outcome: Outcome = "refused"


class TransportError(AgcodError):
    """No answer came back."""

    is_retry_safe = True


class ConnectFailed(TransportError):
    """The request never left this machine."""

    outcome: Outcome = "not_sent"


class ResponseTimeout(TransportError):
    """The request was sent and no complete answer came in time: it may have been executed."""


class ConnectionLost(TransportError):
    """The connection broke before a complete answer had come: the request may have been executed."""


class ResponseError(AgcodError):
    """An answer came back, and it is not the one asked for."""

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        request_id: str | None = None,
        http_status: int | None = None,
        aws_request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, operation=operation, request_id=request_id)
        self.http_status = http_status
        self.aws_request_id = aws_request_id
        """The service's own id of the exchange; its support asks for it."""
        self.retry_after = retry_after
        """Seconds the service asked us to wait, if it did."""


class GatewayFault(ResponseError):
    """HTTP 5xx without a readable verdict: the request may have been executed."""

    is_retry_safe = True

    def _summary(self) -> str:
        return f"HTTP {self.http_status}: {self.message}"


class MalformedResponse(ResponseError):
    """An answer that cannot be read: the request may have been executed."""

    is_retry_safe = True

    def _summary(self) -> str:
        return f"unreadable answer (HTTP {self.http_status}): {self.message}"


class Storable(Protocol):
    """A response that knows how to leave its secrets behind."""

    def without_secrets(self) -> Storable:
        """Return a copy with no claim code in it."""
        ...


class PostconditionError(ResponseError):
    """
    The service said SUCCESS, but not about the live card that was asked for.

    The card was refunded, or has another amount or currency (the id was used before). No new money
    was spent. When the answer names another id or card, or a status that is not known to be a dead
    card's, it proves nothing and the outcome is unknown.
    """

    outcome: Outcome = "refused"

    def __init__(self, message: str = "", *, response: Storable | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.response = response
        """The whole response. Its claim code does not survive pickling or copying the error."""

    def __reduce__(self) -> tuple[Any, ...]:
        state = dict(self.__dict__)
        if self.response is not None:
            state["response"] = self.response.without_secrets()
        return type(self), self.args, state


class ServiceError(ResponseError):
    """The service answered, and said no or "cannot say"."""

    def __init__(
        self,
        message: str = "",
        *,
        error_code: str | None = None,
        error_type: str | None = None,
        signed_at: datetime | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.signed_at = signed_at
        """
        The time on the request's signature. Where the service looked further than that, its own clock was
        within 15 minutes of it.
        """
        self.error_code = error_code
        """``F100`` to ``F500``, or None for a refusal by the gateway."""
        self.error_type = error_type
        """The name of the error: an open set."""
        self.diagnosis: Diagnosis | None = None
        """What was wrong with the signature, the key or the clock, where one of them was refused."""

    def _summary(self) -> str:
        codes = ", ".join(filter(None, (self.error_code, f"HTTP {self.http_status}")))
        text = f"{self.error_type or type(self).__name__} ({codes}): {self.message}"
        return text if self.diagnosis is None else f"{text} Diagnosis: {self.diagnosis}"


class InvalidRequestError(ServiceError):
    """F200: the request's data was refused. Fix it before asking again."""

    outcome: Outcome = "refused"


class AccountError(ServiceError):
    """F300: the account, the contract, the funds or the access were refused."""

    outcome: Outcome = "refused"


class SystemFaultError(ServiceError):
    """F100: the service failed inside. Repeating the same id is safe, its benefit unknown."""


class UnknownServiceError(ServiceError):
    """F500, or a failure without a known code. Repeating the same id is safe, its benefit unknown."""


class ResendError(ServiceError):
    """F400 or status RESEND: the state is unknown and the service asks for the same request again."""

    is_retry_safe = True


class ThrottlingError(ServiceError):
    """The account's rate was exceeded; nothing was executed. Slow down, then repeat."""

    outcome: Outcome = "refused"
    is_retry_safe = True


class SignatureError(ServiceError):
    """The gateway computed another signature: a wrong secret, or a request changed on its way."""

    outcome: Outcome = "refused"


class CredentialsError(ServiceError):
    """The gateway does not accept this key: unknown, inactive, or not allowed to do this."""

    outcome: Outcome = "refused"


class ClockSkewError(ServiceError):
    """The signature's time is more than 15 minutes off the gateway's clock."""

    outcome: Outcome = "refused"
    is_retry_safe = True

    def __init__(
        self,
        message: str = "",
        *,
        server_date: datetime | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.server_date = server_date
        """The gateway's clock, from the Date header of its answer."""
