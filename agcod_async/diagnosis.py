"""Why a signature was refused: what we signed, held against what the gateway says that it computed."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from msgspec import Struct

from .codecs import UnreadableBody, codec_for
from .endpoints import Endpoint
from .errors import ClockSkewError, CredentialsError, ServiceError
from .model import OPERATIONS
from .refusals import CLOCK_WINDOW
from .secret import masked
from .signer import SERVICE
from .signing import Diagnosis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .signing import Cause, SigningSteps

_MAX_INPUT = 200_000
_MAX_TEXT = 400
_MAX_VALUE = 60
_MAX_HEADERS = 50
_MAX_PATH = 1000
_EMPTY = hashlib.sha256(b"").hexdigest()
_MOMENT = re.compile(r"\b\d{8}T\d{6}Z\b", re.ASCII)
_LONG_HEX = re.compile(r"[0-9a-fA-F]{32,}")
_DATES = ("x-amz-date", "date")
# What machines on the way add or rewrite, and therefore nobody should sign.
_CHANGEABLE = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
    )
)
_REGIONS = {each.region: each.name for each in (Endpoint.NA, Endpoint.EU, Endpoint.FE)}
_HOSTS = {
    each.host: each
    for each in (
        Endpoint.NA,
        Endpoint.EU,
        Endpoint.FE,
        Endpoint.NA_SANDBOX,
        Endpoint.EU_SANDBOX,
        Endpoint.FE_SANDBOX,
    )
}


class Computed(Struct, frozen=True, kw_only=True):
    """What somebody made of a request before signing it; either may be missing."""

    canonical_request: str | None = None
    string_to_sign: str | None = None


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
    text = _message(body.decode("utf-8", "replace"))
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
    refusal = refusal[:_MAX_INPUT]
    document = _parsed(refusal)
    exchange = document.get("exchange")
    if isinstance(exchange, dict):
        ours = Computed(
            canonical_request=_text(exchange.get("canonical_request")),
            string_to_sign=_text(exchange.get("string_to_sign")),
        )
        return _offline(_text(exchange.get("response_body")) or "", ours)
    return _offline(refusal, None)


def _offline(refusal: str, ours: Computed | None) -> Diagnosis:
    text = _message(refusal)
    lowered = refusal.lower()
    if any(word in lowered for word in ("expired", "not yet current", "skewed")):
        moments = _MOMENT.findall(text)
        return _clock(_moment(moments[0]), _moment(moments[-1])) if moments[1:] else _clock(None, None)
    computed = _computed(text)
    if computed is not None or "signature" in lowered:
        return _signature(text, ours)
    return _key(refusal, None, None, was_accepted=False)


# Reading


def _parsed(text: str) -> dict[str, Any]:
    body = text.strip().encode("utf-8", "replace")
    try:
        return codec_for(body).parse(body)[1]
    except UnreadableBody:
        return {}


def _message(text: str) -> str:
    """Return the text that a refusal consists of, with line ends as they were."""
    text = text[:_MAX_INPUT]
    found = [each for each in _texts(_parsed(text), 0) if each]
    for each in found:
        if _computed(each) is not None:
            return each
    if found:
        return " ".join(found)
    # A part of a document, cut out by somebody.
    whole = text if "\n" in text.strip() else text.replace("\\n", "\n")
    return unescape(whole)


def _texts(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list) and depth < 8:
        for each in list(value.values() if isinstance(value, dict) else value)[:_MAX_HEADERS]:
            yield from _texts(each, depth + 1)


def _computed(text: str) -> Computed | None:
    """Return the two texts that a refusal quotes, each between apostrophes after its announcement."""
    lowered = text.lower()
    second = lowered.find("string-to-sign")
    first = lowered.find("canonical string", 0, second if second >= 0 else None)
    canonical = _between(text[first : second if second >= 0 else None], last=True) if first >= 0 else None
    to_sign = _between(text[second:], last=False) if second >= 0 else None
    if canonical is None and to_sign is None:
        return None
    return Computed(canonical_request=canonical, string_to_sign=to_sign)


def _between(text: str, *, last: bool) -> str | None:
    start = text.find("'")
    end = text.rfind("'") if last else text.find("'", start + 1)
    # White space at the ends and carriage returns are what copying adds.
    return text[start + 1 : end].replace("\r", "").strip() if 0 <= start < end else None


class _Canonical(Struct, frozen=True, kw_only=True):
    """A canonical request in its parts."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    signed_headers: str
    payload_hash: str

    @classmethod
    def read(cls, text: str | None) -> _Canonical | None:
        lines = (text or "").split("\n")
        if len(lines) < 5:
            return None
        method, path, *middle, signed_headers, payload_hash = lines
        names = signed_headers.split(";")
        query, *fields = middle
        if query.partition(":")[0] in names and "" not in middle:
            # Copying has dropped the empty lines.
            query, fields = "", middle
        pairs = [line.partition(":") for line in fields if line][:_MAX_HEADERS]
        return cls(
            method=method,
            path=path,
            query=query,
            headers={name: value for name, _, value in pairs},
            signed_headers=signed_headers,
            payload_hash=payload_hash,
        )


