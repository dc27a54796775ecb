"""What the gateway says that it received and computed, read from its refusal."""

from __future__ import annotations

from html import unescape
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ..codecs import UnreadableBody, codec_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_INPUT = 200_000
_MAX_FIELDS = 50


class Computed(Struct, frozen=True, kw_only=True):
    """What somebody made of a request before signing it; either may be missing."""

    canonical_request: str | None = None
    string_to_sign: str | None = None


def parsed(text: str) -> dict[str, Any]:
    """Return the document that a refusal is, or an empty one."""
    body = text.strip().encode("utf-8", "replace")
    try:
        return codec_for(body).parse(body)[1]
    except UnreadableBody:
        return {}


def message(text: str) -> str:
    """Return the text that a refusal consists of, with line ends as they were."""
    text = text[:MAX_INPUT]
    found = [each for each in _texts(parsed(text), 0) if each]
    for each in found:
        if computed_in(each) is not None:
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
        for each in list(value.values() if isinstance(value, dict) else value)[:_MAX_FIELDS]:
            yield from _texts(each, depth + 1)


def computed_in(text: str) -> Computed | None:
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


class CanonicalRequest(Struct, frozen=True, kw_only=True):
    """A canonical request in its parts."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    signed_headers: str
    payload_hash: str

    @classmethod
    def read(cls, text: str | None) -> CanonicalRequest | None:
        """Return the parts of *text*, as far as it is one."""
        lines = (text or "").split("\n")
        if len(lines) < 5:
            return None
        method, path, *middle, signed_headers, payload_hash = lines
        names = signed_headers.split(";")
        query, *fields = middle
        if query.partition(":")[0] in names and "" not in middle:
            # Copying has dropped the empty lines.
            query, fields = "", middle
        pairs = [line.partition(":") for line in fields if line][:_MAX_FIELDS]
        return cls(
            method=method,
            path=path,
            query=query,
            headers={name: value for name, _, value in pairs},
            signed_headers=signed_headers,
            payload_hash=payload_hash,
        )


class Scope(Struct, frozen=True, kw_only=True):
    """A string to sign in its parts."""

    stamp: str
    day: str
    region: str
    service: str
    canonical_hash: str

    @classmethod
    def read(cls, text: str | None) -> Scope | None:
        """Return the parts of *text*, as far as it is one."""
        lines = (text or "").split("\n")
        scope = lines[2].split("/") if len(lines) == 4 else []
        if len(scope) != 4:
            return None
        return cls(stamp=lines[1], day=scope[0], region=scope[1], service=scope[2], canonical_hash=lines[3])


def text_of(value: object) -> str | None:
    """Return *value* if it is a text."""
    return value if isinstance(value, str) else None
