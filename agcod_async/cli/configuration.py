"""This machine's side: `config`, `completion`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import typer

from .command import ACCOUNT, LEDGER, OUTPUT, command
from .context import CommandContext
from .keys import key_records
from .output import Record
from .settings import FIELDS, masked

app = typer.Typer()

Shell: TypeAlias = Literal["bash", "zsh", "fish", "powershell"]


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
    rows: list[Record] = [
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
    rows += await key_records(settings, context.process.environ)
    context.output.table(rows, columns=("setting", "value", "source"), empty="")
    context.output.note(f"File: {settings.file or 'none'}")


@command(
    app,
    options={},
    examples=(
        "agcod completion bash > ~/.local/share/bash-completion/completions/agcod",
        'agcod completion zsh > "${fpath[1]}/_agcod"',
    ),
)
async def completion(
    context: CommandContext,
    shell: Annotated[Shell, typer.Argument(help="Which shell's.")],
) -> None:
    """Print a script for completion in a shell. `agcod --install-completion` installs it."""
    # What typer's own --show-completion prints, for a shell that can be named.
    from typer.completion import get_completion_script  # type: ignore[attr-defined] # pyright: ignore[reportPrivateImportUsage]

    script = get_completion_script(prog_name="agcod", complete_var="_AGCOD_COMPLETE", shell=shell)
    context.process.stdout.write(script + "\n")
