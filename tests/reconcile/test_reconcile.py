from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st
from msgspec import structs

from agcod_async import AgcodError, ConfigurationError, Money, RetryPolicy, RetryScheduled
from agcod_async.emulator import Fault, FaultKind, Settings
from agcod_async.events import ActivityIncomplete
from agcod_async.ledger import Intent, Payer, states
from agcod_async.reconcile import DIFFERENCES, reconcile
from tests.reconcile.world import CASES, END, NOW, SECOND, START, VALUE, Books, flat
from tests.support.properties import examples

HOUR = timedelta(hours=1)
NOON = START + 12 * HOUR
NAMED = {
    "GCCreation": "CreateGiftCard",
    "GCCancellation": "CancelGiftCard",
    "GCActivation": "ActivateGiftCard",
    "GCDeactivation": "DeactivateGiftCard",
}
PHYSICAL = {"kind": "activate", "card_number": "1" * 19}


async def found(books: Books, start=START, end=END, **options) -> Counter:
    """Return what a reconciliation finds, as (kind, request id)."""
    async with reconcile(books.session, books.ledger, start, end, **options) as result:
        findings = [finding async for finding in result.findings(())]
        assert result.counts == Counter(finding.kind for finding in findings)
        return Counter((finding.kind, finding.request_id) for finding in findings)


async def totals(books: Books, **options) -> dict[str, tuple[str, str, str]]:
    async with reconcile(books.session, books.ledger, START, END, **options) as result:
        return {
            each.charged.currency_code: (str(each.charged), str(each.issued), str(each.difference))
            for each in result.totals
        }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_each_case_is_named_rightly(case):
    """The name decides what a person does next, and whether money is claimed back."""
    books = Books()
    expected = flat(await case(books, "order1", NOON))
    assert await found(books) == expected


seconds = st.one_of(
    st.integers(-7200, 86_400 + 7200),
    st.sampled_from((-1801, -1800, -1, 0, 1, 86_399, 86_400, 86_401, 88_200, 88_201)),
)
histories = st.lists(st.tuples(st.sampled_from(CASES), seconds), max_size=30)
gateways = st.builds(
    Settings,
    page_index_unit=st.sampled_from(("page", "offset")),
    window_end_included=st.booleans(),
    total_counts_no_ops=st.booleans(),
)


@examples(150)
@given(histories, gateways)
async def test_exactly_the_planted_differences_are_found(history, settings):
    """Whatever is in the books, at whichever second: what is found is what was planted, no more, no less."""
    books = Books(settings=settings)
    expected: Counter = Counter()
    for number, (case, second) in enumerate(history):
        at = START + second * SECOND
        planted = flat(await case(books, f"order{number}", at))
        if START <= at < END:
            expected += planted
    assert await found(books) == expected


@examples(60)
@given(histories, st.sets(st.integers(1, 86_399), max_size=3), st.data())
async def test_windows_that_touch_find_everything_once(history, cuts, data):
    """Daily runs add up: nothing is lost between two of them, and nothing is told twice."""
    books = Books()
    for number, (case, second) in enumerate(history):
        await case(books, f"order{number}", START + second * SECOND)
    for number in range(data.draw(st.integers(0, 4))):
        # Settled hours after it was sent, and charged at any moment between, or never.
        sent = START + data.draw(seconds) * SECOND
        wait = data.draw(st.integers(1, 40_000))
        entry = await books.issued(f"slow{number}", sent, after=wait * SECOND)
        if data.draw(st.booleans()):
            books.listed(entry.request_id, sent + data.draw(st.integers(0, wait)) * SECOND)
    days = [START, *(START + cut * SECOND for cut in sorted(cuts)), END]
    parts = [await found(books, first, last) for first, last in pairwise(days)]
    assert sum(parts, Counter()) == await found(books)


async def test_a_card_belongs_to_the_moment_of_its_charge():
    """The answer was lost at night and the card found in the morning: it is the evening's, and no alarm."""
    books, evening = Books(), END - 2 * HOUR
    entry = await books.issued("order1", evening, after=10 * HOUR)
    books.listed(entry.request_id, evening)
    assert await found(books) == {("matched", entry.request_id): 1}
    assert await found(books, END, END + 24 * HOUR) == {}


