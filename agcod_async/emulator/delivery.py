"""An answer on its way, and what a fault makes of it."""

import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import cache

from .faults import Fault, FaultKind
from .values import Answer

_DEPTH = 100_000
_BOMB = 32 * 1024 * 1024
_PAGE = b"<html><body><h1>Service Unavailable</h1></body></html>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An answer, and how it travels."""

    answer: Answer | None
    """None: the connection is cut."""
    delay: float = 0.0
    """Seconds before the first byte."""
    cut_after: int | None = None
    """The connection is cut after so many bytes of the body."""
    drip: float | None = None
    """Seconds between any two bytes of the body."""


def spoiled(fault: Fault, answer: Answer, now: datetime) -> Delivery:
    """Deliver an answer whose work is done: with another body, at another pace, or with another date."""
    if change := _BODIES.get(fault.kind):
        return Delivery(answer=change(answer))
    match fault.kind:
        case FaultKind.DROP_AFTER:
            return Delivery(answer=None)
        case FaultKind.DELAY:
            return Delivery(answer=answer, delay=fault.seconds)
        case FaultKind.TRUNCATED:
            return Delivery(answer=answer, cut_after=len(answer.body) // 2)
        case FaultKind.SLOW_DRIP:
            return Delivery(answer=answer, drip=fault.seconds)
        case _:
            date = format_datetime(now + timedelta(seconds=fault.seconds), usegmt=True)
            return Delivery(answer=_with_headers(answer, {"date": date}))


def page(status: int) -> Answer:
    """What a proxy in front of a broken service says."""
    return Answer(status=status, headers={"content-type": "text/html"}, body=_PAGE)


def _with_headers(answer: Answer, headers: Mapping[str, str]) -> Answer:
    return replace(answer, headers={**answer.headers, **headers})


def _garbage(answer: Answer) -> Answer:
    noise = b"".join(hashlib.sha256(answer.body + bytes([part])).digest() for part in range(8))
    return replace(answer, body=noise)


def _bad_utf8(answer: Answer) -> Answer:
    half = len(answer.body) // 2
    return replace(answer, body=answer.body[:half] + b"\xff\xfe" + answer.body[half:])


def _nested(answer: Answer) -> Answer:
    is_json = answer.headers["content-type"] == "application/json"
    return replace(answer, body=b'{"a":' * _DEPTH if is_json else b"<a>" * _DEPTH)


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(_BOMB), mtime=0)


def _gzipped(answer: Answer) -> Answer:
    return replace(_with_headers(answer, {"content-encoding": "gzip"}), body=_bomb())


def _called_html(answer: Answer) -> Answer:
    return _with_headers(answer, {"content-type": "text/html"})


_BODIES: Mapping[FaultKind, Callable[[Answer], Answer]] = {
    FaultKind.GARBAGE: _garbage,
    FaultKind.BAD_UTF8: _bad_utf8,
    FaultKind.DEEP_NESTING: _nested,
    FaultKind.GZIP_BOMB: _gzipped,
    FaultKind.WRONG_CONTENT_TYPE: _called_html,
}
