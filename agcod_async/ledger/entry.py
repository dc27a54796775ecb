"""What a ledger remembers of one reward: the intent, and how far it has come."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import Struct

from ..model import Account, TransactionSource
from ..money import Money

Kind = Literal["create", "activate", "load"]
"""Which forward operation issues it; each has its reverse."""

Goal = Literal["issue", "replace", "undo"]
"""What whoever drives an entry strives for: ``replace`` is undo, then issue under a new id."""

State = Literal["planned", "sent", "issued", "refused", "reversing", "reversed", "abandoned"]
"""
``planned``: nothing has left. ``sent``: a forward request may have left, its outcome is unknown.
``issued``: the card lives. ``refused``: nothing was issued, and nothing is on its way.
``reversing``: a reverse request has left or may have; the code of this id is never handed out.
``reversed``: nothing lives under this id, for ever. ``abandoned``: unknown for too long, a case for a person.
"""


class Payer(Struct, frozen=True, kw_only=True):
    """The account that pays: a partner at an endpoint. Money of a sandbox is no money anywhere else."""

    partner_id: str
    endpoint: str
    """The :attr:`~agcod_async.Endpoint.identity` of the endpoint: ``na``, ``eu-sandbox``, or an origin."""

    def __str__(self) -> str:
        return f"partner {self.partner_id} at {self.endpoint}"


class Intent(Struct, frozen=True, kw_only=True):
    """What is to be issued. The reference is the caller's own: order, payout or job."""

    reference: str
    """Up to 255 characters; compared as they are, so normalise what people type."""

    value: Money
    kind: Kind = "create"
    card_number: str | None = None
    """Of the physical card, for ``activate``."""

    account: Account | None = None
    """Whose balance, for ``load``."""

    transaction_source: TransactionSource | None = None
    program_id: str | None = None
    product_type: str | None = None
    external_reference: str | None = None


class Entry(Intent, frozen=True, kw_only=True):
    """
    An intent and its state, as they were read; :mod:`agcod_async.ledger.states` makes the next one.

    Times are aware and UTC. There is no claim code here: it comes back by repeating the create.
    """

    partner_id: str
    endpoint: str
    """Where alone it may be sent, see :class:`Payer`."""

    generation: int = 1
    """Counts the ids used up for this reference."""

    request_id: str
    goal: Goal = "issue"
    state: State = "planned"
    version: int = 1
    """Rises with every write; a write names the version it was made from."""

    owner: str | None = None
    lease_until: datetime | None = None
    attempts: int = 0
    """Forward requests that were tried under this id."""

    planned_at: datetime
    first_sent_at: datetime | None = None
    last_sent_at: datetime | None = None
    """When the last forward request may have left."""

    sign_by: datetime | None = None
    """
    No forward request that may be under way under this id is signed later than this, by the clock that
    signs; see :func:`~agcod_async.ledger.states.is_gone`.
    """

    alive_at: datetime | None = None
    """When the service first showed that it lives, by the clock that signs."""

    unknown_since: datetime | None = None
    reversed_since: datetime | None = None
    """When the first reverse request of the present chain may have left."""

    settled_at: datetime | None = None
    due_at: datetime | None = None
    """When somebody should drive it on; None when there is nothing left to do."""

    has_unknown: bool = False
    """Whether the fate of an earlier forward request under this id is unknown: no refusal is final then."""

    last_error_code: str | None = None
    last_error_type: str | None = None
    last_error_at: datetime | None = None
    aws_request_id: str | None = None
    """The service's own id of the exchange that ended in the last error, if it named one."""

    gc_id: str | None = None

    @property
    def payer(self) -> Payer:
        """Whose entry it is."""
        return Payer(partner_id=self.partner_id, endpoint=self.endpoint)

    def __repr__(self) -> str:
        return (
            f"<Entry {self.reference!r}: {self.kind} {self.value}, {self.request_id} at {self.endpoint} "
            f"(generation {self.generation}) {self.state}, to {self.goal}, version {self.version}>"
        )


class Glance(NamedTuple):
    """What a campaign wants to know of an entry, a million times."""

    state: State
    goal: Goal
    disagreement: str | None = None
    """Why the entry cannot stand for the intent that was asked about, if it cannot."""


class Total(Struct, frozen=True, kw_only=True):
    """How many entries of one payer are in a state, and what they are worth in one currency."""

    payer: Payer
    state: State
    count: int
    value: Money
