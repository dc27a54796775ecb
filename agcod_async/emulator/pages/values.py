"""What goes into a page and what comes out: plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

HTML = "text/html; charset=utf-8"
CSV = "text/csv; charset=utf-8"
CSS = "text/css; charset=utf-8"


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
    """The fields of a query or a form, each read as what it is to be."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def text(self, name: str, default: str = "") -> str:
        """Return a field without the space around it."""
        return self._fields.get(name, default).strip()

    def area(self, name: str) -> str:
        """Return a field of several lines as it was written: browsers make two characters of a line's end."""
        return self._fields.get(name, "").replace("\r\n", "\n")

    def choice(self, name: str, choices: Mapping[str, object] | tuple[str, ...]) -> str:
        """Return one of some words, the first by default."""
        word = self.text(name) or next(iter(choices), "")
        if word not in choices:
            raise Unusable(f"{name}: one of {', '.join(choices)} is needed")
        return word

    def moment(self, name: str) -> datetime | None:
        """Return a time, in UTC where it says nothing else; None where there is none."""
        text = self.text(name)
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            raise Unusable(f"{name}: a time such as 2026-03-02T12:00:00 (UTC) is needed") from None

    def number(self, name: str) -> Decimal | None:
        """Return a number of 0 or more; None where there is none."""
        text = self.text(name)
        if not text:
            return None
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or number < 0:
            raise Unusable(f"{name}: a number such as 250 is needed")
        return number
