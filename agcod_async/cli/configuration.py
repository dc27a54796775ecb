"""This machine's side: `config`."""

from __future__ import annotations

import typer

from .command import ACCOUNT, LEDGER, OUTPUT, command
from .context import CommandContext
from .keys import key_records
from .settings import FIELDS, masked

app = typer.Typer()


@command(
    app,
    options={**LEDGER, **ACCOUNT, **OUTPUT},
    examples=("agcod config", "agcod config --profile eu --json"),
)
async def config(context: CommandContext) -> None:
    """
    Show every setting, and where it came from.

    A flag goes before the environment, that before the profile, that before the rest of agcod.toml.
    """
    settings = context.settings
    rows = [
        {
            "setting": field.name,
            "value": None if found is None else masked(found.value),
            "source": "not set" if found is None else found.source,
        }
        for field in FIELDS
        for found in (settings.values.get(field.name),)
    ]
    profile = settings.profile
    rows.append(
        {
            "setting": "profile",
            "value": profile.value if profile else None,
            "source": profile.source if profile else "not set",
        }
    )
    rows += key_records(context.process.environ)
    context.output.table(rows, columns=("setting", "value", "source"), empty="")
    context.output.note(f"File: {settings.file or 'none'}")
