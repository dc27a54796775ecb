"""What every ledger decides in the same way; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, get_args

from msgspec import structs

from ..checks import check_endpoint, check_partner_id, check_shape
from ..errors import ConfigurationError, StaleEntry
from ..money import Money, payable
from .entry import Entry, Glance, Intent, Kind, Payer, Total
from .request_ids import request_id
from .states import found_open, mark_sent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from decimal import Decimal

    from .entry import State

KINDS: tuple[Kind, ...] = get_args(Kind)

LONGEST_LEASE = timedelta(minutes=10)
"""The longest that a lease may be."""

# The rest of an intent is a note to it: what the first plan said stays.
_BINDING = ("kind", "value", "card_number", "account", "program_id", "product_type")


def checked_intents(intents: Iterable[Intent], payer: Payer) -> dict[str, Intent]:
    """
    Return *intents* by reference, amounts in the form the wire wants.

    Raises:
        ConfigurationError: the service could only refuse one of them, or two of them contradict each other.
    """
    check_payer(payer)
    wanted: dict[str, Intent] = {}
    for intent in intents:
        checked = _checked(intent)
        if checked.reference in wanted:
            _check_agreement(wanted[checked.reference], checked)
        else:
            wanted[checked.reference] = checked
    return wanted


def check_payer(payer: object) -> None:
    """Refuse what names no account."""
    if not isinstance(payer, Payer):
        raise ConfigurationError("payer: a Payer is needed, such as Payer(partner_id='Acme1', endpoint='na')")
    check_partner_id(payer.partner_id)
    check_endpoint(payer.endpoint)


def _checked(intent: Intent) -> Intent:
    check_shape(intent)
    if intent.kind not in KINDS:
        raise ConfigurationError(f"kind: {intent.kind!r} is none of {', '.join(KINDS)}")
    for field, kind in (("card_number", "activate"), ("account", "load")):
        if (getattr(intent, field) is not None) != (intent.kind == kind):
            raise ConfigurationError(f"{field}: needed to {kind}, and for nothing else")
    value = payable("value", intent.value)
    return intent if value is intent.value else _with(intent, value=value)


def _with(intent: Intent, **changes: object) -> Intent:
    return structs.replace(intent, **changes)


def planned(intent: Intent, payer: Payer, now: datetime, due_in: float = 0.0) -> Entry:
    """Return the first entry of *intent*."""
    return Entry(
        reference=intent.reference,
        value=intent.value,
        kind=intent.kind,
        card_number=intent.card_number,
        account=intent.account,
        transaction_source=intent.transaction_source,
        program_id=intent.program_id,
        product_type=intent.product_type,
        external_reference=intent.external_reference,
        partner_id=payer.partner_id,
        endpoint=payer.endpoint,
        request_id=request_id(payer.partner_id, intent.reference, 1),
        planned_at=now,
        due_at=now + timedelta(seconds=due_in),
    )


def check_same(entries: Mapping[str, Entry], wanted: Mapping[str, Intent], payer: Payer) -> None:
    """Refuse intents whose reference stands for something else already."""
    for reference, entry in entries.items():
        check_owned(entry, payer)
        _check_agreement(entry, wanted[reference])


def disagreement(entry: Entry, intent: Intent, payer: Payer) -> str | None:
    """Return why *intent* cannot be what *entry* stands for, if it cannot."""
    try:
        check_same({intent.reference: entry}, {intent.reference: intent}, payer)
    except ConfigurationError as wrong:
        return wrong.message
    return None


def glances(found: Mapping[str, Entry], intents: Iterable[Intent], payer: Payer) -> list[Glance | None]:
    """Return how *intents* stand among the entries that were *found*."""
    pairs = ((found.get(intent.reference), intent) for intent in intents)
    return [
        None if entry is None else Glance(entry.state, entry.goal, disagreement(entry, intent, payer))
        for entry, intent in pairs
    ]


def check_owned(entry: Entry, payer: Payer) -> None:
    """Refuse to let one account touch what another one pays for."""
    if entry.payer != payer:
        raise ConfigurationError(
            f"reference: {entry.reference!r} belongs to {entry.payer}, and this is {payer}; a ledger holds "
            "a reference once: use another reference, or the session that it belongs to"
        )


def _check_agreement(first: Intent, second: Intent) -> None:
    for field in _BINDING:
        if getattr(first, field) != getattr(second, field):
            raise ConfigurationError(
                f"{field}: reference {first.reference!r} stands for another one already; "
                "a reference names one reward, for ever"
            )


def is_free(entry: Entry, owner: str, now: datetime) -> bool:
    """Whether *owner* may claim the entry: nobody else holds a lease that is still alive."""
    return entry.owner in (None, owner) or not _is_leased(entry, now)


def is_due(entry: Entry, now: datetime) -> bool:
    """Whether recovery may take the entry at *now*."""
    return entry.due_at is not None and entry.due_at <= now and not _is_leased(entry, now)


def _is_leased(entry: Entry, now: datetime) -> bool:
    # What ends later than any lease may was written by a clock that was wrong, and would block for as long.
    return entry.lease_until is not None and now < entry.lease_until <= now + LONGEST_LEASE


def claimed(entry: Entry, owner: str, lease: float, now: datetime) -> Entry:
    """
    Return the entry with *owner*'s lease on it, as it is to be stored.

    Found as ``sent``, it has a request whose fate nobody knows any more.
    """
    if entry.state == "sent":
        entry = found_open(entry, now)
    return structs.replace(
        entry, owner=owner, lease_until=now + timedelta(seconds=lease), version=entry.version + 1
    )


def begun(
    entry: Entry, owner: str, lease: float, now: datetime, signing: datetime | None = None
) -> Entry | None:
    """Return a planned entry claimed by *owner* and marked as sent; None if it has a past or a driver."""
    if entry.state != "planned" or not is_free(entry, owner, now):
        return None
    return mark_sent(claimed(entry, owner, lease, now), now, signing)


def check_lease(owner: str, lease: float) -> None:
    """Refuse a lease that would protect nothing, or is longer than any that is believed."""
    if not owner or not 0 < lease <= LONGEST_LEASE.total_seconds():
        raise ConfigurationError(
            "owner and lease: a name of its own for each driver, and more than 0 to 600 seconds"
        )


def check_save(entry: Entry, retired: Entry | None) -> None:
    """Refuse a write that changes the id without burying the old one, or the other way round."""
    before = retired or entry
    renewed = retired is not None
    fits = (
        before.reference == entry.reference
        and before.version == entry.version
        and before.generation + renewed == entry.generation
        and (not renewed or (before.state == "reversed" and before.request_id != entry.request_id))
    )
    if not fits:
        raise ConfigurationError("retired: the entry's own last generation, reversed, is what can be retired")


def identity(entry: Entry) -> tuple[str, int, str, str, str, Decimal, str]:
    """Return what a write compares: the version, and what no write may change."""
    value = entry.value
    return (
        entry.reference,
        entry.version,
        entry.request_id,
        entry.endpoint,
        entry.kind,
        value.amount,
        value.currency_code,
    )


def next_version(entry: Entry) -> Entry:
    """Return the entry as it is to be stored."""
    return structs.replace(entry, version=entry.version + 1)


def stale(entry: Entry) -> StaleEntry:
    """Return the error of a write that came too late."""
    return StaleEntry(
        f"{entry.reference!r} has moved on since version {entry.version} was read",
        request_id=entry.request_id,
    )


def total(
    partner_id: str, endpoint: str, state: State, currency_code: str, count: int, amount: Decimal
) -> Total:
    """Return one line of a summary."""
    payer = Payer(partner_id=partner_id, endpoint=endpoint)
    return Total(payer=payer, state=state, count=count, value=Money(amount, currency_code))


def unplanned(reference: str) -> ConfigurationError:
    """Return the error of a claim on nothing."""
    return ConfigurationError(f"reference: {reference!r} is not in the ledger: plan it first")
