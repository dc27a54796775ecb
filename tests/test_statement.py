from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st
from msgspec import structs

from agcod_async import LocalThrottle
from agcod_async.emulator import Settings
from agcod_async.events import ActivityIncomplete
from agcod_async.model import CardActivity
from agcod_async.statement import SLICE, effect, statement
from tests.reconcile.world import SECOND, START, Books
from tests.support.properties import examples
from tests.support.sessions import loop_clock
from tests.support.virtual_time import virtual_time

DAY = timedelta(days=1)


async def ids(books: Books, start, end, **options) -> list[str | None]:
    return [record.request_id async for record in statement(books.session, start, end, **options)]


@pytest.mark.parametrize("is_end_included", [True, False])
async def test_the_start_belongs_to_a_statement_and_the_end_does_not(is_end_included):
    """Whatever the service does about its own ends, two statements that touch list everything once."""
    books = Books(settings=Settings(window_end_included=is_end_included))
    for second in (-2, -1, 0, 1, 59, 60, 61):
        books.listed(f"Acme1{second}", START + second * SECOND)
    minute = 60 * SECOND
    assert await ids(books, START, START + minute) == ["Acme10", "Acme11", "Acme159"]
    assert await ids(books, START + minute, START + 2 * minute) == ["Acme160", "Acme161"]


@examples(30)
@given(
    st.lists(st.integers(0, 100 * 86_400), max_size=20),
    st.integers(1, 100 * 86_400),
    st.booleans(),
)
async def test_a_long_statement_lists_everything_once(seconds, length, is_end_included):
    """The longest time that the service takes is not known, so a quarter is asked for in parts."""
    books = Books(settings=Settings(window_end_included=is_end_included))
    for number, second in enumerate(sorted(seconds)):
        books.listed(f"Acme1{number}", START + second * SECOND)
    expected = [f"Acme1{number}" for number, second in enumerate(sorted(seconds)) if second < length]
    assert await ids(books, START, START + length * SECOND) == expected


async def test_no_part_is_longer_than_what_is_known_to_work():
    """29 days are; nobody knows what comes after."""
    books = Books()
    asked = []
    send = books.emulator.handle
    books.emulator.handle = lambda request: asked.append(request) or send(request)
    await ids(books, START, START + 2 * SLICE + DAY)
    assert len(asked) == 3


@virtual_time
async def test_a_page_each_second_is_what_the_account_allows():
    """A statement waits its turn: five pages take four seconds and a little."""
    books = Books(clock=loop_clock, throttle=LocalThrottle())
    for number in range(4_500):
        books.listed(f"Acme1{number}", START)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert len(await ids(books, START, START + DAY)) == 4_500
    assert 4 <= loop.time() - began < 5


async def test_nothing_is_asked_about_no_time():
    """The wrong way round, there is nothing to list."""
    assert await ids(Books(), START, START - DAY) == []


async def test_a_record_without_a_readable_time_is_not_dropped():
    """It is money, whatever its date looks like."""
    books = Books()
    books.session._transport = Misdated(books.session._transport)
    books.listed("Acme1X1", START)
    assert await ids(books, START, START + DAY) == ["Acme1X1"]


class Misdated:
    """Writes times in a way that nobody has seen yet."""

    def __init__(self, transport) -> None:
        self._transport = transport

    async def send(self, request):
        response = await self._transport.send(request)
        return structs.replace(response, body=response.body.replace(b"UTC 2026", b"in the year 2026"))


async def test_the_hook_is_told_beside_those_of_the_session():
    """Whoever reads a statement knows whether it was complete; the session's own hooks still see it all."""
    told, mine = [], []
    books = Books(hooks=[told.append])
    books.listed("Acme1X1", START)
    books.session._transport = Forgetful(books.session._transport)
    assert await ids(books, START, START + DAY, hook=mine.append) == ["Acme1X1"]
    assert mine == told
    assert ActivityIncomplete(received=1, announced=3) in mine


class Forgetful(Misdated):
    """Announces more than it lists."""

    async def send(self, request):
        response = await self._transport.send(request)
        return structs.replace(response, body=response.body.replace(b'TimeFrame":1', b'TimeFrame":3'))


@pytest.mark.parametrize(
    ("status", "is_real", "kind", "expected"),
    [
        ("Success", True, "GCCreation", "charge"),
        ("Success", True, "GCCancellation", "refund"),
        ("Success", None, "GCCreation", "charge"),
        (None, None, "GCCreation", "charge"),
        ("Success", False, "GCCreation", "repeat"),
        (None, False, "GCCancellation", "repeat"),
        ("Failed", False, "GCCreation", "failed"),
        ("FAILED", None, "GCCreation", "failed"),
        ("Failed", True, "GCCreation", "unknown"),
        ("Success", True, "GCActivation", "unknown"),
        ("Success", True, None, "unknown"),
        ("Success", False, "GCActivation", "repeat"),
    ],
)
def test_what_a_record_did_is_read_from_all_it_says(status, is_real, kind, expected):
    """Only a real, successful call of a known type moves money; a contradiction is told, not resolved."""
    record = CardActivity(activity_status=status, is_real_op=is_real, activity_type=kind)
    assert effect(record) == expected


def test_the_other_types_can_be_named():
    """What Amazon calls an activation is not public; whoever knows says so."""
    record = CardActivity(activity_status="Success", is_real_op=True, activity_type="X")
    named = Counter(effect(record, {"X": name}) for name in ("ActivateGiftCard", "VoidAmazonBalanceLoad"))
    assert named == {"charge": 1, "refund": 1}
