"""A program that uses the ledgers: checked, never run."""

from __future__ import annotations

from agcod_async import Money
from agcod_async.clock import utc_now
from agcod_async.ledger import Entry, Intent, Ledger, MemoryLedger, PostgresLedger, SQLiteLedger, states


async def use(ledger: Ledger) -> Entry | None:
    intent = Intent(reference="order-1", value=Money("25.00", "USD"))
    async with ledger as opened:
        entries: list[Entry] = await opened.plan([intent], partner_id="Acme1")
        entry, is_mine = await opened.begin(intent, partner_id="Acme1", owner="me", lease=60)
        if is_mine:
            entry = await opened.save(states.settle_issued(entry, utc_now(), "A0B1"))
        entries += [each async for each in opened.entries({"issued"})]
        for total in await opened.summary():
            print(total.state, total.count, total.value)
        return await opened.claim("order-1", owner="me", lease=60)


async def main() -> None:
    ledgers: list[Ledger] = [MemoryLedger(), SQLiteLedger("rewards.db"), PostgresLedger("postgresql://")]
    for ledger in ledgers:
        await use(ledger)
