"""Sessions and answers that most tests begin with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from agcod_async import AgcodSession, Credentials, Endpoint, Event, RetryPolicy
from agcod_async.testing import NoThrottle
from agcod_async.wire import HTTPResponse
from tests.support.server import CLAIM_CODE

SECRET_KEY = "canary-secret-key/NEVER+PRINT+ME"
CREDENTIALS = Credentials("AKIDEXAMPLE", SECRET_KEY)
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

CREATED = (
    b'{"cardInfo":{"cardNumber":null,"cardStatus":"Fulfilled","expirationDate":null,'
    b'"value":{"amount":25.0,"currencyCode":"USD"}},"creationRequestId":"Acme1X0001",'
    b'"gcClaimCode":"%b","gcExpirationDate":null,"gcId":"A0B1C2D3E4F5G6","status":"SUCCESS"}\n'
) % CLAIM_CODE.encode()
FUNDS = (
    b'{"availableFunds":{"amount":812.5,"currencyCode":"USD"},"status":"SUCCESS",'
    b'"timestamp":"20260304T101500Z"}\n'
)
RESEND = (
    b'{"agcodResponse":{"__type":"CreateGiftCardResponse:http://internal.amazon.com/coral/'
    b'com.amazonaws.agcod/","creationRequestId":null,"status":"RESEND"},"errorCode":"F400",'
    b'"errorType":"SystemTemporarilyUnavailable","message":"System Temporarily Unavailable"}\n'
)
THROTTLED = b'{"message":"Rate exceeded"}'
NO_RETRY = RetryPolicy(max_attempts=1)


def response(body: bytes = CREATED, status: int = 200, **headers: str) -> HTTPResponse:
    """Return a response; header names are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPResponse(status=status, headers=named, body=body)


def loop_clock() -> datetime:
    """Return a wall clock that follows the loop's time, virtual or not."""
    return START + timedelta(seconds=asyncio.get_running_loop().time())


class OpenThrottle(NoThrottle):
    """Lets everybody pass, and counts."""

    def __init__(self) -> None:
        self.granted: list[str] = []
        self.slowed = 0

    async def acquire(self, operation: str, /, **options: Any) -> None:
        self.granted.append(operation)

    def refused(self, operation: str, /) -> None:
        self.slowed += 1


def make_session(transport: Any = None, **options: Any) -> AgcodSession:
    """Return a session of partner Acme1 whose time and randomness are known."""
    options.setdefault("clock", loop_clock)
    options.setdefault("rng", Random(1))
    options.setdefault("throttle", OpenThrottle())
    endpoint = options.pop("endpoint", Endpoint.NA_SANDBOX)
    credentials = options.pop("credentials", CREDENTIALS)
    return AgcodSession("Acme1", credentials, endpoint, transport=transport, **options)


def notable(events: Sequence[Event]) -> list[Event]:
    """Return what is more than the course of every call."""
    return [event for event in events if event.level > logging.DEBUG]
