"""Gift cards: `create`, `cancel`."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .codes import CodeFile
from .command import SPENDING, command
from .context import CommandContext
from .exits import CommandError
from .undoing import undo
from .values import (
    Amount,
    Currency,
    OnUnknown,
    ProductType,
    ProgramId,
    Reference,
    Wait,
    amount_of_money,
    new_reference,
    receipt_record,
)

if TYPE_CHECKING:
    from ..receipts import IssuedGiftCard
    from .output import Record

app = typer.Typer()


@command(
    app,
    options=SPENDING,
    examples=(
        "agcod create order-4711 25.00 USD --reveal",
        "agcod create order-4711 25.00 USD --yes --codes-to codes.csv --json | jq .gc_id",
    ),
)
async def create(
    context: CommandContext,
    reference: Reference,
    amount: Amount,
    currency: Currency,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the code, on a terminal only.")] = False,
    codes_to: Annotated[
        Path | None, typer.Option("--codes-to", metavar="FILE", help="Append the code to a CSV, mode 0600.")
    ] = None,
    external_reference: Annotated[
        str | None, typer.Option("--external-reference", metavar="TEXT", help="Your own text at the service.")
    ] = None,
    program_id: ProgramId = None,
    product_type: ProductType = None,
    on_unknown: OnUnknown = "complete",
    wait: Wait = 60.0,
) -> None:
    """
    Create a gift card, once for each REFERENCE.

    The same REFERENCE returns the same card, for ever. The code is not shown unless --reveal or --codes-to
    says so, and it is stored nowhere else: repeat the command to get it back.
    """
    new_reference(reference)
    value = amount_of_money(amount, currency)
    if reveal and not context.process.stdout.isatty():
        raise CommandError("--reveal shows a code on a terminal only", fix="take --codes-to FILE")
    with ExitStack() as stack:
        # Opened before anything is spent.
        codes = None if codes_to is None else stack.enter_context(CodeFile(context.process.folder / codes_to))
        issuer = await context.issuer(on_unknown=on_unknown, budget=wait, makes_ledger=True)
        context.confirm("Create a gift card", {"reference": reference}, total=str(value))
        issued = await issuer.issue(
            reference,
            value,
            program_id=program_id,
            product_type=product_type,
            external_reference=external_reference,
        )
        if codes is not None:
            await asyncio.get_running_loop().run_in_executor(None, codes.add, issued)
    context.output.result(_record(issued, reveal=reveal))
    if not reveal and codes_to is None:
        context.output.note("The code is not shown: --reveal shows it, --codes-to FILE writes it down.")


@command(app, options=SPENDING, examples=("agcod cancel order-4711",))
async def cancel(context: CommandContext, reference: Reference, wait: Wait = 60.0) -> None:
    """
    Cancel a gift card that nobody has claimed.

    The service allows it within 15 minutes of the card's creation. From the first request on its code is
    handed out to nobody. A reward that was never sent is withdrawn.
    """
    await undo(context, reference, "create", wait)


def _record(issued: IssuedGiftCard, *, reveal: bool) -> Record:
    code = {"claim_code": issued.claim_code.reveal()} if reveal else {}
    return {**receipt_record(issued.receipt), "expires": issued.gc_expiration_date, **code}
