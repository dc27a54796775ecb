"""Where rewards stand, and what drives them on: `status`, `recover`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..model import CardInfo
from ..money import Money
from ..receipts import Receipt
from .command import ASKING, LEDGER, SPENDING, command
from .context import CommandContext
from .exits import CommandError, ExitCode
from .settings import masked
from .values import RECEIPT_COLUMNS, fresh_id, money_record, receipt_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..issuer import Issuer
    from ..ledger import Ledger, Total

app = typer.Typer()

_OPEN = ("planned", "sent", "reversing")


@command(
    app,
    options={**LEDGER, **ASKING},
    examples=("agcod status", "agcod status order-4711", "agcod status --card 1234567890123456789"),
)
async def status(
    context: CommandContext,
    reference: Annotated[
        str | None, typer.Argument(metavar="[REFERENCE]", help="Without it: the sums of the ledger.")
    ] = None,
    card: Annotated[
        str | None, typer.Option("--card", metavar="NUMBER", help="Ask the service about a physical card.")
    ] = None,
) -> None:
    """Show where a reward stands, or the whole ledger. Only --card asks the service."""
    if card is not None:
        if reference is not None:
            raise CommandError("give a REFERENCE or --card, not both")
        await _show_card(context, card)
        return
    ledger = await context.ledger()
    if reference is None:
        rows = [
            {
                "partner_id": total.payer.partner_id,
                "endpoint": total.payer.endpoint,
                "state": total.state,
                "count": total.count,
                **money_record(total.value),
            }
            for total in await ledger.summary()
        ]
        columns = ("partner_id", "endpoint", "state", "count", "amount", "currency")
        context.output.table(rows, columns=columns, empty="The ledger is empty.")
        return
    entry = await ledger.get(reference)
    if entry is None:
        raise CommandError(
            f"{reference!r} is not in the ledger {masked(context.settings.ledger)}",
            fix="`agcod config` shows which",
        )
    context.output.result(
        {
            **receipt_record(Receipt.of(entry)),
            "partner_id": entry.partner_id,
            "endpoint": entry.endpoint,
            "attempts": entry.attempts,
            "settled": entry.settled_at,
            "due": entry.due_at,
        }
    )


@command(
    app, options=SPENDING, examples=("agcod recover", "agcod recover --watch --yes", "agcod recover || alert")
)
async def recover(
    context: CommandContext,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until nothing is open.")] = False,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", help="Between two rounds.")] = 5.0,
) -> ExitCode:
    """
    Finish what a crash, a RESEND or a time-out has left open.

    Of this account alone. Without --watch every reward that is due takes one step. Exit code 5 says that
    something is still open, 9 that a reward was unknown for 24 hours and is given up.
    """
    if not every > 0:
        raise CommandError("--every: seconds greater than 0 are needed")
    issuer, ledger = await context.issuer(), await context.ledger()
    todo = await _open_totals(ledger, issuer)
    if not todo:
        context.output.note("Nothing is open.")
        return ExitCode.OK
    context.confirm("Drive open rewards on", {"rewards": _count(todo)}, total=_sum(todo))
    receipts: list[Receipt] = []
    is_going = True
    while is_going:
        driven = await issuer.recover()
        receipts += driven
        if driven:
            context.output.table(map(receipt_record, driven), columns=RECEIPT_COLUMNS, empty="")
        todo = await _open_totals(ledger, issuer)
        is_going = watch and bool(todo) and not await context.stopped_within(every)
    if any(receipt.state == "abandoned" for receipt in receipts):
        return ExitCode.ABANDONED
    if not todo:
        return ExitCode.OK
    context.output.note(f"Still open: {_count(todo)}, {_sum(todo)}. `agcod recover --watch` goes on.")
    return ExitCode.PENDING


async def _show_card(context: CommandContext, card_number: str) -> None:
    session = await context.session()
    response = await session.activation_status_check(fresh_id(session), card_number)
    info = response.card_info or CardInfo()
    context.output.result(
        {
            "card_number": card_number,
            "card_status": info.card_status,
            **money_record(info.value),
            "expires": info.expiration_date,
        }
    )


async def _open_totals(ledger: Ledger, issuer: Issuer) -> list[Total]:
    return [total for total in await ledger.summary(payer=issuer.payer) if total.state in _OPEN]


def _count(totals: Sequence[Total]) -> int:
    return sum(total.count for total in totals)


def _sum(totals: Sequence[Total]) -> str:
    sums: dict[str, Money] = {}
    for total in totals:
        code = total.value.currency_code
        before = sums.get(code, Money(0, code))
        sums[code] = Money(before.amount + total.value.amount, code)
    return " + ".join(map(str, sums.values()))
