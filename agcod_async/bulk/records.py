"""Lines to cells: tables with a header, and JSON objects."""

from __future__ import annotations

import csv
import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from .columns import AMOUNT, FIELDS, field_of, places_of, shown, unknown_column

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import TypeAlias

    from .columns import Cells
    from .problems import Problems

    Record: TypeAlias = tuple[int, Cells]
    """The number of a line, and its cells."""

_SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}


def table(
    lines: Iterable[str], separator: str, ignored: Collection[str], problems: Problems
) -> Iterator[Record]:
    """Return the rows below the header of a table, one a line."""
    rows = _rows(lines, separator, problems)
    number, names = next(rows, (1, []))
    if not names:
        if not problems.count:
            problems.note(1, None, "the file is empty")
        return
    try:
        places = places_of([name.strip() for name in names], ignored)
    except ConfigurationError as wrong:
        problems.note(number, None, wrong.message + _other_separator(names, separator))
        return
    pick = itemgetter(*(-1 if place is None else place for place in places))
    width, is_padded = len(names), None in places
    before = number
    for number, cells in rows:
        if len(cells) != width:
            problems.note(number, None, f"{len(cells)} cells, and the header has {width}")
            continue
        if is_padded:
            cells.append("")
        yield number, pick(cells)
    if number == before and not problems.count:
        problems.note(number, None, "there is nothing below the header")


def objects(lines: Iterable[str], ignored: Collection[str], problems: Problems) -> Iterator[Record]:
    """Return the objects of JSON lines, one a line; the wire's nested ``value`` is understood."""
    is_empty = True
    for number, text in enumerate(lines, 1):
        if not text or text.isspace():
            continue
        is_empty = False
        try:
            yield number, _cells(_object(text), ignored)
        except ConfigurationError as wrong:
            problems.note(number, None, wrong.message)
    if is_empty and not problems.count:
        problems.note(1, None, "the file is empty")


def _rows(lines: Iterable[str], separator: str, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Return rows that are not blank, each with the number of its line."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    while True:
        before = reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as wrong:
            problems.note(before + 1, None, _explained(wrong))
            continue
        if reader.line_num > before + 1:
            problems.note(before + 1, None, "a quotation mark is opened and not closed in this line")
        elif any(cells):
            yield reader.line_num, cells


def _explained(wrong: csv.Error) -> str:
    text = str(wrong)
    if "new-line" in text:
        return "a carriage return inside of it: save it with line ends LF or CRLF"
    if "field larger" in text or "end of data" in text:
        return "a quotation mark is opened and not closed in this line"
    return f"its quotation marks are wrong: {text}"


def _other_separator(names: list[str], separator: str) -> str:
    for other, name in _SEPARATORS.items():
        if other != separator and other in names[0]:
            return f"; it seems to be separated by {name}, where {_SEPARATORS[separator]} are expected"
    found = ", ".join(shown(name) for name in names[:6])
    return f"; it has {found}"


class _Pairs(list[tuple[str, Any]]):
    """An object, with every name that it has."""


def _object(text: str) -> _Pairs:
    try:
        # Numbers stay the text that they are, so that no float is ever made of money.
        value = json.loads(text, object_pairs_hook=_Pairs, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, _Pairs):
        raise ConfigurationError('it is not a JSON object such as {"reference": "order-1", …}')
    return value


def _cells(pairs: _Pairs, ignored: Collection[str]) -> list[str | None]:
    cells: list[str | None] = [None] * len(FIELDS)
    taken: set[int] = set()
    for name, value in _flat(pairs, ignored):
        field = field_of(name)
        if field is None:
            raise ConfigurationError(unknown_column(name))
        if field in taken:
            raise ConfigurationError(f"{FIELDS[field]} is there twice")
        if value is not None and type(value) is not str:
            raise ConfigurationError(f"{FIELDS[field]}: text or a number is needed")
        taken.add(field)
        cells[field] = value
    return cells


def _flat(pairs: _Pairs, ignored: Collection[str]) -> Iterator[tuple[str, Any]]:
    for name, value in pairs:
        if name in ignored:
            continue
        if type(value) is _Pairs and field_of(name) == AMOUNT:
            yield from value
        else:
            yield name, value
