"""The emulated gateway: what a request costs it, how soon it answers, and what a card weighs."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import resource
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from agcod_async import AgcodSession, Credentials, Endpoint, Money
from agcod_async.emulator import Emulator, Partner, Request
from agcod_async.signer import SigV4Signer
from agcod_async.testing import NoThrottle
from agcod_async.wire import HTTPRequest

from .measure import Row, main, optional, skipped

REQUESTS = 10_000
CONNECTIONS = 10
CALLS = 2_000
CARDS = 100_000
CREDENTIALS = Credentials("AKIDEXAMPLE", "not-a-secret")
START = """
import asyncio, ssl, httpx
from agcod_async.emulator import Emulator
async def main():
    async with Emulator().serve() as server:
        trust = ssl.create_default_context(cafile=server.ca_file)
        async with httpx.AsyncClient(verify=trust) as client:
            assert (await client.get(f"{server.url}/sping")).status_code == 200
asyncio.run(main())
"""


def run() -> Iterator[Row]:
    if optional("uvicorn") is None or optional("trustme") is None:
        yield skipped("emulator", "uvicorn")
        return
    seconds = min(_started() for _ in range(3))
    yield Row(case="emulator: new process to first answer", against="time", value=seconds, unit="s", goal=1)
    yield from _sockets()
    yield from _in_process()
    # In a process of its own, whose peak nothing else has raised.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        growth, per_card = pool.apply(_memory)
    yield Row(
        case=f"emulator: {CARDS:,} questions",
        against="memory",
        value=growth / 1024,
        unit="KiB",
        goal=1024,
    )
    yield Row(
        case=f"emulator: memory of a card, {CARDS:,} of them", against="memory", value=per_card, unit="B"
    )


def _started() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", START], check=True, capture_output=True)
    return time.perf_counter() - begin


def _sockets() -> Iterator[Row]:
    emulator, requests = _emulator(), list(_creates(REQUESTS))
    for tls in (True, False):
        emulator.state.cards.clear()
        wall, cpu = asyncio.run(_served(emulator, requests, tls=tls))
        note = f"{1 / cpu:,.0f}/s of CPU, {1 / wall:,.0f}/s of wall with a client on the next core"
        case = f"emulator: create over {'TLS' if tls else 'plain HTTP'}"
        yield Row(case=case, against="2,000/s on one core", value=cpu * 1e6, unit="us", goal=500, note=note)


async def _served(emulator: Emulator, requests: list[Request], *, tls: bool) -> tuple[float, float]:
    """Return the seconds per request, of the clock and of this process, which is the server."""
    raw = [_raw(request) for request in requests]
    async with emulator.serve(tls=tls) as server:
        client = multiprocessing.get_context("spawn").Process(
            target=_drive, args=(server.port, server.ca_file, raw)
        )
        client.start()
        while not emulator.state.cards:
            await asyncio.sleep(0.001)
        done, wall, cpu = len(emulator.state.cards), time.perf_counter(), time.process_time()
        while len(emulator.state.cards) < len(requests):
            await asyncio.sleep(0.02)
        count = len(requests) - done
        wall, cpu = (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count
        await asyncio.to_thread(client.join, 30)
    return wall, cpu


def _drive(port: int, ca_file: str | None, raw: list[bytes]) -> None:
    """Be the cheapest client there is: requests ready-made, answers hardly looked at."""
    asyncio.run(_drive_all(port, ssl.create_default_context(cafile=ca_file) if ca_file else None, raw))


async def _drive_all(port: int, trust: ssl.SSLContext | None, raw: list[bytes]) -> None:
    await asyncio.gather(*(_drive_one(port, trust, raw[part::CONNECTIONS]) for part in range(CONNECTIONS)))


async def _drive_one(port: int, trust: ssl.SSLContext | None, raw: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
    for request in raw:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    writer.close()


def _in_process() -> Iterator[Row]:
    emulator, requests = _emulator(), list(_creates(REQUESTS))
    seconds = time.process_time()
    for request in requests:
        emulator.handle(request)
    core = (time.process_time() - seconds) / REQUESTS
    call = asyncio.run(_called(_emulator()))
    note = f"{core * 1e6:.0f} us : {(call - core) * 1e6:.0f} us"
    yield Row(
        case="emulator: create in process",
        against="client around it",
        value=core / (call - core),
        goal=1,
        note=note,
    )


async def _called(emulator: Emulator) -> float:
    """Return the seconds of CPU that a whole call of a session takes in process."""
    session = AgcodSession(
        "Acme1",
        CREDENTIALS,
        Endpoint.custom("https://localhost", region="us-east-1"),
        http_client=emulator.http_client(),
        throttle=NoThrottle(),
    )
    await session.create_gift_card("Acme1first", Money("1.00", "USD"))
    seconds = time.process_time()
    for index in range(CALLS):
        await session.create_gift_card(f"Acme1call{index}", Money("1.00", "USD"))
    return (time.process_time() - seconds) / CALLS


def _memory() -> tuple[float, float]:
    """Return the bytes that questions leave behind, and the bytes that each card does."""
    emulator = _emulator()
    for request in _creates(1_000):
        emulator.handle(request)
    question = next(_requests("GetAvailableFunds", [{"partnerId": "Acme1"}]))
    before = _resident()
    for _ in range(CARDS):
        emulator.handle(question)
    growth, before = _resident() - before, _resident()
    for request in _creates(CARDS, prefix="Acme1many"):
        emulator.handle(request)
    return growth, (_resident() - before) / CARDS


def _resident() -> int:
    # Not ru_maxrss, which a process inherits from whoever started it.
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _emulator() -> Emulator:
    keys = {CREDENTIALS.access_key_id: "not-a-secret"}
    return Emulator([Partner("Acme1", keys=keys, funds=Decimal(10**9))], throttle=None)


def _creates(count: int, prefix: str = "Acme1n") -> Iterator[Request]:
    value = {"currencyCode": "USD", "amount": 25.5}
    ids = (f"{prefix}{index}" for index in range(count))
    bodies = ({"creationRequestId": name, "partnerId": "Acme1", "value": value} for name in ids)
    return _requests("CreateGiftCard", bodies)


def _requests(operation: str, bodies: Iterable[object]) -> Iterator[Request]:
    """Requests signed by the client's signer, as they arrive."""
    signer = SigV4Signer("us-east-1")
    headers = {
        "accept": "application/json",
        "content-type": "application/json",
        "host": "localhost",
        "x-amz-target": f"com.amazonaws.agcod.AGCODService.{operation}",
    }
    for fields in bodies:
        unsigned = HTTPRequest(
            origin="https://localhost",
            path=f"/{operation}",
            headers=headers,
            body=json.dumps(fields).encode(),
        )
        signed = signer.sign(unsigned, CREDENTIALS, at=datetime.now(UTC))
        yield Request(method="POST", path=signed.path, headers=signed.headers, body=signed.body)


def _raw(request: Request) -> bytes:
    headers = {**request.headers, "content-length": str(len(request.body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {request.path} HTTP/1.1\r\n{lines}\r\n".encode() + request.body


if __name__ == "__main__":
    main(run)
