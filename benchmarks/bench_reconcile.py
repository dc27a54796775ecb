"""
A reconciliation: CPU and memory by the length of the history.

`python -m benchmarks.bench_reconcile [RECORDS ...]`: a SQLite ledger and a history as long as it, one record
in a thousand unknown to the ledger. Making the pages is in the figures.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time

from agcod_async import AgcodSession, Credentials, Endpoint, Money
from agcod_async.ledger import Intent, Payer, SQLiteLedger, states
from agcod_async.ledger.request_ids import request_id
from agcod_async.reconcile import reconcile
from agcod_async.testing import NoThrottle
from agcod_async.wire import HTTPRequest, HTTPResponse

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PAYER = Payer(partner_id="Acme1", endpoint="na-sandbox")
VALUE = Money("25.00", "USD")
PAGE = 1000


class Pages:
    """Answers with the page that is asked for, made on the spot from its number."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.page = 0

    async def send(self, _request: HTTPRequest) -> HTTPResponse:
        first, self.page = self.page * PAGE, self.page + 1
        lines = ",".join(self.line(number) for number in range(first, min(first + PAGE, self.records)))
        body = (
            f'{{"cardActivityList":[{lines}],"pageIndex":{self.page - 1},"status":"SUCCESS",'
            f'"totalNumberOfTransactionsInRequestedTimeFrame":{self.records}}}'
        )
        return HTTPResponse(status=200, headers={}, body=body.encode())

    def line(self, number: int) -> str:
        at = START + DAY * number / self.records
        known = request_id("Acme1", f"order-{number:09}", 1)
        return (
            '{"activityStatus":"Success","activityType":"GCCreation","cardNumber":null,"failureCode":null,'
            f'"activityTime":"{at:%a %b %d %H:%M:%S} UTC {at:%Y}","gcId":"A{number:013}",'
            f'"cardValue":{{"amount":25.0,"currencyCode":"USD"}},"isRealOp":"true","partnerId":"Acme1",'
            f'"requestId":"{known}"}}'
        )

    async def aclose(self) -> None:
        """Nothing is open."""


async def fill(ledger: SQLiteLedger, records: int) -> None:
    for first in range(0, records, PAGE):
        numbers = [number for number in range(first, min(first + PAGE, records)) if number % 1000]
        intents = [Intent(reference=f"order-{number:09}", value=VALUE) for number in numbers]
        entries = await ledger.plan(intents, payer=PAYER)
        times = [START + DAY * number / records for number in numbers]
        moving = zip(entries, times, strict=True)
        sent = await asyncio.gather(*(ledger.save(states.mark_sent(entry, at)) for entry, at in moving))
        moving = zip(sent, times, strict=True)
        await asyncio.gather(*(ledger.save(states.settle_issued(entry, at, None)) for entry, at in moving))


async def measure(path: Path, records: int) -> None:
    session = AgcodSession(
        "Acme1",
        Credentials("AKID", "secret"),
        Endpoint.NA_SANDBOX,
        transport=Pages(records),
        throttle=NoThrottle(),
        clock=lambda: START + 2 * DAY,
    )
    async with SQLiteLedger(path) as ledger, session:
        before, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, process_time()
        async with reconcile(session, ledger, START, START + DAY) as result:
            found = sum([1 async for _ in result.findings()])
        cpu = process_time() - cpu
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    print(f"{records:>9,} records: {cpu:6.2f} s of CPU, {more:5.1f} MB more memory, {found:,} findings")


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        asyncio.run(measure(Path(sys.argv[2]), int(sys.argv[3])))
        return
    for records in map(int, sys.argv[1:] or ("10000", "100000", "1000000")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rewards.db"

            async def filled(path: Path = path, records: int = records) -> None:
                async with SQLiteLedger(path) as ledger:
                    await fill(ledger, records)

            asyncio.run(filled())
            # A process of its own, because memory once taken would count for the next one.
            command = [
                sys.executable,
                "-m",
                "benchmarks.bench_reconcile",
                "--measure",
                str(path),
                str(records),
            ]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
