"""The result file of a campaign: a row for each reward, and nothing that is worth money."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Self

from ..escapes import csv_cell
from .exits import CommandError
from .values import money_record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import TextIOWrapper
    from pathlib import Path
    from types import TracebackType

    from ..bulk import Standing
    from .output import Record

COLUMNS = ("line", "reference", "amount", "currency", "state", "request_id", "gc_id", "error")


def state_of(standing: Standing) -> str:
    """Return the state of a reward; ``new`` is what the ledger does not know."""
    return "new" if standing.entry is None else standing.entry.state


def standing_record(standing: Standing) -> Record:
    """Return how a reward stands, as a row of a report."""
    entry = standing.entry
    return {
        "line": standing.line,
        "reference": standing.intent.reference,
        **money_record(standing.intent.value),
        "state": state_of(standing),
        "request_id": None if entry is None else entry.request_id,
        "gc_id": None if entry is None else entry.gc_id,
        "error": None if entry is None else entry.last_error_type,
    }


class ResultFile:
    """
    A CSV file that is there in whole or not at all: it takes the place of an earlier one when it is finished.

    Raises:
        CommandError: on entering, before anything is spent: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}")
        self._file: TextIOWrapper | None = None

    def __enter__(self) -> Self:
        try:
            self._file = self._draft.open("x", encoding="utf-8", newline="")
        except OSError as error:
            raise CommandError(f"--results {self._path}: {error.strerror}") from None
        csv.writer(self._file, lineterminator="\n").writerow(COLUMNS)
        return self

    def add(self, records: Iterable[Record]) -> None:
        """Write some rows."""
        assert self._file is not None
        rows = ([_cell(record[column]) for column in COLUMNS] for record in records)
        csv.writer(self._file, lineterminator="\n").writerows(rows)

    def finish(self) -> None:
        """Put the file in its place."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._draft.replace(self._path)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()
        self._draft.unlink(missing_ok=True)


def _cell(cell: object) -> str:
    return "" if cell is None else csv_cell(str(cell))
