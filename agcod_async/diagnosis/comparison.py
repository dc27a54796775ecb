"""What differs between the request that was signed and the one that the gateway saw."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..endpoints import Endpoint
from .wording import differs, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..signing import Diagnosis
    from .received import CanonicalRequest, Scope

EMPTY = hashlib.sha256(b"").hexdigest()
"""The hash of a body that did not arrive."""

_DATES = ("x-amz-date", "date")
_MAX_PATH = 1000
_REGIONS = {each.region: each.name for each in (Endpoint.NA, Endpoint.EU, Endpoint.FE)}


def changes(ours: CanonicalRequest, theirs: CanonicalRequest) -> Iterator[Diagnosis]:
    """Find what was changed on the way, and what of it would explain the refusal."""
    if ours.method != theirs.method:
        yield differs("method", "the method", ours.method, theirs.method, "a proxy or redirect changed it")
    if ours.path != theirs.path:
        yield _path(ours.path, theirs.path)
    if ours.query != theirs.query:
        yield differs("query", "the query", ours.query, theirs.query, "the service takes none")
    yield from _headers(ours.headers, theirs.headers)
    if ours.signed_headers != theirs.signed_headers and set(ours.headers) == set(theirs.headers):
        yield differs(
            "header", "the list of signed headers", ours.signed_headers, theirs.signed_headers,
            "something on the way rewrote Authorization", name="authorization",
        )  # fmt: skip
    if ours.payload_hash != theirs.payload_hash:
        yield body_differs(ours.payload_hash, theirs.payload_hash)


def _path(ours: str, theirs: str) -> Diagnosis:
    # As many rounds as a proxy chain could have; each undoes one encoding.
    plain, rounds = theirs, 0
    while plain != ours and "%" in plain and rounds < 4 and len(plain) < _MAX_PATH:
        plain, rounds = unquote(plain), rounds + 1
    if rounds and plain == ours:
        why = "it was percent-encoded once more on the way: sign and send the path as it is"
        return differs("double_encoded_path", "the path", ours, theirs, why)
    return differs("path", "the path", ours, theirs, "a proxy rewrote it, or the base URL has a path")


def _headers(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[Diagnosis]:
    for name in dict.fromkeys((*ours, *theirs)):
        mine, seen = ours.get(name), theirs.get(name)
        if mine == seen:
            continue
        if mine is None:
            yield differs(
                "added_header", f"the header {quoted(name)}", "not signed", seen or "",
                "it was added on the way, and must not be signed", name=name,
            )  # fmt: skip
        elif seen is None or seen == "":
            yield differs(
                "missing_header", f"the header {quoted(name)}", mine, "nothing",
                "something on the way removed it", name=name,
            )  # fmt: skip
        elif name in _DATES:
            yield differs("date", f"the date ({name})", mine, seen, "something changed it", name=name)
        elif name == "host":
            why = "a proxy changed the host; let it pass the Host header on"
            yield differs("host", "the host", mine, seen, why, name=name)
        elif seen.startswith(f"{mine},") or seen.endswith(f",{mine}"):
            why = "a second one was added on the way"
            yield differs("added_header", f"the header {quoted(name)}", mine, seen, why, name=name)
        else:
            why = "a proxy or the HTTP library changed it"
            yield differs("header", f"the header {quoted(name)}", mine, seen, why, name=name)


def body_differs(ours: str, theirs: str) -> Diagnosis:
    """Say that the bodies of two hashes differ."""
    if theirs == EMPTY:
        return differs("body", "the body", ours, theirs, "it did not arrive: the gateway saw an empty one")
    why = "it was altered after signing, by a proxy or a second serialisation"
    return differs("body", "the body (SHA-256)", ours, theirs, why)


def rescoped(ours: Scope, theirs: Scope) -> Iterator[Diagnosis]:
    """Find what differs in day, region and service."""
    if (ours.stamp, ours.day) != (theirs.stamp, theirs.day):
        mine, seen = f"{ours.stamp} in {ours.day}", f"{theirs.stamp} in {theirs.day}"
        yield differs("date", "the date", mine, seen, "something changed it")
    if ours.region != theirs.region:
        known = _REGIONS.get(theirs.region)
        fix = f"this gateway is signed for {quoted(theirs.region)}" + (f", as {known} is" if known else "")
        yield differs("region", "the region", ours.region, theirs.region, fix)
    if ours.service != theirs.service:
        why = "the name in the scope counts, letter case included"
        yield differs("service", "the service", ours.service, theirs.service, why)
