"""One step of one entry: store what is about to happen, do it, store what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from . import cadence
from .errors import (
    AccountError,
    AgcodError,
    ClockSkewError,
    ConfigurationError,
    CredentialsError,
    InvalidRequestError,
    PostconditionError,
    ServiceError,
    SignatureError,
    ThrottlingError,
)
from .ledger import states
from .model import ActivateGiftCardResponse, CreateGiftCardResponse

if TYPE_CHECKING:
    from datetime import datetime

    from .ledger import Entry, Ledger
    from .model import Response
    from .session import AgcodSession
    from .support import Exchange

LEASE = 60.0
"""Seconds for which a driver keeps an entry to itself; safety does not depend on it."""

_TOO_LATE = "CancelRequestArrivedAfterTimeLimit"
# Refusals that say nothing about the reward: whoever mends the configuration wants it driven on.
CONFIGURED_WRONGLY = (SignatureError, CredentialsError, ClockSkewError, ConfigurationError)
# Refusals by which the service says that it knows nothing of an id, or says so among other things.
_NOT_KNOWN = ("OperationNotPermitted", "NonExistingActivationRequestId")
_NO_FUNDS = "InsufficientFunds"
_NEVER = "DeactivationNotAllowed"
_DEAD = ("RefundedToPurchaser", "AwaitingActivation")


@dataclass(frozen=True, slots=True)
class Step:
    """How an entry stands after a step, and what the service said."""

    entry: Entry
    response: Response | None = None
    error: AgcodError | None = None


class Driver:
    """
    Moves claimed entries on, one step at a time, so that the ledger is true at every moment.

    A step that finds the entry moved on by somebody else ends in StaleEntry, and hands nothing out.
    """

    def __init__(self, session: AgcodSession, ledger: Ledger) -> None:
        self._session = session
        self._ledger = ledger

    async def forward(self, entry: Entry) -> Step:
        """Send the forward request of an entry that is stored as ``sent``, and store its outcome."""
        try:
            response = await self._send_forward(entry)
        except AgcodError as error:
            after = self._after_refusal(entry, error)
            if after.state == "reversed":
                return Step(await self._renewed(after), error=error)
            return Step(await self._ledger.save(after), error=error)
        return Step(await self._settled(entry, response), response)

    async def advance(self, entry: Entry) -> Step:
        """Take the next step of a claimed entry towards its goal."""
        now = self._now()
        match entry.state:
            case "reversing":
                return await self.reverse(entry)
            case "reversed" if entry.goal == "replace":
                return Step(await self._renewed(entry))
            case "reversed" | "abandoned":
                # Settled by somebody else since it was looked at.
                return Step(entry)
            case "issued":
                return await self.fetch(entry)
            case "refused":
                entry = await self._ledger.save(states.reopen_refused(entry, now))
            case _:
                pass
        marked = states.mark_sent(entry, now, self._session.signing_time())
        return await self.forward(await self._ledger.save(marked))

    async def fetch(self, entry: Entry) -> Step:
        """Repeat the forward request of an issued entry; its answer counts if nobody reverses the entry."""
        try:
            response = await self.repeat(entry)
        except AgcodError as error:
            if _is_dead(error):
                entry = await self._ledger.save(states.settle_refunded(entry, self._now()))
            return Step(entry, error=error)
        return Step(await self._settled(entry, response), response)

    async def give_up(self, entry: Entry, *, goal: Literal["replace", "undo"]) -> Step:
        """Reverse what may have been issued."""
        return await self.reverse(await self._ledger.save(states.begin_reverse(entry, goal, self._now())))

    async def undo(self, entry: Entry) -> Step:
        """Take the next step of a claimed entry towards its end."""
        now = self._now()
        match entry.state:
            case "planned":
                return Step(await self._ledger.save(states.withdraw(entry, now)))
            case "refused":
                planned = states.reopen_refused(entry, now)
                return Step(await self._ledger.save(states.withdraw(planned, now)))
            case "reversed":
                return Step(await self._ledger.save(states.release(states.change_goal(entry, "undo", now))))
            case "abandoned":
                return Step(entry)
            case "reversing" if entry.goal != "undo":
                return await self.reverse(await self._ledger.save(states.change_goal(entry, "undo", now)))
            case "reversing":
                return await self.reverse(entry)
            case _:
                return await self.give_up(entry, goal="undo")

    async def reverse(self, entry: Entry) -> Step:
        """Send the reverse request of an entry that is stored as ``reversing``, and store its outcome."""
        try:
            await self._send_reverse(entry)
        except AgcodError as error:
            return await self._after_reverse(entry, error)
        return Step(await self._buried(entry))

    async def repeat(self, entry: Entry) -> Response:
        """Send the forward request of what exists: the same id and the same values, every time."""
        return await _forward(self._session, entry)

    async def _send_forward(self, entry: Entry) -> Response:
        """Send the forward request of what may not exist, by the time that the ledger holds out for it."""
        return await _forward(self._session.with_options(sign_by=entry.sign_by), entry)

    async def rehearse(self, entry: Entry) -> Exchange | None:
        """Return the forward request as it would be sent now; None without a pair of keys to sign with."""
        exchange: Exchange | None = None
        try:
            await _forward(self._session.rehearsal(), entry)
        except AgcodError as error:
            exchange = error.exchange
        return exchange

    async def _send_reverse(self, entry: Entry) -> None:
        session = self._session
        match entry.kind:
            case "create":
                await session.cancel_gift_card(entry.request_id, gc_id=entry.gc_id)
            case "activate":
                assert entry.card_number is not None
                await session.deactivate_gift_card(entry.request_id, entry.card_number)
            case _:
                assert entry.account is not None
                await session.void_amazon_balance_load(
                    entry.request_id, entry.value, entry.account, transaction_source=entry.transaction_source
                )

    async def _settled(self, entry: Entry, response: Response) -> Entry:
        gc_id = response.gc_id if isinstance(response, CreateGiftCardResponse) else None
        settled = states.settle_issued(entry, self._now(), gc_id, self._session.signing_time())
        return await self._ledger.save(settled)

    def _after_refusal(self, entry: Entry, error: AgcodError) -> Entry:
        """Return what a forward request that failed makes of its entry."""
        now = self._now()
        if _is_dead(error):
            return states.settle_refunded(entry, now)
        if _is_given_up(entry, error, entry.unknown_since, now):
            return states.abandon(states.still_unknown(entry, now, now, error))
        was_executed = error.outcome == "unknown"
        if not was_executed and (error.outcome == "not_sent" or isinstance(error, ThrottlingError)):
            due_at = cadence.after_attempts(now, entry.attempts, self._session.rng)
            return states.release(states.not_sent_after_all(entry, now, due_at, error))
        if not was_executed and isinstance(error, CONFIGURED_WRONGLY):
            return states.release(states.not_sent_after_all(entry, now, now + timedelta(minutes=1), error))
        if not was_executed and not entry.has_unknown:
            return states.settle_refused(entry, now, error)
        due_at = cadence.next_time(now, entry.unknown_since or now, self._session.rng)
        return states.release(states.still_unknown(entry, now, due_at, error))

    async def _after_reverse(self, entry: Entry, error: AgcodError) -> Step:
        if isinstance(error, InvalidRequestError | AccountError) and error.outcome == "refused":
            # Nothing is known under the id, or so it says: the create may still be on its way. Or it is too
            # late for a first reverse; whether for a second one too, nobody knows.
            is_there = entry.alive_at is not None or error.error_type == _TOO_LATE
            if is_there or not cadence.is_over(self._now(), entry.reversed_since):
                return await self._bury(entry, error)
        return Step(await self._ledger.save(self._later(entry, error)), error=error)

    async def _bury(self, before: Entry, reason: ServiceError) -> Step:
        """Create what is to be reversed, on purpose: then the reverse cannot miss it."""
        buried = states.bury(before, self._now(), self._session.signing_time())
        entry = await self._ledger.save(buried)
        try:
            await self._send_forward(entry)
        except AgcodError as error:
            if _is_dead(error):
                return Step(await self._buried(entry), error=reason)
            if error.outcome != "unknown":
                entry = states.not_buried(entry, before, error)
                if _is_nowhere(before, reason, error):
                    return Step(await self._buried(entry), error=error)
            return Step(await self._ledger.save(self._later(entry, error)), error=error)
        if _is_too_late(before, reason):
            return Step(await self._ledger.save(states.too_late(entry, self._now())), error=reason)
        entry = states.seen_alive(entry, self._session.signing_time())
        return Step(await self._ledger.save(self._later(entry, reason)), error=reason)

    def _later(self, entry: Entry, error: AgcodError) -> Entry:
        now, begun = self._now(), entry.reversed_since
        made = self._made_to_be_reversed(entry, now)
        # What was seen alive counts anew: there is little time to take it back.
        since = begun if made is None or entry.alive_at is None else made
        due_at = cadence.next_time(now, since or now, self._session.rng)
        if made is not None and now - made <= states.CANCEL_WINDOW:
            due_at = min(due_at, now + cadence.SOON)
            return states.release(states.reverse_unknown(entry, now, due_at, error))
        later = states.reverse_unknown(entry, now, due_at, error)
        return states.abandon(later) if _is_given_up(entry, error, since, now) else states.release(later)

    def _made_to_be_reversed(self, entry: Entry, now: datetime) -> datetime | None:
        """Return when what is to be reversed was, or may have been, made on purpose; None if it was not."""
        made = entry.last_sent_at
        if entry.alive_at is not None:
            made = entry.alive_at - (self._session.signing_time() - now)
        begun = entry.reversed_since
        return made if made is not None and begun is not None and begun < made <= now else None

    async def _buried(self, entry: Entry) -> Entry:
        """The id is dead: settle it, and give the entry its new id in the same breath where it wants one."""
        reversed_ = states.settle_reversed(entry, self._now())
        if reversed_.goal != "replace":
            return await self._ledger.save(reversed_)
        return await self._renewed(reversed_)

    async def _renewed(self, dead: Entry) -> Entry:
        wanted = dead if dead.goal == "replace" else states.change_goal(dead, "replace", self._now())
        fresh, retired = states.renew(wanted, self._now())
        return await self._ledger.save(states.release(fresh), retired=retired)

    def _now(self) -> datetime:
        return self._session.clock()


async def _forward(session: AgcodSession, entry: Entry) -> Response:
    match entry.kind:
        case "create":
            return await session.create_gift_card(
                entry.request_id,
                entry.value,
                program_id=entry.program_id,
                product_type=entry.product_type,
                external_reference=entry.external_reference,
            )
        case "activate":
            assert entry.card_number is not None
            return await session.activate_gift_card(
                entry.request_id,
                entry.card_number,
                entry.value,
                program_id=entry.program_id,
                product_type=entry.product_type,
            )
        case _:
            assert entry.account is not None
            return await session.load_amazon_balance(
                entry.request_id, entry.value, entry.account, transaction_source=entry.transaction_source
            )


def _is_given_up(entry: Entry, error: AgcodError, since: datetime | None, now: datetime) -> bool:
    """
    Whether an attempt that failed with *error* was the last one.

    Whoever was away for days asks once more before giving up. Did that not reach the service, or was there
    no room for it, then the attempt before it must have failed, too, and lately.
    """
    was_asked = error.outcome != "not_sent" and not isinstance(error, ThrottlingError)
    failed_before = entry.last_error_at is not None and now - entry.last_error_at <= 2 * cadence.LONGEST
    return cadence.is_over(now, since) and (was_asked or failed_before)


def _is_dead(error: AgcodError) -> bool:
    """Whether the service showed what was asked for, and that it lives no more."""
    response = error.response if isinstance(error, PostconditionError) else None
    # An answer about something else has an unknown outcome, and proves nothing of this.
    return error.outcome == "refused" and (
        isinstance(response, CreateGiftCardResponse | ActivateGiftCardResponse)
        and response.card_info is not None
        and response.card_info.card_status in _DEAD
    )


def _is_nowhere(before: Entry, reverse: ServiceError, forward: AgcodError) -> bool:
    """
    Whether it is certain that nothing was made under an id, and that nothing will be.

    The reverse was refused as unknown, and the forward request for a reason that only something new can
    have: a repeat of what exists needs no funds, and the same data were as wrong the first time. And no
    earlier request can be under way any more.

    It may become certain of what nobody has seen alive, and wants no new id: one that the service knows
    nothing of could be bought again, besides the new one, by whoever has lost the ledger.
    """
    if before.alive_at is not None or before.goal == "replace":
        return False
    if not isinstance(forward, ServiceError) or forward.error_code is None or forward.signed_at is None:
        return False
    is_refused_as_new = isinstance(forward, InvalidRequestError) or forward.error_type == _NO_FUNDS
    return (
        reverse.error_type in _NOT_KNOWN
        and is_refused_as_new
        and states.is_gone(before.sign_by, forward.signed_at)
    )


def _is_too_late(entry: Entry, reverse: ServiceError) -> bool:
    """Whether what was just shown alive cannot be reversed any more, since the service refused *reverse*."""
    if reverse.error_type == _TOO_LATE:
        # Of what was not seen before, it is asked once more: it may have been made by this very create.
        return entry.alive_at is not None
    if entry.kind == "activate":
        return reverse.error_type == _NEVER
    if entry.kind == "create" and reverse.signed_at is not None:
        # A card that was claimed lives on, whatever the refusal of its cancel is called.
        return states.is_past_cancelling(entry, reverse.signed_at)
    return False
