"""Without an account: `demo`, `emulator`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from .command import OUTPUT, command
from .context import CommandContext
from .exits import CommandError, ExitCode
from .values import money_record

app = typer.Typer()

_LIBRARIES = ("uvicorn", "trustme", "jinja2")


@command(app, options=OUTPUT, examples=("agcod demo", "agcod demo rewards.csv"))
async def demo(
    context: CommandContext,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A CSV with the columns reference, amount and currency."),
    ] = None,
) -> ExitCode:
    """Issue rewards against an emulated gateway. Needs no account: it brings its own, over TLS."""
    _require_emulator()
    from ..demo import read_rewards, some_rewards, tell

    output = context.output
    rewards = some_rewards() if file is None else read_rewards(context.process.folder / file)
    told = await tell(rewards, output.text)
    for line in told.lines():
        output.text(line)
    if output.is_json:
        for reward, card in zip(told.rewards, told.cards, strict=True):
            output.result({"reference": reward.reference, **money_record(reward.value), "gc_id": card.gc_id})
    for problem in told.problems:
        output.note(f"NOT RIGHT: {problem}")
    return ExitCode.DIFFERENCE if told.problems else ExitCode.OK


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    help="Serve an emulated gateway for programs in any language.",
)
def emulator(ctx: typer.Context) -> ExitCode:
    """Hand everything to the emulator's own command line: there is one, not two."""
    _require_emulator()
    from ..emulator.__main__ import main

    return ExitCode(main(ctx.args, program="agcod emulator"))


def _require_emulator() -> None:
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise CommandError(
            f"the emulator needs {' and '.join(missing)}", fix="pip install 'agcod-async[emulator]'"
        )
