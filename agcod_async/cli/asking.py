"""What commands that only ask have in common: a time to ask about, and an end at the first Ctrl-C."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from ..dates import parse_date
from .exits import CommandError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .context import CommandContext

R = TypeVar("R")

From: TypeAlias = Annotated[
    str | None, typer.Option("--from", metavar="DATE", help="From here on; UTC unless it says so.")
]
To: TypeAlias = Annotated[
    str | None,
    typer.Option("--to", metavar="DATE", help="Up to here, by default now; a bare date is a whole day."),
]
Days: TypeAlias = Annotated[
    float, typer.Option("--days", metavar="N", help="Without --from: the last N days.")
]
ActivityTypes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--activity-type",
        metavar="TYPE=OPERATION",
        help="A name of Amazon's for an operation, such as GCActivation=ActivateGiftCard.",
    ),
]

_BARE = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}")


def window(
    first: str | None, last: str | None, days: float, *, latest: datetime
) -> tuple[datetime, datetime]:
    """
    Return the time that ``--from``, ``--to`` and ``--days`` mean, its end not after *latest*.

    Raises:
        CommandError: a date cannot be read, or there is no time between them.
    """
    end = min(latest, _moment("--to", last) or latest)
    if last is not None and _BARE.fullmatch(last.strip()):
        end = min(latest, end + timedelta(days=1))
    try:
        start = _moment("--from", first) or end - timedelta(days=days)
    except (OverflowError, ValueError):
        raise CommandError(f"--days {days} is no number of days") from None
    if start >= end:
        raise CommandError(f"--from must be before --to, and before {latest:%Y-%m-%d %H:%M:%S} UTC")
    return start, end


def activity_types(named: list[str] | None) -> dict[str, str]:
    """Return the operation behind each activityType: those that are public, and those that were *named*."""
    from ..statement import ACTIVITY_TYPES

    types = dict(ACTIVITY_TYPES)
    for each in named or ():
        name, equals, operation = each.partition("=")
        if not (name and equals and operation):
            raise CommandError(f"--activity-type {each!r} is not such as GCActivation=ActivateGiftCard")
        types[name] = operation
    return types


async def until_stopped(context: CommandContext, work: Coroutine[Any, Any, R]) -> R | None:
    """Return what *work* does, or None if Ctrl-C came first: nothing is in flight that could be lost."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(context.stopping.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = parse_date(text.strip())
    if moment is None:
        raise CommandError(f"{name} {text!r} is no date such as 2026-03-01 or 2026-03-01T12:00:00+01:00")
    return moment.astimezone(UTC)
