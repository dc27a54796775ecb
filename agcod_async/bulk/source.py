"""Where rewards come from: a file, or a collection. Read as often as needed, a chunk at a time."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import dropwhile, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from .._version import __version__
from ..errors import ConfigurationError
from ..ledger import Intent
from ..ledger.planning import checked_intents
from .columns import KNOWN_CURRENCIES, Rows
from .lines import Lines
from .problems import Problems
from .records import header_of, objects, table

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Generator, Sequence
    from io import BufferedReader

    from ..ledger import Payer
    from .records import Header

Format = Literal["csv", "tsv", "jsonl"]

CHUNK = 5_000
"""Rewards that are in hand at a time."""

_FORMATS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip


LARGE = 2**20
"""Bytes from which on a file is worth remembering; a smaller one is read again in a moment."""


class Mark(NamedTuple):
    """Where a chunk begins."""

    offset: int
    """A place before it, in bytes."""
    lines: int
    """How many lines are before that place."""
    after: int
    """The number of the last line that is not in the chunk."""


START = Mark(0, 0, 0)


class Fingerprint(NamedTuple):
    """Tells whether rewards are what they were."""

    name: str
    """Of where they are."""
    digest: str
    """Of everything that decides what they are, and whether they are in order."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rewards, each with the number of its line."""

    lines: list[int]
    intents: list[Intent]
    mark: Mark = START


class Source(Protocol):
    """Gives the same rewards each time it is asked."""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        ...

    def chunks(
        self,
        payer: Payer,
        currencies: Collection[str],
        problems: Problems,
        at: Sequence[Mark] | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """
        Return the rewards from the first to the last, and note what is wrong with them.

        *currencies* are those of the payer's endpoint, where they are known; *at* asks for those chunks
        only, in that order.
        """
        ...

    async def fingerprint(self, *rules: object) -> Fingerprint | None:
        """Return what tells later whether rewards and *rules* are still the same, where that pays."""
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
        at: Sequence[Mark] | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """Read it from the first line to the last, or some chunks of it."""
        loop = asyncio.get_running_loop()
        known = (frozenset(currencies) or KNOWN_CURRENCIES) | self._more
        chunks = self._read(Rows(known, problems), problems, at)
        try:
            while (chunk := await loop.run_in_executor(None, next, chunks, None)) is not None:
                yield chunk
        finally:
            chunks.close()

    async def fingerprint(self, *rules: object) -> Fingerprint | None:
        """Return the digest of a large file, and of the rules by which it is read."""
        own = (__version__, CHUNK, self.format, sorted(self._ignored), sorted(self._more))
        return await asyncio.get_running_loop().run_in_executor(None, self._digest, repr((own, rules)))

    def _digest(self, rules: str) -> Fingerprint | None:
        with self._opened() as file:
            if os.fstat(file.fileno()).st_size < LARGE:
                return None
            content = hashlib.file_digest(file, "sha256").hexdigest()
        name = hashlib.sha256(os.fsencode(self.path.resolve())).hexdigest()
        return Fingerprint(name, hashlib.sha256(f"{rules} {content}".encode()).hexdigest())

    def _read(
        self, rows: Rows, problems: Problems, at: Sequence[Mark] | None
    ) -> Generator[Chunk, None, None]:
        with self._opened() as file:
            header, first = None, START
            if self.format != "jsonl":
                # What is wrong with other lines is noted when their turn comes.
                wrong = Problems()
                header = header_of(Lines(file, wrong), self._separator, self._ignored, wrong)
                if header is None:
                    problems.take(wrong)
                    return
                first = Mark(0, 0, header.number)
            for mark in (first,) if at is None else at:
                chunks = self._chunks_from(mark, file, header, rows, problems)
                yield from chunks if at is None else islice(chunks, 1)

    def _chunks_from(
        self, mark: Mark, file: BufferedReader, header: Header | None, rows: Rows, problems: Problems
    ) -> Generator[Chunk, None, None]:
        lines = Lines(file, problems, mark[:2])
        if header is None:
            records = objects(lines, mark.lines, self._ignored, problems)
        else:
            records = table(lines, mark.lines, self._separator, header, problems)
        records = dropwhile(lambda record: record[0] <= mark.after, records)
        is_empty = True
        while some := list(islice(records, CHUNK)):
            is_empty = False
            self._check_unchanged(os.fstat(file.fileno()))
            chunk = Chunk([], [], mark)
            for line, cells in some:
                intent = rows.intent(line, cells)
                if intent is not None:
                    chunk.lines.append(line)
                    chunk.intents.append(intent)
            mark = Mark(*lines.block, some[-1][0])
            yield chunk
        if is_empty and not problems.count:
            what = "the file is empty" if header is None else "there is nothing below the header"
            problems.note(max(1, mark.after), None, what)

    @property
    def _separator(self) -> str:
        return "," if self.format == "csv" else "\t"

    @contextmanager
    def _opened(self) -> Generator[BufferedReader]:
        try:
            # Before it is opened: a pipe would wait there for somebody to write.
            self._check_unchanged(self.path.stat())
            with self.path.open("rb") as file:
                yield file
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
        self,
        payer: Payer,
        currencies: Collection[str],
        problems: Problems,
        at: Sequence[Mark] | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """Take them from the first to the last."""
        wanted = None if at is None else set(at)
        numbered = enumerate(self._intents, 1)
        mark = START
        while some := list(islice(numbered, CHUNK)):
            chunk, mark = Chunk([], [], mark), Mark(0, 0, some[-1][0])
            if wanted is not None and chunk.mark not in wanted:
                continue
            for number, intent in some:
                try:
                    chunk.intents.append(_checked(intent, payer, currencies))
                    chunk.lines.append(number)
                except ConfigurationError as wrong:
                    problems.note(number, None, wrong.message)
            yield chunk

    async def fingerprint(self, *rules: object) -> Fingerprint | None:  # noqa: ARG002
        """They are in memory, or wherever: nothing tells whether they are the same."""
        return None


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
