"""What is left to spend, how long it will do, and a watch that tells before it is gone."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from .errors import AgcodError, ConfigurationError
from .events import ActivityIncomplete, FundsUnreadable, LowFunds
from .money import Money, minor_digits, payable
from .statement import ACTIVITY_TYPES, check_activity_types, effect, statement, whole_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from .events import Event, Hook
    from .model import CardActivity
    from .session import AgcodSession

DAYS = 14
"""Days that the average daily spend is taken over, as the service's own portal does."""

LONGEST_WAIT = 900.0
"""Seconds: the longest wait of a monitor that gets no answer, unless its own interval is longer."""


class Spending:
    """
    Adds up what records of activity took and gave back, by day and currency.

    Only what is real counts. A cancellation carries no amount: it takes back the charge of its own request
    id, on the day of that charge. One whose charge was never seen belongs to another time.
    """

    def __init__(self, activity_types: Mapping[str, str] = ACTIVITY_TYPES) -> None:
        check_activity_types(activity_types)
        self._types = activity_types
        self._charges: dict[str | None, tuple[date | None, Money]] = {}
        self._by_day: defaultdict[tuple[date | None, str], Decimal] = defaultdict(Decimal)
        self.records = 0
        """How many records there were, no-ops included."""
        self.no_ops = 0
        """How many of them changed nothing: repeats and failures."""
        self.unknown = 0
        """How many real ones are of a type, or without an amount, that nobody can add up."""
        self.incomplete: ActivityIncomplete | None = None
        """Set where fewer records came than were announced: the sums are too low then."""

    def add(self, record: CardActivity) -> None:
        """Count one record; a charge comes before its refund."""
        self.records += 1
        match effect(record, self._types):
            case "charge" if record.card_value is not None:
                moment = record.activity_time
                day = None if moment is None else moment.date()
                self._charges[record.request_id] = (day, record.card_value)
                self._by_day[day, record.card_value.currency_code] += record.card_value.amount
            case "refund":
                if record.request_id in self._charges:
                    day, value = self._charges.pop(record.request_id)
                    self._by_day[day, value.currency_code] -= value.amount
            case "repeat" | "failed":
                self.no_ops += 1
            case _:
                self.unknown += 1

    def hear(self, event: Event) -> None:
        """Take note of an incomplete statement; a hook for whoever reads one."""
        if isinstance(event, ActivityIncomplete):
            self.incomplete = event

    @property
    def by_day(self) -> dict[tuple[date | None, str], Money]:
        """The net spend of each day (UTC; None where the time could not be read) and currency."""
        days = sorted(self._by_day.items(), key=lambda each: (each[0][0] or date.min, each[0][1]))
        return {(day, currency): Money(amount, currency) for (day, currency), amount in days}

    @property
    def totals(self) -> dict[str, Money]:
        """The net spend of each currency."""
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for (_, currency), amount in self._by_day.items():
            sums[currency] += amount
        return {currency: Money(sums[currency], currency) for currency in sorted(sums)}

    def daily(self, currency_code: str, days: int = DAYS) -> Money:
        """Return the average of *days* days, to the currency's smallest unit."""
        return daily_average(self.totals.get(currency_code, Money(0, currency_code)), days)


