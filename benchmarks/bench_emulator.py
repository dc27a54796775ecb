"""The emulated gateway: how many requests a second, how soon the first, and how much memory a card takes."""

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

import httpx

from agcod_async import AgcodSession, Credentials, Endpoint, Money
from agcod_async.emulator import Emulator, Partner, Request
from agcod_async.signer import SigV4Signer
from agcod_async.testing import NoThrottle
from agcod_async.wire import HTTPRequest

REQUESTS = 10_000
CONNECTIONS = 10
CARDS = 100_000
CREDENTIALS = Credentials("AKIDEXAMPLE", "not-a-secret")
START = """
import time; started = time.perf_counter()
import asyncio, ssl, httpx
from agcod_async.emulator import Emulator
async def main():
    async with Emulator().serve() as server:
        trust = ssl.create_default_context(cafile=server.ca_file)
        async with httpx.AsyncClient(verify=trust) as client:
            assert (await client.get(f"{server.url}/sping")).status_code == 200
    print(time.perf_counter() - started)
asyncio.run(main())
"""


def main() -> None:
    """Print one line per case; nothing here touches more than loopback."""
    for case in (_start, _sockets, _in_process, _memory):
        for label, value, goal in case():
            print(f"{label:<52}{value:>18}  {goal}", flush=True)


Lines = Iterator[tuple[str, str, str]]


def _start() -> Lines:
    seconds = min(_started() for _ in range(3))
    yield "new process to first answer over TLS", f"{seconds:.2f} s", "goal: under 1 s"


def _started() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", START], check=True, capture_output=True)
    return time.perf_counter() - begin


def _sockets() -> Lines:
    emulator, requests = _emulator(), list(_creates(REQUESTS))
    for tls in (True, False):
        emulator.state.cards.clear()
        wall, cpu = asyncio.run(_served(emulator, requests, tls=tls))
        label = f"create over {'TLS' if tls else 'plain HTTP'}, {CONNECTIONS} connections"
        yield label, f"{REQUESTS / cpu:,.0f} /s of CPU", "goal: 2,000 /s on one core"
        yield f"{label}, client included", f"{REQUESTS / wall:,.0f} /s of wall", ""


async def _served(emulator: Emulator, requests: list[Request], *, tls: bool) -> tuple[float, float]:
    raw = [_raw(request) for request in requests]
    async with emulator.serve(tls=tls) as server:
        client = multiprocessing.get_context("spawn").Process(
            target=_drive, args=(server.port, server.ca_file, raw)
        )
        client.start()
        while not emulator.state.cards:
            await asyncio.sleep(0.001)
        wall, cpu = time.perf_counter(), time.process_time()
        while len(emulator.state.cards) < len(requests):
            await asyncio.sleep(0.02)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
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


def _in_process() -> Lines:
    emulator, requests = _emulator(), list(_creates(REQUESTS))
    seconds = time.process_time()
    for request in requests:
        emulator.handle(request)
    core = (time.process_time() - seconds) / REQUESTS
    yield "create in process: the core", f"{core * 1e6:.0f} us", ""
    call = asyncio.run(_called(_emulator(), 2_000))
    yield "create in process: a whole call of the client", f"{call * 1e6:.0f} us", ""
    share = core / (call - core)
    yield "the core against the client around it", f"{share:.2f} x", "goal: at most 1"


async def _called(emulator: Emulator, calls: int) -> float:
    async with httpx.AsyncClient(transport=emulator.transport()) as client:
        session = AgcodSession(
            "Acme1",
            CREDENTIALS,
            Endpoint.custom("https://localhost", region="us-east-1"),
            http_client=client,
            throttle=NoThrottle(),
        )
        await session.create_gift_card("Acme1first", Money("1.00", "USD"))
        seconds = time.process_time()
        for index in range(calls):
            await session.create_gift_card(f"Acme1call{index}", Money("1.00", "USD"))
        return (time.process_time() - seconds) / calls


def _memory() -> Lines:
    # In a process of its own, whose peak nothing else has raised.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        growth, per_card = pool.apply(_measured_memory)
    yield f"memory after {CARDS:,} questions", f"+{growth / 1024:.0f} KiB", "goal: flat"
    yield f"memory of a card with its activity, over {CARDS:,}", f"{per_card:.0f} B", ""


def _measured_memory() -> tuple[float, float]:
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
    return _requests(
        "CreateGiftCard",
        (
            {"creationRequestId": f"{prefix}{index}", "partnerId": "Acme1", "value": value}
            for index in range(count)
        ),
    )


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
    main()
