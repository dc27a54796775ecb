"""Entries to rows of a table, and back: one flat row each, in the order of :data:`COLUMNS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..model import Account, TransactionSource
from ..money import Money
from .entry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from decimal import Decimal

INTENT_COLUMNS = (
    "reference",
    "kind",
    "amount",
    "currency_code",
    "card_number",
    "account_id",
    "account_type",
    "source_id",
    "institution_id",
    "source_details",
    "program_id",
    "product_type",
    "external_reference",
    "partner_id",
    "endpoint",
)
"""What a plan fixes for ever."""

STATE_COLUMNS = (
    "generation",
    "request_id",
    "goal",
    "state",
    "version",
    "owner",
    "lease_until",
    "attempts",
    "planned_at",
    "first_sent_at",
    "last_sent_at",
    "sign_by",
    "alive_at",
    "unknown_since",
    "reversed_since",
    "settled_at",
    "due_at",
    "has_unknown",
    "last_error_code",
    "last_error_type",
    "last_error_at",
    "aws_request_id",
    "gc_id",
)
"""What a save writes."""

COLUMNS = (*INTENT_COLUMNS, *STATE_COLUMNS)


def _same(value: object) -> object:
    return value


def intent_row(entry: Entry, amount: Callable[[Decimal], object] = _same) -> tuple[object, ...]:
    """Return the values of :data:`INTENT_COLUMNS`."""
    account, source = entry.account, entry.transaction_source
    return (
        entry.reference,
        entry.kind,
        amount(entry.value.amount),
        entry.value.currency_code,
        entry.card_number,
        account and account.id,
        account and account.type,
        source and source.source_id,
        source and source.institution_id,
        source and source.source_details,
        entry.program_id,
        entry.product_type,
        entry.external_reference,
        entry.partner_id,
        entry.endpoint,
    )


def state_row(entry: Entry, time: Callable[[datetime | None], object] = _same) -> tuple[object, ...]:
    """Return the values of :data:`STATE_COLUMNS`."""
    return (
        entry.generation,
        entry.request_id,
        entry.goal,
        entry.state,
        entry.version,
        entry.owner,
        time(entry.lease_until),
        entry.attempts,
        time(entry.planned_at),
        time(entry.first_sent_at),
        time(entry.last_sent_at),
        time(entry.sign_by),
        time(entry.alive_at),
        time(entry.unknown_since),
        time(entry.reversed_since),
        time(entry.settled_at),
        time(entry.due_at),
        entry.has_unknown,
        entry.last_error_code,
        entry.last_error_type,
        time(entry.last_error_at),
        entry.aws_request_id,
        entry.gc_id,
    )


def entry_from(row: Sequence[Any], time: Callable[[Any], Any] = _same) -> Entry:
    """Return the entry that *row* holds."""
    (
        reference, kind, amount, currency_code, card_number, account_id, account_type,
        source_id, institution_id, source_details, program_id, product_type, external_reference, partner_id,
        endpoint, generation, request_id, goal, state, version, owner, lease_until, attempts,
        planned_at, first_sent_at, last_sent_at, sign_by, alive_at, unknown_since, reversed_since,
        settled_at, due_at, has_unknown, last_error_code, last_error_type, last_error_at,
        aws_request_id, gc_id,
    ) = row  # fmt: skip
    return Entry(
        reference=reference,
        value=Money(amount, currency_code),
        kind=kind,
        card_number=card_number,
        account=None if account_id is None else Account(id=account_id, type=account_type),
        transaction_source=None
        if source_id is None
        else TransactionSource(
            source_id=source_id, institution_id=institution_id, source_details=source_details
        ),
        program_id=program_id,
        product_type=product_type,
        external_reference=external_reference,
        partner_id=partner_id,
        endpoint=endpoint,
        generation=generation,
        request_id=request_id,
        goal=goal,
        state=state,
        version=version,
        owner=owner,
        lease_until=time(lease_until),
        attempts=attempts,
        planned_at=time(planned_at),
        first_sent_at=time(first_sent_at),
        last_sent_at=time(last_sent_at),
        sign_by=time(sign_by),
        alive_at=time(alive_at),
        unknown_since=time(unknown_since),
        reversed_since=time(reversed_since),
        settled_at=time(settled_at),
        due_at=time(due_at),
        has_unknown=bool(has_unknown),
        last_error_code=last_error_code,
        last_error_type=last_error_type,
        last_error_at=time(last_error_at),
        aws_request_id=aws_request_id,
        gc_id=gc_id,
    )
