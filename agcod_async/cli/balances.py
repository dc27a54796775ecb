"""Customers' balances: `load`, `void`, `validate`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from ..model import Account, TransactionSource
from .command import ASKING, SPENDING, command
from .context import CommandContext
from .exits import CommandError
from .undoing import undo
from .values import (
    Amount,
    Currency,
    OnUnknown,
    Reference,
    Wait,
    amount_of_money,
    fresh_id,
    new_reference,
    receipt_record,
)

app = typer.Typer()

AccountId: TypeAlias = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose balance.")]
AccountType: TypeAlias = Annotated[
    str, typer.Option("--account-type", metavar="TYPE", help="2: Login with Amazon. 1: a barcode.")
]
SourceId: TypeAlias = Annotated[
    str | None, typer.Option("--source-id", metavar="ID", help="Where it was paid, such as a shop.")
]
InstitutionId: TypeAlias = Annotated[
    str | None, typer.Option("--institution-id", metavar="ID", help="Whose shop it is.")
]
SourceDetails: TypeAlias = Annotated[
    str | None, typer.Option("--source-details", metavar="TEXT", help="More about it.")
]


@command(
    app, options=SPENDING, examples=("agcod load payout-0815 amzn1.account.AB12 5.00 USD --account-type 2",)
)
async def load(
    context: CommandContext,
    reference: Reference,
    account: AccountId,
    amount: Amount,
    currency: Currency,
    account_type: AccountType,
    source_id: SourceId = None,
    institution_id: InstitutionId = None,
    source_details: SourceDetails = None,
    on_unknown: OnUnknown = "complete",
    wait: Wait = 60.0,
) -> None:
    """Load a customer's balance, once for each REFERENCE."""
    new_reference(reference)
    value = amount_of_money(amount, currency)
    source = _source(source_id, institution_id, source_details)
    issuer = await context.issuer(on_unknown=on_unknown, budget=wait, makes_ledger=True)
    context.confirm("Load a balance", {"reference": reference, "account": account}, total=str(value))
    receipt = await issuer.load(
        reference, value, Account(id=account, type=account_type), transaction_source=source
    )
    context.output.result(receipt_record(receipt))


@command(app, options=SPENDING, examples=("agcod void payout-0815",))
async def void(context: CommandContext, reference: Reference, wait: Wait = 60.0) -> None:
    """Take a balance load back."""
    await undo(context, reference, "load", wait)


@command(app, options=ASKING, examples=("agcod validate amzn1.account.AB12 5.00 USD --account-type 2",))
async def validate(
    context: CommandContext,
    account: AccountId,
    amount: Amount,
    currency: Currency,
    account_type: AccountType,
    source_id: SourceId = None,
    institution_id: InstitutionId = None,
    source_details: SourceDetails = None,
) -> None:
    """Ask whether a balance could be loaded (Amazon Cash). Loads nothing."""
    value = amount_of_money(amount, currency)
    source = _source(source_id, institution_id, source_details)
    session = await context.session()
    response = await session.validate_account_for_amazon_balance_load(
        fresh_id(session), value, Account(id=account, type=account_type), transaction_source=source
    )
    # The rest of the answer is not publicly documented: whatever there is, is shown; codes stay masked.
    more = {name: str(value) for name, value in response.unknown_fields.items()}
    context.output.result({"status": response.status, "request_id": response.load_balance_request_id, **more})


def _source(
    source_id: str | None, institution_id: str | None, source_details: str | None
) -> TransactionSource | None:
    if source_id is not None:
        return TransactionSource(
            source_id=source_id, institution_id=institution_id, source_details=source_details
        )
    if institution_id is not None or source_details is not None:
        raise CommandError("--institution-id and --source-details belong to a source", fix="add --source-id")
    return None
