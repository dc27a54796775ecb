"""Campaigns: `bulk run`, `bulk retry`, `bulk status`, `bulk report`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import ExitStack, aclosing
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, TypeVar

import typer

from ..bulk import Campaign, Format, RewardFile
from ..errors import AgcodError, CampaignStopped, ConfigurationError, InvalidRewards
from ..ledger import MemoryLedger
from ..money import Money, payable
from .codes import CodeFile
from .command import ACCOUNT, LEDGER, OUTPUT, SPENDING, command
from .context import CommandContext
from .exits import CommandError, ExitCode
from .results import COLUMNS, ResultFile, standing_record, state_of
from .values import OnUnknown, money_record, receipt_record

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Sequence

    from ..bulk import Outlook, Progress, Standing
    from .output import Record

R = TypeVar("R")

app = typer.Typer()
bulk = typer.Typer(help="Issue many rewards from a file, each exactly once.")
app.add_typer(bulk, name="bulk")

_SHOWN = 1_000
_SLICE = 1_000

File: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", help="CSV, TSV or JSON lines: reference, amount, currency, …")
]
FileFormat: TypeAlias = Annotated[
    Format | None,
    typer.Option("--format", help="Of FILE, where its name does not say."),
]
Ignore: TypeAlias = Annotated[
    str, typer.Option("--ignore", metavar="COLUMNS", help="Columns of FILE that mean nothing: email,name.")
]
MaxTotal: TypeAlias = Annotated[
    str | None,
    typer.Option("--max-total", metavar="AMOUNT", help="FILE may not be worth more: '5000.00 USD'."),
]
MaxFailures: TypeAlias = Annotated[
    int, typer.Option("--max-failures", min=0, metavar="N", help="Stop after so many refusals.")
]
FundsBelow: TypeAlias = Annotated[
    str | None,
    typer.Option("--funds-below", metavar="AMOUNT", help="Stop before less is left: '1000.00 USD'."),
]
NoFunds: TypeAlias = Annotated[
    bool, typer.Option("--no-funds", help="Do not ask whether the funds suffice.", show_default=False)
]
KeyDays: TypeAlias = Annotated[
    int | None, typer.Option("--key-days", metavar="N", help="Stop when the key has fewer days left.")
]
Budget: TypeAlias = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="For each unsettled reward; then exit code 5.")
]
Results: TypeAlias = Annotated[
    Path | None, typer.Option("--results", metavar="CSV", help="Write a row for each reward; no codes.")
]
CodesTo: TypeAlias = Annotated[
    Path | None,
    typer.Option("--codes-to", metavar="CSV", help="Ask for all codes in the end; append, mode 0600."),
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Check everything, send nothing.", show_default=False)
]

# Spelt out, because typer knows no unions.
OnlyState: TypeAlias = Annotated[
    Literal["new", "planned", "sent", "issued", "refused", "reversing", "reversed", "abandoned"] | None,
    typer.Option("--only", metavar="STATE", help="new, planned, sent, issued, refused …"),
]


def _issuing(name: str, text: str, examples: Sequence[str], *, retry_refused: bool) -> None:
    """Make a command that issues."""

    async def act(
        context: CommandContext,
        file: File,
        max_total: MaxTotal = None,
        max_failures: MaxFailures = 100,
        funds_below: FundsBelow = None,
        dry_run: DryRun = False,
        results: Results = None,
        codes_to: CodesTo = None,
        no_funds: NoFunds = False,
        key_days: KeyDays = None,
        file_format: FileFormat = None,
        ignore: Ignore = "",
        on_unknown: OnUnknown = "complete",
        wait: Budget = 600.0,
    ) -> ExitCode:
        # Among a million rewards some are repeated all the time: AGCOD_LOG=info tells which.
        context.tells_retries = False
        campaign = Campaign(
            await context.session(),
            # Of what was never issued there is nothing to be read, and nothing is left behind.
            MemoryLedger() if dry_run and not context.has_ledger else await context.ledger(is_made=True),
            _rewards(context, file, file_format, ignore),
            max_total=_money("--max-total", max_total),
            max_failures=max_failures,
            funds_below=_money("--funds-below", funds_below),
            check_funds=not no_funds,
            min_key_days=key_days,
            ceiling=context.settings.ceiling,
            retry_refused=retry_refused,
            on_unknown=on_unknown,
            budget=wait,
        )
        if dry_run:
            outlook = await _checked(context, campaign, in_full=True)
            context.output.result(_outlook_record(file, outlook))
            return ExitCode.OK
        return await _carry_out(context, campaign, file, results, codes_to)

    act.__doc__ = text
    command(bulk, options=SPENDING, examples=examples, name=name)(act)


_issuing(
    "run",
    """
    Issue every reward of FILE, each exactly once.

    Kill it and run it again as often as you like. The whole file, the limits and the funds are checked
    before anything is sent. What was refused is not tried again: that is `agcod bulk retry`.
    """,
    (
        "agcod bulk run rewards.csv --dry-run",
        "agcod bulk run rewards.csv --max-total '5000.00 USD' --results results.csv",
        "agcod bulk run rewards.csv --yes --json --codes-to codes.csv",
    ),
    retry_refused=False,
)
_issuing(
    "retry",
    """Run again, with what was refused. Everything keeps its id, and is paid once.""",
    ("agcod bulk retry rewards.csv",),
    retry_refused=True,
)


@command(bulk, options={**LEDGER, **ACCOUNT, **OUTPUT}, examples=("agcod bulk status rewards.csv",))
async def status(
    context: CommandContext,
    file: File,
    file_format: FileFormat = None,
    ignore: Ignore = "",
) -> ExitCode:
    """Show how the rewards of FILE stand in the ledger, by state. Nobody is asked."""
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    async with aclosing(_standings(context, file, file_format, ignore)) as standings:
        async for some in standings:
            for standing in some:
                value = standing.intent.value
                key = (state_of(standing), value.currency_code)
                counts[key] += 1
                sums[key] += value.amount
    rows: list[Record] = [
        {"state": state, "count": count, **money_record(Money(sums[state, currency], currency))}
        for (state, currency), count in sorted(counts.items())
    ]
    context.output.table(rows, columns=("state", "count", "amount", "currency"), empty="")
    return _exit_code({state for state, _ in counts})


@command(
    bulk,
    options={**LEDGER, **ACCOUNT, **OUTPUT},
    examples=(
        "agcod bulk report rewards.csv --results results.csv",
        "agcod bulk report rewards.csv --only refused",
        "agcod bulk report rewards.csv --json | jq -r 'select(.state == \"sent\") | .request_id'",
    ),
)
async def report(
    context: CommandContext,
    file: File,
    results: Results = None,
    only: OnlyState = None,
    file_format: FileFormat = None,
    ignore: Ignore = "",
) -> ExitCode:
    """Show every reward of FILE as it stands in the ledger. Nobody is asked; the order is the file's."""
    states: set[str] = set()
    shown: list[Record] = []
    left_out = 0
    with ExitStack() as stack:
        written = (
            None if results is None else stack.enter_context(ResultFile(context.process.folder / results))
        )
        async with aclosing(_standings(context, file, file_format, ignore)) as standings:
            async for some in standings:
                states |= {state_of(standing) for standing in some}
                records = [
                    standing_record(standing) for standing in some if only in (None, state_of(standing))
                ]
                if written is not None:
                    await _in_thread(partial(written.add, records))
                elif context.output.is_json:
                    context.output.table(records, columns=COLUMNS, empty="")
                else:
                    room = _SHOWN - len(shown)
                    shown += records[:room]
                    left_out += max(0, len(records) - room)
        if written is not None:
            await _in_thread(written.finish)
            context.output.note(f"Written: {results}")
    if shown:
        context.output.table(shown, columns=COLUMNS, empty="")
    if left_out:
        context.output.note(f"{left_out} more: --results FILE writes them all.")
    return _exit_code(states)


