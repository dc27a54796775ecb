"""The account: `funds`, `activity`."""

from __future__ import annotations

from contextlib import aclosing, nullcontext
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigurationError, ServiceError
from ..events import ActivityIncomplete, Event, FundsUnreadable
from ..model import GET_GIFT_CARD_ACTIVITY_PAGE
from ..money import Money
from .asking import ActivityTypes, Days, From, To, activity_types, until_stopped, window
from .chart import spend_per_day, with_bars
from .command import ASKING, command
from .context import CommandContext
from .exits import CommandError, ExitCode
from .values import money_record

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from ..funds import FundsReading, Spending
    from ..model import CardActivity
    from ..session import AgcodSession
    from .output import Record

app = typer.Typer()

ACTIVITY_COLUMNS = (
    "time", "type", "status", "amount", "currency", "request_id", "gc_id", "failure",
)  # fmt: skip
DAY_COLUMNS = ("day", "spent", "currency")

_HOUR = 3600.0


@command(
    app,
    options=ASKING,
    examples=(
        "agcod funds",
        "agcod funds --quick --json | jq -r .available",
        "agcod funds --alert-below 500 || mail -s 'funds are low' campaign@example.org",
        "agcod funds --watch --every 300 --alert-below 500",
    ),
)
async def funds(
    context: CommandContext,
    quick: Annotated[
        bool, typer.Option("--quick", help="The balance alone: no activity is read.", show_default=False)
    ] = False,
    alert_below: Annotated[
        str | None,
        typer.Option("--alert-below", metavar="AMOUNT", help="Exit code 7 when less is left."),
    ] = None,
    alert_days: Annotated[
        float | None,
        typer.Option("--alert-days", metavar="N", help="Exit code 7 when it will do for fewer days."),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Go on until an alert, or Ctrl-C.", show_default=False),
    ] = False,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", help="Between two readings.")] = 60.0,
    types: ActivityTypes = None,
) -> ExitCode | None:
    """
    Show what can be spent, and for how many days it will do.

    The average daily spend is that of the last 14 days: cards less cancellations. It is read from the
    activity, a page of 1000 records a second. The sandbox always says 0.
    """
    from ..funds import FundsMonitor

    limit = _Limit(alert_below, alert_days)
    if quick and alert_days is not None:
        raise CommandError("--alert-days needs the average daily spend: leave --quick out")
    named, session = activity_types(types), await context.session()
    if not watch:
        reading = await until_stopped(context, _reading(context, session, quick=quick, types=named))
        if reading is None:
            return ExitCode.INTERRUPTED
        context.output.result(_funds_record(context, reading))
        return limit.verdict(context, reading)
    monitor = FundsMonitor(
        session,
        interval=every,
        average_every=None if quick else max(every, _HOUR),
        hooks=[partial(_tell, context)],
        activity_types=named,
    )
    async with aclosing(monitor.readings()) as readings:
        while (reading := await until_stopped(context, anext(readings))) is not None:
            context.output.line(_funds_record(context, reading))
            code = limit.verdict(context, reading)
            if code is not None:
                return code
    return ExitCode.INTERRUPTED


@command(
    app,
    options=ASKING,
    examples=(
        "agcod activity --days 1",
        "agcod activity --from 2026-03-01 --to 2026-03-31 --csv > march.csv",
        "agcod activity --from 2026-03-01 --by-day",
    ),
)
async def activity(
    context: CommandContext,
    days: Days = 7.0,
    first: From = None,
    last: To = None,
    by_day: Annotated[
        bool, typer.Option("--by-day", help="The spend of each day instead of its calls.", show_default=False)
    ] = False,
    no_ops: Annotated[
        bool, typer.Option("--no-ops", help="Show repeats and failed calls too.", show_default=False)
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Write CSV to standard output.", show_default=False)
    ] = False,
    types: ActivityTypes = None,
) -> ExitCode | None:
    """
    Show what happened on the account, and the spend by day.

    All pages are read, and the service allows one of 1000 records a second. Spend is what real calls took,
    less what was cancelled, on the day of the card.
    """
    from ..funds import Spending
    from ..statement import effect, statement

    named, session = activity_types(types), await context.session()
    # The second that is running, too: times are cut to whole ones.
    start, end = window(first, last, days, latest=session.clock() + timedelta(seconds=1))
    spending = Spending(named)
    listing = (
        nullcontext(_ignore)
        if by_day
        else context.output.rows(columns=ACTIVITY_COLUMNS, empty="No activity in this time.", as_csv=as_csv)
    )
    with listing as show:

        def take(record: CardActivity) -> None:
            spending.add(record)
            if no_ops or effect(record, named) not in ("repeat", "failed"):
                show(activity_record(record))

        if not await until_stopped(
            context, _walk(context, statement(session, start, end, hook=spending.hear), take)
        ):
            return ExitCode.INTERRUPTED
    is_report = not (as_csv or context.output.is_json)
    if is_report or by_day:
        _show_days(context, spending, as_csv=as_csv, with_chart=is_report)
    if is_report:
        _sum_up(context, spending)
    if spending.incomplete is not None:
        raise incomplete(spending.incomplete)
    return None


