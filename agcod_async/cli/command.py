"""How a function becomes a command: shared options, one event loop, and signals that stop it cleanly."""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from traceback import format_tb
from typing import Annotated, Any, Concatenate, ParamSpec, TypeAlias, get_type_hints

import typer

from ..errors import AgcodError
from ..events import LOGGER
from .context import GRACE, CommandContext
from .exits import CommandError, ExitCode, described, exit_code_of
from .output import Output
from .process import Process
from .settings import profile_names

P = ParamSpec("P")
Command: TypeAlias = Callable[Concatenate[CommandContext, P], Coroutine[Any, Any, ExitCode | None]]

OUTPUT: Mapping[str, Any] = {
    "json": Annotated[
        bool, typer.Option("--json", help="JSON lines, as in a pipe; errors too.", show_default=False)
    ],
}
ACCOUNT: Mapping[str, Any] = {
    "profile": Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="A [profiles.NAME] of agcod.toml.",
            autocompletion=lambda: profile_names(Path.cwd()),
        ),
    ],
    "config": Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Instead of ./agcod.toml.")
    ],
    "endpoint": Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="NAME",
            help="na-sandbox, eu, … or a URL.",
            autocompletion=lambda: [
                f"{each}{kind}" for each in ("na", "eu", "fe") for kind in ("-sandbox", "")
            ],
        ),
    ],
    "partner_id": Annotated[
        str | None, typer.Option("--partner-id", metavar="ID", help="Your id at the service.")
    ],
    "production": Annotated[
        bool,
        typer.Option("--production", help="Needed where the endpoint is production.", show_default=False),
    ],
}
LEDGER: Mapping[str, Any] = {
    "ledger": Annotated[
        str | None,
        typer.Option("--ledger", metavar="FILE", help="Or AGCOD_LEDGER; rewards.db, or a PostgreSQL URL."),
    ],
}
CONFIRM: Mapping[str, Any] = {
    "yes": Annotated[
        bool, typer.Option("--yes", "-y", help="Go on without a confirmation.", show_default=False)
    ],
}
SPENDING: Mapping[str, Any] = {**LEDGER, **CONFIRM, **ACCOUNT, **OUTPUT}
"""The shared options of a command that moves money through the ledger."""

ASKING: Mapping[str, Any] = {**ACCOUNT, **OUTPUT}
"""The shared options of a command that only asks the service."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the process hands to a command through typer."""

    process: Process
    output: Output


def command(
    app: typer.Typer, *, examples: Sequence[str], options: Mapping[str, Any], name: str | None = None
) -> Callable[[Command[P]], Command[P]]:
    """
    Make an async function a command of *app*.

    Its first parameter is the :class:`CommandContext`, the others are typer's. It returns an exit code, or
    None for success. Whatever it raises is shown with its fix, and decides the exit code.

    Args:
        app: the typer app of the module.
        examples: command lines that its help ends with.
        options: the shared options that it has besides its own, such as :data:`SPENDING`.
        name: where it is not the function's own.
    """

    def register(function: Command[P]) -> Command[P]:
        # Their types are typer's business by now.
        act: Callable[..., Awaitable[ExitCode | None]] = function

        def shell(ctx: typer.Context, **arguments: Any) -> ExitCode:
            flags = {each: arguments.pop(each) for each in options}
            invocation: Invocation = ctx.obj
            return run_command(invocation, flags, partial(act, **arguments))

        hints = get_type_hints(function, include_extras=True)
        own = [
            each.replace(annotation=hints[each.name])
            for each in inspect.signature(function).parameters.values()
        ]
        first = own[0].replace(name="ctx", annotation=typer.Context)
        shared = [
            inspect.Parameter(
                each,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if _is_flag(kind) else None,
                annotation=kind,
            )
            for each, kind in options.items()
        ]
        signature = inspect.Signature([first, *own[1:], *shared])
        vars(shell)["__signature__"] = signature
        shell.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
        shell.__name__ = function.__name__
        epilog = "\n\n".join(("\b\nExamples:\n" + "\n".join(f"  {each}" for each in examples),))
        app.command(name, help=inspect.getdoc(function), epilog=epilog)(shell)
        return function

    return register


def run_command(
    invocation: Invocation,
    flags: Mapping[str, str | bool | None],
    act: Callable[[CommandContext], Awaitable[ExitCode | None]],
) -> ExitCode:
    """Run *act* in an event loop of its own, show what it raises, and return how it ended."""
    try:
        return asyncio.run(_supervised(invocation, flags, act))
    except KeyboardInterrupt:
        return show_error(invocation.output, CommandError("stopped", code=ExitCode.INTERRUPTED))
    except Exception as error:  # noqa: BLE001  (whatever it is, no traceback with a key in it)
        return show_error(invocation.output, error)


def show_error(output: Output, error: Exception) -> ExitCode:
    """Show *error* with its fix, and return the exit code that it stands for."""
    if isinstance(error, BrokenPipeError):
        output.hang_up()
        return ExitCode.INTERRUPTED
    if not isinstance(error, AgcodError | CommandError):
        # Where it happened, and not what it says: anything may stand in there.
        LOGGER.debug("%s at\n%s", type(error).__name__, "".join(format_tb(error.__traceback__)))
    output.error(described(error))
    return exit_code_of(error)


async def _supervised(
    invocation: Invocation,
    flags: Mapping[str, str | bool | None],
    act: Callable[[CommandContext], Awaitable[ExitCode | None]],
) -> ExitCode:
    context = CommandContext(invocation.process, invocation.output, flags)

    async def whole() -> ExitCode | None:
        async with context:
            return await act(context)

    task = asyncio.ensure_future(whole())
    with _signals(partial(_stop, context, task)):
        try:
            code = await task
        except asyncio.CancelledError:
            if not context.stopping.is_set():
                raise
            return ExitCode.INTERRUPTED
        except (AgcodError, CommandError) as error:
            if not context.stopping.is_set():
                raise
            show_error(invocation.output, error)
            return ExitCode.INTERRUPTED
    return ExitCode.INTERRUPTED if context.stopping.is_set() else code or ExitCode.OK


def _stop(context: CommandContext, task: asyncio.Future[ExitCode | None]) -> None:
    if context.stopping.is_set():
        context.patience = 0.0
        task.cancel()
        return
    context.stopping.set()
    context.output.note("Stopping: what is in flight ends first. Ctrl-C again stops at once.")
    asyncio.get_running_loop().call_later(GRACE, _stop, context, task)


@contextmanager
def _signals(stop: Callable[[], None]) -> Generator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    # Windows' loops have no signal handlers: there Ctrl-C is a KeyboardInterrupt.
    with suppress(NotImplementedError):
        for number in numbers:
            loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number in numbers:
                loop.remove_signal_handler(number)


def _is_flag(kind: Any) -> bool:
    return kind.__origin__ is bool
