"""When to ask again about what is unknown, and when to stop (Incentives API, "RESEND")."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

QUICK = timedelta(seconds=10)
"""How long the question is repeated every second."""

GIVE_UP = timedelta(hours=24)
"""After which it is a case for a person."""

LONGEST = timedelta(hours=1)
"""The longest wait between two questions."""

SOON = timedelta(minutes=5)
"""The longest wait where something may just have been made that can be taken back for 15 minutes only."""


def next_time(now: datetime, since: datetime, rng: Random) -> datetime:
    """
    Return when to ask again: each second for ten seconds, then after a growing, random wait.

    The wait is a part of the time that has passed already, which is what makes it grow exponentially.
    """
    # Where the past lies ahead, a clock was wrong: that is no reason to ask each second until then.
    passed = abs(now - since)
    if passed < QUICK:
        return now + timedelta(seconds=1)
    return now + min(passed * rng.uniform(0.4, 0.8), LONGEST)


def after_attempts(now: datetime, attempts: int, rng: Random) -> datetime:
    """Return when to send what has not left: each second ten times, then after a growing, random wait."""
    if attempts <= QUICK.total_seconds():
        return now + timedelta(seconds=1)
    doubled = 2.0 ** min(attempts - 10, 20)
    return now + min(timedelta(seconds=doubled * rng.uniform(0.5, 1.0)), LONGEST)


def is_over(now: datetime, since: datetime | None) -> bool:
    """Whether it was asked for long enough."""
    return since is not None and now - since >= GIVE_UP