def activity_record(activity: CardActivity) -> Record:
    """Return a line of the account's activity as every command shows it."""
    return {
        "time": activity.activity_time or activity.activity_time_text,
        "type": activity.activity_type,
        "status": activity.activity_status,
        **money_record(activity.card_value),
        "request_id": activity.request_id,
        "gc_id": activity.gc_id,
        "card_number": activity.card_number,
        "failure": activity.failure_code,
        "is_real_op": activity.is_real_op,
    }


def incomplete(event: ActivityIncomplete) -> CommandError:
    """Return what to say about pages that ended too early."""
    return CommandError(
        f"Amazon announced {event.announced} records and listed {event.received}: the sums are too low",
        fix="repeat the command",
        code=ExitCode.UNAVAILABLE,
    )


class _Limit:
    """What ``--alert-below`` and ``--alert-days`` ask for."""

    def __init__(self, below: str | None, days: float | None) -> None:
        try:
            self._below = None if below is None else Money(below, "").amount
        except ConfigurationError:
            raise CommandError(f"--alert-below {below!r} is no amount such as 500.00") from None
        self._days = days

    def verdict(self, context: CommandContext, reading: FundsReading) -> ExitCode | None:
        """Return the exit code of an alert if it is due, and say why."""
        days = reading.days_remaining
        if self._below is not None and reading.available.amount < self._below:
            context.output.note(f"Low: {reading.available} are less than {self._below}.")
            return ExitCode.ALERT
        if self._days is not None and days is not None and days < self._days:
            context.output.note(f"Low: {reading.available} will do for {days} days.")
            return ExitCode.ALERT
        return None


async def _reading(
    context: CommandContext, session: AgcodSession, *, quick: bool, types: Mapping[str, str]
) -> FundsReading:
    from ..funds import read_funds

    label = "Funds" if quick else "Activity of 14 days"
    with context.output.progress(label, total=None) as advance:
        try:
            return await read_funds(session, with_average=not quick, activity_types=types, progress=advance)
        except ServiceError as error:
            if error.operation != GET_GIFT_CARD_ACTIVITY_PAGE.name:
                raise
            context.output.note(f"No average daily spend: {error}")
    return await read_funds(session, with_average=False)


def _funds_record(context: CommandContext, reading: FundsReading) -> Record:
    spend = reading.average_daily_spend
    return {
        **money_record(reading.available, "available"),
        "average_daily_spend": None if spend is None else money_record(spend)["amount"],
        "days_remaining": reading.days_remaining,
        "timestamp": reading.at,
        "partner_id": context.settings.require("partner_id"),
        "endpoint": context.endpoint.identity,
    }


def _tell(context: CommandContext, event: Event) -> None:
    assert isinstance(event, FundsUnreadable)  # all that a monitor without thresholds has to tell
    context.output.note(f"{event.operation}: {event.error}, again in {event.retry_in:.0f} s")


async def _walk(
    context: CommandContext,
    records: AsyncGenerator[CardActivity, None],
    take: Callable[[CardActivity], object],
) -> bool:
    """Take every record, and return that this came to its end."""
    with context.output.progress("Activity", total=None) as advance:
        async with aclosing(records):
            number = 0
            async for record in records:
                number += 1
                take(record)
                advance(number)
    return True


def _show_days(context: CommandContext, spending: Spending, *, as_csv: bool, with_chart: bool) -> None:
    days = spend_per_day(spending)
    columns = (*DAY_COLUMNS, "") if with_chart else DAY_COLUMNS
    listing = context.output.rows(columns=columns, empty="Nothing was spent in this time.", as_csv=as_csv)
    with listing as show:
        for record in with_bars(days, context.process.stdout.encoding) if with_chart else days:
            show(record)


def _sum_up(context: CommandContext, spending: Spending) -> None:
    output = context.output
    for money in spending.totals.values():
        output.text(f"Spent: {money}")
    output.text(f"Records: {spending.records:,}, of which {spending.no_ops:,} changed nothing")
    if spending.unknown:
        output.text(f"Not added up: {spending.unknown:,} of a type or value that nobody can read")


def _ignore(_record: Record) -> None:
    pass
