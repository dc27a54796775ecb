"""What is remembered of a large campaign, so that continuing it needs no second look at all of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from .outlook import Part

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..ledger import Ledger
    from .source import Fingerprint, Mark

_MOST_REPEATS = 10_000
_COUNTED_AGAIN = 2


class Note(Struct):
    """How a campaign stood."""

    digest: str
    """Of the rewards, which were found in order."""
    repeats: list[int]
    """The lines that repeat an earlier one."""
    parts: list[Part]


class Memory:
    """
    Keeps a :class:`Note` of a campaign in its ledger.

    Every reward is looked up before it is begun all the same: a note that is out of date can make a sum
    wrong that is shown before, and nothing else.

    Args:
        recount: looks at a chunk again.
    """

    def __init__(
        self, ledger: Ledger, fingerprint: Fingerprint, recount: Callable[[Mark], Awaitable[Part]]
    ) -> None:
        self._ledger = ledger
        self._name = f"campaign {fingerprint.name}"
        self._digest = fingerprint.digest
        self._recount = recount
        self._note: Note | None = None
        self._begun: deque[int] = deque()

    async def recall(self) -> Note | None:
        """Return what was kept of the very same rewards."""
        text = await self._ledger.note(self._name)
        try:
            note = None if text is None else msgspec.json.decode(text, type=Note)
        except msgspec.MsgspecError:
            # Of another version.
            note = None
        self._note = note if note is not None and note.digest == self._digest else None
        return self._note

    async def look_again(self) -> list[Part]:
        """Return what was recalled, with the chunks counted again that were begun since."""
        assert self._note is not None
        parts = self._note.parts
        self._begun.extend(number for number, part in enumerate(parts) if part.is_begun)
        await self._count_again(self._note, len(self._begun))
        return [*parts]

    async def keep(self, repeats: list[int], parts: list[Part]) -> None:
        """Remember a campaign of which everything is planned."""
        if len(repeats) > _MOST_REPEATS:
            await self.forget()
            return
        self._note = Note(self._digest, repeats, parts)
        await self._write(self._note)

    async def begin(self, number: int) -> None:
        """Note that rewards of a chunk are about to be begun, and how those before it have ended."""
        if self._note is None or self._note.parts[number].is_begun:
            return
        await self._count_again(self._note, _COUNTED_AGAIN)
        self._note.parts[number].is_begun = True
        self._begun.append(number)
        await self._write(self._note)

    async def forget(self) -> None:
        """Remember nothing."""
        self._note = None
        await self._ledger.take_note(self._name, None)

    async def _count_again(self, note: Note, most: int) -> None:
        """Count chunks again that were begun; one is over when nothing in it is under way."""
        for _ in range(min(most, len(self._begun))):
            number = self._begun.popleft()
            part = await self._recount(note.parts[number].mark)
            part.is_begun = part.is_open(retry_refused=False)
            if part.is_begun:
                self._begun.append(number)
            note.parts[number] = part

    async def _write(self, note: Note) -> None:
        await self._ledger.take_note(self._name, msgspec.json.encode(note).decode())
