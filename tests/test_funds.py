from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from agcod_async import AgcodError, ConfigurationError, FundsUnreadable, LowFunds, Money
from agcod_async.emulator import Fault, FaultKind
from agcod_async.events import ActivityIncomplete
from agcod_async.funds import DAYS, FundsMonitor, FundsReading, Spending, read_funds, read_spending
from agcod_async.model import CardActivity
from tests.reconcile.world import END, SECOND, START, Books
from tests.support.properties import examples
from tests.support.sessions import loop_clock
from tests.support.virtual_time import virtual_time

DAY = timedelta(days=1)


def dollars(amount: str | int) -> Money:
    return Money(amount, "USD")


def card(number: int, amount: str | None = "10.00", currency: str = "USD", **fields) -> CardActivity:
    fields.setdefault("activity_time_text", "Sun Mar 01 12:00:00 UTC 2026")
    return CardActivity(
        activity_type=fields.pop("kind", "GCCreation"),
        activity_status="Success",
        is_real_op=fields.pop("is_real_op", True),
        request_id=f"Acme1X{number}",
        card_value=amount and Money(amount, currency),
        **fields,
    )


def spending(*records: CardActivity, **options) -> Spending:
    added = Spending(**options)
    for record in records:
        added.add(record)
    return added


# Arithmetic


def test_only_what_is_real_is_spent():
    """Repeats are listed with the amount that was asked for, and failures with one that was never paid."""
    added = spending(
        card(1),
        card(1, "99.00", is_real_op=False),
        card(2, is_real_op=False),
        card(3, "0.1"),
        card(4, "500", "JPY"),
    )
    assert added.totals == {"JPY": Money("500", "JPY"), "USD": dollars("10.1")}
    assert (added.records, added.no_ops, added.unknown) == (5, 2, 0)


def test_a_cancellation_takes_back_its_own_charge_on_its_own_day():
    """It carries no amount: the charge of the same request id does."""
    late = {"activity_time_text": "Mon Mar 02 00:05:00 UTC 2026"}
    cancel = {"amount": None, "kind": "GCCancellation"}
    added = spending(card(1), card(2, "7.00"), card(1, **cancel, **late), card(1, **cancel, is_real_op=False))
    assert added.by_day == {(date(2026, 3, 1), "USD"): dollars(7)}
    assert spending(card(1, **cancel)).totals == {}


def test_what_cannot_be_added_up_is_counted():
    """An activation under a name that nobody knows may be money: it is not silently nothing."""
    added = spending(
        card(1, kind="GCActivation"), card(2, None), card(3, activity_time_text="once upon a time")
    )
    assert (added.unknown, added.totals) == (2, {"USD": dollars(10)})
    assert added.by_day == {(None, "USD"): dollars(10)}
    named = spending(card(1, kind="GCActivation"), activity_types={"GCActivation": "ActivateGiftCard"})
    assert (named.unknown, named.totals) == (0, {"USD": dollars(10)})


def test_a_type_must_name_an_operation_that_moves_money():
    """As for a reconciliation: the two must not disagree."""
    with pytest.raises(ConfigurationError, match="activity_types"):
        Spending({"GCCreation": "GetAvailableFunds"})


@examples(100)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 10_000), st.sampled_from(("USD", "JPY")), st.booleans())
    )
)
def test_sums_are_exact_and_days_add_up_to_the_total(cards):
    """Cents are Decimals: whatever is cancelled, the days' sums are the total's."""
    added, expected = Spending(), {}
    for number, (day, cents, currency, is_cancelled) in enumerate(cards):
        text = {"activity_time_text": f"Sun Mar 0{day + 1} 12:00:00 UTC 2026"}
        amount = Decimal(cents) / (1 if currency == "JPY" else 100)
        added.add(card(number, str(amount), currency, **text))
        if is_cancelled:
            added.add(card(number, None, kind="GCCancellation", **text))
        expected[currency] = expected.get(currency, 0) + (0 if is_cancelled else amount)
    assert {currency: money.amount for currency, money in added.totals.items()} == expected
    days: dict[str, Decimal] = {}
    for (_, currency), money in added.by_day.items():
        days[currency] = days.get(currency, Decimal(0)) + money.amount
    assert days == expected


@pytest.mark.parametrize(
    ("spent", "currency", "average"),
    [("140.00", "USD", "10.00"), ("100.00", "USD", "7.14"), ("100", "JPY", "7"), (None, "USD", "0.00")],
)
def test_the_average_is_of_fourteen_days_to_the_smallest_unit(spent, currency, average):
    """Also when the campaign began yesterday: the portal says the same."""
    added = spending(*([card(1, spent, currency)] if spent else []))
    assert added.daily(currency) == Money(average, currency)
    assert str(added.daily(currency).amount) == average


