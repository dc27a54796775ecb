"""A program that uses the ledgers: checked, never run."""

from __future__ import annotations

from agcod_async import Endpoint, Money
from agcod_async.clock import utc_now
from agcod_async.ledger import (
    Entry,
    Intent,
    Ledger,
    MemoryLedger,
    Payer,
    PostgresLedger,
    SQLiteLedger,
    states,
)


async def use(ledger: Ledger) -> Entry | None:
    payer = Payer(partner_id="Acme1", endpoint=Endpoint.NA_SANDBOX.identity)
    intent = Intent(reference="order-1", value=Money("25.00", "USD"))
    async with ledger as opened:
        entries: list[Entry] = await opened.plan([intent], payer=payer)
        entry, is_mine = await opened.begin(intent, payer=payer, owner="me", lease=60)
        if is_mine:
            entry = await opened.save(states.settle_issued(entry, utc_now(), "A0B1"))
        entries += [each async for each in opened.entries({"issued"}, payer=entry.payer)]
        entries += await opened.due(utc_now(), 10, payer=payer)
        entries += await opened.claim_due(payer=payer, owner="me", lease=60, limit=10)
        for total in await opened.summary(payer=payer):
            print(total.payer, total.state, total.count, total.value)
        return await opened.claim("order-1", payer=payer, owner="me", lease=60)


async def main() -> None:
    ledgers: list[Ledger] = [MemoryLedger(), SQLiteLedger("rewards.db"), PostgresLedger("postgresql://")]
    for ledger in ledgers:
        await use(ledger)
