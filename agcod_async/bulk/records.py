"""Lines to cells: tables with a header, and JSON objects."""

from __future__ import annotations

import csv
import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigurationError
from .columns import AMOUNT, FIELDS, field_of, places_of, shown, unknown_column

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from .columns import Cells
    from .problems import Problems

    Record: TypeAlias = tuple[int, Cells]
    """The number of a line, and its cells."""

_SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}


class Header(NamedTuple):
    """What the first line of a table says about the others."""

    number: int
    """Of its own line."""
    width: int
    pick: Callable[[Sequence[str]], Cells]
    is_padded: bool
    """Whether a row needs an empty cell more, for the columns that are not there."""


def header_of(
    lines: Iterable[str], separator: str, ignored: Collection[str], problems: Problems
) -> Header | None:
    """Return the header of a table, or note what is wrong with it."""
    number, names = next(_rows(lines, 0, separator, problems), (1, []))
    if not names:
        if not problems.count:
            problems.note(1, None, "the file is empty")
        return None
    try:
        places = places_of([name.strip() for name in names], ignored)
    except ConfigurationError as wrong:
        problems.note(number, None, wrong.message + _other_separator(names, separator))
        return None
    pick = itemgetter(*(-1 if place is None else place for place in places))
    return Header(number, len(names), pick, None in places)


def table(
    lines: Iterable[str], before: int, separator: str, header: Header, problems: Problems
) -> Iterator[Record]:
    """Return the rows of a table, one a line; *before* is how many lines are before *lines*."""
    _, width, pick, is_padded = header
    for number, cells in _rows(lines, before, separator, problems):
        if len(cells) != width:
            problems.note(number, None, f"{len(cells)} cells, and the header has {width}")
            continue
        if is_padded:
            cells.append("")
        yield number, pick(cells)


def objects(
    lines: Iterable[str], before: int, ignored: Collection[str], problems: Problems
) -> Iterator[Record]:
    """Return the objects of JSON lines, one a line; the wire's nested ``value`` is understood."""
    for number, text in enumerate(lines, before + 1):
        if not text or text.isspace():
            continue
        try:
            yield number, _cells(_object(text), ignored)
        except ConfigurationError as wrong:
            problems.note(number, None, wrong.message)


def _rows(
    lines: Iterable[str], before: int, separator: str, problems: Problems
) -> Iterator[tuple[int, list[str]]]:
    """Return rows that are not blank, each with the number of its line."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    while True:
        number = before + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as wrong:
            problems.note(number, None, _explained(wrong))
            continue
        if before + reader.line_num > number:
            problems.note(number, None, "a quotation mark is opened and not closed in this line")
        elif any(cells):
            yield number, cells


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
            return f"; this one seems to be separated by {name}, where {_SEPARATORS[separator]} are expected"
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
