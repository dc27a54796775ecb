"""
Issue every reward of a CSV file against the emulated gateway, over TLS, and check that the books add up.

python examples/demo.py [rewards.csv]
"""

from __future__ import annotations

import asyncio
import csv
import sys
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from agcod_async import AgcodSession, ConfigurationError, Money
from agcod_async.emulator import Emulator

if TYPE_CHECKING:
    from agcod_async.model import CreateGiftCardResponse


@dataclass(frozen=True)
class Reward:
    """One line of the file."""

    reference: str
    value: Money

    def request_id(self, partner_id: str) -> str:
        """The same reference always gives the same id, so a second run buys nothing twice."""
        return partner_id + sha256(self.reference.encode()).hexdigest()[:24]


def read_rewards(path: Path) -> list[Reward]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    rewards = [Reward(row["reference"], Money(row["amount"], row["currency"])) for row in rows]
    if len({reward.reference for reward in rewards}) < max(2, len(rewards)):
        raise ConfigurationError("the demo needs two rewards or more, each with a reference of its own")
    return rewards


async def issue(session: AgcodSession, reward: Reward) -> CreateGiftCardResponse:
    return await session.create_gift_card(
        reward.request_id(session.partner_id), reward.value, external_reference=reward.reference
    )


async def available(session: AgcodSession) -> Money:
    funds = (await session.get_available_funds()).available_funds
    assert funds is not None
    return funds


async def demo(rewards: list[Reward]) -> list[str]:
    """Issue all, cancel the first, repeat the second; return what does not add up."""
    emulator = Emulator()
    async with emulator.serve() as server, AgcodSession.from_env(server.environment) as session:
        print(f"Emulated gateway at {server.url}: a model of the public facts, not Amazon.\n")
        before = await available(session)

        loop = asyncio.get_running_loop()
        began = loop.time()
        cards = await asyncio.gather(*(issue(session, reward) for reward in rewards))
        seconds = loop.time() - began

        first, second = rewards[0], rewards[1]
        await session.cancel_gift_card(first.request_id(session.partner_id), gc_id=cards[0].gc_id)
        again = await issue(session, second)
        after = await available(session)

    print_table(rewards, cards)
    expected = sum((reward.value.amount for reward in rewards[1:]), Decimal(0))
    spent = before.amount - after.amount
    print(
        f"\n{first.reference} was cancelled; {second.reference} was asked for twice: the same card came back."
    )
    print(f"Funds before {before}, after {after}: {spent} spent, {expected} expected.")
    print(
        f"{len(cards)} cards in {seconds:.2f} s: {len(cards) / seconds:.1f} a second, where 10 are allowed."
    )

    return [
        problem
        for problem, is_true in {
            "the money spent is not the sum of the live cards": spent != expected,
            "the repeated request did not return the same card": again.gc_claim_code
            != cards[1].gc_claim_code,
            "two rewards got the same card": len({card.gc_id for card in cards}) != len(rewards),
            "the gateway's books disagree": emulator.state.spent(emulator.partner.partner_id) != expected,
        }.items()
        if is_true
    ]


def print_table(rewards: list[Reward], cards: list[CreateGiftCardResponse]) -> None:
    print(f"{'reference':<14}{'value':>14}  {'gcId':<16}{'claim code':<12}status")
    for reward, card in zip(rewards, cards, strict=True):
        status = card.card_info.card_status if card.card_info else "?"
        print(
            f"{reward.reference:<14}{reward.value!s:>14}  {card.gc_id:<16}{card.gc_claim_code!s:<12}{status}"
        )


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("rewards.csv")
    try:
        problems = asyncio.run(demo(read_rewards(path)))
    except (ConfigurationError, OSError, KeyError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left running.")
        return 130
    for problem in problems:
        print(f"NOT RIGHT: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
