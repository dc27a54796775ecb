"""References that occur more than once, found in little memory: eight bytes a reward."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING

from .source import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..ledger import Intent
    from .problems import Problems

_SORTED_AT_ONCE = 100_000
_COMPARED_AT_ONCE = 25_000


class Repeats:
    """
    Which lines repeat an earlier one, and are to be skipped.

    Hashes are collected first; only references whose hash occurs twice are compared, when the rewards are
    read again.

    Args:
        lines: those that are known to repeat an earlier one.
    """

    def __init__(self, lines: Iterable[int] = ()) -> None:
        self._hashes = array("q")
        self._lines = array("q", lines)

    def collect(self, intents: Iterable[Intent]) -> None:
        """Note the references of a chunk."""
        self._hashes.extend([hash(intent.reference) for intent in intents])

    def suspects(self) -> Iterator[set[int]]:
        """Return the hashes that occur more than once, some at a time, and forget all hashes."""
        hashes, self._hashes = self._hashes, array("q")
        parts = len(hashes) // _SORTED_AT_ONCE + 1
        found: set[int] = set()
        for part in range(parts):
            some = sorted(each for each in hashes if each % parts == part)
            found.update(before for before, each in pairwise(some) if before == each)
            if len(found) >= _COMPARED_AT_ONCE:
                yield found
                found = set()
        if found:
            yield found

    def compare(
        self, chunk: Chunk, suspects: set[int], first: dict[str, tuple[int, Intent]], problems: Problems
    ) -> None:
        """Note the lines of a chunk that repeat one of *first*, and add those that repeat none to it."""
        for line, intent in zip(chunk.lines, chunk.intents, strict=True):
            if hash(intent.reference) not in suspects:
                continue
            number, before = first.setdefault(intent.reference, (line, intent))
            if number == line:
                continue
            if before != intent:
                problems.note(
                    line, "reference", f"line {number} gives {intent.reference!r} other values: which?"
                )
            self._lines.append(line)

    def settle(self) -> None:
        """Put the lines in order, once all are found."""
        self._lines = array("q", sorted(self._lines))

    @property
    def lines(self) -> list[int]:
        """The lines that repeat an earlier one."""
        return self._lines.tolist()

    def __len__(self) -> int:
        return len(self._lines)

    def without(self, chunk: Chunk) -> Chunk:
        """Return what is left of a chunk."""
        if not self._lines:
            return chunk
        left = [pair for pair in zip(chunk.lines, chunk.intents, strict=True) if not self._holds(pair[0])]
        return Chunk([line for line, _ in left], [intent for _, intent in left], chunk.mark)

    def _holds(self, line: int) -> bool:
        place = bisect_left(self._lines, line)
        return place < len(self._lines) and self._lines[place] == line
