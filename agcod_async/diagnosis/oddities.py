"""What no request to this service should look like, where only the gateway's side of it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..endpoints import Endpoint
from ..model import OPERATIONS
from ..signer import SERVICE
from .comparison import EMPTY, body_differs
from .wording import differs, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..signing import Diagnosis
    from .received import CanonicalRequest, Scope

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
_MAX_PATH = 1000


def oddities(canonical: CanonicalRequest | None, scope: Scope | None) -> Iterator[Diagnosis]:
    """Find what no request to this service should look like."""
    if canonical is not None:
        yield from _odd_request(canonical)
    if scope is None:
        return
    if scope.service != SERVICE:
        yield differs("service", "the service", SERVICE, scope.service, "letter case counts", expected=True)
    known = _HOSTS.get(canonical.headers.get("host", "")) if canonical else None
    if known is not None and known.region != scope.region:
        why = f"{known.name} is signed for {known.region}"
        yield differs("region", "the region", known.region, scope.region, why, expected=True)
    if not scope.stamp.startswith(scope.day):
        yield differs("date", "the day", scope.stamp[:8], scope.day, "scope and date differ", expected=True)


def _odd_request(canonical: CanonicalRequest) -> Iterator[Diagnosis]:
    if canonical.method != "POST":
        why = "every operation is a POST"
        yield differs("method", "the method", "POST", canonical.method, why, expected=True)
    yield from _odd_path(canonical)
    if canonical.query:
        yield differs("query", "the query", "none", canonical.query, "the service takes none", expected=True)
    if canonical.payload_hash == EMPTY:
        yield body_differs("of some JSON or XML", canonical.payload_hash)
    for name, value in canonical.headers.items():
        if name in _CHANGEABLE or name.startswith("x-forwarded"):
            why = "machines on the way change it, so it must not be signed"
            yield differs(
                "added_header",
                f"the header {quoted(name)}",
                "not signed",
                value,
                why,
                name=name,
                expected=True,
            )
        elif name in ("accept", "content-type", "host") and "," in value:
            why = "it arrived twice: something on the way added one"
            first = value.partition(",")[0]
            yield differs("added_header", f"the header {name}", first, value, why, name=name, expected=True)
        elif value == "":
            why = "it is signed and did not arrive"
            yield differs(
                "missing_header",
                f"the header {quoted(name)}",
                "some",
                "nothing",
                why,
                name=name,
                expected=True,
            )


def _odd_path(canonical: CanonicalRequest) -> Iterator[Diagnosis]:
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
        yield differs("double_encoded_path", "the path", plain, path, why, expected=True)
    else:
        why = "the path is the operation's name and nothing else"
        yield differs("path", "the path", expected, path, why, expected=True)
