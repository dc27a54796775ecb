"""A program that runs campaigns: checked, never run."""

from __future__ import annotations

from pathlib import Path

from agcod_async import AgcodError, AgcodSession, CampaignStopped, InvalidRewards, Money, Problem, Receipt
from agcod_async.bulk import Campaign, Outlook, Progress, RewardFile
from agcod_async.ledger import Intent, Ledger


async def use(session: AgcodSession, ledger: Ledger) -> list[Receipt]:
    listed = Campaign(session, ledger, [Intent(reference="order-1", value=Money("25.00", "USD"))])
    outlook: Outlook = await listed.check()
    print(outlook.rewards, outlook.states, outlook.total, outlook.to_send, outlook.funds)
    Campaign(session, ledger, Path("rewards.jsonl"))
    file = RewardFile("rewards.txt", format="tsv", ignore=["email"], currencies=["INR"])
    receipts: list[Receipt] = []
    try:
        async with Campaign(
            session, ledger, file, max_failures=None, funds_below=Money(10, "USD")
        ) as campaign:
            async for receipt in campaign:
                progress: Progress = campaign.progress
                print(progress.rate, progress.eta, progress.funds)
                receipts.append(receipt)
                campaign.stop()
    except InvalidRewards as wrong:
        problems: tuple[Problem, ...] = wrong.problems
        print(problems, wrong.count)
    except CampaignStopped as stopped:
        print(stopped.reason)
    async for standing in listed.standings():
        print(standing.line, standing.intent.reference, standing.entry and standing.entry.state)
    async for standing, card in listed.cards():
        if not isinstance(card, AgcodError):
            print(standing.line, card.claim_code)
    return receipts
