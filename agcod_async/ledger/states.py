"""
The life of an entry: pure functions from an entry, a time and what was learnt to the next entry.

Whoever drives an entry stores each step before acting on it: ``sent`` before a forward request leaves,
``reversing`` before a reverse one does, ``issued`` before the card is handed out. :data:`TRANSITIONS` is
all there is; anything else raises :class:`~agcod_async.errors.IllegalTransition`. A step that leaves work
to do keeps the lease (:func:`release` gives it up), one that leaves none drops it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

from msgspec import structs

from ..checks import UNWRITABLE
from ..errors import IllegalTransition, ResponseError, ServiceError
from ..refusals import CLOCK_WINDOW
from .request_ids import request_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Literal

    from ..errors import AgcodError
    from .entry import Entry, State

TRANSITIONS: Mapping[str, Mapping[State, tuple[State, ...]]] = {
    "mark_sent": {"planned": ("sent",), "sent": ("sent",)},
    "found_open": {"sent": ("sent",)},
    "not_sent_after_all": {"sent": ("planned", "sent")},
    "still_unknown": {"sent": ("sent",)},
    "settle_issued": {"sent": ("issued",), "issued": ("issued",)},
    "settle_refused": {"sent": ("refused",)},
    "settle_refunded": {"sent": ("reversed",), "issued": ("reversed",), "reversing": ("reversed",)},
    "begin_reverse": {"sent": ("reversing",), "issued": ("reversing",)},
    "bury": {"reversing": ("reversing",)},
    "not_buried": {"reversing": ("reversing",)},
    "seen_alive": {"reversing": ("reversing",)},
    "reverse_unknown": {"reversing": ("reversing",)},
    "settle_reversed": {"reversing": ("reversed",)},
    "too_late": {"reversing": ("issued",)},
    "change_goal": {"reversing": ("reversing",), "reversed": ("reversed",)},
    "renew": {"reversed": ("planned",)},
    "withdraw": {"planned": ("reversed",)},
    "abandon": {"sent": ("abandoned",), "reversing": ("abandoned",)},
    "reopen_refused": {"refused": ("planned",)},
    "reopen_abandoned": {"abandoned": ("sent", "reversing")},
}
"""Where each step may lead from each state."""

SIGN_WITHIN = timedelta(minutes=30)
"""How long after it was noted a forward request may be signed: it may wait in line, or its process freeze."""

CANCEL_WINDOW = timedelta(minutes=15)
"""How long after its creation a gift card can be cancelled (Incentives API, "CancelGiftCard")."""

_LONGEST = 200


def is_gone(sign_by: datetime | None, seen: datetime) -> bool:
    """
    Whether no forward request that was to be signed by *sign_by* can reach the service any more.

    *seen* is the time on a signature that the service has just taken, so its own clock is at most 15 minutes
    behind that. And a signature is stale once that clock is 15 minutes past it.
    """
    return sign_by is not None and seen - CLOCK_WINDOW > sign_by + CLOCK_WINDOW


def is_past_cancelling(entry: Entry, seen: datetime) -> bool:
    """
    Whether the time to cancel a card that lives is over.

    *seen* is the time on a signature that the service has just taken. It, and the time at which the card
    was first seen alive, can both be 15 minutes off the service's clock, in opposite directions.
    """
    return entry.alive_at is not None and seen - entry.alive_at > CANCEL_WINDOW + 2 * CLOCK_WINDOW


def mark_sent(entry: Entry, now: datetime, signing: datetime | None = None) -> Entry:
    """
    A forward request is about to leave. An earlier one that is unsettled is unknown from now on.

    *signing* is the time by the clock that signs, where that is not *now*.
    """
    if entry.state == "sent":
        entry = found_open(entry, now)
    return _move("mark_sent", entry, "sent", **_forward(entry, now, signing or now))


def found_open(entry: Entry, now: datetime) -> Entry:
    """Nobody knows any more what became of the last forward request: a claim on a ``sent`` entry says so."""
    return _move("found_open", entry, "sent", **_unknown(entry, now))


def not_sent_after_all(
    entry: Entry, now: datetime, due_at: datetime, error: AgcodError | None = None
) -> Entry:
    """
    The last forward request never left, or was not executed (ThrottlingError); try again at *due_at*.

    An earlier one that is unknown stays so. Illegal with an *error* whose outcome is unknown.
    """
    _check_known(entry, error)
    if entry.has_unknown:
        return _move("not_sent_after_all", entry, "sent", due_at=due_at, **_said(error, now))
    was_first = entry.first_sent_at == entry.last_sent_at
    return _move(
        "not_sent_after_all",
        entry,
        "planned",
        first_sent_at=None if was_first else entry.first_sent_at,
        last_sent_at=None if was_first else entry.last_sent_at,
        sign_by=None,
        due_at=due_at,
        **_said(error, now),
    )


def still_unknown(entry: Entry, now: datetime, due_at: datetime, error: AgcodError | None = None) -> Entry:
    """No clean answer came: the forward request may have been executed. Ask again at *due_at*."""
    return _move("still_unknown", entry, "sent", due_at=due_at, **_unknown(entry, now), **_said(error, now))


def settle_issued(entry: Entry, now: datetime, gc_id: str | None, signing: datetime | None = None) -> Entry:
    """
    The service showed the live card. Storing this is what allows to hand it out, each time anew.

    Once a reverse has left it is illegal: the code could be killed in the customer's hands. *signing* is the
    time by the clock that signs, where that is not *now*.
    """
    gc_id = _clean(gc_id)
    if entry.gc_id is not None and gc_id not in (None, entry.gc_id):
        raise IllegalTransition(
            f"{entry.request_id} stood for card {entry.gc_id}, and the service now says {gc_id}: "
            "is this ledger used with another endpoint?",
            request_id=entry.request_id,
        )
    settled_at = entry.settled_at if entry.state == "issued" else now
    alive_at = entry.alive_at or signing or now
    return _close("settle_issued", entry, "issued", settled_at, gc_id=gc_id or entry.gc_id, alive_at=alive_at)


def settle_refused(entry: Entry, now: datetime, error: AgcodError) -> Entry:
    """
    The service refused.

    Illegal while an earlier request of this id is unknown, or the *error* says so of an earlier attempt:
    it may have charged.
    """
    _check_known(entry, error)
    if entry.has_unknown:
        raise IllegalTransition(
            "a refusal is not final while an earlier request of the same id is unknown",
            request_id=entry.request_id,
        )
    return _close("settle_refused", entry, "refused", now, **_said(error, now))


def settle_refunded(entry: Entry, now: datetime) -> Entry:
    """The service showed the card of this id, refunded: the id is dead, whoever reversed it."""
    return _reversed("settle_refunded", entry, now)


def begin_reverse(entry: Entry, goal: Literal["replace", "undo"], now: datetime) -> Entry:
    """A reverse request is about to leave. From here on the code of this id is handed to nobody."""
    if entry.state == "sent":
        entry = found_open(entry, now)
    return _move(
        "begin_reverse",
        entry,
        "reversing",
        goal=goal,
        reversed_since=now,
        settled_at=None,
        due_at=now,
    )


def bury(entry: Entry, now: datetime, signing: datetime | None = None) -> Entry:
    """The create of an id to be reversed is about to leave, so that there is something to reverse."""
    return _move("bury", entry, "reversing", **_unknown(entry, now), **_forward(entry, now, signing or now))


def not_buried(entry: Entry, before: Entry, error: AgcodError) -> Entry:
    """
    That create was not executed; what was under way *before* it may still be.

    Illegal with an *error* whose outcome is unknown.
    """
    _check_known(entry, error)
    return _move("not_buried", entry, "reversing", sign_by=before.sign_by, last_sent_at=before.last_sent_at)


def seen_alive(entry: Entry, signing: datetime) -> Entry:
    """What is to be reversed lives, and its reverse was refused."""
    return _move("seen_alive", entry, "reversing", alive_at=entry.alive_at or signing)


def reverse_unknown(entry: Entry, now: datetime, due_at: datetime, error: AgcodError | None = None) -> Entry:
    """The reverse has not succeeded, whatever was said: ask again at *due_at*."""
    return _move("reverse_unknown", entry, "reversing", due_at=due_at, **_said(error, now))


def settle_reversed(entry: Entry, now: datetime) -> Entry:
    """
    The id is dead: the reverse succeeded, or nothing was made under it and nothing can come any more.

    To replace it, store it together with :func:`renew`.
    """
    return _reversed("settle_reversed", entry, now)


def too_late(entry: Entry, now: datetime) -> Entry:
    """The service says that the time to reverse is over: the card lives, and no reverse can kill it."""
    return _close("too_late", entry, "issued", now, goal="issue")


def change_goal(entry: Entry, goal: Literal["replace", "undo"], now: datetime) -> Entry:
    """Replace what was only to be undone, or the other way round."""
    open_now = entry.state == "reversing" or goal == "replace"
    return _move("change_goal", entry, entry.state, goal=goal, due_at=now if open_now else None)


def renew(entry: Entry, now: datetime) -> tuple[Entry, Entry]:
    """
    Return the next generation, under a new id, and the dead one: to be stored in one transaction.

    An entry that was only undone must be given the goal ``replace`` first.
    """
    if entry.goal != "replace":
        raise IllegalTransition("only what is to be replaced gets a new id", request_id=entry.request_id)
    generation = entry.generation + 1
    fresh = _move(
        "renew",
        entry,
        "planned",
        generation=generation,
        request_id=request_id(entry.partner_id, entry.reference, generation),
        goal="issue",
        attempts=0,
        planned_at=now,
        first_sent_at=None,
        last_sent_at=None,
        sign_by=None,
        alive_at=None,
        unknown_since=None,
        reversed_since=None,
        settled_at=None,
        due_at=now,
        has_unknown=False,
        last_error_code=None,
        last_error_type=None,
        last_error_at=None,
        aws_request_id=None,
        gc_id=None,
    )
    return fresh, structs.replace(entry, owner=None, lease_until=None, due_at=None)


def withdraw(entry: Entry, now: datetime) -> Entry:
    """Undo what has not left: there is nothing to reverse."""
    return _close("withdraw", entry, "reversed", now, goal="undo")


def abandon(entry: Entry) -> Entry:
    """Nothing settled it in time: it is a case for a person, and stays unknown."""
    return _close("abandon", entry, "abandoned", None)


def reopen_refused(entry: Entry, now: datetime) -> Entry:
    """Try a refused reward anew, under the same id, because somebody asked for it."""
    return _move("reopen_refused", entry, "planned", settled_at=None, due_at=now)


def reopen_abandoned(entry: Entry, now: datetime) -> Entry:
    """Drive an abandoned entry on from where it stood, and count its time anew."""
    if entry.reversed_since is None:
        return _move("reopen_abandoned", entry, "sent", has_unknown=True, unknown_since=now, due_at=now)
    return _move("reopen_abandoned", entry, "reversing", reversed_since=now, due_at=now)


def release(entry: Entry) -> Entry:
    """Give the lease up, so that others may drive the entry as soon as it is due."""
    return structs.replace(entry, owner=None, lease_until=None)


def _check_known(entry: Entry, error: AgcodError | None) -> None:
    if error is not None and error.outcome == "unknown":
        raise IllegalTransition(
            f"{type(error).__name__} leaves the outcome unknown: it settles nothing",
            request_id=entry.request_id,
        )


def _move(step: str, entry: Entry, state: State, **changes: object) -> Entry:
    if state not in TRANSITIONS[step].get(entry.state, ()):
        raise IllegalTransition(f"{step}: illegal for {entry!r}", request_id=entry.request_id)
    return structs.replace(entry, state=state, **changes)


def _close(step: str, entry: Entry, state: State, settled_at: datetime | None, **changes: object) -> Entry:
    return _move(
        step, entry, state, settled_at=settled_at, due_at=None, owner=None, lease_until=None, **changes
    )


def _reversed(step: str, entry: Entry, now: datetime) -> Entry:
    if entry.goal == "replace":
        # Found like this after a crash, it still wants its new id.
        return _move(step, entry, "reversed", settled_at=now, due_at=now)
    return _close(step, entry, "reversed", now)


class _Forward(TypedDict):
    attempts: int
    first_sent_at: datetime
    last_sent_at: datetime
    sign_by: datetime
    due_at: datetime


def _forward(entry: Entry, now: datetime, signing: datetime) -> _Forward:
    sign_by = signing + SIGN_WITHIN
    return {
        "attempts": entry.attempts + 1,
        "first_sent_at": entry.first_sent_at or now,
        "last_sent_at": now,
        # Never earlier than that of another request that may be under way.
        "sign_by": sign_by if entry.sign_by is None else max(entry.sign_by, sign_by),
        "due_at": now,
    }


class _Unknown(TypedDict):
    has_unknown: bool
    unknown_since: datetime


def _unknown(entry: Entry, now: datetime) -> _Unknown:
    return {"has_unknown": True, "unknown_since": entry.unknown_since or entry.last_sent_at or now}


class _Said(TypedDict, total=False):
    last_error_code: str | None
    last_error_type: str | None
    last_error_at: datetime
    aws_request_id: str | None


def _said(error: AgcodError | None, now: datetime) -> _Said:
    if error is None:
        return {}
    code, name = (error.error_code, error.error_type) if isinstance(error, ServiceError) else (None, None)
    return {
        "last_error_code": _clean(code),
        "last_error_type": _clean(name) or type(error).__name__,
        "last_error_at": now,
        "aws_request_id": _clean(error.aws_request_id) if isinstance(error, ResponseError) else None,
    }


def _clean(text: str | None) -> str | None:
    # The service's words: no store may choke on them when money depends on it.
    return None if text is None else UNWRITABLE.sub("", text)[:_LONGEST]
