"""Bodies and headers as a stranger may see them: shown is what is known to be harmless."""

from __future__ import annotations

import hashlib
import re
from html import escape
from typing import TYPE_CHECKING, cast

import msgspec

from .codecs import JSON, MAX_DEPTH, UnreadableBody, codec_for
from .secret import masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MASK = "****"
MAX_BODY = 6000
"""Characters of one body."""

_MAX_VALUE = 3000
_MAX_NAME = 60
_MAX_HEADERS = 24
_MAX_ITEMS = 20
_MAX_START = 160

# What the documents of the service name, and nothing that could be a claim code. A field that is not on the
# list shows its type only: the service may add a second code at any time.
_HARMLESS = frozenset(
    (
        "__type", "account", "activationRequestId", "activityStatus", "activityTime",
        "activityType", "agcodResponse", "amount", "availableFunds", "cardActivityList", "cardInfo",
        "cardNumber", "cardStatus", "cardValue", "creationRequestId", "currencyCode", "errorCode",
        "errorType", "expirationDate", "externalReference", "failureCode", "gcExpirationDate",
        "gcId", "id", "institutionId", "isRealOp", "loadBalanceRequestId", "message", "Message",
        "pageIndex", "pageSize", "partnerId", "productType", "programId", "requestId", "showNoOps",
        "sourceDetails", "sourceId", "status", "statusCheckRequestId", "statusCode", "timestamp",
        "totalNumberOfTransactionsInRequestedTimeFrame", "transactionSource", "type", "utcEndDate",
        "utcStartDate", "value",
    )
)  # fmt: skip
_HARMLESS_HEADERS = frozenset(
    (
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "date",
        "host",
        "retry-after",
        "server",
        "user-agent",
        "via",
        "x-amz-date",
        "x-amz-target",
        "x-amzn-errortype",
        "x-amzn-requestid",
    )
)
_CODELIKE = re.compile(r"[A-Z0-9][A-Z0-9-]{3,}")
_encode = msgspec.json.Encoder(decimal_format="number").encode


def masked_body(body: bytes) -> str:
    """
    Return *body* in its own format, with the values of unknown fields masked.

    Of what cannot be read, only the length, the hash and a start without anything like a code are left.
    """
    codec = codec_for(body)
    try:
        root, tree = codec.parse(body)
    except UnreadableBody:
        return _described(body)
    shown = cast("dict[str, object]", _shown(tree, 0))
    text = _encode(shown).decode() if codec is JSON else "".join(_elements(_name(root), shown))
    return text if len(text) <= MAX_BODY else f"{text[:MAX_BODY]}… ({len(text)} characters)"


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return *headers* with all values masked that are not known to be harmless."""
    return {
        _name(name): masked(value, 300, lines=False) if name.lower() in _HARMLESS_HEADERS else MASK
        for name, value in list(headers.items())[:_MAX_HEADERS]
    }


def _shown(value: object, depth: int, *, is_harmless: bool = False) -> object:
    if value is None:
        return None
    if depth > MAX_DEPTH:
        return MASK
    if isinstance(value, dict):
        fields = list(value.items())
        return {
            _name(name): MASK if _is_code(name) else _shown(each, depth + 1, is_harmless=name in _HARMLESS)
            for name, each in fields[: 3 * _MAX_ITEMS]
        }
    if isinstance(value, list):
        shown = [_shown(each, depth + 1, is_harmless=is_harmless) for each in value[:_MAX_ITEMS]]
        more = len(value) - len(shown)
        return [*shown, f"… {more} more"] if more else shown
    if not is_harmless:
        return f"{MASK} ({type(value).__name__})"
    if isinstance(value, str):
        return masked(value, _MAX_VALUE)
    # A number with thousands of digits is none.
    return value if len(str(value)) <= _MAX_NAME else MASK


def _is_code(name: str) -> bool:
    return "claimcode" in name.lower().replace("_", "")


def _name(name: str) -> str:
    return masked(name, _MAX_NAME, lines=False)


def _elements(name: str, value: object) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _elements(name, each)
        return
    yield f"<{escape(name)}>"
    if isinstance(value, dict):
        for child, each in value.items():
            yield from _elements(child, each)
    elif value is not None:
        yield escape(str(value), quote=False)
    yield f"</{escape(name)}>"


def _described(body: bytes) -> str:
    text = f"({len(body)} bytes that cannot be read, sha256 {hashlib.sha256(body).hexdigest()}"
    start = body[:_MAX_START].decode("ascii", "replace")
    # Shown only where it is plain text, and up to the first word about codes.
    if start and start.isascii() and all(char.isprintable() or char.isspace() for char in start):
        start = re.split("claim", start, maxsplit=1, flags=re.IGNORECASE)[0]
        text += f"; they begin: {_CODELIKE.sub(MASK, masked(start, _MAX_START, lines=False))}"
    return text + ")"
