"""A process that issues from a ledger as fast as it can, and says aloud what is settled."""

from __future__ import annotations

import asyncio
import sys

from agcod_async import Money, ledger as ledgers
from agcod_async.clock import utc_now
from agcod_async.ledger import Intent, SQLiteLedger, states
from tests.ledger.world import PAYER


def opened(place: str, clock=utc_now):
    # PostgresLedger is named only where it is used, because it needs an extra.
    return ledgers.PostgresLedger(place, clock=clock) if "://" in place else SQLiteLedger(place, clock=clock)


async def issue(ledger, reference: str, owner: str) -> None:
    intent = Intent(reference=reference, value=Money("25.00", "USD"))
    entry, is_mine = await ledger.begin(intent, payer=PAYER, owner=owner, lease=60)
    if not is_mine:
        return
    print("begun", reference, flush=True)
    if reference.endswith("7"):
        entry = await ledger.save(states.begin_reverse(entry, "replace", utc_now()))
        fresh, retired = states.renew(states.settle_reversed(entry, utc_now()), utc_now())
        await ledger.save(fresh, retired=retired)
        print("renewed", reference, flush=True)
        return
    await ledger.save(states.settle_issued(entry, utc_now(), "G1"))
    print("issued", reference, flush=True)


async def main(place: str, owner: str, start: int, stop: int) -> None:
    async with opened(place) as ledger:
        print("ready", flush=True)
        references = iter(range(start, stop))

        async def work() -> None:
            for number in references:
                await issue(ledger, f"order-{number:06}", owner)

        await asyncio.gather(*(work() for _ in range(5)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