class _Scope(Struct, frozen=True, kw_only=True):
    """A string to sign in its parts."""

    stamp: str
    day: str
    region: str
    service: str
    canonical_hash: str

    @classmethod
    def read(cls, text: str | None) -> _Scope | None:
        lines = (text or "").split("\n")
        scope = lines[2].split("/") if len(lines) == 4 else []
        if len(scope) != 4:
            return None
        return cls(stamp=lines[1], day=scope[0], region=scope[1], service=scope[2], canonical_hash=lines[3])


# Comparing


def _signature(text: str, ours: Computed | None) -> Diagnosis:
    computed = _computed(text)
    if computed is None:
        return _unquoted(text)
    theirs, their_scope = _Canonical.read(computed.canonical_request), _Scope.read(computed.string_to_sign)
    if theirs is None and their_scope is None:
        return _unclear("the refusal quotes what the gateway computed, but not in a form that can be read")
    if ours is None:
        return _first([*_oddities(theirs, their_scope)]) or _unclear(
            "what the gateway received looks right. If your side signed the same (agcod sign shows it), "
            "only the secret key is left: it is not the one of this access key"
        )
    mine, my_scope = _Canonical.read(ours.canonical_request), _Scope.read(ours.string_to_sign)
    found = [
        *(_changes(mine, theirs) if mine and theirs else ()),
        *(_rescoped(my_scope, their_scope) if my_scope and their_scope else ()),
    ]
    # A changed date shows in both texts.
    dates = [each for each in found if each.cause == "date"]
    diagnosis = _first([each for each in found if each.cause != "date"] + dates[:1])
    if diagnosis is not None:
        return diagnosis
    if my_scope and their_scope and my_scope.canonical_hash == their_scope.canonical_hash:
        return Diagnosis(
            cause="secret",
            text="everything agrees, so only the key is left: the secret key is not the one of this access "
            "key id; copy both anew from the portal",
        )
    return _unclear("the quoted texts agree as far as they can be read, and yet their hashes differ")


def _changes(ours: _Canonical, theirs: _Canonical) -> Iterator[Diagnosis]:
    if ours.method != theirs.method:
        yield _differs("method", "the method", ours.method, theirs.method, "a proxy or redirect changed it")
    if ours.path != theirs.path:
        yield _path(ours.path, theirs.path)
    if ours.query != theirs.query:
        yield _differs("query", "the query", ours.query, theirs.query, "the service takes none")
    yield from _headers(ours.headers, theirs.headers)
    if ours.signed_headers != theirs.signed_headers and set(ours.headers) == set(theirs.headers):
        yield _differs(
            "header", "the list of signed headers", ours.signed_headers, theirs.signed_headers,
            "something on the way rewrote Authorization", name="authorization",
        )  # fmt: skip
    if ours.payload_hash != theirs.payload_hash:
        yield _body(ours.payload_hash, theirs.payload_hash)


def _path(ours: str, theirs: str) -> Diagnosis:
    # As many rounds as a proxy chain could have; each undoes one encoding.
    plain, rounds = theirs, 0
    while plain != ours and "%" in plain and rounds < 4 and len(plain) < _MAX_PATH:
        plain, rounds = unquote(plain), rounds + 1
    if rounds and plain == ours:
        why = "it was percent-encoded once more on the way: sign and send the path as it is"
        return _differs("double_encoded_path", "the path", ours, theirs, why)
    return _differs("path", "the path", ours, theirs, "a proxy rewrote it, or the base URL has a path")