def daily_average(total: Money, days: int = DAYS) -> Money:
    """Return what *total* is for each of *days* days, to the currency's smallest unit."""
    unit = Decimal((0, (1,), -minor_digits(total.currency_code)))
    return Money((total.amount / days).quantize(unit), total.currency_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class FundsReading:
    """What is left, at one moment. The sandbox always says 0."""

    available: Money
    at: datetime
    """By the service's clock, where it says."""

    average_daily_spend: Money | None
    """Over the last 14 days, in the currency of the funds; None where the activity could not be read."""

    is_complete: bool = True
    """False where records were missing: more was spent than the average says."""

    @property
    def days_remaining(self) -> Decimal | None:
        """For how many days it will do at that pace, to the tenth below; None where nothing was spent."""
        spend = self.average_daily_spend
        if spend is None or not spend.amount > 0:
            return None
        return (self.available.amount / spend.amount).quantize(Decimal("0.1"), rounding=ROUND_FLOOR)


async def read_spending(
    session: AgcodSession,
    start: datetime,
    end: datetime,
    *,
    activity_types: Mapping[str, str] = ACTIVITY_TYPES,
    progress: Callable[[int], object] | None = None,
) -> Spending:
    """
    Return what was spent from *start* (included) to *end* (excluded): a page of 1000 records per second.

    *progress* is told how many records were read so far.
    """
    spending = Spending(activity_types)
    async with aclosing(statement(session, start, end, hook=spending.hear)) as records:
        async for record in records:
            spending.add(record)
            if progress is not None:
                progress(spending.records)
    return spending


async def read_funds(
    session: AgcodSession,
    *,
    with_average: bool = True,
    activity_types: Mapping[str, str] = ACTIVITY_TYPES,
    progress: Callable[[int], object] | None = None,
) -> FundsReading:
    """Return what is left, and *with_average* what was spent daily in the last 14 days."""
    available, at = await _available(session)
    spending = await _last_days(session, activity_types, progress) if with_average else None
    return _reading(available, at, spending)


class FundsMonitor:
    """
    Asks for the funds again and again, and tells hooks when they run low.

    LowFunds is emitted when the funds fall below a threshold, once, and for the same threshold not again
    before they were at or above it. A monitor survives the errors of the service: it waits longer and longer,
    and emits FundsUnreadable each time. Where the activity alone cannot be read, the funds still are.
    In the sandbox the funds are always 0, and every threshold is crossed at once.

    It runs as long as :meth:`run` does, and ends with its task.

    Args:
        session: the account; the calls have the priority ``bulk``.
        below: thresholds, in the currency of the account.
        days_below: a threshold in days remaining.
        interval: seconds between two readings, at least 1: the service allows one call a second.
        average_every: seconds after which the average daily spend is read anew, which may take many pages;
            None: never.
        hooks: told of the events besides those of the session.
        activity_types: as for a reconciliation.

    Raises:
        ConfigurationError: an argument cannot work; a threshold in another currency shows when it runs.
    """

    def __init__(
        self,
        session: AgcodSession,
        *,
        below: Sequence[Money] = (),
        days_below: float | None = None,
        interval: float = 60.0,
        average_every: float | None = 3600.0,
        hooks: Sequence[Hook] = (),
        activity_types: Mapping[str, str] = ACTIVITY_TYPES,
    ) -> None:
        if not interval >= 1:
            raise ConfigurationError("interval: at least 1 second, the service allows one call in each")
        if average_every is not None and not average_every >= interval:
            raise ConfigurationError("average_every: not less than the interval")
        if days_below is not None and (average_every is None or not days_below > 0):
            raise ConfigurationError("days_below: days greater than 0, and an average, are needed")
        check_activity_types(activity_types)
        self._session = session.with_options(priority="bulk")
        self._hooks = session.hooks.joined_by(hooks)
        self._thresholds = [payable("below", each) for each in below]
        self._days_below = days_below
        self._interval = interval
        self._average_every = average_every
        self._types = activity_types
        self._low: set[Money | None] = set()
        """The thresholds that the funds are below, None for the one in days."""
        self._spending: Spending | None = None
        self._next_average = float("-inf")
        self._failures = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        async with aclosing(self.readings()) as readings:
            async for _ in readings:
                pass

    async def readings(self) -> AsyncGenerator[FundsReading, None]:
        """Watch, and yield each reading; the next one is taken an interval after it is asked for."""
        while True:
            try:
                reading = await self._read()
            except ConfigurationError:
                raise
            except AgcodError as error:
                await asyncio.sleep(self._failed(error))
                continue
            self._failures = 0
            yield reading
            await asyncio.sleep(self._interval)

    async def _read(self) -> FundsReading:
        available, at = await _available(self._session)
        # Told at once: the activity may take minutes.
        for threshold in self._thresholds:
            if threshold.currency_code != available.currency_code:
                raise ConfigurationError(
                    f"below: {threshold} cannot be compared with funds in {available.currency_code}"
                )
            reading = _reading(available, at, self._spending)
            self._compare(threshold, available.amount < threshold.amount, reading)
        await self._renew_average()
        reading = _reading(available, at, self._spending)
        if self._days_below is not None and self._spending is not None:
            remaining = reading.days_remaining
            self._compare(None, remaining is not None and remaining < self._days_below, reading)
        return reading

    async def _renew_average(self) -> None:
        clock = asyncio.get_running_loop().time
        if self._average_every is None or clock() < self._next_average:
            return
        try:
            self._spending = await _last_days(self._session, self._types, None)
        except ConfigurationError:
            raise
        except AgcodError as error:
            # What is known already serves meanwhile.
            wait = min(self._average_every, max(LONGEST_WAIT, self._interval))
            self._tell_unreadable(error, wait)
        else:
            wait = self._average_every
        self._next_average = clock() + wait

    def _compare(self, threshold: Money | None, is_low: bool, reading: FundsReading) -> None:
        if not is_low:
            self._low.discard(threshold)
        elif threshold not in self._low:
            self._low.add(threshold)
            self._hooks.emit(
                LowFunds(
                    available=reading.available,
                    threshold=threshold,
                    average_daily_spend=reading.average_daily_spend,
                    days_remaining=reading.days_remaining,
                )
            )

    def _failed(self, error: AgcodError) -> float:
        self._failures += 1
        doubled = self._interval * 2.0 ** min(self._failures, 20)
        longest = max(LONGEST_WAIT, self._interval)
        wait = min(doubled, longest) * self._session.rng.uniform(0.75, 1.0)
        self._tell_unreadable(error, wait)
        return wait

    def _tell_unreadable(self, error: AgcodError, wait: float) -> None:
        event = FundsUnreadable(operation=error.operation, error=type(error).__name__, retry_in=wait)
        self._hooks.emit(event)


async def _available(session: AgcodSession) -> tuple[Money, datetime]:
    response = await session.get_available_funds()
    assert response.available_funds is not None  # an answer without is no success
    return response.available_funds, response.timestamp or session.clock()


async def _last_days(
    session: AgcodSession, activity_types: Mapping[str, str], progress: Callable[[int], object] | None
) -> Spending:
    end = whole_seconds("clock", session.clock())
    start = end - timedelta(days=DAYS)
    return await read_spending(session, start, end, activity_types=activity_types, progress=progress)


def _reading(available: Money, at: datetime, spending: Spending | None) -> FundsReading:
    return FundsReading(
        available=available,
        at=at,
        average_daily_spend=None if spending is None else spending.daily(available.currency_code),
        is_complete=spending is not None and spending.incomplete is None,
    )
