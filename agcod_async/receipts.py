"""What an issuer hands back: cards with their secret, and receipts without."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from .money import Money
from .secret import ClaimCode

if TYPE_CHECKING:
    from .ledger.entry import Entry, Kind, State


class Receipt(Struct, frozen=True, kw_only=True):
    """Where a reward stands: safe to store, log, pickle and return from a job. There is no code in it."""

    reference: str
    kind: Kind
    state: State
    value: Money
    request_id: str
    generation: int
    gc_id: str | None
    since: datetime
    """When the present id was planned."""
    last_error: str | None
    """The errorType, or the class of the error, that the last request ended with."""

    @classmethod
    def of(cls, entry: Entry) -> Receipt:
        """Return the receipt of *entry*."""
        return cls(
            reference=entry.reference,
            kind=entry.kind,
            state=entry.state,
            value=entry.value,
            request_id=entry.request_id,
            generation=entry.generation,
            gc_id=entry.gc_id,
            since=entry.planned_at,
            last_error=entry.last_error_type,
        )


class IssuedGiftCard(Struct, frozen=True, kw_only=True):
    """A live card, and the only place where its code is: it cannot be pickled or encoded."""

    receipt: Receipt
    claim_code: ClaimCode
    gc_expiration_date: datetime | None

    @property
    def gc_id(self) -> str | None:
        """The service's id of the card."""
        return self.receipt.gc_id
