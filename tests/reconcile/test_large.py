"""A campaign's history: 100,000 records, ten of them wrong."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

import pytest

from agcod_async.emulator import Settings
from agcod_async.reconcile import reconcile
from tests.reconcile import world
from tests.reconcile.world import END, START, Books, flat

RECORDS = 100_000
TEN = (
    world.lost_here,
    world.lost_there,
    world.other_amount,
    world.other_currency,
    world.cancelled_there,
    world.reversed_here,
    world.refused_here,
    world.open_and_charged,
    world.charged_twice,
    world.unheard_of_type,
)


async def campaign(books: Books, records: int, seed: int = 1) -> tuple[Counter, int]:
    """Fill both books, ten differences among the rest, and return what must be found, and how many match."""
    rng = Random(seed)
    planted, at = {rng.randrange(records): case for case in TEN}, START
    expected: Counter = Counter()
    step = (END - START) / records
    for number in range(records):
        if number in planted:
            expected += flat(await planted[number](books, f"order{number}", at))
        else:
            entry = await books.issued(f"order{number}", at)
            books.listed(entry.request_id, at)
        at += step
    matches = records - len(TEN)
    for key in [key for key in expected if key[0] == "matched"]:
        matches += expected.pop(key)
    return expected, matches


@pytest.mark.parametrize("unit", ["page", "offset"])
async def test_more_than_a_page_is_compared_in_batches(unit):
    """The same in small: pages and batches end in the middle of things."""
    books = Books(settings=Settings(page_index_unit=unit))
    expected, matches = await campaign(books, 2_500)
    async with reconcile(books.session, books.ledger, START, END) as result:
        assert expected == Counter([(each.kind, each.request_id) async for each in result.findings()])
        assert result.counts["matched"] == matches
        assert sum([1 async for _ in result.findings({"matched"})]) == matches


@pytest.mark.once
@pytest.mark.parametrize("unit", ["page", "offset"])
async def test_ten_differences_among_a_hundred_thousand_records_are_named(unit):
    """Whatever pageIndex counts: all of them, nothing else, and in less than a minute of CPU."""
    books = Books(settings=Settings(page_index_unit=unit))
    expected, matches = await campaign(books, RECORDS)
    began = time.process_time()
    async with reconcile(books.session, books.ledger, START, END) as result:
        found = Counter([(each.kind, each.request_id) async for each in result.findings()])
    assert time.process_time() - began < 60
    assert found == expected
    assert sum(found.values()) == len(TEN)
    assert result.counts["matched"] == matches
    assert result.received == len(books.emulator.state.activity)
