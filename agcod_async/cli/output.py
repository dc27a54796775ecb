"""What a command says: tables on a terminal, JSON lines in a pipe, and nothing that a terminal obeys."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol, TextIO, TypeAlias

from ..escapes import csv_cell, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from rich.console import Console

Cell: TypeAlias = str | int | Decimal | datetime | None
Record: TypeAlias = Mapping[str, Cell]
"""One result: names in snake_case to plain values. Tables, JSON and CSV show the same records."""


MOST_ROWS = 1000
"""Rows of a table that grows while it is read."""


class Advance(Protocol):
    """Moves a bar on."""

    def __call__(self, done: int, label: str = ..., /) -> None:
        """So many are done."""
        ...


class Output:
    """
    Results go to standard output, everything else to standard error.

    Args:
        stdout: where results go.
        stderr: where notes, progress and errors go.
        as_json: whether results and errors are JSON lines; notes and progress are left out then.
    """

    def __init__(self, stdout: TextIO, stderr: TextIO, *, as_json: bool) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._live: Console | None = None
        self.is_json = as_json

    def result(self, record: Record) -> None:
        """Show one result: a line for each of its fields on a terminal."""
        if self.is_json:
            self._json(self._stdout, record)
            return
        width = max(map(len, record), default=0)
        for name, cell in record.items():
            self._print(self._stdout, f"{_label(name):<{width}}  {_text(cell)}")

    def document(self, content: Mapping[str, str | Mapping[str, str]]) -> None:
        """Show one result of longer texts: on a terminal each under its name, line by line."""
        if self.is_json:
            self._print(self._stdout, json.dumps(content))
            return
        for name, value in content.items():
            lines = value.split("\n") if isinstance(value, str) else [f"{k}: {v}" for k, v in value.items()]
            self._print(self._stdout, f"{_label(name)}:")
            for line in lines:
                self._print(self._stdout, f"  {printable(line)}".rstrip())

    def table(self, records: Iterable[Record], *, columns: Sequence[str], empty: str) -> None:
        """Show many results below each other; *empty* is said on a terminal when there are none."""
        if self.is_json:
            for record in records:
                self._json(self._stdout, record)
            return
        rows = list(records)
        if not rows:
            self.note(empty)
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            is_number = any(isinstance(row.get(column), int | Decimal) for row in rows)
            table.add_column(Text(_label(column)), justify="right" if is_number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(_text(row.get(column))) for column in columns))
        self._console(self._stdout).print(table)

    @contextmanager
    def rows(
        self, *, columns: Sequence[str], empty: str, as_csv: bool = False
    ) -> Generator[Callable[[Record], None]]:
        """
        Yield a function that shows one result more, at once as JSON or CSV, and in the end as a table.

        Memory stays flat: a table has :data:`MOST_ROWS` rows, and says how many more there were.
        """
        if as_csv:
            writer = csv.writer(self._stdout, quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerow(columns)
            yield lambda record: writer.writerow([csv_cell(_plain(record.get(each))) for each in columns])
        elif self.is_json:
            yield lambda record: self._json(self._stdout, record)
        else:
            first, shown = list[Record](), 0

            def show(record: Record) -> None:
                nonlocal shown
                shown += 1
                if shown <= MOST_ROWS:
                    first.append(record)

            yield show
            self.table(first, columns=columns, empty=empty)
            if shown > MOST_ROWS:
                self.note(f"The first {MOST_ROWS:,} of {shown:,}: --csv or --json shows all.")

    def line(self, record: Record) -> None:
        """Show one result of many over time: on a terminal, all of it on one line."""
        if self.is_json:
            self._json(self._stdout, record)
            return
        cells = (f"{_label(name)} {_text(cell)}" for name, cell in record.items())
        self._print(self._stdout, ", ".join(cells))

    def text(self, line: str) -> None:
        """Tell a person a line of the result; programs have records."""
        if not self.is_json:
            self._print(self._stdout, printable(line))

    def note(self, text: str) -> None:
        """Say something by the way."""
        if self.is_json:
            return
        if self._live is None:
            self._print(self._stderr, printable(text))
        else:
            # Above the bar, which is drawn anew.
            self._live.print(printable(text))

    def error(self, facts: Mapping[str, str | int | None]) -> None:
        """Say what went wrong, and what would help."""
        if self.is_json:
            self._json(self._stderr, facts)
            return
        self._print(self._stderr, f"agcod: {printable(str(facts['message']))}")
        if facts["fix"]:
            self._print(self._stderr, f"  fix: {printable(str(facts['fix']))}")

    def hang_up(self) -> None:
        """Whoever read the output has gone: say nothing more, also not when this process flushes its end."""
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self._stdout.fileno())
        os.close(nothing)

    def ask(self, question: str, stdin: TextIO) -> str:
        """Ask a person, and return the line that was typed."""
        self._stderr.write(printable(question) + " ")
        self._stderr.flush()
        return stdin.readline().strip()

    @contextmanager
    def progress(self, label: str, *, total: int | None) -> Generator[Advance]:
        """
        Show a bar on a terminal while the body runs; *total* None shows only that something moves.

        Yields a function that takes how many are done by now, and if one likes another label.
        """
        if self.is_json or not self._stderr.isatty():
            yield _advance_nothing
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        what = TextColumn("{task.description}", markup=False)
        columns: list[ProgressColumn] = [what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
        if total is None:
            columns = [SpinnerColumn(), what, TextColumn("{task.completed}")]
        with Progress(*columns, console=self._console(self._stderr), transient=True) as bar:
            task = bar.add_task(printable(label), total=total)
            self._live = bar.console

            def advance(done: int, label: str = label, /) -> None:
                bar.update(task, completed=done, description=printable(label))

            try:
                yield advance
            finally:
                self._live = None

    def _json(self, stream: TextIO, record: Record) -> None:
        # ASCII only: no control character of any alphabet leaves this line.
        line = json.dumps(
            {name: cell if isinstance(cell, int | None) else _plain(cell) for name, cell in record.items()}
        )
        self._print(stream, line)

    @staticmethod
    def _print(stream: TextIO, line: str) -> None:
        stream.write(line + "\n")
        stream.flush()

    @staticmethod
    def _console(stream: TextIO) -> Console:
        from rich.console import Console

        return Console(file=stream, markup=False, emoji=False, highlight=False)


def _advance_nothing(_: int, __: str = "", /) -> None:
    pass


def _label(name: str) -> str:
    return name.replace("_", " ")


def _text(cell: Cell) -> str:
    """Return a cell as a person reads it."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, datetime):
        return f"{cell.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return "-" if cell is None else printable(str(cell))


def _plain(cell: Cell) -> str:
    """Return a cell as a program reads it."""
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return "" if cell is None else str(cell)
