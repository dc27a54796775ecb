"""How a finding is said: one line, bounded, and without a secret."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from ..secret import masked
from ..signing import Diagnosis

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ..signing import Cause

_MAX_TEXT = 400
_MAX_VALUE = 60
_LONG_HEX = re.compile(r"[0-9a-fA-F]{32,}")


def summed_up(found: list[Diagnosis]) -> Diagnosis | None:
    """Return the first finding, which names the others."""
    if len(found) < 2:
        return found[0] if found else None
    others = ", ".join(dict.fromkeys(each.name or each.cause.replace("_", " ") for each in found[1:6]))
    first = found[0]
    return Diagnosis(
        cause=first.cause,
        text=masked(f"{first.text}; also: {others}", _MAX_TEXT, lines=False),
        name=first.name,
        ours=first.ours,
        theirs=first.theirs,
    )


def differs(
    cause: Cause,
    what: str,
    ours: str,
    theirs: str,
    why: str,
    *,
    name: str | None = None,
    expected: bool = False,
) -> Diagnosis:
    """Return the finding that *what* is not the same on both sides, and *why* that may be."""
    mine, seen = quoted(ours), quoted(theirs)
    compared = f"expected {mine}, found {seen}" if expected else f"signed {mine}, the gateway saw {seen}"
    return Diagnosis(
        cause=cause,
        text=masked(f"{what} differs: {compared}; {why}", _MAX_TEXT, lines=False),
        name=None if name is None else quoted(name),
        ours=mine,
        theirs=seen,
    )


def say(cause: Cause, text: str) -> Diagnosis:
    """Return a finding, masked and of bounded length."""
    return Diagnosis(cause=cause, text=masked(text, _MAX_TEXT, lines=False))


def unclear(text: str) -> Diagnosis:
    """Return that the refusal does not say why."""
    return say("unclear", text)


def quoted(text: str) -> str:
    """Return a piece of somebody's text, short, on one line, with hashes and signatures cut to a start."""
    return masked(_LONG_HEX.sub(lambda found: found[0][:8] + "…", text[:2000]), _MAX_VALUE, lines=False)


def written(moment: datetime) -> str:
    """Return a moment as a person reads it, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def size(difference: timedelta) -> str:
    """Return a length of time in days, hours, minutes and seconds."""
    seconds = int(difference.total_seconds())
    parts = (
        (seconds // 86400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    )
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"
