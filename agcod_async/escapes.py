"""Text of others made harmless: for a terminal that obeys, and for a spreadsheet that computes."""

from __future__ import annotations

import re

# What spreadsheets take for the beginning of a formula, full-width forms included.
_FORMULA = tuple("=+-@＝＋－＠")  # noqa: RUF001  (they are meant)
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def printable(text: str) -> str:
    """Return *text* on one line; what a terminal could obey or hide is written as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def csv_cell(text: str) -> str:
    """Return *text*, with an apostrophe in front of what a spreadsheet would take for a formula."""
    clean = printable(text)
    return f"'{clean}" if clean.startswith(_FORMULA) and not _NUMBER.fullmatch(clean) else clean
