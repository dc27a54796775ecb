"""How far a campaign is."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from ..money import Money

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ledger import State
    from ..receipts import Receipt

_RECENT = 300
"""Rewards over which the rate is taken."""


class Progress(Struct, frozen=True, kw_only=True):
    """A campaign at one moment."""

    rewards: int
    """All of the campaign's, those of earlier runs included."""
    issued: int
    refused: int
    unknown: int
    """
    Sent or being reversed, and not settled when their budget ended, or by an earlier run and not taken up
    yet: they may have been issued.
    """
    not_sent: int
    """Begun, and sure not to have been sent when their budget ended."""
    closed: int
    """Undone; or abandoned, and a case for a person."""
    in_flight: int
    remaining: int
    """Not begun yet, by no run."""
    spent: list[Money]
    """What this run has issued, by currency."""
    rate: float
    """Rewards settled a second, of late."""
    eta: float | None
    """Seconds until the rest is done at that rate."""
    funds: Money | None
    """What was told last, less what was issued since; None in the sandbox, which never tells."""


class Meter:
    """Counts what has been settled, and how fast."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.states: Counter[State] = Counter()
        """Of the rewards that this run has begun and finished with."""
        self.last_settled = clock()
        self.spent: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._recent: deque[float] = deque([self.last_settled], maxlen=_RECENT)

    def count(self, receipt: Receipt) -> None:
        """Count a reward that this run has finished with."""
        self.states[receipt.state] += 1
        if receipt.state == "issued":
            self.spent[receipt.value.currency_code] += receipt.value.amount
        if receipt.state in ("issued", "refused"):
            self.last_settled = self._clock()
            self._recent.append(self.last_settled)

    @property
    def rate(self) -> float:
        """Rewards settled a second."""
        passed = self._clock() - self._recent[0]
        return (len(self._recent) - 1) / passed if passed > 0 else 0.0
