"""The ledger: rewards per second, a million planned rows, and finding what is left to do."""

from __future__ import annotations

import asyncio
import itertools
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agcod_async import Money
from agcod_async.clock import utc_now
from agcod_async.ledger import Intent, MemoryLedger, Payer, SQLiteLedger, states

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agcod_async.ledger import Ledger

PAYER = Payer(partner_id="Acme1", endpoint="na-sandbox")
VALUE = Money("25.00", "USD")
CHUNK = 10_000


async def issue(ledger: Ledger, reference: str) -> None:
    """Two durable writes, as an issuance needs them: sent, before the request; issued, after it."""
    intent = Intent(reference=reference, value=VALUE)
    entry, _ = await ledger.begin(intent, payer=PAYER, owner=reference, lease=60)
    await ledger.save(states.settle_issued(entry, utc_now(), "A0B1C2D3E4F5G6"))


async def issue_all(ledger: Ledger, references: Iterable[str]) -> None:
    for reference in references:
        await issue(ledger, reference)


async def rate(ledger: Ledger, tasks: int, count: int) -> tuple[float, float]:
    """Return issuances per second of wall time, and CPU microseconds of each."""
    references = iter([f"{tasks}-{number:07}" for number in range(count)])
    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(issue_all(ledger, references) for _ in range(tasks)))
    return count / (time.perf_counter() - start), (time.process_time() - cpu) / count * 1e6


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def plan_rows(ledger: Ledger, rows: int) -> None:
    numbers = iter(range(rows))
    while chunk := list(itertools.islice(numbers, CHUNK)):
        intents = [Intent(reference=f"row-{number:09}", value=VALUE) for number in chunk]
        await ledger.plan(intents, payer=PAYER)


async def many_rows(path: Path, rows: int) -> None:
    async with SQLiteLedger(path) as ledger:
        before, start = peak(), time.perf_counter()
        await plan_rows(ledger, rows)
        planned = time.perf_counter() - start
        print(f"{rows:,} rows planned     {planned:8.2f} s   {peak() - before:.0f} MB more memory")
    async with SQLiteLedger(path) as ledger:
        start = time.perf_counter()
        due = await ledger.due(utc_now(), 1000, payer=PAYER)
        print(f"what is due of them ({len(due)})  {(time.perf_counter() - start) * 1e3:8.2f} ms")
        start = time.perf_counter()
        taken = await ledger.claim_due(payer=PAYER, owner="bench", lease=60, limit=100)
        print(f"claim the next {len(taken)}      {(time.perf_counter() - start) * 1e3:8.2f} ms")
        start = time.perf_counter()
        await ledger.summary()
        print(f"summary                 {(time.perf_counter() - start) * 1e3:8.2f} ms")
        start, before = time.perf_counter(), peak()
        count = 0
        async for _ in ledger.entries():
            count += 1
        more = peak() - before
        print(f"walk through {count:,}    {time.perf_counter() - start:8.2f} s   {more:.0f} MB more memory")


async def measure(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with MemoryLedger() as memory, SQLiteLedger(Path(folder) / "rate.db") as sqlite:
            for name, ledger in (("memory", memory), ("sqlite", sqlite)):
                for tasks, count in ((1, 500), (50, 20_000)):
                    speed, cpu = await rate(ledger, tasks, count)
                    print(f"{name:7} {tasks:3} tasks  {speed:9,.0f} issuances/s   {cpu:6.1f} us CPU each")
        await many_rows(Path(folder) / "rows.db", rows)
        print(f"file of {rows:,}         {(Path(folder) / 'rows.db').stat().st_size / 2**20:8.0f} MB")


def main() -> None:
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))


if __name__ == "__main__":
    main()
