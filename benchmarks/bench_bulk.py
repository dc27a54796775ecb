"""Campaigns: how long until a million rows begin, and begin again, and how fast they go unbraked."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

from agcod_async import AgcodSession, Credentials, Endpoint, Money
from agcod_async.bulk import Campaign
from agcod_async.ledger import SQLiteLedger
from agcod_async.testing import NoThrottle

from .bench_issuer import Answering

if TYPE_CHECKING:
    from agcod_async.ledger import Ledger

_MOST = Money("100000000.00", "USD")


class Memory:
    """The most memory that this process holds while the block runs, in MB: looked at every 20 ms."""

    def __init__(self) -> None:
        self.most = 0.0
        self._is_over = Event()
        self._thread = Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._is_over.wait(0.02):
            self.most = max(self.most, int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20)


def write(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("reference,amount,currency\n")
        file.writelines(f"order-{number:09},{number % 90 + 10}.50,USD\n" for number in range(rows))


def campaign_of(ledger: Ledger, path: Path) -> Campaign:
    session = AgcodSession(
        "Acme1",
        Credentials("AKIDEXAMPLE", "not-a-secret"),
        Endpoint.NA_SANDBOX,
        transport=Answering(),
        throttle=NoThrottle(),
    )
    return Campaign(session, ledger, path, max_total=_MOST, in_flight=50)


async def begin(ledger: Ledger, path: Path, name: str, *, in_full: bool = False) -> None:
    """Measure the way to the first receipt."""
    with Memory() as memory:
        start, cpu = time.perf_counter(), time.process_time()
        campaign = campaign_of(ledger, path)
        await campaign.check(in_full=in_full)
        async with campaign:
            entered, cpu = time.perf_counter(), time.process_time() - cpu
            await anext(campaign)
            first = time.perf_counter()
    print(f"{name:40} {entered - start:8.2f} s, first receipt {first - start:8.2f} s", end="   ")
    print(f"{memory.most:4.0f} MB   {cpu:.2f} s CPU")


async def issue(ledger: Ledger, path: Path, rows: int) -> None:
    """Measure the rate over the first *rows* rewards."""
    count = 0
    with Memory() as memory:
        async with campaign_of(ledger, path) as campaign:
            start, cpu = time.perf_counter(), time.process_time()
            async for _ in campaign:
                count += 1
                if count == rows:
                    break
            passed, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"issue {count:,} of them{'':17} {count / passed:8,.0f} rows/s   {memory.most:4.0f} MB", end="   ")
    print(f"{cpu / count * 1e6:.0f} us CPU each")


async def measure(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rewards.csv"
        write(path, rows)
        print(f"{rows:,} rows, {path.stat().st_size / 2**20:.0f} MB")
        async with SQLiteLedger(Path(folder) / "rewards.db") as ledger:
            with Memory() as memory:
                start = time.perf_counter()
                outlook = await campaign_of(ledger, path).check()
            print(f"{'check, all new':40} {time.perf_counter() - start:8.2f} s {memory.most:31.0f} MB")
            assert outlook.rewards == rows
            await begin(ledger, path, "check, plan")
        async with SQLiteLedger(Path(folder) / "rewards.db") as ledger:
            await begin(ledger, path, "resume, at the beginning")
            await issue(ledger, path, rows // 10)
            await begin(ledger, path, "resume, after a tenth")
            await begin(ledger, path, "resume, checked in full", in_full=True)
            with Memory() as memory:
                start = time.perf_counter()
                count = len([None async for _ in campaign_of(ledger, path).standings()])
            print(f"report of {count:,}{'':21} {time.perf_counter() - start:8.2f} s {memory.most:31.0f} MB")


def main() -> None:
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))


if __name__ == "__main__":
    main()