async def test_what_was_charged_long_after_it_was_sent_is_no_alarm():
    """It was executed on the ninth repeat, the next day."""
    books, evening = Books(), END - 2 * HOUR
    entry = await books.issued("order1", evening, after=10 * HOUR)
    books.listed(entry.request_id, evening + 10 * HOUR)
    assert await found(books) == {}
    assert await found(books, END, END + 24 * HOUR) == {("matched", entry.request_id): 1}


async def test_absence_is_told_when_everything_was_read_that_could_hold_it():
    """The record could lie anywhere between the sending and the settling: all that is read before a word."""
    books, evening = Books(), END - 2 * HOUR
    entry = await books.issued("order1", evening, after=10 * HOUR)
    assert await found(books) == {}
    assert await found(books, END, END + 24 * HOUR) == {("missing_there", entry.request_id): 1}


@pytest.mark.parametrize("minutes", [-14, 14])
async def test_two_clocks_that_differ_are_no_alarm(minutes):
    """The ledger's time is this machine's, and may be off by as much as a signature allows."""
    books = Books()
    for number, at in enumerate((START + SECOND, START - SECOND, END + SECOND, END - SECOND)):
        entry = await books.issued(f"order{number}", at)
        books.listed(entry.request_id, at + timedelta(minutes=minutes))
    kinds = {kind for day in (-1, 0, 1) for kind, _ in await found(books, *_day(day))}
    assert kinds == {"matched"}


def _day(number: int) -> tuple[datetime, datetime]:
    return START + 24 * number * HOUR, END + 24 * number * HOUR


async def test_a_cancellation_after_the_end_counts_with_its_card():
    """Created before midnight, cancelled after it: both books say nothing is left, on both days."""
    books, evening = Books(), END - SECOND
    entry = await books.reversed("order1", evening)
    books.listed(entry.request_id, evening)
    books.cancelled(entry.request_id, evening + timedelta(minutes=15))
    assert await found(books) == {("matched", entry.request_id): 1}
    assert await found(books, *_day(1)) == {}


async def test_a_reversal_days_later_is_read_for():
    """Whether a deactivation has a time limit is not public: it is looked for where the ledger has it."""
    books = Books()
    entry = await books.sent("order1", NOON, **PHYSICAL)
    entry = await books.ledger.save(states.settle_issued(entry, NOON, None))
    later = NOON + 60 * HOUR
    entry = await books.ledger.save(states.begin_reverse(entry, "undo", later))
    await books.ledger.save(states.settle_reversed(entry, later))
    books.listed(entry.request_id, NOON, kind="GCActivation")
    assert await found(books, activity_types=NAMED) == {("reversed_here", entry.request_id): 1}
    books.listed(entry.request_id, later, None, kind="GCDeactivation")
    assert await found(books, activity_types=NAMED) == {("matched", entry.request_id): 1}
    assert await found(books, *_day(2), activity_types=NAMED) == {}


async def test_a_card_that_somebody_takes_back_days_later_is_told_on_that_day():
    """Its charge is of another time, and it is dead since this one."""
    books = Books()
    entry = await books.issued("order1", NOON, **PHYSICAL)
    books.listed(entry.request_id, NOON, kind="GCActivation")
    books.listed(entry.request_id, NOON + 48 * HOUR, None, kind="GCDeactivation")
    assert await found(books, activity_types=NAMED) == {("matched", entry.request_id): 1}
    assert await found(books, *_day(2), activity_types=NAMED) == {("cancelled_there", entry.request_id): 1}


async def test_a_named_activation_is_compared_like_a_card():
    """Whoever knows what it is called there gets the whole comparison."""
    books = Books()
    entry = await books.issued("order1", NOON, **PHYSICAL)
    assert await found(books, activity_types=NAMED) == {("missing_there", entry.request_id): 1}
    books.listed(entry.request_id, NOON, kind="GCActivation")
    assert await found(books, activity_types=NAMED) == {("matched", entry.request_id): 1}


async def test_a_new_ledger_that_met_old_cards_is_no_alarm():
    """The ledger was lost and filled anew: Amazon charged last month, and lists a repeat today."""
    books = Books()
    entry = await books.issued("order1", NOON)
    books.listed(entry.request_id, NOON, is_real=False)
    assert await found(books) == {("charged_earlier", entry.request_id): 1}
    assert await totals(books) == {}


