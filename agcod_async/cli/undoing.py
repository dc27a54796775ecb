"""Rewards taken back: what `cancel`, `deactivate` and `void` have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .exits import CommandError
from .values import receipt_record

if TYPE_CHECKING:
    from ..ledger import Kind
    from .context import CommandContext

_COMMANDS: dict[Kind, str] = {"create": "cancel", "activate": "deactivate", "load": "void"}


async def undo(context: CommandContext, reference: str, kind: Kind, wait: float) -> None:
    """Take the reward of *reference* back, if it is of this *kind*, and show where it stands."""
    issuer = await context.issuer(budget=wait)
    receipt = await issuer.status(reference)
    if receipt.kind != kind:
        raise CommandError(
            f"{reference}: a reward of kind {receipt.kind!r} is not undone by `agcod {_COMMANDS[kind]}`",
            fix=f"agcod {_COMMANDS[receipt.kind]} {reference}",
        )
    context.confirm(
        f"{_COMMANDS[kind].capitalize()} a reward",
        {"reference": reference, "state": receipt.state, "gc_id": receipt.gc_id},
        total=str(receipt.value),
    )
    context.output.result(receipt_record(await issuer.undo(reference)))
