"""What a campaign is made of, counted chunk by chunk."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct, field

from ..ledger import Goal, State
from ..money import Money
from .source import Mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..ledger import Glance

StateOrNew: TypeAlias = State | Literal["new"]

LEFT: frozenset[StateOrNew] = frozenset({"sent", "reversing"})
"""The states of what has been sent, and may have been issued."""


class Outlook(Struct, frozen=True, kw_only=True):
    """What a campaign would do."""

    rewards: int
    repeats: int
    """Lines that say what an earlier line said already; they count once."""
    states: dict[State | Literal["new"], int]
    """How many rewards are in which state; ``new`` are those that the ledger does not know."""
    total: list[Money]
    """Of all rewards, by currency."""
    to_send: list[Money]
    """Of those that have not left yet and will, by currency: what the funds must cover."""
    to_do: dict[State | Literal["new"], int]
    """How many of them this run would begin, or continue."""
    funds: Money | None = None
    """None in the sandbox, which never tells, and where it was not asked."""
    key_days_left: int | None = None
    """Days until the key has to be replaced, where its age is known."""


class Group(Struct, array_like=True):
    """Rewards of a chunk that stand alike."""

    state: StateOrNew
    goal: Goal
    currency: str
    count: int = 0
    amount: Decimal = Decimal(0)

    def is_open(self, *, retry_refused: bool) -> bool:
        """Whether a campaign has something to do for them."""
        return is_open(self.state, self.goal, retry_refused=retry_refused)


class Part(Struct):
    """A chunk: where it begins, and how its rewards stood when they were looked at."""

    mark: Mark
    groups: list[Group] = field(default_factory=list[Group])
    is_begun: bool = False
    """Whether rewards of it were begun since."""

    def is_open(self, *, retry_refused: bool) -> bool:
        """Whether there is something to do for it."""
        return any(group.is_open(retry_refused=retry_refused) for group in self.groups)

    @property
    def has_new(self) -> bool:
        """Whether the ledger did not know all of it."""
        return any(group.state == "new" for group in self.groups)


class Tally:
    """Counts the rewards of one chunk."""

    def __init__(self) -> None:
        self._groups: dict[tuple[StateOrNew, Goal, str], Group] = {}

    def count(self, glance: Glance | None, value: Money) -> None:
        """Count one."""
        state: StateOrNew = "new" if glance is None else glance.state
        goal: Goal = "issue" if glance is None else glance.goal
        key = state, goal, value.currency_code
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(*key)
        group.count += 1
        group.amount += value.amount

    @property
    def groups(self) -> list[Group]:
        """What was counted."""
        return [*self._groups.values()]


def is_open(state: StateOrNew, goal: Goal, *, retry_refused: bool) -> bool:
    """Whether a campaign has something to do for a reward."""
    match state:
        case "new" | "planned" | "sent":
            return True
        case "refused":
            return retry_refused
        case "reversing" | "reversed":
            return goal == "replace"
        case _:
            return False


def outlook(parts: Iterable[Part], repeats: int, *, retry_refused: bool) -> Outlook:
    """Return the sums over *parts*."""
    states: Counter[StateOrNew] = Counter()
    to_do: Counter[StateOrNew] = Counter()
    total: defaultdict[str, Decimal] = defaultdict(Decimal)
    to_send: defaultdict[str, Decimal] = defaultdict(Decimal)
    for part in parts:
        for group in part.groups:
            states[group.state] += group.count
            total[group.currency] += group.amount
            if group.is_open(retry_refused=retry_refused):
                to_do[group.state] += group.count
                if group.state not in LEFT:
                    # It may be paid for already.
                    to_send[group.currency] += group.amount
    return Outlook(
        rewards=states.total(),
        repeats=repeats,
        states=dict(states),
        total=_sums(total),
        to_send=_sums(to_send),
        to_do=dict(to_do),
    )


def _sums(sums: Mapping[str, Decimal]) -> list[Money]:
    return [Money(amount, currency) for currency, amount in sorted(sums.items())]
