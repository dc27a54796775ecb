"""All pages of the account's activity, one record after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .events import ActivityIncomplete

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from .events import Hooks
    from .model import CardActivity, GetGiftCardActivityPageResponse


async def records(
    fetch: Callable[[int], Awaitable[GetGiftCardActivityPageResponse]], hooks: Hooks
) -> AsyncGenerator[CardActivity, None]:
    """
    Yield the records of every page that *fetch* returns for a page index.

    Public sources do not agree whether the index counts pages or records. The second page tells: if it
    is the first one moved by one record, the index counts records. The walk ends on an empty page, when
    exactly the announced total is reached, or on a page that repeats the one before.
    """
    page = await fetch(0)
    seen: list[CardActivity] = []
    total, index, counts_records = 0, 0, False
    announced: int | None = None
    while (batch := page.card_activity_list) and batch != seen:
        if index == 1 and not counts_records and _overlaps(previous=seen, batch=batch):
            counts_records = True
            index = len(seen)
        else:
            for record in batch:
                yield record
            seen = batch
            total += len(batch)
            index = total if counts_records else index + 1
        announced = page.total_number_of_transactions_in_requested_time_frame
        if total == announced:
            return
        page = await fetch(index)
    if announced is not None and total < announced:
        hooks.emit(ActivityIncomplete(received=total, announced=announced))


def _overlaps(previous: list[CardActivity], batch: list[CardActivity]) -> bool:
    return len(previous) > 1 and batch[: len(previous) - 1] == previous[1:]
