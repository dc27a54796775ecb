"""What an answer that is no SUCCESS means: the body first, the HTTP status second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .dates import parse_http_date
from .errors import (
    AccountError,
    ClockSkewError,
    CredentialsError,
    GatewayFault,
    InvalidRequestError,
    MalformedResponse,
    ResendError,
    ResponseError,
    ServiceError,
    SignatureError,
    SystemFaultError,
    ThrottlingError,
    UnknownServiceError,
)
from .secret import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .wire import HTTPResponse

# The classes of coded errors (Incentives API, "Errors"); the part after the first digit names no class.
_CODES: Mapping[str, type[ServiceError]] = {
    "F1": SystemFaultError,
    "F2": InvalidRequestError,
    "F3": AccountError,
    "F4": ResendError,
    "F5": UnknownServiceError,
}

# Errors that are told by their name or text: some have no code, and the documents file some under F200.
_NAMES: Mapping[type[ServiceError], tuple[str, ...]] = {
    ClockSkewError: (
        "requestexpired",
        "requesttimetooskewed",
        "requestinthefuture",
        "signature expired",
        "signature not yet",
    ),
    ThrottlingError: ("throttl", "rate exceeded", "toomanyrequests"),
    SignatureError: (
        "invalidsignature",
        "signaturedoesnotmatch",
        "incompletesignature",
        "signature we calculated",
    ),
    CredentialsError: (
        "accessdenied",
        "invalidaccesskey",
        "invalidawsaccesskeyid",
        "invalidclienttokenid",
        "missingauthenticationtoken",
        "notauthorized",
        "security token",
        "unrecognizedclient",
    ),
}

RESEND = "RESEND"
_THROTTLED = "Rate exceeded"

# The statuses of HTTP that say: this request, as it is, was not and will not be executed.
_PLAINLY_REFUSED = frozenset({400, 404, 405, 411, 413, 414, 415, 422, 431})

CLOCK_WINDOW = timedelta(minutes=15)
"""How far a signature's time may be off (Incentives API, "Signing requests")."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a body says about a refusal, wherever in it that stood."""

    status: str | None
    error_code: str | None
    error_type: str | None
    text: str | None
    has_message: bool

    @classmethod
    def find(cls, root: str, tree: Mapping[str, Any], headers: Mapping[str, str]) -> Verdict:
        """Look in the body, in its ``agcodResponse``, in the name of its root and in the headers."""
        nested = tree.get("agcodResponse")
        inner: Mapping[str, Any] = nested if isinstance(nested, dict) else {}
        exception = (
            headers.get("x-amzn-errortype") or tree.get("__type") or (root if "Exception" in root else None)
        )
        statuses = [each.get(key) for each in (tree, inner) for key in ("status", "statusCode")]
        return cls(
            status=RESEND if RESEND in statuses else _first(*statuses),
            error_code=_short(tree.get("errorCode")),
            error_type=_short(tree.get("errorType")) or _short(_bare_name(exception)),
            text=_first(tree.get("message"), tree.get("Message")),
            has_message="message" in tree or "Message" in tree,
        )


def refusal(
    verdict: Verdict, response: HTTPResponse, facts: dict[str, Any], signed_at: datetime
) -> ResponseError:
    """Return the error that *verdict* and the HTTP status amount to."""
    kind = _kind(verdict, response.status)
    if not issubclass(kind, ServiceError):
        return kind(redact(verdict.text or "no verdict in the body"), **facts)
    facts |= {"error_code": verdict.error_code, "error_type": verdict.error_type, "signed_at": signed_at}
    server_date = parse_http_date(response.headers.get("date"))
    # A stale signature may be refused under another name.
    if (
        kind in (SignatureError, CredentialsError)
        and server_date
        and abs(server_date - signed_at) > CLOCK_WINDOW
    ):
        kind = ClockSkewError
    if kind is ClockSkewError:
        facts["server_date"] = server_date
    # Only the first line, which redact() keeps: a signature's refusal goes on to quote the whole request.
    return kind(redact(verdict.text or ""), **facts)


def unreadable(reason: str, response: HTTPResponse, facts: dict[str, Any]) -> ResponseError:
    """Return the error for a body that is no document of the service at all."""
    if response.status == 429:
        return ThrottlingError("too many requests", **facts)
    return (GatewayFault if response.status >= 500 else MalformedResponse)(reason, **facts)


def facts_of(response: HTTPResponse) -> dict[str, Any]:
    """Return what every error about *response* carries."""
    retry_after = response.headers.get("retry-after", "")
    return {
        "http_status": response.status,
        "aws_request_id": _short(response.headers.get("x-amzn-requestid")),
        "retry_after": float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
    }


def signing_time(headers: Mapping[str, str]) -> datetime:
    """Return the moment a request was signed for."""
    return datetime.fromisoformat(headers["x-amz-date"])


def _kind(verdict: Verdict, http_status: int) -> type[ResponseError]:
    code = verdict.error_code or ""
    by_code = _CODES.get(code[:2], UnknownServiceError)
    if verdict.status == RESEND or by_code is ResendError:
        return ResendError
    # What failed inside the service may have been executed, whatever name it has or text it quotes.
    is_failure = by_code.outcome == "unknown" if code else http_status >= 500
    says_more = not (code or is_failure) or (verdict.text or "").strip() == _THROTTLED
    label = f"{verdict.error_type} {verdict.text}" if says_more else verdict.error_type
    if not (code and is_failure):
        for named, names in _NAMES.items():
            if any(name in (label or "").lower() for name in names):
                return named
    if code or verdict.status:
        return by_code
    return _by_status(http_status, has_message=verdict.has_message)


def _by_status(http_status: int, *, has_message: bool) -> type[ResponseError]:
    if http_status == 429:
        return ThrottlingError
    if http_status >= 500:
        return GatewayFault
    if has_message and http_status in (401, 403):
        return CredentialsError
    if has_message and http_status in _PLAINLY_REFUSED:
        return InvalidRequestError
    return MalformedResponse


def _first(*values: object) -> str | None:
    return next((value for value in values if isinstance(value, str) and value), None)


def _short(value: object) -> str | None:
    """Return a name or code of the service, cleaned of what has no place in a message."""
    return redact(value)[:100] if isinstance(value, str) and value else None


def _bare_name(exception: object) -> str | None:
    # Coral services write namespace#Name or Name:url.
    return exception.partition(":")[0].rpartition("#")[2] if isinstance(exception, str) else None
