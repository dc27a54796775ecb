"""The account's statement: every record of a time once, and what each one did to the money."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from .dates import wire_date
from .errors import ConfigurationError
from .model import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping

    from .events import Hook
    from .model import CardActivity
    from .session import AgcodSession

Effect = Literal["charge", "refund", "repeat", "failed", "unknown"]
"""
What a recorded call did: ``charge`` took money, ``refund`` gave back what its request id had taken,
``repeat`` and ``failed`` changed nothing, and ``unknown`` is real but of a type that nobody has named.
"""

ACTIVITY_TYPES: Mapping[str, str] = {"GCCreation": "CreateGiftCard", "GCCancellation": "CancelGiftCard"}
"""The operation behind each activityType: these two are recorded, the others are not public."""

SLICE = timedelta(days=28)
"""The longest time that one walk over the pages asks for: 29 days are known to work, the limit is not."""

_SECOND = timedelta(seconds=1)


def effect(record: CardActivity, activity_types: Mapping[str, str] = ACTIVITY_TYPES) -> Effect:
    """Return what *record* did. A record that does not say whether it is real counts as real."""
    has_failed = record.activity_status is not None and record.activity_status.casefold() == "failed"
    if record.is_real_op is False or (has_failed and record.is_real_op is None):
        return "failed" if has_failed else "repeat"
    operation = OPERATIONS.get(activity_types.get(record.activity_type or "", ""))
    if has_failed or operation is None:
        return "unknown"
    return "charge" if operation.reverse else "refund"


def check_activity_types(activity_types: Mapping[str, str]) -> None:
    """Refuse names for operations that move no money."""
    moving = {operation.name for operation in OPERATIONS.values() if operation.reverse}
    moving |= {operation.reverse for operation in OPERATIONS.values() if operation.reverse}
    for name, operation in activity_types.items():
        if operation not in moving:
            raise ConfigurationError(
                f"activity_types: {name!r} is said to be {operation!r}, which is none of "
                f"{', '.join(sorted(moving))}"
            )


def whole_seconds(field: str, moment: datetime) -> datetime:
    """Return *moment* in UTC, cut to the second as the service does; refuse what has no time zone."""
    return datetime.fromisoformat(wire_date(moment, field)).replace(tzinfo=UTC)


async def statement(
    session: AgcodSession, start: datetime, end: datetime, *, hook: Hook | None = None
) -> AsyncGenerator[CardActivity, None]:
    """
    Yield every record from *start* (included) to *end* (excluded), ascending, no-ops too.

    Whether the service's own times include their ends is not public: a second more is asked for, and what
    is outside is dropped here. A record whose time cannot be read is not dropped. The
    calls have the priority ``bulk``; at a page of 1000 per second, 100,000 records take 100 seconds.

    Args:
        session: whose account.
        start: aware, whole seconds count.
        end: aware, after *start*.
        hook: told of the session's events meanwhile, above all of an incomplete statement
            (ActivityIncomplete).
    """
    start, end = whole_seconds("start", start), whole_seconds("end", end)
    asking = session.with_options(priority="bulk", hooks=[] if hook is None else [hook])
    for first, last in _slices(start, end):
        records = asking.iter_gift_card_activity(first - _SECOND, last, show_no_ops=True)
        async with aclosing(records):
            async for record in records:
                moment = record.activity_time
                if moment is None or first <= moment < last:
                    yield record


def _slices(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        last = min(start + SLICE, end)
        yield start, last
        start = last
