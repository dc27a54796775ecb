"""What is wrong, and how to mend it: `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..diagnosis import diagnose
from .checkup import Checkup, Finding
from .command import ACCOUNT, LEDGER, OUTPUT, command
from .context import CommandContext
from .exits import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer()

_COLUMNS = ("check", "state", "says", "fix")


@command(
    app,
    options={**LEDGER, **ACCOUNT, **OUTPUT},
    examples=(
        "agcod doctor",
        "agcod doctor --json | jq 'select(.state != \"ok\")'",
        "agcod doctor --refusal -",
    ),
)
async def doctor(
    context: CommandContext,
    refusal: Annotated[
        str | None,
        typer.Option("--refusal", metavar="FILE", help="Explain a refusal or support report; - reads it."),
    ] = None,
) -> ExitCode:
    """
    Check everything between the configuration and the money.

    What fails is named with its fix. Looked at are settings and keys, disk and ledger, DNS, TLS, this
    machine's clock, and whether the gateway accepts a signature and shows the funds. Nothing is issued.
    """
    if refusal is not None:
        return _explain(context, refusal)
    findings = [finding async for finding in Checkup(context).findings()]
    rows = [{name: getattr(each, name) for name in _COLUMNS} for each in findings]
    context.output.table(rows, columns=_COLUMNS, empty="")
    return _worst(findings)


def _explain(context: CommandContext, source: str) -> ExitCode:
    """Say what a pasted refusal means; this needs no configuration and no network."""
    try:
        path = context.process.folder / Path(source)
        text = context.process.stdin.read() if source == "-" else path.read_text("utf-8", "replace")
    except OSError as error:
        raise CommandError(f"--refusal {source}: {error.strerror}") from None
    found = diagnose(text)
    context.output.result(
        {
            "cause": found.cause,
            "says": found.text,
            "header": found.name,
            "signed": found.ours,
            "received": found.theirs,
        }
    )
    return ExitCode.OK


def _worst(findings: Sequence[Finding]) -> ExitCode:
    """Return the code of the first check that failed: what comes after it may be its fault."""
    return next((each.code for each in findings if each.state == "failed"), ExitCode.OK)
