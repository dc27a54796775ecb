"""Arguments that several commands have, and records that several commands show."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from ..money import Money
    from ..receipts import Receipt
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