@pytest.mark.parametrize(
    ("available", "average", "days"),
    [
        ("100", "10", "10.0"),
        ("99.99", "10", "9.9"),
        ("0", "10", "0.0"),
        ("100", "0", None),
        ("100", None, None),
    ],
)
def test_days_remaining_never_promise_too_much(available, average, days):
    """Rounded down; and where nothing was spent there is no number of days."""
    reading = FundsReading(
        available=dollars(available), at=START, average_daily_spend=average and dollars(average)
    )
    assert reading.days_remaining == (days and Decimal(days))


# Reading


def two_weeks(books: Books) -> None:
    """140 dollars in the last fourteen days, 70 of them cancelled; and what is older."""
    now = books.clock().replace(microsecond=0)
    books.listed("Acme1old", now - DAYS * DAY - SECOND, dollars(1000))
    books.listed("Acme1first", now - DAYS * DAY, dollars(70))
    books.listed("Acme1second", now - DAY, dollars(70))
    books.listed("Acme1third", now - SECOND, dollars(70))
    books.cancelled("Acme1third", now - SECOND)


async def test_funds_and_how_long_they_will_do():
    """10,000 dollars at 10 a day."""
    books, told = Books(), []
    two_weeks(books)
    reading = await read_funds(books.session, progress=told.append)
    assert reading == FundsReading(
        available=dollars(10_000), at=books.now, average_daily_spend=dollars("10.00"), is_complete=True
    )
    assert reading.days_remaining == 1000
    assert told == [1, 2, 3, 4]


async def test_spending_of_any_time_can_be_read():
    """What a report of a month is made of."""
    books = Books()
    books.listed("Acme1X1", START)
    books.listed("Acme1X2", END)
    assert (await read_spending(books.session, START, END)).totals == {"USD": dollars("25")}


def test_an_incomplete_statement_is_remembered():
    """The sums are too low then, and a reader of them has to know."""
    added = Spending()
    added.hear(LowFunds(available=dollars(1), threshold=None, average_daily_spend=None, days_remaining=None))
    assert added.incomplete is None
    event = ActivityIncomplete(received=1, announced=2)
    added.hear(event)
    assert added.incomplete is event


# Watching


class Watched(Books):
    """An account whose funds a test moves, in virtual time, and what the monitor said."""

    def __init__(self) -> None:
        super().__init__(clock=loop_clock)
        self.told: list[object] = []

    def monitor(self, **options) -> FundsMonitor:
        return FundsMonitor(self.session, hooks=[self.told.append], **options)

    def fund(self, amount: str | int) -> None:
        self.emulator.state.funds["Acme1"] = Decimal(amount)

    def unpaged(self) -> None:
        state = self.emulator.state
        state.add_partner(replace(state.partners["Acme1"], has_activity_page=False))

    @property
    def lows(self) -> list[tuple[Money, Money | None]]:
        return [(each.available, each.threshold) for each in self.told if isinstance(each, LowFunds)]

    @property
    def waits(self) -> list[float]:
        return [each.retry_in for each in self.told if isinstance(each, FundsUnreadable)]


async def watch(monitor: FundsMonitor, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await monitor.run()


@virtual_time
async def test_low_funds_are_told_once_and_again_after_they_were_back():
    """Who is woken at every reading switches the alarm off, and who is never woken again has none."""
    books = Watched()
    monitor = books.monitor(below=[dollars(500), dollars(100)], interval=60)
    async with aclosing(monitor.readings()) as readings:
        for amount in (1000, 500, 499, 400, 99, 99, 100, 50, 501, 499):
            books.fund(amount)
            assert (await anext(readings)).available == dollars(amount)
    assert books.lows == [
        (dollars(499), dollars(500)),
        (dollars(99), dollars(100)),
        (dollars(50), dollars(100)),
        (dollars(499), dollars(500)),
    ]


@examples(50)
@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=30), st.sets(st.integers(1, 20), min_size=1, max_size=3)
)
@virtual_time
async def test_each_crossing_is_told_exactly_once(anyio_backend, amounts, thresholds):
    """For every threshold by itself: as often as the funds went from it, or from the start, to below it."""
    books = Watched()
    monitor = books.monitor(below=[dollars(each) for each in thresholds], interval=1)
    async with aclosing(monitor.readings()) as readings:
        for amount in amounts:
            books.fund(amount)
            await anext(readings)
    crossings = [
        (dollars(after), dollars(threshold))
        for threshold in thresholds
        for before, after in zip([99, *amounts], amounts, strict=False)
        if after < threshold <= before
    ]
    assert sorted(books.lows, key=str) == sorted(crossings, key=str)


@virtual_time
async def test_days_remaining_have_a_threshold_of_their_own():
    """Ten dollars a day: at 29 dollars, three days are not left."""
    books = Watched()
    two_weeks(books)
    monitor = books.monitor(days_below=3)
    async with aclosing(monitor.readings()) as readings:
        for amount in (30, 29, 28, 31, 29):
            books.fund(amount)
            await anext(readings)
    assert books.lows == [(dollars(29), None), (dollars(29), None)]
    assert books.told[0].days_remaining == Decimal("2.9")
    assert books.told[0].average_daily_spend == dollars(10)


