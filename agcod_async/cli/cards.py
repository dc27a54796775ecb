"""Physical cards: `activate`, `deactivate`."""

from __future__ import annotations

from typing import Annotated

import typer

from .command import SPENDING, command
from .context import CommandContext
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

app = typer.Typer()


@command(app, options=SPENDING, examples=("agcod activate till-7-0001 1234567890123456789 25.00 USD",))
async def activate(
    context: CommandContext,
    reference: Reference,
    card_number: Annotated[str, typer.Argument(metavar="CARD_NUMBER", help="The 19 digits of the card.")],
    amount: Amount,
    currency: Currency,
    program_id: ProgramId = None,
    product_type: ProductType = None,
    on_unknown: OnUnknown = "complete",
    wait: Wait = 60.0,
) -> None:
    """Put an amount on a physical card, once for each REFERENCE."""
    new_reference(reference)
    value = amount_of_money(amount, currency)
    issuer = await context.issuer(on_unknown=on_unknown, budget=wait, makes_ledger=True)
    context.confirm("Activate a card", {"reference": reference, "card_number": card_number}, total=str(value))
    receipt = await issuer.activate(
        reference, card_number, value, program_id=program_id, product_type=product_type
    )
    context.output.result(receipt_record(receipt))


@command(app, options=SPENDING, examples=("agcod deactivate till-7-0001",))
async def deactivate(context: CommandContext, reference: Reference, wait: Wait = 60.0) -> None:
    """Take an activation back. The card awaits activation again."""
    await undo(context, reference, "activate", wait)