async def _carry_out(
    context: CommandContext, campaign: Campaign, file: Path, results: Path | None, codes_to: Path | None
) -> ExitCode:
    folder = context.process.folder
    with ExitStack() as stack:
        # Opened before anything is spent.
        codes = None if codes_to is None else stack.enter_context(CodeFile(folder / codes_to))
        written = None if results is None else stack.enter_context(ResultFile(folder / results))
        outlook = await _checked(context, campaign, in_full=False)
        if outlook.to_send:
            context.confirm("Issue rewards", _outlook_record(file, outlook), total=_sum(outlook.to_send))
        stopped = await _issue(context, campaign, outlook)
        if written is not None:
            await _write_results(campaign, written)
        if codes is not None and not context.stopping.is_set():
            await _write_codes(context, campaign, codes)
    context.output.result(_progress_record(campaign.progress))
    if stopped is not None:
        if context.stopping.is_set():
            return ExitCode.INTERRUPTED
        raise stopped
    return _exit_code_of(campaign.progress)


async def _checked(context: CommandContext, campaign: Campaign, *, in_full: bool) -> Outlook:
    """Check a campaign; all its bad lines are shown, and not only what fits into a message."""
    try:
        with context.output.progress("Checking", total=None):
            return await campaign.check(in_full=in_full)
    except InvalidRewards as wrong:
        raise _shown(context, wrong) from wrong


