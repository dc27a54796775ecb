"""Where claim codes go: nowhere, unless the user says where."""

from __future__ import annotations

import csv
import os
import stat
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, BinaryIO, Self

from ..escapes import csv_cell
from .exits import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import TextIOWrapper
    from pathlib import Path
    from types import TracebackType

    from ..receipts import IssuedGiftCard

_COLUMNS = ("reference", "amount", "currency", "gc_id", "claim_code", "expires")


class Written:
    """References whose codes were written down, in eight bytes each."""

    def __init__(self, cells: Iterable[str]) -> None:
        self._hashes = array("q", sorted(array("q", (hash(cell) for cell in cells))))

    def has(self, reference: str) -> bool:
        """Whether the code of a reference is there."""
        each = hash(csv_cell(reference))
        place = bisect_left(self._hashes, each)
        return place < len(self._hashes) and self._hashes[place] == each


class CodeFile:
    """
    A CSV file of mode 0600 that codes are appended to, each on the disk before the next is asked for.

    Raises:
        CommandError: on entering, before anything is spent: it cannot be written, or others may read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIOWrapper | None = None

    def __enter__(self) -> Self:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise CommandError(f"--codes-to {self._path}: {error.strerror}") from None
        found = os.fstat(descriptor)
        problem = None
        if not stat.S_ISREG(found.st_mode):
            problem = CommandError(f"--codes-to {self._path}: no regular file")
        elif os.name == "posix" and found.st_mode & 0o077:
            problem = CommandError(
                f"--codes-to {self._path}: others may read it (mode {found.st_mode & 0o777:04o})",
                fix=f"chmod 600 {self._path}",
            )
        if problem is not None:
            os.close(descriptor)
            raise problem
        self._file = os.fdopen(descriptor, "a", encoding="utf-8", newline="")
        if not found.st_size:
            self._write(_COLUMNS)
        return self

    def add(self, issued: IssuedGiftCard) -> None:
        """
        Write the code of a card down; this blocks until it is on the disk.

        Raises:
            CommandError: the disk is full, or gone. The card is issued, and its code can be had again.
        """
        receipt, expires = issued.receipt, issued.gc_expiration_date
        try:
            self._write(
                (
                    csv_cell(receipt.reference),
                    str(receipt.value.amount),
                    receipt.value.currency_code,
                    csv_cell(receipt.gc_id or ""),
                    csv_cell(issued.claim_code.reveal()),
                    expires.isoformat() if expires else "",
                )
            )
        except OSError as error:
            raise CommandError(
                f"{receipt.reference} is issued, but its code could not be written to {self._path}: "
                f"{error.strerror}",
                fix="repeat the command with another file: it returns the same card",
                code=ExitCode.PENDING,
                outcome="unknown",
            ) from None

    def written(self) -> Written:
        """Return which codes the file has; a last line that was cut off by a crash is removed."""
        with self._path.open("r+b") as file:
            size = _whole_lines(file)
            file.truncate(size)
        with self._path.open(encoding="utf-8", newline="") as lines:
            return Written(row[0] for row in csv.reader(lines) if len(row) == len(_COLUMNS))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()

    def _write(self, row: tuple[str, ...]) -> None:
        assert self._file is not None
        csv.writer(self._file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(row)
        self._file.flush()
        os.fsync(self._file.fileno())


def _whole_lines(file: BinaryIO) -> int:
    """Return how many bytes the lines of *file* have that end."""
    end = 0
    for line in file:
        if line.endswith(b"\n"):
            end += len(line)
    return end
