from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from agcod_async.events import ActivityIncomplete, Hooks
from agcod_async.model import CardActivity, GetGiftCardActivityPageResponse
from agcod_async.paging import records
from tests.support.properties import examples


def activity(count: int) -> list[CardActivity]:
    return [CardActivity(request_id=f"Acme1X{number}", gc_id=f"A{number}") for number in range(count)]


class Pages:
    """The service's side: counts pages or records, and announces a total or does not."""

    def __init__(
        self, listed: list[CardActivity], size: int, *, by_record: bool = False, total: int | None = None
    ) -> None:
        self.listed, self.size, self.by_record, self.total = listed, size, by_record, total
        self.asked: list[int] = []

    async def __call__(self, index: int) -> GetGiftCardActivityPageResponse:
        self.asked.append(index)
        start = index if self.by_record else index * self.size
        return GetGiftCardActivityPageResponse(
            card_activity_list=self.listed[start : start + self.size],
            page_index=index,
            total_number_of_transactions_in_requested_time_frame=self.total,
        )


async def collect(fetch) -> list[CardActivity]:
    return [record async for record in records(fetch, Hooks(()))]


@examples(80)
@given(st.integers(0, 25), st.integers(1, 8), st.booleans(), st.booleans())
async def test_every_record_comes_once_and_in_order(count, size, by_record, announces):
    """A reconciliation that misses or doubles a record reports money that is not there."""
    listed = activity(count)
    pages = Pages(listed, size, by_record=by_record, total=count if announces else None)
    assert await collect(pages) == listed


async def test_the_announced_total_saves_a_call():
    """At a call per second, the empty page at the end costs a second."""
    pages = Pages(activity(6), 3, total=6)
    assert len(await collect(pages)) == 6
    assert pages.asked == [0, 1]


async def test_without_a_total_an_empty_page_ends_the_walk():
    """The end is asked for, because nobody announced it."""
    pages = Pages(activity(6), 3)
    assert len(await collect(pages)) == 6
    assert pages.asked == [0, 1, 2]


async def test_an_index_of_records_is_noticed():
    """The second page is the first one moved by one: from there on the index counts records."""
    pages = Pages(activity(7), 3, by_record=True, total=7)
    assert await collect(pages) == activity(7)
    assert pages.asked == [0, 1, 3, 6]


async def test_a_service_that_ignores_the_index_ends_the_walk():
    """The same page again, for ever, would be a loop without an end."""
    page = GetGiftCardActivityPageResponse(card_activity_list=activity(3))

    async def fetch(_index: int) -> GetGiftCardActivityPageResponse:
        return page

    assert await collect(fetch) == activity(3)


@pytest.mark.parametrize("nothing", [None, []])
async def test_no_activity_is_no_record(nothing):
    """Both ways to say "none" end the walk at once."""
    asked: list[int] = []

    async def fetch(index: int) -> GetGiftCardActivityPageResponse:
        asked.append(index)
        return GetGiftCardActivityPageResponse(card_activity_list=nothing)

    assert await collect(fetch) == []
    assert asked == [0]


async def test_pages_are_fetched_as_they_are_needed():
    """Whoever stops after the first records asks for no further page."""
    pages = Pages(activity(9), 3)
    walk = records(pages, Hooks(()))
    assert [await anext(walk) for _ in range(3)] == activity(3)
    await walk.aclose()
    assert pages.asked == [0]


@pytest.mark.parametrize("total", [0, 2, 7])
async def test_a_total_that_does_not_fit_loses_nothing(total):
    """A total that is too small ends nothing early, and one that is too large is told."""
    told = []
    pages = Pages(activity(6), 3, total=total)
    assert [each async for each in records(pages, Hooks([told.append]))] == activity(6)
    assert told == ([ActivityIncomplete(received=6, announced=7)] if total == 7 else [])
