"""The account: `funds`, `activity`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from ..clock import utc_now
from ..dates import parse_date
from .command import ASKING, command
from .context import CommandContext
from .exits import CommandError
from .values import money_record

if TYPE_CHECKING:
    from ..model import CardActivity
    from .output import Record

app = typer.Typer()

ACTIVITY_COLUMNS = (
    "time", "type", "status", "amount", "currency", "request_id", "gc_id", "failure",
)  # fmt: skip


@command(app, options=ASKING, examples=("agcod funds", "agcod funds --json | jq -r .available"))
async def funds(context: CommandContext) -> None:
    """Show what can still be spent. The sandbox always says 0."""
    response = await (await context.session()).get_available_funds()
    context.output.result(
        {
            **money_record(response.available_funds, "available"),
            "timestamp": response.timestamp,
            "partner_id": context.settings.require("partner_id"),
            "endpoint": context.endpoint.identity,
        }
    )


@command(
    app,
    options=ASKING,
    examples=(
        "agcod activity --days 1",
        "agcod activity --since 2026-03-01 --until 2026-04-01 --csv > march.csv",
    ),
)
async def activity(
    context: CommandContext,
    days: Annotated[float, typer.Option("--days", metavar="N", help="The last N days.")] = 7.0,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="From here on; UTC unless it says so.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DATE", help="Up to here; now.")] = None,
    no_ops: Annotated[bool, typer.Option("--no-ops", help="Show repeats and failed calls too.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV to standard output.")] = False,
) -> None:
    """Show what happened on the account, all pages of it: the service allows one page a second."""
    end = _moment("--until", until) or utc_now()
    start = _moment("--since", since) or end - timedelta(days=days)
    if start >= end:
        raise CommandError("--since must be before --until")
    session = await context.session()
    records: list[Record] = []
    with context.output.progress("Activity", total=None) as advance:
        async for each in session.iter_gift_card_activity(start, end, show_no_ops=no_ops):
            records.append(activity_record(each))
            advance(len(records))
    if as_csv:
        context.output.csv(records, columns=ACTIVITY_COLUMNS)
    else:
        context.output.table(records, columns=ACTIVITY_COLUMNS, empty="No activity in this time.")


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


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = parse_date(text)
    if moment is None:
        raise CommandError(f"{name} {text!r} is no date such as 2026-03-01 or 2026-03-01T12:00:00+01:00")
    return moment.astimezone(UTC)