async def test_what_names_no_id_is_told():
    """It cannot be matched, and must not be dropped."""
    books = Books()
    books.listed("", NOON)
    books.listed("", NOON + SECOND)
    assert await found(books) == {("unknown_activity", None): 1}
    async with reconcile(books.session, books.ledger, START, END) as result:
        [finding] = [each async for each in result.findings()]
    assert (finding.detail, finding.at) == ("GCCreation", NOON)


async def test_a_finding_says_what_a_person_needs():
    """Ids of both books, both amounts, the time, and what Amazon called it."""
    books = Books()
    dead, alive = await books.replaced("order1", NOON)
    books.listed(dead.request_id, NOON, Money("25", "USD"))
    books.listed(alive.request_id, NOON + SECOND, Money("20.00", "USD"))
    async with reconcile(books.session, books.ledger, START, END) as result:
        first, second = [each async for each in result.findings()]
    assert (first.kind, first.reference, first.generation, first.state) == (
        "duplicate",
        "order1",
        1,
        "reversed",
    )
    assert (first.charged, first.issued, first.at) == (VALUE, None, NOON)
    assert (second.kind, second.charged, second.issued) == ("amount_differs", Money("20", "USD"), VALUE)
    assert first.gc_id == f"A{dead.request_id[-12:]}"
    assert first.is_difference
    assert "unlisted" not in DIFFERENCES


async def test_totals_are_by_currency_and_exact():
    """Cents add up to the cent; what was given back does not count."""
    books = Books()
    for number in range(3):
        entry = await books.issued(f"dime{number}", NOON, Money("0.10", "USD"))
        books.listed(entry.request_id, NOON, Money("0.1", "USD"))
    books.listed("Acme1foreign", NOON, Money("500", "JPY"))
    books.listed("Acme1given1back", NOON, Money("70", "USD"))
    books.cancelled("Acme1given1back", NOON)
    entry = await books.issued("order1", NOON)
    await books.issued("plastic", NOON, Money("5.00", "USD"), **PHYSICAL)
    assert await totals(books) == {
        "JPY": ("500 JPY", "0 JPY", "500 JPY"),
        "USD": ("0.30 USD", "25.30 USD", "-25.00 USD"),
    }
    async with reconcile(books.session, books.ledger, START, END) as result:
        assert [each.unlisted for each in result.totals] == [Money(0, "JPY"), Money("5.00", "USD")]


async def test_balanced_books_are_said_to_be():
    """Repeats are counted apart, refusals and what cannot be compared are no differences."""
    books = Books()
    entry = await books.issued("order1", NOON)
    books.listed(entry.request_id, NOON)
    books.listed(entry.request_id, NOON, is_real=False)
    books.listed("Acme1refused", NOON, failure="InsufficientFunds")
    await books.issued("plastic", NOON, **PHYSICAL)
    async with reconcile(books.session, books.ledger, START, END) as result:
        assert result.is_balanced
        assert (result.no_ops, result.received) == (1, 3)
        assert result.counts == {"matched": 1, "failed": 1, "unlisted": 1}
        assert [each async for each in result.findings()] == []
    await books.issued("lost", NOON)
    async with reconcile(books.session, books.ledger, START, END) as result:
        assert not result.is_balanced


async def test_other_accounts_in_the_ledger_are_left_alone():
    """A sandbox's entries, or another partner's, are no business of this account's activity."""
    books = Books()
    entry = await books.issued("order1", NOON)
    books.listed(entry.request_id, NOON)
    for payer in (Payer(partner_id="Acme1", endpoint="na-sandbox"), Payer(partner_id="Other", endpoint="na")):
        [other] = await books.ledger.plan(
            [Intent(reference=f"{payer.partner_id} {payer.endpoint}", value=VALUE)], payer=payer
        )
        other = await books.ledger.save(states.mark_sent(other, NOON))
        await books.ledger.save(states.settle_issued(other, NOON, None))
    assert await found(books) == {("matched", entry.request_id): 1}


class Boastful:
    """Announces a record more than there is."""

    def __init__(self, transport) -> None:
        self._transport = transport

    async def send(self, request):
        response = await self._transport.send(request)
        return structs.replace(response, body=response.body.replace(b'TimeFrame":1', b'TimeFrame":2'))

    async def aclose(self) -> None:
        await self._transport.aclose()


