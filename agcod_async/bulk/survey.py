"""What a campaign is made of, and how it stands in the ledger: read before anything is sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from ..errors import ConfigurationError
from ..issuer import Ceilings
from ..ledger import Entry, Intent, State
from ..money import Money
from .problems import Problems
from .repeats import Repeats
from .source import Chunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterator, Mapping

    from ..ledger import Glance, Goal, Ledger, Payer
    from .source import Source

_LOOKED_UP_AT_ONCE = 1_000


class Standing(NamedTuple):
    """A reward of a campaign, and its entry."""

    line: int
    intent: Intent
    entry: Entry | None


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


def is_open(state: State, goal: Goal, *, retry_refused: bool) -> bool:
    """Whether a campaign has something to do for an entry."""
    match state:
        case "planned" | "sent":
            return True
        case "refused":
            return retry_refused
        case "reversing" | "reversed":
            return goal == "replace"
        case _:
            return False


class Survey:
    """
    Reads the rewards of a campaign, chunk by chunk, each beside its entry.

    Args:
        retry_refused: whether what was refused is to be tried again.
        ceiling: no single reward may be worth more.
    """

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        payer: Payer,
        currencies: Collection[str],
        *,
        retry_refused: bool,
        ceiling: Money | None,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._payer = payer
        self._currencies = currencies
        self._retry_refused = retry_refused
        self._ceiling = ceiling
        self._ceilings = Ceilings(ceiling, None)
        self.is_done = False
        """Whether everything was read and found in order."""
        self._repeats = Repeats()
        self._has_new: list[bool] = []
        """For each chunk: whether the ledger did not know all of it."""
        self._has_open: list[bool] = []
        """For each chunk: whether there is something to do for it."""

    async def look(self) -> Outlook:
        """
        Read all rewards, and find out how they stand.

        Raises:
            InvalidRewards: something is wrong with them, or a reference stands for something else already.
        """
        problems = Problems()
        self._repeats = Repeats()
        tally = Tally()
        async for _, chunk in self._chunks(problems):
            self._repeats.collect(chunk.intents)
            await self._count(chunk, tally, problems)
        problems.check(self._source.name)
        if await self._find_repeats(problems):
            problems.check(self._source.name)
            tally = Tally()
            async for _, chunk in self._chunks(problems):
                await self._count(self._repeats.without(chunk), tally, problems)
        self._has_new, self._has_open = tally.has_new, tally.has_open
        self.is_done = True
        return tally.outlook(len(self._repeats))

    async def new_rewards(self) -> AsyncGenerator[list[Intent], None]:
        """Return the rewards that are to be planned, in chunks; some are known already."""
        async for number, chunk in self._again():
            if self._has_new[number]:
                yield chunk.intents

    async def open_rewards(self) -> AsyncGenerator[list[Intent], None]:
        """Return, some at a time, what there is to be done by now."""
        async for number, chunk in self._again():
            if self._has_open[number]:
                for some in _slices(chunk):
                    seen = await self._ledger.look(some.intents, payer=self._payer)
                    pairs = zip(some.intents, seen, strict=True)
                    yield [intent for intent, glance in pairs if self._is_open(intent, glance)]

    async def standings(self) -> AsyncGenerator[Standing, None]:
        """Return every reward beside its entry, in the order of the lines."""
        async for _, chunk in self._again():
            for some in _slices(chunk):
                found = await self._ledger.find([intent.reference for intent in some.intents])
                for line, intent in zip(some.lines, some.intents, strict=True):
                    yield Standing(line, intent, found.get(intent.reference))

    async def _again(self) -> AsyncGenerator[tuple[int, Chunk], None]:
        """Read the rewards once more, without repeats. What is wrong now was right before."""
        problems = Problems()
        async for number, chunk in self._chunks(problems):
            problems.check(self._source.name)
            yield number, self._repeats.without(chunk)

    async def _chunks(self, problems: Problems) -> AsyncGenerator[tuple[int, Chunk], None]:
        number = 0
        async with aclosing(self._source.chunks(self._payer, self._currencies, problems)) as chunks:
            async for chunk in chunks:
                yield number, chunk
                number += 1

    async def _count(self, chunk: Chunk, tally: Tally, problems: Problems) -> None:
        seen = await self._ledger.look(chunk.intents, payer=self._payer)
        has_new = has_open = False
        for line, intent, glance in zip(chunk.lines, chunk.intents, seen, strict=True):
            if self._ceiling is not None and (reason := self._too_much(intent)):
                problems.note(line, "amount", reason)
            if glance is None:
                has_new = has_open = True
                tally.count("new", intent.value, is_open=True)
                continue
            if glance.disagreement:
                problems.note(line, "reference", glance.disagreement)
            to_do = is_open(glance.state, glance.goal, retry_refused=self._retry_refused)
            has_open = has_open or to_do
            tally.count(glance.state, intent.value, is_open=to_do)
        tally.has_new.append(has_new)
        tally.has_open.append(has_open)

    def _too_much(self, intent: Intent) -> str | None:
        try:
            self._ceilings.check(intent)
        except ConfigurationError as wrong:
            return wrong.message
        return None

    async def _find_repeats(self, problems: Problems) -> bool:
        for suspects in self._repeats.suspects():
            first: dict[str, tuple[int, Intent]] = {}
            async for _, chunk in self._chunks(problems):
                self._repeats.compare(chunk, suspects, first, problems)
        self._repeats.settle()
        return len(self._repeats) > 0

    def _is_open(self, intent: Intent, glance: Glance | None) -> bool:
        if glance is None or glance.disagreement:
            raise ConfigurationError(
                f"{self._source.name}: {intent.reference!r} was not so when it was checked: begin again"
            )
        return is_open(glance.state, glance.goal, retry_refused=self._retry_refused)


class Tally:
    """Counts and sums, and which chunks there is something to do for."""

    def __init__(self) -> None:
        self.has_new: list[bool] = []
        self.has_open: list[bool] = []
        self._states: Counter[State | Literal["new"]] = Counter()
        self._total: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._to_send: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._to_do: Counter[State | Literal["new"]] = Counter()

    def count(self, state: State | Literal["new"], value: Money, *, is_open: bool) -> None:
        """Count one reward."""
        self._states[state] += 1
        self._total[value.currency_code] += value.amount
        if is_open:
            self._to_do[state] += 1
            if state not in ("sent", "reversing"):
                # What has left may be paid for already.
                self._to_send[value.currency_code] += value.amount

    def outlook(self, repeats: int) -> Outlook:
        """Return what was counted."""
        return Outlook(
            rewards=self._states.total(),
            repeats=repeats,
            states=dict(self._states),
            total=_sums(self._total),
            to_send=_sums(self._to_send),
            to_do=dict(self._to_do),
        )


def _sums(sums: Mapping[str, Decimal]) -> list[Money]:
    return [Money(amount, currency) for currency, amount in sorted(sums.items())]


def _slices(chunk: Chunk) -> Iterator[Chunk]:
    for start in range(0, len(chunk.lines), _LOOKED_UP_AT_ONCE):
        part = slice(start, start + _LOOKED_UP_AT_ONCE)
        yield Chunk(chunk.lines[part], chunk.intents[part])