def _headers(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[Diagnosis]:
    for name in dict.fromkeys((*ours, *theirs)):
        mine, seen = ours.get(name), theirs.get(name)
        if mine == seen:
            continue
        if mine is None:
            yield _differs(
                "added_header", f"the header {_quoted(name)}", "not signed", seen or "",
                "it was added on the way, and must not be signed", name=name,
            )  # fmt: skip
        elif seen is None or seen == "":
            yield _differs(
                "missing_header", f"the header {_quoted(name)}", mine, "nothing",
                "something on the way removed it", name=name,
            )  # fmt: skip
        elif name in _DATES:
            yield _differs("date", f"the date ({name})", mine, seen, "something changed it", name=name)
        elif name == "host":
            why = "a proxy changed the host; let it pass the Host header on"
            yield _differs("host", "the host", mine, seen, why, name=name)
        elif seen.startswith(f"{mine},") or seen.endswith(f",{mine}"):
            why = "a second one was added on the way"
            yield _differs("added_header", f"the header {_quoted(name)}", mine, seen, why, name=name)
        else:
            why = "a proxy or the HTTP library changed it"
            yield _differs("header", f"the header {_quoted(name)}", mine, seen, why, name=name)


def _body(ours: str, theirs: str) -> Diagnosis:
    if theirs == _EMPTY:
        return _differs("body", "the body", ours, theirs, "it did not arrive: the gateway saw an empty one")
    why = "it was altered after signing, by a proxy or a second serialisation"
    return _differs("body", "the body (SHA-256)", ours, theirs, why)


def _rescoped(ours: _Scope, theirs: _Scope) -> Iterator[Diagnosis]:
    if (ours.stamp, ours.day) != (theirs.stamp, theirs.day):
        mine, seen = f"{ours.stamp} in {ours.day}", f"{theirs.stamp} in {theirs.day}"
        yield _differs("date", "the date", mine, seen, "something changed it")
    if ours.region != theirs.region:
        known = _REGIONS.get(theirs.region)
        fix = f"this gateway is signed for {_quoted(theirs.region)}" + (f", as {known} is" if known else "")
        yield _differs("region", "the region", ours.region, theirs.region, fix)
    if ours.service != theirs.service:
        why = "the name in the scope counts, letter case included"
        yield _differs("service", "the service", ours.service, theirs.service, why)


# Judging one side alone


def _oddities(canonical: _Canonical | None, scope: _Scope | None) -> Iterator[Diagnosis]:
    """Find what no request to this service should look like."""
    if canonical is not None:
        yield from _odd_request(canonical)
    if scope is None:
        return
    if scope.service != SERVICE:
        yield _differs("service", "the service", SERVICE, scope.service, "letter case counts", expected=True)
    known = _HOSTS.get(canonical.headers.get("host", "")) if canonical else None
    if known is not None and known.region != scope.region:
        why = f"{known.name} is signed for {known.region}"
        yield _differs("region", "the region", known.region, scope.region, why, expected=True)
    if not scope.stamp.startswith(scope.day):
        yield _differs("date", "the day", scope.stamp[:8], scope.day, "scope and date differ", expected=True)


def _odd_request(canonical: _Canonical) -> Iterator[Diagnosis]:
    if canonical.method != "POST":
        why = "every operation is a POST"
        yield _differs("method", "the method", "POST", canonical.method, why, expected=True)
    yield from _odd_path(canonical)
    if canonical.query:
        yield _differs("query", "the query", "none", canonical.query, "the service takes none", expected=True)
    if canonical.payload_hash == _EMPTY:
        yield _body("of some JSON or XML", canonical.payload_hash)
    for name, value in canonical.headers.items():
        if name in _CHANGEABLE or name.startswith("x-forwarded"):
            why = "machines on the way change it, so it must not be signed"
            yield _differs(
                "added_header",
                f"the header {_quoted(name)}",
                "not signed",
                value,
                why,
                name=name,
                expected=True,
            )
        elif name in ("accept", "content-type", "host") and "," in value:
            why = "it arrived twice: something on the way added one"
            first = value.partition(",")[0]
            yield _differs("added_header", f"the header {name}", first, value, why, name=name, expected=True)
        elif value == "":
            why = "it is signed and did not arrive"
            yield _differs(
                "missing_header",
                f"the header {_quoted(name)}",
                "some",
                "nothing",
                why,
                name=name,
                expected=True,
            )


def _odd_path(canonical: _Canonical) -> Iterator[Diagnosis]:
    known = {f"/{name}" for name in OPERATIONS}
    path, plain = canonical.path, canonical.path
    if path in known:
        return
    for _ in range(4):
        plain = unquote(plain[:_MAX_PATH])
    target = canonical.headers.get("x-amz-target", "").rpartition(".")[2]
    expected = f"/{target}" if f"/{target}" in known else "/CreateGiftCard or the like"
    if plain in known:
        why = "it was percent-encoded once more: sign and send the path as it is"
        yield _differs("double_encoded_path", "the path", plain, path, why, expected=True)
    else:
        why = "the path is the operation's name and nothing else"
        yield _differs("path", "the path", expected, path, why, expected=True)


def _unquoted(text: str) -> Diagnosis:
    lowered = text.lower()
    if "scoped to" in lowered and "region" in lowered:
        return _say("region", "the gateway says that the signature is for another region than its own")
    if "scoped to" in lowered and "service" in lowered:
        return _say("service", f"the gateway says that the service in the scope is wrong: it is {SERVICE}")
    if ("credential scope" in lowered and "date" in lowered) or "iso-8601" in lowered:
        return _say("date", "the gateway cannot use the date: x-amz-date and the scope must name one day")
    if "authorization" in lowered or "incompletesignature" in lowered:
        return Diagnosis(
            cause="header",
            text="the Authorization header arrived damaged: something on the way rewrites it",
            name="authorization",
        )
    return _unclear(
        "the gateway does not show what it computed. Check the secret key first, then whether a proxy "
        "changes headers or body"
    )


def _clock(signed: datetime | None, server: datetime | None) -> Diagnosis:
    if signed is None or server is None:
        return _say("clock", "the gateway finds the signature's time too far from its own: set this clock")
    difference = signed - server
    times = f"signed for {_written(signed)}, the gateway's clock said {_written(server)}"
    if abs(difference) >= CLOCK_WINDOW:
        side = "ahead of" if difference > timedelta(0) else "behind"
        size = _size(abs(difference))
        return Diagnosis(
            cause="clock",
            text=f"this clock is {size} {side} the gateway's ({times}): set it, by NTP for example",
            ours=_written(signed),
            theirs=_written(server),
        )
    return Diagnosis(
        cause="clock",
        text=f"the clocks agree ({times}), and yet the signature came too late: something on the way held or "
        "repeated the request",
        ours=_written(signed),
        theirs=_written(server),
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
        return _say("inactive_key", f"{key} is inactive: activate it in the portal, or use the other one")
    if any(word in label for word in _NOT_ALLOWED):
        return _say("not_allowed", f"{place} does not let the account of {key} do this")
    if not any(word in label for word in _UNKNOWN_KEY):
        return _unclear("the answer names neither the signature nor the key nor the clock")
    if was_accepted:
        return _say(
            "inactive_key",
            f"{place} took {key} before and does not any more: it was made inactive or deleted in the portal",
        )
    if endpoint is not None and endpoint.environment == "production":
        return _say(
            "other_environment",
            f"{place} does not know {key}: most likely it is a key of {endpoint.name}-sandbox, whose keys do "
            "not work in production; else it is mistyped, inactive or deleted",
        )
    return _say(
        "unknown_key",
        f"{place} does not know {key}: it is mistyped, inactive or deleted, or of another environment, "
        "because sandbox and production have keys of their own",
    )


_NOT_ALLOWED = ("accessdenied", "access denied", "notauthorized", "not authorized", "forbidden")
_UNKNOWN_KEY = (
    "unrecognizedclient",
    "security token",
    "invalidaccesskey",
    "invalidawsaccesskeyid",
    "invalidclienttokenid",
    "access key id",
)


# Writing


def _first(found: list[Diagnosis]) -> Diagnosis | None:
    """Return the first finding, which names the others."""
    if len(found) < 2:
        return found[0] if found else None
    others = ", ".join(dict.fromkeys(each.name or each.cause.replace("_", " ") for each in found[1:6]))
    first = found[0]
    return Diagnosis(
        cause=first.cause,
        text=masked(f"{first.text}; also: {others}", _MAX_TEXT, lines=False),
        name=first.name,
        ours=first.ours,
        theirs=first.theirs,
    )


def _differs(
    cause: Cause,
    what: str,
    ours: str,
    theirs: str,
    why: str,
    *,
    name: str | None = None,
    expected: bool = False,
) -> Diagnosis:
    mine, seen = _quoted(ours), _quoted(theirs)
    compared = f"expected {mine}, found {seen}" if expected else f"signed {mine}, the gateway saw {seen}"
    return Diagnosis(
        cause=cause,
        text=masked(f"{what} differs: {compared}; {why}", _MAX_TEXT, lines=False),
        name=None if name is None else _quoted(name),
        ours=mine,
        theirs=seen,
    )


def _say(cause: Cause, text: str) -> Diagnosis:
    return Diagnosis(cause=cause, text=masked(text, _MAX_TEXT, lines=False))


def _unclear(text: str) -> Diagnosis:
    return _say("unclear", text)


def _quoted(text: str) -> str:
    """Return a piece of somebody's text, short, on one line, with hashes and signatures cut to a start."""
    return masked(_LONG_HEX.sub(lambda found: found[0][:8] + "…", text[:2000]), _MAX_VALUE, lines=False)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _written(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _size(difference: timedelta) -> str:
    seconds = int(difference.total_seconds())
    parts = (
        (seconds // 86400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    )
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"