def _shown(context: CommandContext, wrong: InvalidRewards) -> Exception:
    """Show all that is wrong with a file, and return what the command ends with."""
    if context.output.is_json:
        for problem in wrong.problems:
            context.output.result({**problem._asdict()})
        return wrong
    for problem in wrong.problems:
        context.output.note(str(problem))
    if wrong.count > len(wrong.problems):
        context.output.note(f"… and {wrong.count - len(wrong.problems)} more")
    found = "this was" if wrong.count == 1 else f"these {wrong.count} problems were"
    return CommandError(
        f"nothing was sent: {found} found in the whole file", fix="mend the file, and repeat the command"
    )


async def _issue(context: CommandContext, campaign: Campaign, outlook: Outlook) -> CampaignStopped | None:
    """Run a campaign to its end, or to the first Ctrl-C; return what has stopped it."""
    total = sum(outlook.to_do.values())
    with context.output.progress("Issuing", total=total) as advance:
        async with campaign:
            stopping = asyncio.create_task(_stop_on_request(context, campaign))
            try:
                done = 0
                async for receipt in campaign:
                    done += 1
                    if context.output.is_json:
                        context.output.result(receipt_record(receipt))
                    elif receipt.state != "issued":
                        context.output.note(
                            f"{receipt.reference}: {receipt.state}, {receipt.last_error or 'no answer'}"
                        )
                    advance(done, _label(campaign.progress))
            except CampaignStopped as stopped:
                return stopped
            finally:
                stopping.cancel()
    return None


async def _stop_on_request(context: CommandContext, campaign: Campaign) -> None:
    await context.stopping.wait()
    campaign.stop()


async def _write_results(campaign: Campaign, written: ResultFile) -> None:
    async with aclosing(_sliced(campaign)) as slices:
        async for some in slices:
            rows = [standing_record(standing) for standing in some]
            await _in_thread(partial(written.add, rows))
    await _in_thread(written.finish)


async def _write_codes(context: CommandContext, campaign: Campaign, codes: CodeFile) -> None:
    """Ask for every code that is not in the file yet; those that cannot be had now are named."""
    known = await _in_thread(codes.written)
    with context.output.progress("Asking for codes", total=None) as advance:
        done = 0
        async with aclosing(campaign.cards(lambda intent: not known.has(intent.reference))) as cards:
            async for standing, card in cards:
                if isinstance(card, AgcodError):
                    context.output.note(f"{standing.intent.reference}: no code: {card}")
                else:
                    await _in_thread(partial(codes.add, card))
                    done += 1
                    advance(done)
                if context.stopping.is_set():
                    return


