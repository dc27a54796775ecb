"""How a command ends: exit codes that scripts can trust, and what is said about an error."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from ..errors import (
    AccountError,
    AgcodError,
    CampaignStopped,
    ClockSkewError,
    ConfigurationError,
    ConnectFailed,
    CredentialsError,
    CredentialsUnavailable,
    InvalidRequestError,
    LedgerError,
    OutcomePending,
    RewardAbandoned,
    RewardUndone,
    ServiceError,
    SignatureError,
    ThrottleTimeout,
    ThrottleUnavailable,
    ThrottlingError,
    UndoTooLate,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..errors import Outcome


class ExitCode(IntEnum):
    """How a command ended. A number never changes its meaning."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    DIFFERENCE = 3
    REFUSED = 4
    PENDING = 5
    UNAVAILABLE = 6
    ALERT = 7
    LEDGER = 8
    ABANDONED = 9
    INTERRUPTED = 130


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.UNEXPECTED: "an error that nobody foresaw: please report it",
    ExitCode.USAGE: "usage, configuration or keys: mend it, and repeat the command",
    ExitCode.DIFFERENCE: "the books differ: `agcod reconcile` says where",
    ExitCode.REFUSED: "refused for good: nothing was changed",
    ExitCode.PENDING: "not settled yet: repeat the same command, or run `agcod recover`",
    ExitCode.UNAVAILABLE: "throttled or unreachable, and nothing was sent: try again later",
    ExitCode.ALERT: "an alert threshold was crossed",
    ExitCode.LEDGER: "the ledger cannot be used, and nothing was sent",
    ExitCode.ABANDONED: "unknown for 24 hours: a case for a person and the service's support",
    ExitCode.INTERRUPTED: "interrupted: the ledger is true, and repeating the command continues",
}


class CommandError(Exception):
    """A command cannot go on. *fix* says what would help."""

    def __init__(
        self,
        message: str,
        *,
        fix: str | None = None,
        code: ExitCode = ExitCode.USAGE,
        outcome: Outcome = "not_sent",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.code = code
        self.outcome = outcome


# The first class that fits decides; AgcodError itself comes by its outcome.
_CODES: tuple[tuple[type[AgcodError], ExitCode], ...] = (
    (RewardAbandoned, ExitCode.ABANDONED),
    (OutcomePending, ExitCode.PENDING),
    (ConfigurationError, ExitCode.USAGE),
    (LedgerError, ExitCode.LEDGER),
    (CredentialsError, ExitCode.USAGE),
    (CredentialsUnavailable, ExitCode.USAGE),
    (SignatureError, ExitCode.USAGE),
    (ClockSkewError, ExitCode.USAGE),
    (ThrottlingError, ExitCode.UNAVAILABLE),
)

# What stops a campaign otherwise is a limit that somebody has set.
_STOPS: Mapping[str, ExitCode] = {"asked": ExitCode.INTERRUPTED, "silence": ExitCode.UNAVAILABLE}

_FIXES: tuple[tuple[type[AgcodError], str], ...] = (
    (RewardAbandoned, "ask the service's support with this request id, then `agcod cancel` or repeat"),
    (CampaignStopped, "mend that, and run the same command again: what is issued stays issued, once"),
    (OutcomePending, "repeat the same command, or run `agcod recover`: a reference is never paid twice"),
    (
        CredentialsError,
        "`agcod config` shows where the keys come from; sandbox and production have separate ones",
    ),
    (CredentialsUnavailable, "`agcod config` shows where the keys come from"),
    (SignatureError, "compare the secret key with the portal; `agcod config` shows where it comes from"),
    (ClockSkewError, "set this machine's clock (NTP), and repeat the command"),
    (ThrottlingError, "somebody else spends the account's rate: repeat the command in a minute"),
    (ThrottleTimeout, "the line is long: repeat the command later"),
    (ThrottleUnavailable, "start the store that AGCOD_THROTTLE_URL names, and repeat the command"),
    (ConnectFailed, "check the network and `agcod config`'s endpoint, and repeat the command"),
    (RewardUndone, "take a new reference for a new reward"),
    (UndoTooLate, "the card lives: `agcod create` with the same reference returns it"),
)


_PROXY = "let what is between here and the gateway pass requests on unchanged, or go round it"

# What to do about what a diagnosis found.
_REMEDIES: Mapping[str, str] = {
    "secret": "copy key id and secret key anew from the portal; `agcod config` shows where they come from",
    "region": "name the endpoint (na, eu, fe …), or correct AGCOD_REGION",
    "clock": "set this machine's clock (NTP), and repeat the command",
    "unknown_key": "compare the key id with the portal; `agcod config` shows where it comes from",
    "inactive_key": "make the key active in the portal, or use the other pair",
    "other_environment": "use the keys of this environment: sandbox and production have separate ones",
    "not_allowed": "ask the service to allow this for your account",
    **dict.fromkeys(("method", "path", "double_encoded_path", "query", "host", "body", "date"), _PROXY),
    **dict.fromkeys(("header", "added_header", "missing_header"), _PROXY),
}


def exit_code_of(error: BaseException) -> ExitCode:
    """Return how a command ends that ends in *error*."""
    if isinstance(error, CommandError):
        return error.code
    if not isinstance(error, AgcodError):
        return ExitCode.UNEXPECTED
    if error.outcome == "unknown" and not isinstance(error, RewardAbandoned):
        return ExitCode.PENDING
    if isinstance(error, CampaignStopped):
        return _STOPS.get(error.reason, ExitCode.ALERT)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.REFUSED if error.outcome == "refused" else ExitCode.UNAVAILABLE


def fix_for(error: AgcodError) -> str | None:
    """Return what to do about *error*, where it does not say so itself."""
    if isinstance(error, AccountError) and error.error_type == "InsufficientFunds":
        return "add funds in the Incentives API portal, then repeat the command"
    if isinstance(error, ServiceError) and error.diagnosis and error.diagnosis.cause in _REMEDIES:
        return _REMEDIES[error.diagnosis.cause]
    for kind, fix in _FIXES:
        if isinstance(error, kind):
            return fix
    if error.outcome == "unknown":
        return "repeat the same command: the same id is never charged twice"
    if isinstance(error, InvalidRequestError):
        return "correct what the message names, and repeat the command"
    return None


def described(error: BaseException) -> dict[str, str | int | None]:
    """Return what is said about *error*, to people and to programs."""
    facts: dict[str, str | int | None] = {
        "error": type(error).__name__,
        "outcome": getattr(error, "outcome", "unknown"),
        "message": str(error) if isinstance(error, AgcodError) else _unexpected(error),
        "request_id": getattr(error, "request_id", None),
        "fix": "please report this; AGCOD_LOG=debug shows where it happened",
        "exit_code": int(exit_code_of(error)),
    }
    if isinstance(error, CommandError):
        name = "Interrupted" if error.code == ExitCode.INTERRUPTED else "UsageError"
        facts |= {"error": name, "message": error.message, "fix": error.fix}
    if isinstance(error, AgcodError):
        facts["fix"] = fix_for(error)
    if isinstance(error, OutcomePending):
        facts["reference"] = error.reference
    if isinstance(error, ServiceError):
        facts |= {name: getattr(error, name) for name in ("error_code", "error_type", "aws_request_id")}
    return facts


def _unexpected(error: BaseException) -> str:
    # Its own text may quote anything; that of the operating system quotes nothing.
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__}: {reason}" if reason else f"an unexpected {type(error).__name__}"
