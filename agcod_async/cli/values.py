"""Arguments that several commands have, and records that several commands show."""

from __future__ import annotations

import string
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from ..checks import check_reference
from ..errors import ConfigurationError
from ..money import Money, payable
from .exits import CommandError

if TYPE_CHECKING:
    from ..receipts import Receipt
    from ..session import AgcodSession
    from .output import Record

Reference: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="REFERENCE", help="Your own: an order, a payout. One is one reward, for ever."),
]
Amount: TypeAlias = Annotated[str, typer.Argument(metavar="AMOUNT", help="In major units, such as 25.00.")]
Currency: TypeAlias = Annotated[str, typer.Argument(metavar="CURRENCY", help="Such as USD.")]
Wait: TypeAlias = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="For an unsettled reward; then exit code 5.")
]
OnUnknown: TypeAlias = Annotated[
    Literal["complete", "replace", "undo"],
    typer.Option("--on-unknown", help="What to do if no answer can be had."),
]
ProgramId: TypeAlias = Annotated[
    str | None, typer.Option("--program-id", metavar="ID", help="For resellers.")
]
ProductType: TypeAlias = Annotated[
    str | None, typer.Option("--product-type", metavar="TYPE", help="For product vouchers.")
]

RECEIPT_COLUMNS = (
    "reference", "kind", "state", "amount", "currency", "gc_id", "request_id", "last_error",
)  # fmt: skip
"""What a table of receipts shows of :func:`receipt_record`."""


def new_reference(reference: str) -> str:
    """Return a reference for a reward, as it was typed, if that is what was meant."""
    check_reference(reference)
    if reference.strip() != reference:
        raise CommandError(
            f"REFERENCE {reference!r} begins or ends with a space: without it, it would be another reward"
        )
    return reference


def amount_of_money(amount: str, currency: str) -> Money:
    """Return what AMOUNT and CURRENCY say, if a reward can be worth that."""
    try:
        return payable("AMOUNT", Money(amount, currency))
    except ConfigurationError as wrong:
        if "plain number" in wrong.message:
            raise CommandError(f"AMOUNT {amount!r} is not a plain number such as 25.00") from None
        raise


def receipt_record(receipt: Receipt) -> Record:
    """Return where a reward stands, as every command shows it."""
    return {
        "reference": receipt.reference,
        "kind": receipt.kind,
        "state": receipt.state,
        **money_record(receipt.value),
        "gc_id": receipt.gc_id,
        "request_id": receipt.request_id,
        "generation": receipt.generation,
        "since": receipt.since,
        "last_error": receipt.last_error,
    }


def money_record(value: Money | None, name: str = "amount") -> Record:
    """Return an amount of money as every command shows it, with all the minor digits of its currency."""
    if value is None:
        return {name: None, "currency": None}
    return {name: Decimal(str(value).partition(" ")[0]), "currency": value.currency_code}


def fresh_id(session: AgcodSession) -> str:
    """Return a request id for a question: what is asked twice costs nothing."""
    return session.partner_id + "".join(session.rng.choices(string.ascii_letters + string.digits, k=16))
