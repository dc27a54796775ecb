"""What a reconciliation can find about one request id, and the rules that name it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct

from ..money import Money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..ledger import Entry, State

FindingKind = Literal[
    "matched",
    "missing_here",
    "missing_there",
    "amount_differs",
    "currency_differs",
    "cancelled_there",
    "reversed_here",
    "refused_here",
    "open_here",
    "duplicate",
    "unknown_activity",
    "charged_earlier",
    "unlisted",
    "failed",
]
"""
Here is the ledger, there is Amazon's activity.

``matched``: both say the same. ``missing_here``: there, and unknown to the ledger: another program uses the
account, or a ledger was lost. ``missing_there``: issued here, and not listed. ``amount_differs``,
``currency_differs``: one card, two values. ``cancelled_there``: issued here, and cancelled by somebody else.
``reversed_here``, ``refused_here``: charged there, and settled here as if it were not. ``open_here``: the
ledger does not know the outcome yet: recover, or, where it is abandoned, a case for a person.
``duplicate``: a charge beyond the first, of one reference or even of one id. ``unknown_activity``: a record
of a type that this version cannot read.

The others are no differences. ``charged_earlier``: issued here in this time, and charged before it (a ledger
that was lost and filled anew meets the same cards). ``unlisted``: an activation or a balance load, about
which the activity says nothing that can be read. ``failed``: refused there, and nothing was issued here.
"""

DIFFERENCES: frozenset[FindingKind] = frozenset(get_args(FindingKind)) - {
    "matched",
    "charged_earlier",
    "unlisted",
    "failed",
}
"""What somebody should look at."""

FORWARD: Mapping[str, str] = {
    "create": "CreateGiftCard",
    "activate": "ActivateGiftCard",
    "load": "LoadAmazonBalance",
}
"""The operation that issues, by an entry's kind."""

_OPEN = ("sent", "reversing", "abandoned")


class Finding(Struct, frozen=True, kw_only=True):
    """What was found about one request id. There is no claim code in it: activity and ledger hold none."""

    kind: FindingKind
    request_id: str | None
    """None for records that name no id."""

    reference: str | None = None
    """Here. None for what the ledger does not know."""

    generation: int | None = None
    state: State | None = None
    """Here."""

    charged: Money | None = None
    """What Amazon charged for it and did not give back."""

    issued: Money | None = None
    """What the ledger says that it is worth, where it is issued here."""

    at: datetime | None = None
    """When it was charged there; otherwise when it was settled or last tried here."""

    gc_id: str | None = None
    detail: str | None = None
    """The failureCode or activityType of the record that says most, as Amazon spells it."""

    @property
    def is_difference(self) -> bool:
        """Whether somebody should look at it."""
        return self.kind in DIFFERENCES


class CurrencyTotal(Struct, frozen=True, kw_only=True):
    """
    The sums of one currency over the cards of a time.

    By card, not by day: a card counts where it was charged, and a cancellation counts with its card.
    """

    charged: Money
    """There, less what was given back."""

    issued: Money
    """Here, without what is unlisted or was charged earlier."""

    unlisted: Money
    """Here, and about which the activity says nothing that can be read."""

    @property
    def difference(self) -> Money:
        """What was charged there beyond what is issued here; negative where less was charged."""
        return Money(self.charged.amount - self.issued.amount, self.charged.currency_code)


class There(Struct, frozen=True, kw_only=True):
    """All that the activity says about one request id."""

    charges: tuple[Money | None, ...] = ()
    """One for each real charge; None where it was listed without a value."""

    refunds: int = 0
    repeats: int = 0
    failures: int = 0
    unknowns: int = 0

    @property
    def kept(self) -> tuple[Money | None, ...]:
        """The charges that were not given back."""
        return self.charges[self.refunds :]


class Here(Struct, frozen=True, kw_only=True):
    """What the ledger says about one request id, living or dead."""

    value: Money
    state: State
    is_listed: bool = True
    """Whether the activity is known to list its kind."""

    is_in_time: bool = True
    """Whether it belongs to the time by the ledger's own clock."""

    has_charged_sibling: bool = False
    """Whether another id of the same reference was charged, too."""


def judge(there: There, here: Here | None) -> FindingKind | None:
    """Return what is to be said of an id and its first charge, or None where there is nothing."""
    if there.kept:
        return _charged(there, here)
    if here is None:
        # A refund alone belongs to a charge of another time, and to that time's findings.
        return "missing_here" if there.charges else "failed" if there.failures else None
    if there.refunds:
        return _refunded(here)
    if here.is_in_time and here.state == "issued":
        return _issued_only(there, here)
    if here.is_in_time and here.state in _OPEN:
        return "open_here"
    return "failed" if there.failures and here.state != "issued" else None


def _charged(there: There, here: Here | None) -> FindingKind:
    if here is None:
        return "missing_here"
    if here.has_charged_sibling and here.state != "issued":
        return "duplicate"
    match here.state:
        case "issued":
            return _compared(there.kept[0], here.value)
        case "reversed":
            return "reversed_here"
        case "refused":
            return "refused_here"
        case _:
            return "open_here"


def _compared(charged: Money | None, issued: Money) -> FindingKind:
    if charged is None or charged.currency_code == issued.currency_code:
        return "matched" if charged and charged.amount == issued.amount else "amount_differs"
    return "currency_differs"


def _refunded(here: Here) -> FindingKind:
    if here.state == "issued":
        return "cancelled_there"
    return "open_here" if here.state in _OPEN else "matched"


def _issued_only(there: There, here: Here) -> FindingKind:
    if there.repeats:
        return "charged_earlier"
    return "missing_there" if here.is_listed else "unlisted"


def span(entry: Entry) -> tuple[datetime, datetime]:
    """Return from when to when the forward requests of an entry may have been executed, or reversed."""
    sent = entry.last_sent_at or entry.planned_at
    since = entry.unknown_since if entry.has_unknown and entry.unknown_since else sent
    return since, max(since, sent, *filter(None, (entry.reversed_since, entry.settled_at)))


def is_in_time(entry: Entry, start: datetime, end: datetime) -> bool:
    """Whether an entry of which the activity says nothing belongs to a time by the ledger's own clock."""
    since, until = span(entry)
    if entry.state == "issued":
        return start <= until < end
    return entry.state in _OPEN and since < end and until >= start
