"""
Why a signature was refused: what we signed, held against what the gateway says that it computed.

``received`` reads the refusal, ``comparison`` finds what differs from what was signed, ``oddities`` what is
wrong with the gateway's side alone, and ``wording`` says it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..errors import ClockSkewError, CredentialsError, ServiceError
from ..refusals import CLOCK_WINDOW
from ..signer import SERVICE
from ..signing import Diagnosis
from .comparison import changes, rescoped
from .oddities import oddities
from .received import MAX_INPUT, CanonicalRequest, Computed, Scope, computed_in, message, parsed, text_of
from .wording import say, size, summed_up, unclear, written

if TYPE_CHECKING:
    from ..endpoints import Endpoint
    from ..signing import SigningSteps

__all__ = ["diagnose", "diagnosis_of"]

_MOMENT = re.compile(r"\b\d{8}T\d{6}Z\b", re.ASCII)
_NOT_ALLOWED = ("accessdenied", "access denied", "notauthorized", "not authorized", "forbidden")
_UNKNOWN_KEY = (
    "unrecognizedclient",
    "security token",
    "invalidaccesskey",
    "invalidawsaccesskeyid",
    "invalidclienttokenid",
    "access key id",
)


def diagnosis_of(
    error: ServiceError, body: bytes, steps: SigningSteps, endpoint: Endpoint, *, was_accepted: bool
) -> Diagnosis:
    """
    Return why the gateway refused the request of *steps* with *error*.

    Args:
        error: what its answer amounts to.
        body: its answer.
        steps: what was signed.
        endpoint: whose key it should be.
        was_accepted: whether this endpoint has taken a signature of this key before.
    """
    if isinstance(error, ClockSkewError):
        return _clock(error.signed_at, error.server_date)
    text = message(body.decode("utf-8", "replace"))
    if isinstance(error, CredentialsError):
        label = f"{error.error_type} {text}"
        return _key(label, steps.access_key_id, endpoint, was_accepted=was_accepted)
    ours = Computed(canonical_request=steps.canonical_request, string_to_sign=steps.string_to_sign)
    return _signature(text, ours)


def diagnose(refusal: str) -> Diagnosis:
    """
    Return why a signature was refused, from the text of the refusal alone.

    Args:
        refusal:
            The body of the answer in JSON or XML, its message, or the JSON of a support report; the last
            also says what was signed, so that the two can be compared line by line.
    """
    refusal = refusal[:MAX_INPUT]
    document = parsed(refusal)
    exchange = document.get("exchange")
    if isinstance(exchange, dict):
        ours = Computed(
            canonical_request=text_of(exchange.get("canonical_request")),
            string_to_sign=text_of(exchange.get("string_to_sign")),
        )
        return _offline(text_of(exchange.get("response_body")) or "", ours)
    return _offline(refusal, None)


def _offline(refusal: str, ours: Computed | None) -> Diagnosis:
    text = message(refusal)
    lowered = refusal.lower()
    if any(word in lowered for word in ("expired", "not yet current", "skewed")):
        moments = _MOMENT.findall(text)
        return _clock(_moment(moments[0]), _moment(moments[-1])) if moments[1:] else _clock(None, None)
    computed = computed_in(text)
    if computed is not None or "signature" in lowered:
        return _signature(text, ours)
    return _key(refusal, None, None, was_accepted=False)


def _signature(text: str, ours: Computed | None) -> Diagnosis:
    computed = computed_in(text)
    if computed is None:
        return _unquoted(text)
    theirs, their_scope = (
        CanonicalRequest.read(computed.canonical_request),
        Scope.read(computed.string_to_sign),
    )
    if theirs is None and their_scope is None:
        return unclear("the refusal quotes what the gateway computed, but not in a form that can be read")
    if ours is None:
        return summed_up([*oddities(theirs, their_scope)]) or unclear(
            "what the gateway received looks right. If your side signed the same (agcod sign shows it), "
            "only the secret key is left: it is not the one of this access key"
        )
    mine, my_scope = CanonicalRequest.read(ours.canonical_request), Scope.read(ours.string_to_sign)
    found = [
        *(changes(mine, theirs) if mine and theirs else ()),
        *(rescoped(my_scope, their_scope) if my_scope and their_scope else ()),
    ]
    # A changed date shows in both texts.
    dates = [each for each in found if each.cause == "date"]
    diagnosis = summed_up([each for each in found if each.cause != "date"] + dates[:1])
    if diagnosis is not None:
        return diagnosis
    if my_scope and their_scope and my_scope.canonical_hash == their_scope.canonical_hash:
        return Diagnosis(
            cause="secret",
            text="everything agrees, so only the key is left: the secret key is not the one of this access "
            "key id; copy both anew from the portal",
        )
    return unclear("the quoted texts agree as far as they can be read, and yet their hashes differ")


def _unquoted(text: str) -> Diagnosis:
    lowered = text.lower()
    if "scoped to" in lowered and "region" in lowered:
        return say("region", "the gateway says that the signature is for another region than its own")
    if "scoped to" in lowered and "service" in lowered:
        return say("service", f"the gateway says that the service in the scope is wrong: it is {SERVICE}")
    if ("credential scope" in lowered and "date" in lowered) or "iso-8601" in lowered:
        return say("date", "the gateway cannot use the date: x-amz-date and the scope must name one day")
    if "authorization" in lowered or "incompletesignature" in lowered:
        return Diagnosis(
            cause="header",
            text="the Authorization header arrived damaged: something on the way rewrites it",
            name="authorization",
        )
    return unclear(
        "the gateway does not show what it computed. Check the secret key first, then whether a proxy "
        "changes headers or body"
    )


def _clock(signed: datetime | None, server: datetime | None) -> Diagnosis:
    if signed is None or server is None:
        return say("clock", "the gateway finds the signature's time too far from its own: set this clock")
    difference = signed - server
    times = f"signed for {written(signed)}, the gateway's clock said {written(server)}"
    if abs(difference) >= CLOCK_WINDOW:
        side = "ahead of" if difference > timedelta(0) else "behind"
        how_far = size(abs(difference))
        return Diagnosis(
            cause="clock",
            text=f"this clock is {how_far} {side} the gateway's ({times}): set it, by NTP for example",
            ours=written(signed),
            theirs=written(server),
        )
    return Diagnosis(
        cause="clock",
        text=f"the clocks agree ({times}), and yet the signature came too late: something on the way held or "
        "repeated the request",
        ours=written(signed),
        theirs=written(server),
    )


def _key(label: str, key_id: str | None, endpoint: Endpoint | None, *, was_accepted: bool) -> Diagnosis:
    label = label.lower()
    key = f"the key {key_id[:4]}…{key_id[-4:]}" if key_id and len(key_id) > 8 else "this access key"
    place = "the gateway" if endpoint is None else f"{endpoint.name} ({endpoint.environment})"
    if "missingauthentication" in label or "missing authentication" in label:
        return Diagnosis(
            cause="missing_header",
            text="the Authorization header did not arrive: something on the way removed it",
            name="authorization",
        )
    if "inactive" in label or "disabled" in label or "deactivated" in label:
        return say("inactive_key", f"{key} is inactive: activate it in the portal, or use the other one")
    if any(word in label for word in _NOT_ALLOWED):
        return say("not_allowed", f"{place} does not let the account of {key} do this")
    if not any(word in label for word in _UNKNOWN_KEY):
        return unclear("the answer names neither the signature nor the key nor the clock")
    if was_accepted:
        return say(
            "inactive_key",
            f"{place} took {key} before and does not any more: it was made inactive or deleted in the portal",
        )
    if endpoint is not None and endpoint.environment == "production":
        return say(
            "other_environment",
            f"{place} does not know {key}: most likely it is a key of {endpoint.name}-sandbox, whose keys do "
            "not work in production; else it is mistyped, inactive or deleted",
        )
    return say(
        "unknown_key",
        f"{place} does not know {key}: it is mistyped, inactive or deleted, or of another environment, "
        "because sandbox and production have keys of their own",
    )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
