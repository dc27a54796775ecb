"""The lines of a file, whatever is in it: bounded, decoded, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .problems import Problems

LONGEST = 65_536
"""Bytes of a line at most."""

_BLOCK = 262_144
_BOM = b"\xef\xbb\xbf"
_FOREIGN = {
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
    b"PK\x03\x04": "it is a spreadsheet or an archive: export it as CSV",
    b"\x1f\x8b": "it is compressed: unpack it",
}
_TOO_LONG = "it is longer than 64 KiB"


class Lines:
    """
    Iterates over the lines of *file*, without their ends.

    A line that cannot be text is noted, and comes as an empty one, so that the count of lines stays right.

    Args:
        block: bytes and lines to be passed over: the :attr:`block` of an earlier iteration.
    """

    def __init__(self, file: BinaryIO, problems: Problems, block: tuple[int, int] = (0, 0)) -> None:
        self._file = file
        self._problems = problems
        self.block = block
        """How many bytes and lines are before those that are in hand."""
        self._number = block[1]

    def __iter__(self) -> Iterator[str]:
        start, _ = self.block
        self._file.seek(start)
        rest = self._file.read(_BLOCK)
        if start == 0:
            for sign, reason in _FOREIGN.items():
                if rest.startswith(sign):
                    self._problems.note(1, None, reason)
                    return
            rest = rest.removeprefix(_BOM)
        while rest:
            self.block = self._file.tell() - len(rest), self._number
            whole, end, rest = rest.rpartition(b"\n")
            if end:
                yield from self._decoded(whole)
            if len(rest) > LONGEST:
                yield self._bad(_TOO_LONG)
                rest = self._after_line()
            block = self._file.read(_BLOCK)
            if not block and rest:
                yield from self._decoded(rest)
                return
            rest += block

    def _after_line(self) -> bytes:
        """Read over the rest of a line, and return what follows it in its last block."""
        while block := self._file.read(_BLOCK):
            _, end, rest = block.partition(b"\n")
            if end:
                return rest
        return b""

    def _decoded(self, whole: bytes) -> list[str]:
        """Return the lines of *whole*: all at once where that is possible."""
        if b"\0" not in whole:
            try:
                lines = whole.decode().split("\n")
            except UnicodeDecodeError:
                lines = []
            # No character has more than four bytes.
            if lines and max(map(len, lines)) <= LONGEST // 4:
                self._number += len(lines)
                return lines
        return [self._text(line) for line in whole.split(b"\n")]

    def _text(self, line: bytes) -> str:
        if len(line) > LONGEST:
            return self._bad(_TOO_LONG)
        if b"\0" in line:
            return self._bad("NUL bytes: if it is UTF-16, save it as UTF-8")
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return self._bad("it is not UTF-8: save it as UTF-8")
        self._number += 1
        return text

    def _bad(self, reason: str) -> str:
        self._number += 1
        self._problems.note(self._number, None, reason)
        return ""