async def test_a_statement_that_breaks_off_is_not_balanced():
    """Fewer records than were announced: whatever is missing there may only be missing in what came."""
    told = []
    books = Books(hooks=[told.append])
    books.session._transport = Boastful(books.session._transport)
    entry = await books.issued("order1", NOON)
    books.listed(entry.request_id, NOON)
    async with reconcile(books.session, books.ledger, START, END) as result:
        assert result.incomplete == ActivityIncomplete(received=1, announced=2)
        assert not result.is_balanced
        assert result.counts == {"matched": 1}
    assert [event for event in told if isinstance(event, ActivityIncomplete)] == [result.incomplete]


async def test_a_page_that_comes_on_the_second_attempt_is_no_incident():
    """A session repeats what does no harm; nothing is read twice for it."""
    told = []
    books = Books(hooks=[told.append], retry=RetryPolicy(base_delay=0))
    entry = await books.issued("order1", NOON)
    books.listed(entry.request_id, NOON)
    books.emulator.faults.arm(Fault(FaultKind.FAULT_BEFORE, times=1))
    async with reconcile(books.session, books.ledger, START, END) as result:
        assert result.is_balanced
    assert [event.attempt for event in told if isinstance(event, RetryScheduled)] == [1]


@pytest.mark.parametrize(
    ("start", "end", "named"),
    [
        (START.replace(tzinfo=None), END, "start"),
        (START, END.replace(tzinfo=None), "end"),
        (END, START, "end"),
        (START, START, "end"),
        (START, NOW + SECOND, "end"),
    ],
)
async def test_a_time_that_cannot_be_is_refused(start, end, named):
    """Before anything is asked: a report about the future would be one about nothing."""
    books = Books()
    with pytest.raises(ConfigurationError, match=f"^{named}"):
        await found(books, start, end)


async def test_a_type_must_name_an_operation_that_moves_money():
    """A typing error would leave every activation unlisted, in silence."""
    with pytest.raises(ConfigurationError, match="'GCActivation' is said to be 'ActivateCard'"):
        await found(Books(), activity_types={"GCActivation": "ActivateCard"})


async def test_an_account_without_activity_says_so():
    """The page can be switched off: then nothing can be compared, and nothing is said."""
    books = Books()
    state = books.emulator.state
    state.add_partner(replace(state.partners["Acme1"], has_activity_page=False))
    with pytest.raises(AgcodError, match="APIGetGiftCardActivityPageIsDisabled"):
        await found(books)


async def test_times_of_any_zone_and_fraction_are_taken():
    """The service cuts to the second, and so does this; a zone is only another way to write a moment."""
    books = Books()
    entry = await books.issued("order1", NOON)
    books.listed(entry.request_id, NOON)
    tokyo = timezone(9 * HOUR)
    start, end = START.astimezone(tokyo) + timedelta(milliseconds=900), END.astimezone(tokyo)
    async with reconcile(books.session, books.ledger, start, end) as result:
        assert (result.start, result.end) == (START, END)
        assert result.is_balanced


async def test_the_present_is_not_asked_for_beyond_now():
    """A time that ends now reads to now: the service may refuse dates of the future."""
    books = Books()
    await books.issued("order1", NOW - SECOND)
    assert set((await found(books, NOW - HOUR, NOW)).values()) == {1}


async def test_progress_is_told():
    """A hundred thousand records take a hundred seconds, and somebody sits before them."""
    books, told = Books(), []
    for number in range(2):
        entry = await books.issued(f"order{number}", NOON)
        books.listed(entry.request_id, NOON)
    await found(books, progress=lambda book, count: told.append((book, count)))
    assert told == [("activity", 2), ("ledger", 2)]


async def test_what_is_cancelled_leaves_nothing_behind():
    """
    Cancelled in the middle of a page, of its findings, or while its file opens or closes, thread and file go
    at once. (From Python 3.13 on, a connection that nobody closed warns when it is collected.)
    """
    books = Books()
    for number in range(3):
        books.listed(f"Acme1x{number}", NOON)
    threads = threading.active_count()
    steps = 0
    while True:
        steps += 1
        task = asyncio.create_task(found(books))
        for _ in range(steps):
            await asyncio.sleep(0)
        if not task.cancel():
            break
        with suppress(asyncio.CancelledError):
            await task
    await asyncio.sleep(0.05)
    gc.collect()
    assert threading.active_count() == threads
    assert steps > 20
