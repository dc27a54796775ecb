"""
What exactly once costs: `issue` with a ledger against the bare `create_gift_card`, a new id for each call.

Over TLS, as users run it (the server is a process of its own, and only the client's CPU time counts: that of
its two threads, in the program and in the kernel), and over no network at all, where nothing hides what the
ledger takes. The file is where temporary files are: TMPDIR=/dev/shm shows what is left without a disk.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import msgspec

from agcod_async import AgcodSession, Credentials, Endpoint, Issuer, LocalThrottle, Money
from agcod_async.ledger import MemoryLedger, SQLiteLedger
from agcod_async.transport import Transport
from agcod_async.wire import HTTPRequest, HTTPResponse

from . import server
from .measure import Row, Timings, compare, main, rounds_of

Call = Callable[[], Awaitable[object]]

_VALUE = Money("25.00", "USD")
_TASKS = (1, 10, 50)
_MANY = 50
_CALLS = 500
_ROUNDS = 9
_SQLITE_GOAL = 1.25
_RATE_GOAL = 200.0
"""Microseconds of wall time for each of 5,000 issuances a second."""

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
    with server.running_tls() as (url, ca_file):
        endpoint = Endpoint.custom(url, region="us-east-1", ca_file=ca_file)
        for tasks in _TASKS:
            timings, _ = asyncio.run(_measure(endpoint, None, tasks))
            for name in ("memory", "SQLite"):
                label = f"issue, {name}, {tasks} at a time, over TLS"
                goal = _SQLITE_GOAL if name == "SQLite" else None
                yield compare(timings, label, name, "create_gift_card", goal=goal)
    endpoint = Endpoint.custom("https://localhost", region="us-east-1")
    timings, walls = asyncio.run(_measure(endpoint, Answering(), _MANY))
    for name in ("memory", "SQLite"):
        label = f"issue, {name}, {_MANY} at a time, no network"
        yield compare(timings, label, name, "create_gift_card")
        yield Row(case=label, against="wall", value=median(walls[name]) * 1e6, unit="us", goal=_RATE_GOAL)


async def _measure(endpoint: Endpoint, transport: Transport | None, tasks: int) -> tuple[Timings, Timings]:
    """Return the CPU time of one call, and its share of the wall time."""
    async with AsyncExitStack() as stack:
        calls = await _candidates(endpoint, transport, stack)
        walls: dict[str, list[float]] = {name: [] for name in calls}
        timed = {name: _timed(call, tasks, walls[name]) for name, call in calls.items()}
        return await rounds_of(timed, rounds=_ROUNDS), walls


async def _candidates(
    endpoint: Endpoint, transport: Transport | None, stack: AsyncExitStack
) -> Mapping[str, Call]:
    session = AgcodSession(
        "Acme1",
        Credentials("AKIDEXAMPLE", "not-a-secret"),
        endpoint,
        transport=transport,
        # A rate that never makes anybody wait; the throttle itself is part of the call, of each of them.
        throttle=LocalThrottle(rate=1e6, operation_rates={}, margin=0),
    )
    await stack.enter_async_context(session)
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    ledger = await stack.enter_async_context(SQLiteLedger(Path(folder) / "ledger.db"))
    numbers = itertools.count()

    async def bare() -> None:
        await session.create_gift_card(f"Acme1{next(numbers):026}", _VALUE)

    def issuing(issuer: Issuer) -> Call:
        return lambda: issuer.issue(f"order-{next(numbers)}", _VALUE)

    return {
        "create_gift_card": bare,
        "memory": issuing(Issuer(session, MemoryLedger())),
        "SQLite": issuing(Issuer(session, ledger)),
    }


def _timed(call: Call, tasks: int, walls: list[float]) -> Callable[[], Awaitable[float]]:
    async def worker() -> None:
        for _ in range(_CALLS // tasks):
            await call()

    async def timed() -> float:
        start, wall = process_time(), perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(worker())
        walls.append((perf_counter() - wall) / _CALLS)
        return (process_time() - start) / _CALLS

    return timed


if __name__ == "__main__":
    main(run)