@virtual_time
async def test_nothing_spent_is_no_low_number_of_days():
    """An account that rests lasts for ever."""
    books = Watched()
    await watch(books.monitor(days_below=3), 200)
    assert books.told == []


@virtual_time
async def test_the_interval_is_kept():
    """Funds each minute, the many pages of activity each hour."""
    books, asked = Watched(), []
    handle = books.emulator.handle
    books.emulator.handle = lambda request: asked.append(request.operation) or handle(request)
    await watch(books.monitor(interval=60, average_every=3600), 7200 - 1)
    assert asked.count("GetAvailableFunds") == 120
    assert asked.count("GetGiftCardActivityPage") == 2


@virtual_time
async def test_the_average_can_be_left_out():
    """Whoever wants the balance alone leaves the pages of activity to others."""
    books = Watched()
    books.unpaged()
    async with aclosing(books.monitor(average_every=None).readings()) as readings:
        assert (await anext(readings)).average_daily_spend is None
    assert (await read_funds(books.session, with_average=False)).average_daily_spend is None
    assert books.told == []


@virtual_time
async def test_an_outage_is_survived_and_told():
    """It waits longer and longer, up to a quarter of an hour, and then goes on as if nothing had been."""
    books = Watched()
    monitor = books.monitor(below=[dollars(500)], interval=60)
    books.emulator.faults.arm(Fault(FaultKind.FAULT_BEFORE, operation="GetAvailableFunds", times=8))
    books.fund(1)
    async with aclosing(monitor.readings()) as readings:
        await anext(readings)
        books.emulator.faults.arm(Fault(FaultKind.FAULT_BEFORE, operation="GetAvailableFunds", times=1))
        await anext(readings)
    waits = books.waits
    assert len(waits) == 9
    assert all(0.75 * 60 * 2**n <= wait <= 60 * 2**n for n, wait in enumerate(waits[:3], start=1))
    assert max(waits) <= 900
    assert waits[8] <= 120, "after a success it begins anew"
    assert books.lows == [(dollars(1), dollars(500))]


@virtual_time
async def test_without_activity_the_funds_are_watched_all_the_same():
    """The page can be switched off for a partner: thresholds in money still hold, the average is unknown."""
    books = Watched()
    books.unpaged()
    books.fund(1)
    monitor = books.monitor(below=[dollars(500)], days_below=3)
    async with aclosing(monitor.readings()) as readings:
        reading = await anext(readings)
        assert (reading.average_daily_spend, reading.days_remaining, reading.is_complete) == (
            None,
            None,
            False,
        )
        await anext(readings)
    assert [type(event) for event in books.told] == [LowFunds, FundsUnreadable]
    assert books.waits == [900]


@virtual_time
async def test_a_known_average_serves_while_the_activity_cannot_be_read():
    """It is hours old at most, and better than none."""
    books = Watched()
    two_weeks(books)
    monitor = books.monitor(interval=60, average_every=60)
    async with aclosing(monitor.readings()) as readings:
        await anext(readings)
        books.unpaged()
        assert (await anext(readings)).average_daily_spend == dollars(10)
    assert books.waits == [60]


@virtual_time
async def test_a_threshold_in_another_currency_is_a_mistake_and_not_an_outage():
    """It would never be crossed: said at the first reading, not survived for ever."""
    with pytest.raises(ConfigurationError, match=r"below: 500.00 EUR cannot be compared with funds in USD"):
        await Watched().monitor(below=[Money("500.00", "EUR")]).run()


@virtual_time
async def test_a_closed_session_ends_the_watch():
    """Nobody could open it again: waiting would only hide the mistake."""
    books = Watched()
    await books.session.aclose()
    with pytest.raises(ConfigurationError):
        await books.monitor().run()
    monitor = books.monitor()
    with pytest.raises(ConfigurationError):
        await monitor._renew_average()


@virtual_time
async def test_cancelling_ends_it_anywhere():
    """In a call, in a page, in a wait: the task ends, and says nothing of it."""
    books = Watched()
    for steps in range(60):
        task = asyncio.create_task(books.monitor(below=[dollars(1)]).run())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert books.told == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"interval": 0.5}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"interval": 60, "average_every": 30}, "average_every"),
        ({"days_below": 0}, "days_below"),
        ({"days_below": 3, "average_every": None}, "days_below"),
        ({"below": [500]}, "below"),
        ({"below": [Money("-1", "USD")]}, "below"),
        ({"activity_types": {"X": "Y"}}, "activity_types"),
        ({"hooks": [1]}, "hooks"),
    ],
)
async def test_what_cannot_work_is_refused_at_once(options, named):
    """A watch that never wakes anybody must not begin."""
    with pytest.raises(ConfigurationError, match=f"^{named}"):
        FundsMonitor(Books().session, **options)


async def test_an_error_of_the_service_ends_a_single_reading():
    """Whoever asks once wants to know."""
    books = Books()
    books.emulator.faults.arm(Fault(FaultKind.FAULT_BEFORE))
    with pytest.raises(AgcodError):
        await read_funds(books.session)
