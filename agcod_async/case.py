"""A reward as a case for the service's support, told from the ledger: any process can, however much later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .support import SupportReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from .ledger import Entry, Kind
    from .support import Exchange

OPERATIONS: Mapping[Kind, tuple[str, str]] = {
    "create": ("CreateGiftCard", "CancelGiftCard"),
    "activate": ("ActivateGiftCard", "DeactivateGiftCard"),
    "load": ("LoadAmazonBalance", "VoidAmazonBalanceLoad"),
}
"""The forward and the reverse operation of each kind."""

_MOST = 12
"""Earlier ids that a report has room for; the newest are what is asked about."""


def report(entry: Entry, history: Sequence[Entry], exchange: Exchange | None, now: datetime) -> SupportReport:
    """
    Return all that is known of a reward, and its request as it would be sent at present.

    Args:
        entry: as it stands.
        history: its dead generations, oldest first.
        exchange: the request, rebuilt and signed anew; None where it cannot or must not be.
        now: when the report is made.
    """
    forward, reverse = OPERATIONS[entry.kind]
    facts: dict[str, object] = {
        "endpoint": entry.endpoint,
        "partner_id": entry.partner_id,
        "operation": forward,
        "reverse_operation": None if entry.reversed_since is None else reverse,
        "request_id": entry.request_id,
        "amount": str(entry.value.amount),
        "currency_code": entry.value.currency_code,
        "gc_id": entry.gc_id,
        "reference": entry.reference,
        "state": entry.state,
        "goal": entry.goal,
        "generation": entry.generation,
        "requests_tried": entry.attempts,
        "planned_at": entry.planned_at,
        "first_sent_at": entry.first_sent_at,
        "last_sent_at": entry.last_sent_at,
        "unknown_since": entry.unknown_since,
        "reversed_since": entry.reversed_since,
        "settled_at": entry.settled_at,
        "last_error_code": entry.last_error_code,
        "last_error_type": entry.last_error_type,
        "last_error_at": entry.last_error_at,
        "aws_request_id": entry.aws_request_id,
        "reported_at": now,
    }
    left_out = len(history[:-_MOST])
    if left_out:
        facts["earlier_ids_left_out"] = left_out
    facts |= {f"generation_{old.generation}": _generation(old) for old in history[-_MOST:]}
    summary = f"{forward} {entry.request_id}, {entry.value} at {entry.endpoint}: {entry.state}"
    return SupportReport(summary=summary, facts=facts, exchange=exchange)


def _generation(entry: Entry) -> str:
    times = (
        ("first sent", entry.first_sent_at),
        ("last sent", entry.last_sent_at),
        ("settled", entry.settled_at),
    )
    told = (f"{label} {moment:%Y-%m-%dT%H:%M:%SZ}" for label, moment in times if moment is not None)
    error = " ".join(filter(None, (entry.last_error_code, entry.last_error_type)))
    parts = (f"{entry.request_id} {entry.state}", f"{entry.attempts} tried", *told, error)
    return ", ".join(filter(None, parts))
