"""The first thing that a newcomer sees: rewards issued against an emulated gateway, and books that add up."""

from __future__ import annotations

import asyncio
import csv
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from itertools import cycle, islice
from typing import TYPE_CHECKING

from .errors import ConfigurationError
from .money import Money
from .session import AgcodSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .model import CreateGiftCardResponse

_AMOUNTS = ("25.00", "10.00", "5.00", "50.00", "12.34", "99.99")


@dataclass(frozen=True)
class Reward:
    """One card that somebody is to get."""

    reference: str
    value: Money

    def request_id(self, partner_id: str) -> str:
        """The same reference always gives the same id, so a second run buys nothing twice."""
        return partner_id + sha256(self.reference.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Told:
    """What happened, and what of it is not right."""

    rewards: Sequence[Reward]
    cards: Sequence[CreateGiftCardResponse]
    before: Money
    after: Money
    expected: Decimal
    seconds: float
    problems: Sequence[str]

    @property
    def spent(self) -> Decimal:
        """What the account has less than before."""
        return self.before.amount - self.after.amount

    def lines(self) -> Iterator[str]:
        """Tell it to a person. Codes are masked, as they always are."""
        yield f"{'reference':<14}{'value':>14}  {'gcId':<16}{'claim code':<12}status"
        for reward, card in zip(self.rewards, self.cards, strict=True):
            status = card.card_info.card_status if card.card_info else "?"
            yield (
                f"{reward.reference:<14}{reward.value!s:>14}  "
                f"{card.gc_id:<16}{card.gc_claim_code!s:<12}{status}"
            )
        first, second, *_ = self.rewards
        yield ""
        yield f"{first.reference} was cancelled; {second.reference}, asked for twice, is the same card."
        yield (
            f"Funds before {self.before}, after {self.after}: {self.spent} spent, {self.expected} expected."
        )
        count = len(self.cards)
        rate = count / self.seconds
        yield f"{count} cards in {self.seconds:.2f} s: {rate:.1f} a second, where 10 are allowed."


def some_rewards(count: int = 20) -> list[Reward]:
    """Return rewards for whoever has no file of them."""
    amounts = islice(cycle(_AMOUNTS), count)
    return [Reward(f"survey-{number:04}", Money(each, "USD")) for number, each in enumerate(amounts, start=1)]


def read_rewards(path: Path) -> list[Reward]:
    """
    Read rewards from a CSV file with the columns reference, amount and currency.

    Raises:
        ConfigurationError: the file has no two rewards, or cannot be used.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        rewards = [Reward(row["reference"], Money(row["amount"], row["currency"])) for row in rows]
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except KeyError as missing:
        raise ConfigurationError(f"{path}: there is no column {missing}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    if len({reward.reference for reward in rewards}) < max(2, len(rewards)):
        raise ConfigurationError(
            f"{path}: the demo needs two rewards or more, each with a reference of its own"
        )
    return rewards


async def tell(rewards: Sequence[Reward], show: Callable[[str], object]) -> Told:
    """Issue all *rewards*, cancel the first, repeat the second, and count the money."""
    from .emulator import Emulator

    emulator = Emulator()
    async with emulator.serve() as server, AgcodSession.from_env(server.environment) as session:
        show(f"Emulated gateway at {server.url}: a model of the public facts, not Amazon.")
        show("")
        before = await _available(session)

        loop = asyncio.get_running_loop()
        began = loop.time()
        cards = await asyncio.gather(*(_issue(session, reward) for reward in rewards))
        seconds = loop.time() - began

        first, second, *_ = rewards
        await session.cancel_gift_card(first.request_id(session.partner_id), gc_id=cards[0].gc_id)
        again = await _issue(session, second)
        after = await _available(session)

    expected = sum((reward.value.amount for reward in rewards[1:]), Decimal(0))
    wrong = {
        "the money spent is not the sum of the live cards": before.amount - after.amount != expected,
        "the repeated request did not return the same card": again.gc_claim_code != cards[1].gc_claim_code,
        "two rewards got the same card": len({card.gc_id for card in cards}) != len(rewards),
        "the gateway's books disagree": emulator.state.spent(emulator.partner.partner_id) != expected,
    }
    problems = [problem for problem, is_true in wrong.items() if is_true]
    return Told(rewards, cards, before, after, expected, seconds, problems)


async def _issue(session: AgcodSession, reward: Reward) -> CreateGiftCardResponse:
    return await session.create_gift_card(
        reward.request_id(session.partner_id), reward.value, external_reference=reward.reference
    )


async def _available(session: AgcodSession) -> Money:
    funds = (await session.get_available_funds()).available_funds
    assert funds is not None
    return funds
