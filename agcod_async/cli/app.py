"""The whole command line: every group of commands, one place where errors are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .._version import __version__
from . import (
    account,
    balances,
    bulk,
    cards,
    configuration,
    doctor,
    emulation,
    reconciling,
    recovery,
    rewards,
    scratchpad,
)
from .command import Invocation, show_error
from .exits import CommandError, ExitCode
from .output import Output
from .process import Process

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUPS = (
    rewards, bulk, cards, balances, recovery, account, reconciling,
    scratchpad, doctor, emulation, configuration,
)  # fmt: skip
"""The modules of commands, in the order of the help: each has an ``app``."""

# What typer raises for a command line that cannot be parsed; where that class lives depends on its version.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def build() -> typer.Typer:
    """Return the command line with the commands of every group."""
    app = typer.Typer(
        name="agcod",
        rich_markup_mode=None,
        # Its pretty tracebacks show local variables: keys and codes.
        pretty_exceptions_enable=False,
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(
        invoke_without_command=True,
        epilog="\b\nExit codes and agcod.toml: docs/cli.md. Try it without an account:\n  agcod demo",
    )(_root)
    for group in GROUPS:
        app.add_typer(group.app)
    return app


def run(arguments: Sequence[str] | None = None, process: Process | None = None) -> int:
    """
    Run one command line, and return its exit code.

    Args:
        arguments: without the program's name; those of this process by default.
        process: streams, environment and folder; this process's own by default.
    """
    import sys

    arguments = sys.argv[1:] if arguments is None else arguments
    process = process or Process()
    as_json = _wants_json(arguments) or not process.stdout.isatty()
    output = Output(process.stdout, process.stderr, as_json=as_json)
    try:
        code = build()(
            list(arguments), prog_name="agcod", standalone_mode=False, obj=Invocation(process, output)
        )
    except CommandError as error:
        return show_error(output, error)
    except _UsageError as error:
        return show_error(output, _usage(error))
    except SystemExit as end:
        return int(end.code or ExitCode.OK)
    return int(code or ExitCode.OK)


def _root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", show_default=False)] = False,
    json: Annotated[  # noqa: ARG001  (looked for in the whole command line, see run())
        bool,
        typer.Option("--json", help="JSON lines, as in a pipe; also after COMMAND.", show_default=False),
    ] = False,
) -> None:
    """Issue Amazon gift cards, every reward exactly once."""
    if version:
        ctx.obj.output.result({"version": __version__})
    elif ctx.invoked_subcommand is None:
        ctx.obj.process.stdout.write(ctx.get_help() + "\n")


def _wants_json(arguments: Sequence[str]) -> bool:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in own


def _usage(error: Exception) -> CommandError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "agcod"
    message = getattr(error, "format_message", error.__str__)()
    return CommandError(message, fix=f"see `{path} --help`")
