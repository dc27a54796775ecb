"""The ledger against Amazon's activity: `reconcile`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from ..reconcile import DIFFERENCES, FindingKind, reconcile as compare_books
from .account import incomplete
from .asking import ActivityTypes, Days, From, To, activity_types, until_stopped, window
from .command import ASKING, LEDGER, command
from .context import CommandContext
from .exits import ExitCode, described
from .values import money_record

if TYPE_CHECKING:
    from ..reconcile import CurrencyTotal, Finding, Reconciliation
    from .output import Record

app = typer.Typer()

FINDING_COLUMNS = (
    "time", "kind", "reference", "state", "charged", "charged_currency", "issued", "issued_currency",
    "request_id", "gc_id", "detail",
)  # fmt: skip
TABLE_COLUMNS = ("time", "kind", "reference", "state", "charged", "issued", "request_id", "detail")
TOTAL_COLUMNS = ("currency", "charged", "issued", "difference", "unlisted")

_UNDER_WAY = timedelta(minutes=15)


@command(
    app,
    options={**LEDGER, **ASKING},
    examples=(
        "agcod reconcile --days 1",
        "agcod reconcile --from 2026-03-01 --to 2026-03-31 --csv > differences.csv",
        "agcod reconcile --json | jq -c 'select(.kind == \"missing_here\")'",
    ),
)
async def reconcile(
    context: CommandContext,
    days: Days = 7.0,
    first: From = None,
    last: To = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show what matches, too.", show_default=False)
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Write the findings as CSV to standard output.", show_default=False)
    ] = False,
    types: ActivityTypes = None,
) -> ExitCode | None:
    """
    Compare the ledger with what Amazon charged, card by card.

    Exit code 3 if there is a difference, 0 if both say the same. It ends 15 minutes ago at the latest: what
    is under way is no difference. The activity is read at a page of 1000 records a second.
    """
    named = activity_types(types)
    ledger, session = await context.ledger(), await context.session()
    start, end = window(first, last, days, latest=session.clock() - _UNDER_WAY)

    async def compare() -> ExitCode:
        read: dict[str, int] = {}
        async with AsyncExitStack() as stack:
            with context.output.progress("Records and entries", total=None) as advance:

                def progress(book: str, count: int) -> None:
                    read[book] = count
                    advance(sum(read.values()))

                result = await stack.enter_async_context(
                    compare_books(session, ledger, start, end, activity_types=named, progress=progress)
                )
            await _show(context, result, show_all=show_all, as_csv=as_csv)
            return ExitCode.OK if result.is_balanced else ExitCode.DIFFERENCE

    return await until_stopped(context, compare())


async def _show(context: CommandContext, result: Reconciliation, *, show_all: bool, as_csv: bool) -> None:
    output = context.output
    is_table = not (as_csv or output.is_json)
    columns = TABLE_COLUMNS if is_table else FINDING_COLUMNS
    with output.rows(columns=columns, empty="No difference.", as_csv=as_csv) as show:
        async for finding in result.findings(() if show_all else DIFFERENCES):
            record = finding_record(finding)
            show({**record, **_sums(finding)} if is_table else record)
    if not as_csv:
        output.table(map(_total_record, result.totals), columns=TOTAL_COLUMNS, empty="No money in this time.")
        output.text("")
        for kind in (kind for kind in get_args(FindingKind) if result.counts.get(kind)):
            output.text(f"{result.counts[kind]:>9,}  {kind.replace('_', ' ')}")
        verdict = "Both books say the same" if result.is_balanced else "The books differ"
        output.text(
            f"{verdict}, from {result.start:%Y-%m-%d %H:%M:%S} to {result.end:%Y-%m-%d %H:%M:%S} UTC."
        )
    if result.incomplete is not None:
        output.error(described(incomplete(result.incomplete)))


def finding_record(finding: Finding) -> Record:
    """Return a finding as every command shows it."""
    charged, issued = money_record(finding.charged, "charged"), money_record(finding.issued, "issued")
    return {
        "time": finding.at,
        "kind": finding.kind,
        "reference": finding.reference,
        "generation": finding.generation,
        "state": finding.state,
        "charged": charged["charged"],
        "charged_currency": charged["currency"],
        "issued": issued["issued"],
        "issued_currency": issued["currency"],
        "request_id": finding.request_id,
        "gc_id": finding.gc_id,
        "detail": finding.detail,
    }


def _sums(finding: Finding) -> Record:
    """Return both amounts as a person reads them."""
    return {
        "charged": None if finding.charged is None else str(finding.charged),
        "issued": None if finding.issued is None else str(finding.issued),
    }


def _total_record(total: CurrencyTotal) -> Record:
    sums = ("charged", "issued", "difference", "unlisted")
    amounts = {name: money_record(getattr(total, name), name)[name] for name in sums}
    return {"kind": "total", "currency": total.charged.currency_code, **amounts}
