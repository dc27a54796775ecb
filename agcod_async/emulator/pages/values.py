"""What goes into a page and what comes out: plain values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Self, TypeVar
from urllib.parse import parse_qsl

HTML = "text/html; charset=utf-8"
CSV = "text/csv; charset=utf-8"
CSS = "text/css; charset=utf-8"

_MOST_FIELDS = 50
_PLAIN_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,3})?")
_YEARS = range(2000, 3000)

T = TypeVar("T")


class Unusable(Exception):
    """A form has something in it that means nothing; the text says which field, and what would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a browser is to show, keep, or go to."""

    status: int = 200
    content_type: str = HTML
    template: str | None = None
    values: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
    text: str = field(default="", repr=False)
    """Where there is no template."""
    file_name: str | None = None
    location: tuple[str, Mapping[str, str]] | None = None
    """A path of ours, and the fields to ask it with."""


class Form:
    """
    The fields of a query or a form, each read as what it is to be.

    A query may leave out what has a first choice. A form has all of its fields, because it acts: one that
    is not ours must not be taken for a wish.
    """

    def __init__(self, fields: Mapping[str, str], *, is_query: bool) -> None:
        self._fields = fields
        self._is_query = is_query

    @classmethod
    def read(cls, content: bytes, *, is_query: bool) -> Self:
        """Parse ``application/x-www-form-urlencoded``."""
        try:
            pairs = parse_qsl(
                content.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
            )
        except ValueError:
            raise Unusable("The fields cannot be read.") from None
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise Unusable("A field is there more than once.")
        return cls(fields, is_query=is_query)

    def text(self, name: str) -> str:
        """Return a field without the space around it; nothing where a query has none."""
        return self.area(name).strip()

    def area(self, name: str) -> str:
        """Return a field of several lines as it was written: browsers make two characters of a line's end."""
        if name not in self._fields and not self._is_query:
            raise Unusable(f"{name}: the form has no such field")
        return self._fields.get(name, "").replace("\r\n", "\n")

    def is_ticked(self, name: str) -> bool:
        """Whether a box is ticked: one that is not is no field."""
        return name in self._fields

    def choice(self, name: str, choices: Mapping[str, object]) -> str:
        """Return one of some words; in a query the first by default."""
        word = self.text(name) or (next(iter(choices)) if self._is_query else "")
        if word not in choices:
            raise Unusable(f"{name}: one of {', '.join(choices)} is needed")
        return word

    def pick(self, name: str, choices: Mapping[str, T]) -> T:
        """Return what one of some words stands for."""
        return choices[self.choice(name, choices)]

    def moment(self, name: str) -> datetime | None:
        """Return a time, in UTC where it says nothing else; None where there is none."""
        text = self.text(name)
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.year not in _YEARS:
            raise Unusable(f"{name}: a time such as 2026-03-02T12:00:00 (UTC) is needed")
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)

    def number(self, name: str) -> Decimal | None:
        """Return a number of 0 or more; None where there is none."""
        text = self.text(name)
        if not text:
            return None
        if not _PLAIN_NUMBER.fullmatch(text):
            raise Unusable(f"{name}: a number such as 250 is needed")
        return Decimal(text)
