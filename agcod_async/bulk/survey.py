"""Reads the rewards of a campaign, and finds out how they stand in the ledger: before anything is sent."""

from __future__ import annotations

from contextlib import aclosing
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigurationError
from ..issuer import Ceilings
from ..ledger import Entry, Intent
from .memory import Memory
from .outlook import LEFT, Part, Tally, is_open, outlook
from .problems import Problems
from .repeats import Repeats
from .source import Chunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterator, Sequence

    from ..ledger import Ledger, Payer
    from ..money import Money
    from .outlook import Outlook
    from .source import Mark, Source

_LOOKED_UP_AT_ONCE = 1_000


class Standing(NamedTuple):
    """A reward of a campaign, and its entry."""

    line: int
    intent: Intent
    entry: Entry | None


class Due(NamedTuple):
    """A reward that there is something to be done for."""

    has_left: bool
    """Whether an earlier run has sent it."""
    intent: Intent


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
        self.is_remembered = False
        """Whether an earlier run had done so, and it was not repeated."""
        self._memory: Memory | None = None
        self._repeats = Repeats()
        self._parts: list[Part] = []
        self._outlook: Outlook | None = None

    async def look(self, *, in_full: bool) -> Outlook:
        """
        Read all rewards, and find out how they stand.

        Unless *in_full*, what an earlier run has found out about the very same rewards is taken as it is.

        Raises:
            InvalidRewards: something is wrong with them, or a reference stands for something else already.
        """
        # Taken first: what changes after it is looked at anew by the next run.
        fingerprint = await self._source.fingerprint(self._payer, sorted(self._currencies), self._ceiling)
        self._memory = fingerprint and Memory(self._ledger, fingerprint, self._part)
        self.is_remembered = not in_full and self._memory is not None and await self._recall(self._memory)
        if not self.is_remembered:
            await self._look_at_all()
        self._outlook = None
        self.is_done = True
        return self.outlook

    @property
    def outlook(self) -> Outlook:
        """How the rewards stood before this run began them, as far as is known by now."""
        if self._outlook is None:
            self._outlook = outlook(self._parts, len(self._repeats), retry_refused=self._retry_refused)
        return self._outlook

    async def new_rewards(self) -> AsyncGenerator[list[Intent], None]:
        """Return the rewards that are to be planned, in chunks; some are known already."""
        marks = [part.mark for part in self._parts if part.has_new]
        async for chunk in self._again(marks):
            yield chunk.intents

    async def planned(self) -> None:
        """Take all rewards as planned, and remember them."""
        if self.is_remembered:
            return
        for group in (group for part in self._parts for group in part.groups):
            if group.state == "new":
                group.state = "planned"
        self._outlook = None
        if self._memory is not None:
            await self._memory.keep(self._repeats.lines, [*self._parts])

    async def open_rewards(self) -> AsyncGenerator[list[Due], None]:
        """Return, some at a time, what there is to be done by now."""
        order = [*range(len(self._parts))]
        is_over = [not part.is_open(retry_refused=self._retry_refused) for part in self._parts]
        if self.is_remembered:
            # What is only remembered as done is looked at in the end: somebody may have reopened it.
            order.sort(key=is_over.__getitem__)
        else:
            order = [number for number in order if not is_over[number]]
        numbers = iter(order)
        async for chunk in self._again([self._parts[number].mark for number in order]):
            number = next(numbers)
            tally = Tally()
            for some in _slices(chunk):
                if due := await self._due(some, tally):
                    if self._memory is not None:
                        await self._memory.begin(number)
                    yield due
            self._parts[number], self._outlook = Part(chunk.mark, tally.groups), None

    async def standings(self) -> AsyncGenerator[Standing, None]:
        """Return every reward beside its entry, in the order of the lines."""
        async for chunk in self._again([part.mark for part in self._parts]):
            for some in _slices(chunk):
                found = await self._ledger.find([intent.reference for intent in some.intents])
                for line, intent in zip(some.lines, some.intents, strict=True):
                    yield Standing(line, intent, found.get(intent.reference))

    async def _recall(self, memory: Memory) -> bool:
        note = await memory.recall()
        if note is None:
            return False
        self._repeats = Repeats(note.repeats)
        self._parts = await memory.look_again()
        return True

    async def _look_at_all(self) -> None:
        problems = Problems()
        self._repeats, self._parts = Repeats(), []
        async for chunk in self._chunks(problems):
            self._repeats.collect(chunk.intents)
            self._parts.append(await self._count(chunk, problems))
        has_repeats = await self._find_repeats(problems)
        problems.check(self._source.name)
        if has_repeats:
            self._parts = [
                await self._count(self._repeats.without(chunk), problems)
                async for chunk in self._chunks(problems)
            ]

    async def _again(self, marks: Sequence[Mark]) -> AsyncGenerator[Chunk, None]:
        """Read the chunks at *marks* once more, without repeats. What is wrong now was right before."""
        problems = Problems()
        async with aclosing(self._source.chunks(self._payer, self._currencies, problems, marks)) as chunks:
            for _ in marks:
                chunk = await anext(chunks, None)
                problems.check(self._source.name)
                if chunk is None:
                    raise ConfigurationError(
                        f"{self._source.name}: it has changed since it was checked: begin again"
                    )
                yield self._repeats.without(chunk)

    async def _chunks(self, problems: Problems) -> AsyncGenerator[Chunk, None]:
        async with aclosing(self._source.chunks(self._payer, self._currencies, problems)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _count(self, chunk: Chunk, problems: Problems) -> Part:
        tally = Tally()
        seen = await self._ledger.look(chunk.intents, payer=self._payer)
        for line, intent, glance in zip(chunk.lines, chunk.intents, seen, strict=True):
            if self._ceiling is not None and (reason := self._too_much(intent)):
                problems.note(line, "amount", reason)
            if glance is not None and glance.disagreement:
                problems.note(line, "reference", glance.disagreement)
            tally.count(glance, intent.value)
        return Part(chunk.mark, tally.groups)

    async def _part(self, mark: Mark) -> Part:
        """Look at one chunk again."""
        async with aclosing(self._again([mark])) as chunks:
            return await self._count(await anext(chunks), Problems())

    async def _due(self, chunk: Chunk, tally: Tally) -> list[Due]:
        """
        Count a chunk, and return what there is to be done for it.

        What has left already comes last: a run that was killed holds it for up to a minute.
        """
        seen = await self._ledger.look(chunk.intents, payer=self._payer)
        due: list[Due] = []
        for intent, glance in zip(chunk.intents, seen, strict=True):
            if glance is None or glance.disagreement:
                if self._memory is not None:
                    await self._memory.forget()
                raise ConfigurationError(
                    f"{self._source.name}: {intent.reference!r} was not so when it was checked: begin again"
                )
            tally.count(glance, intent.value)
            if is_open(glance.state, glance.goal, retry_refused=self._retry_refused):
                due.append(Due(glance.state in LEFT, intent))
        due.sort(key=itemgetter(0))
        return due

    def _too_much(self, intent: Intent) -> str | None:
        try:
            self._ceilings.check(intent)
        except ConfigurationError as wrong:
            return wrong.message
        return None

    async def _find_repeats(self, problems: Problems) -> bool:
        for suspects in self._repeats.suspects():
            first: dict[str, tuple[int, Intent]] = {}
            # What is wrong with single rows was noted when they were read first.
            async for chunk in self._chunks(Problems()):
                self._repeats.compare(chunk, suspects, first, problems)
        self._repeats.settle()
        return len(self._repeats) > 0


def _slices(chunk: Chunk) -> Iterator[Chunk]:
    for start in range(0, len(chunk.lines), _LOOKED_UP_AT_ONCE):
        part = slice(start, start + _LOOKED_UP_AT_ONCE)
        yield Chunk(chunk.lines[part], chunk.intents[part])
