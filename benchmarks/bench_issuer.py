"""What exactly once costs: `issue` with a ledger against the bare call, 50 tasks, over no network at all."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from time import process_time

import msgspec

from agcod_async import AgcodSession, Credentials, Endpoint, Issuer, Money
from agcod_async.ledger import MemoryLedger, SQLiteLedger
from agcod_async.testing import NoThrottle
from agcod_async.wire import HTTPRequest, HTTPResponse

from .measure import Row, Timings, main, rounds_of

_VALUE = Money("25.00", "USD")
_TASKS, _CALLS = 50, 20
_ANSWER = (
    '{"cardInfo":{"cardNumber":null,"cardStatus":"Fulfilled","expirationDate":null,'
    '"value":%s},"creationRequestId":"%s","gcClaimCode":"AAAA-BBBBBB-CCCC",'
    '"gcExpirationDate":null,"gcId":"A0B1C2D3E4F5G6","status":"SUCCESS"}'
)


class _Asked(msgspec.Struct):
    creation_request_id: str = msgspec.field(name="creationRequestId")
    value: msgspec.Raw


class Answering:
    """Answers at once, as a gateway with no network and no work would."""

    def __init__(self) -> None:
        self._read = msgspec.json.Decoder(_Asked).decode

    async def send(self, request: HTTPRequest, /) -> HTTPResponse:
        asked = self._read(request.body)
        body = (_ANSWER % (bytes(asked.value).decode(), asked.creation_request_id)).encode()
        return HTTPResponse(status=200, headers={"content-type": "application/json"}, body=body)

    async def aclose(self) -> None:
        pass


def run() -> Iterator[Row]:
    timings = asyncio.run(_measure())
    bare = median(timings["bare"])
    yield Row(case="create_gift_card", against="nothing", value=bare * 1e6, unit="us")
    for name in ("memory", "SQLite"):
        ratio = median(one / other for one, other in zip(timings[name], timings["bare"], strict=True))
        yield Row(case=f"issue, {name}", against="create_gift_card", value=ratio)
        yield Row(case=f"issue, {name}", against="CPU", value=median(timings[name]) * 1e6, unit="us")


async def _measure() -> Timings:
    session = AgcodSession(
        "Acme1",
        Credentials("AKIDEXAMPLE", "not-a-secret"),
        Endpoint.NA_SANDBOX,
        transport=Answering(),
        throttle=NoThrottle(),
    )
    with tempfile.TemporaryDirectory() as folder:
        async with SQLiteLedger(Path(folder) / "ledger.db") as ledger:
            numbers = itertools.count()
            issuers = {"memory": Issuer(session, MemoryLedger()), "SQLite": Issuer(session, ledger)}

            async def bare() -> None:
                await session.create_gift_card(f"Acme1{next(numbers):010}", _VALUE)

            def issuing(issuer: Issuer) -> Callable[[], Awaitable[object]]:
                return lambda: issuer.issue(f"order-{next(numbers)}", _VALUE)

            calls = {"bare": bare, **{name: issuing(one) for name, one in issuers.items()}}
            return await rounds_of({name: _timed(call) for name, call in calls.items()}, rounds=9)


def _timed(call: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[float]]:
    async def worker() -> None:
        for _ in range(_CALLS):
            await call()

    async def timed() -> float:
        start = process_time()
        await asyncio.gather(*(worker() for _ in range(_TASKS)))
        return (process_time() - start) / (_TASKS * _CALLS)

    return timed


if __name__ == "__main__":
    main(run)
