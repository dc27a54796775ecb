"""Where rewards come from: a file, or a collection. Read as often as needed, a chunk at a time."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from ..errors import ConfigurationError
from ..ledger import Intent
from ..ledger.planning import checked_intents
from .columns import KNOWN_CURRENCIES, Rows
from .lines import Lines
from .records import objects, table

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Generator

    from ..ledger import Payer
    from .problems import Problems

Format = Literal["csv", "tsv", "jsonl"]

CHUNK = 5_000
"""Rewards that are in hand at a time."""

_FORMATS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rewards, each with the number of its line."""

    lines: list[int]
    intents: list[Intent]


class Source(Protocol):
    """Gives the same rewards each time it is asked."""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        ...

    def chunks(
        self, payer: Payer, currencies: Collection[str], problems: Problems
    ) -> AsyncGenerator[Chunk, None]:
        """
        Return the rewards from the first to the last, and note what is wrong with them.

        *currencies* are those of the payer's endpoint, where they are known.
        """
        ...


Rewards: TypeAlias = "str | os.PathLike[str] | Source | Iterable[Intent]"
"""What a campaign takes: a file by its name, a :class:`RewardFile`, or a collection of intents."""


class RewardFile:
    """
    A file of rewards: CSV, TSV, or JSON lines, in UTF-8.

    Columns are ``reference``, ``amount`` and ``currency``, and if wanted ``program_id``, ``product_type``
    and ``external_reference``; ``order_id``, ``value``, ``currencyCode`` and the like are understood. A
    file that changes while it is used is refused.

    Args:
        path: of a regular file: it is read more than once.
        format: ``csv``, ``tsv`` or ``jsonl``; by default what the name ends with.
        ignore: names of columns that mean nothing here, such as ``email``.
        currencies: those to be taken besides the ones that are known at the endpoint.

    Raises:
        ConfigurationError: the format is unknown.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: Format | None = None,  # noqa: A002  (what users call it)
        ignore: Collection[str] = (),
        currencies: Collection[str] = (),
    ) -> None:
        self.path = Path(path)
        chosen = format or _FORMATS.get(self.path.suffix.lower())
        if chosen is None or chosen not in _FORMATS.values():
            raise ConfigurationError(f"format: say what {self.path.name} is: csv, tsv or jsonl")
        self.format: Format = chosen
        self._ignored = frozenset(ignore)
        self._more = frozenset(currencies)
        self._seen: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return self.path.name

    async def chunks(
        self,
        payer: Payer,  # noqa: ARG002  (what is read here needs no second look)
        currencies: Collection[str],
        problems: Problems,
    ) -> AsyncGenerator[Chunk, None]:
        """Read it from the first line to the last."""
        loop = asyncio.get_running_loop()
        known = (frozenset(currencies) or KNOWN_CURRENCIES) | self._more
        chunks = self._read(Rows(known, problems), problems)
        try:
            while (chunk := await loop.run_in_executor(None, next, chunks, None)) is not None:
                yield chunk
        finally:
            chunks.close()

    def _read(self, rows: Rows, problems: Problems) -> Generator[Chunk, None, None]:
        try:
            # Before it is opened: a pipe would wait there for somebody to write.
            self._check_unchanged(self.path.stat())
            with self.path.open("rb") as file:
                lines = Lines(file, problems)
                if self.format == "jsonl":
                    records = objects(lines, self._ignored, problems)
                else:
                    separator = "," if self.format == "csv" else "\t"
                    records = table(lines, separator, self._ignored, problems)
                while some := list(islice(records, CHUNK)):
                    self._check_unchanged(os.fstat(file.fileno()))
                    chunk = Chunk([], [])
                    for line, cells in some:
                        intent = rows.intent(line, cells)
                        if intent is not None:
                            chunk.lines.append(line)
                            chunk.intents.append(intent)
                    yield chunk
        except OSError as wrong:
            raise ConfigurationError(f"{self.name}: {wrong.strerror or wrong}") from wrong

    def _check_unchanged(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"{self.name}: a regular file is needed: it is read more than once")
        seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if self._seen not in (None, seen):
            raise ConfigurationError(f"{self.name}: it has changed since it was checked: begin again")
        self._seen = seen


class RewardList:
    """Rewards of the caller's, in memory or wherever they come from; each iteration gives the same."""

    name = "rewards"

    def __init__(self, intents: Iterable[Intent]) -> None:
        if isinstance(intents, Iterator):
            raise ConfigurationError("rewards: a list is needed: they are read more than once")
        self._intents = intents

    async def chunks(
        self, payer: Payer, currencies: Collection[str], problems: Problems
    ) -> AsyncGenerator[Chunk, None]:
        """Take them from the first to the last."""
        numbered = enumerate(self._intents, 1)
        while some := list(islice(numbered, CHUNK)):
            chunk = Chunk([], [])
            for number, intent in some:
                try:
                    chunk.intents.append(_checked(intent, payer, currencies))
                    chunk.lines.append(number)
                except ConfigurationError as wrong:
                    problems.note(number, None, wrong.message)
            yield chunk


def _checked(intent: Intent, payer: Payer, currencies: Collection[str]) -> Intent:
    if not isinstance(intent, Intent) or intent.kind != "create":
        raise ConfigurationError("an Intent to create a gift card is needed")
    [checked] = checked_intents([intent], payer).values()
    if currencies and checked.value.currency_code not in currencies:
        raise ConfigurationError(
            f"currency: {checked.value.currency_code} is none of {', '.join(sorted(currencies))}"
        )
    return checked


def source_of(rewards: Rewards) -> Source:
    """Return what *rewards* stands for."""
    if isinstance(rewards, str | os.PathLike):
        return RewardFile(rewards)
    if isinstance(rewards, Iterable):
        return RewardList(rewards)
    if not callable(getattr(rewards, "chunks", None)):
        raise ConfigurationError("rewards: the path of a file, a RewardFile, or a list of intents is needed")
    return rewards
