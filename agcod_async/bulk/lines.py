"""The lines of a file, whatever is in it: bounded, decoded, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from ..errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class Lines:
    """
    Iterates over the lines of *file*, without their ends.

    A line that cannot be text comes as an empty one, and a problem is noted in :attr:`problems`, which
    whoever reads empties. So the count of lines is always that of the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0
        self.problems: list[Problem] = []

    def __iter__(self) -> Iterator[str]:
        rest = self._file.read(_BLOCK)
        for start, reason in _FOREIGN.items():
            if rest.startswith(start):
                self.problems.append(Problem(1, None, reason))
                return
        rest = rest.removeprefix(_BOM)
        while rest:
            whole, end, rest = rest.rpartition(b"\n")
            if end:
                yield from self._decoded(whole)
            if len(rest) > LONGEST:
                rest = self._skipped()
                yield ""
            block = self._file.read(_BLOCK)
            if not block and rest:
                yield from self._decoded(rest)
                return
            rest += block

    def _skipped(self) -> bytes:
        """Read over the rest of a line that is too long, and return what follows it in its last block."""
        self._number += 1
        self._note("it is longer than 64 KiB")
        while block := self._file.read(_BLOCK):
            _, end, rest = block.partition(b"\n")
            if end:
                return rest
        return b""

    def _decoded(self, whole: bytes) -> list[str]:
        """Return the lines of *whole*: all at once if that is possible."""
        if b"\0" not in whole:
            try:
                lines = whole.decode().split("\n")
            except UnicodeDecodeError:
                pass
            else:
                if max(map(len, lines)) <= LONGEST // 4:
                    self._number += len(lines)
                    return lines
        return [self._text(line) for line in whole.split(b"\n")]

    def _text(self, line: bytes) -> str:
        self._number += 1
        if len(line) > LONGEST:
            return self._note("it is longer than 64 KiB")
        if b"\0" in line:
            return self._note("NUL bytes: if it is UTF-16, save it as UTF-8")
        try:
            return line.decode()
        except UnicodeDecodeError:
            return self._note("it is not UTF-8: save it as UTF-8")

    def _note(self, reason: str) -> str:
        self.problems.append(Problem(self._number, None, reason))
        return ""