async def _standings(
    context: CommandContext, file: Path, file_format: Format | None, ignore: str
) -> AsyncGenerator[list[Standing], None]:
    rewards = _rewards(context, file, file_format, ignore)
    ledger = await context.ledger()
    campaign = Campaign(await context.session(), ledger, rewards)
    try:
        async with aclosing(_sliced(campaign)) as slices:
            async for some in slices:
                yield some
    except InvalidRewards as wrong:
        raise _shown(context, wrong) from wrong


async def _sliced(campaign: Campaign) -> AsyncGenerator[list[Standing], None]:
    some: list[Standing] = []
    async with aclosing(campaign.standings()) as standings:
        async for standing in standings:
            some.append(standing)
            if len(some) == _SLICE:
                yield some
                some = []
    yield some


async def _in_thread(act: Callable[[], R]) -> R:
    return await asyncio.get_running_loop().run_in_executor(None, act)


def _rewards(context: CommandContext, file: Path, file_format: Format | None, ignore: str) -> RewardFile:
    ignored = [name.strip() for name in ignore.split(",") if name.strip()]
    return RewardFile(context.process.folder / file, format=file_format, ignore=ignored)


def _money(option: str, text: str | None) -> Money | None:
    if text is None:
        return None
    amount, _, currency = text.strip().partition(" ")
    try:
        return payable(option, Money(amount, currency.strip()))
    except ConfigurationError:
        raise CommandError(f"{option} {text!r} is not an amount such as '5000.00 USD'") from None


def _sum(values: Sequence[Money]) -> str:
    return " + ".join(map(str, values)) or "nothing"


def _outlook_record(file: Path, outlook: Outlook) -> Record:
    counts = {f"rewards_{state}": count for state, count in sorted(outlook.states.items())}
    return {
        "file": file.name,
        "rewards": outlook.rewards,
        **counts,
        "repeated_lines": outlook.repeats,
        "worth": _sum(outlook.total),
        "to_issue": _sum(outlook.to_send),
        "funds": None if outlook.funds is None else str(outlook.funds),
        "key_days_left": outlook.key_days_left,
    }


def _progress_record(progress: Progress) -> Record:
    return {
        "rewards": progress.rewards,
        "issued": progress.issued,
        "refused": progress.refused,
        # What was cut short may have been sent.
        "unknown": progress.unknown + progress.in_flight,
        "not_sent": progress.not_sent + progress.remaining,
        "closed": progress.closed,
        "issued_now": _sum(progress.spent),
        "funds": None if progress.funds is None else str(progress.funds),
    }


def _label(progress: Progress) -> str:
    parts = [f"{progress.issued} issued"]
    parts += [f"{count} {name}" for name, count in _trouble(progress) if count]
    parts.append(f"{progress.rate:.1f}/s")
    if progress.funds is not None:
        parts.append(f"{progress.funds} left")
    return ", ".join(parts)


def _trouble(progress: Progress) -> list[tuple[str, int]]:
    return [("refused", progress.refused), ("unknown", progress.unknown), ("not sent", progress.not_sent)]


def _exit_code_of(progress: Progress) -> ExitCode:
    if progress.unknown or progress.not_sent or progress.remaining:
        return ExitCode.PENDING
    return ExitCode.REFUSED if progress.refused else ExitCode.OK


def _exit_code(states: Collection[str]) -> ExitCode:
    """Return what to make of a campaign in which rewards are in these states."""
    if "abandoned" in states:
        return ExitCode.ABANDONED
    if not {"new", "planned", "sent", "reversing"}.isdisjoint(states):
        return ExitCode.PENDING
    return ExitCode.REFUSED if "refused" in states else ExitCode.OK
