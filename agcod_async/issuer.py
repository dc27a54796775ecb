"""Every reward exactly once, whatever crashes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Literal

from . import cadence, case
from .drive import Drive
from .driver import CONFIGURED_WRONGLY, LEASE, Driver, Step
from .errors import (
    AgcodError,
    ConfigurationError,
    LedgerError,
    OutcomePending,
    RewardAbandoned,
    RewardUndone,
    StaleEntry,
    UndoTooLate,
)
from .events import RewardNeedsPerson, RewardStep
from .ledger import Intent, Payer, states
from .ledger.planning import check_owned
from .model import CreateGiftCardResponse
from .money import Money, payable
from .receipts import IssuedGiftCard, Receipt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from .ledger import Entry, Ledger
    from .model import Account, TransactionSource
    from .session import AgcodSession
    from .support import SupportReport

OnUnknown = Literal["complete", "replace", "undo"]
"""
What to do when retries end without an answer: ``complete`` repeats the same request until it is settled;
``replace`` reverses it and issues anew under another id; ``undo`` reverses it and leaves it at that.
"""

_POLICIES = ("complete", "replace", "undo")
_OPEN = ("planned", "sent", "reversing")
_POLL = 0.25


class Issuer:
    """
    Issues each reference once: the intent is stored before anything is sent, and every outcome after it.

    Any number of issuers, in any number of processes, may share a ledger, also those of several partners
    and endpoints: each meets only the entries of its own session's. A call that is cancelled, or a process
    that dies, leaves the ledger true; the same reference afterwards continues where it stood.

    Args:
        session: where requests go; clock and randomness are taken from it.
        ledger: an open ledger, which outlives the process.
        on_unknown: the policy for what stays unknown; each call may have its own.
        budget: seconds after which a call that is still unsettled raises OutcomePending. Tasks that ask for
            the same share the work; each waits for its own budget, and the work ends with the longest.
        ceiling: no single reward may be worth more, in this currency.
        run_ceiling: the rewards first issued through this issuer may not be worth more together.
    """

    def __init__(
        self,
        session: AgcodSession,
        ledger: Ledger,
        *,
        on_unknown: OnUnknown = "complete",
        budget: float = 60.0,
        ceiling: Money | None = None,
        run_ceiling: Money | None = None,
    ) -> None:
        self._session = session
        self._ledger = ledger
        self.payer = Payer(partner_id=session.partner_id, endpoint=session.endpoint.identity)
        """Whose entries this issuer meets in the ledger."""
        self._driver = Driver(session, ledger)
        self._on_unknown: OnUnknown = _policy(on_unknown)
        self._budget = _seconds(budget)
        self._ceilings = Ceilings(ceiling, run_ceiling)
        self._drives: dict[tuple[Intent, OnUnknown] | str, Drive] = {}
        """By what is to be issued, and how; or by the reference that is to be undone."""

    async def issue(
        self,
        reference: str,
        value: Money,
        *,
        program_id: str | None = None,
        product_type: str | None = None,
        external_reference: str | None = None,
        on_unknown: OnUnknown | None = None,
        budget: float | None = None,
    ) -> IssuedGiftCard:
        """
        Return the gift card of *reference*: the same one, for ever.

        Raises:
            ServiceError: a final refusal. Nothing was issued; calling again tries again.
            SignatureError, CredentialsError, ClockSkewError: the configuration is wrong. Nothing was issued
                yet: the reward stays planned, and :meth:`recover` goes on with it, unless it is undone.
            OutcomePending: the budget ended first. Calling again, or :meth:`recover`, continues; a request
                that is under way is waited for in the background.
            RewardAbandoned: it stayed unknown for 24 hours, and is a case for a person.
            RewardUndone: the reward was undone.
            ConfigurationError:
                the reference stands for another value already, or belongs to another partner or endpoint,
                or a ceiling forbids it.
            LedgerError: the ledger failed; with ``outcome == "not_sent"`` before anything had left.
        """
        intent = Intent(
            reference=reference,
            value=payable("value", value),
            program_id=program_id,
            product_type=product_type,
            external_reference=external_reference,
        )
        step = await self._issue(intent, on_unknown, budget)
        assert isinstance(step.response, CreateGiftCardResponse)
        assert step.response.gc_claim_code is not None
        return IssuedGiftCard(
            receipt=Receipt.of(step.entry),
            claim_code=step.response.gc_claim_code,
            gc_expiration_date=step.response.gc_expiration_date,
        )

    async def activate(
        self,
        reference: str,
        card_number: str,
        value: Money,
        *,
        program_id: str | None = None,
        product_type: str | None = None,
        on_unknown: OnUnknown | None = None,
        budget: float | None = None,
    ) -> Receipt:
        """Put *value* on a physical card, once; raises what :meth:`issue` raises."""
        intent = Intent(
            reference=reference,
            kind="activate",
            value=payable("value", value),
            card_number=card_number,
            program_id=program_id,
            product_type=product_type,
        )
        return Receipt.of((await self._issue(intent, on_unknown, budget)).entry)

    async def load(
        self,
        reference: str,
        amount: Money,
        account: Account,
        *,
        transaction_source: TransactionSource | None = None,
        on_unknown: OnUnknown | None = None,
        budget: float | None = None,
    ) -> Receipt:
        """Load *amount* onto a customer's balance, once; raises what :meth:`issue` raises."""
        intent = Intent(
            reference=reference,
            kind="load",
            value=payable("amount", amount),
            account=account,
            transaction_source=transaction_source,
        )
        return Receipt.of((await self._issue(intent, on_unknown, budget)).entry)

    async def undo(self, reference: str, *, budget: float | None = None) -> Receipt:
        """
        Take a reward back: cancel, deactivate or void it, or see to it that it is never issued.

        From the first request on, the code of the card is handed out to nobody. Who was given it before
        still has it; so has a process that stood still between the moment at which the ledger settled the
        card and its return from :meth:`issue`, for no check can come after the last one. Such a code buys
        nothing: what counts is that the money is back.

        Raises:
            UndoTooLate: the service's time for it is over, and the card lives.
            OutcomePending: the budget ended first. Calling again, or :meth:`recover`, continues.
        """
        await self._known(reference)
        step = await self._driven(
            reference, partial(self._undo_move, reference=reference), _is_unsettled, budget
        )
        if step.entry.state == "issued" and not _is_unsettled(step):
            raise UndoTooLate(
                "the card lives: its time to be undone is over", request_id=step.entry.request_id
            )
        if step.entry.state != "reversed":
            raise await self._unsettled(step)
        return Receipt.of(step.entry)

    async def recover(self, *, limit: int = 50) -> list[Receipt]:
        """
        Drive every entry that is due one step further, *limit* at a time, and return how they stand.

        Call it at start-up and every few seconds; any number of processes may, at the same time.
        """
        if limit < 1:
            raise ConfigurationError("limit: at least one entry at a time is needed")
        receipts: list[Receipt] = []
        while True:
            due = await self._ledger.claim_due(
                payer=self.payer, owner=self._owner(), lease=LEASE, limit=limit
            )
            moves = (self._move(entry, self._on_unknown) for entry in due)
            steps = await asyncio.gather(*moves, return_exceptions=True)
            for step in steps:
                # Raised late, so that an entry that cannot be driven does not hold the others up.
                if isinstance(step, BaseException):
                    raise step
                receipts.append(Receipt.of(step.entry))
            if len(due) < limit:
                return receipts

    async def status(self, reference: str) -> Receipt:
        """Return where a reward stands, without asking the service."""
        return Receipt.of(await self._known(reference))

    async def wait(self, reference: str) -> Receipt:
        """Return once a reward is settled or abandoned, whoever drives it; bound it with asyncio.timeout."""
        while (entry := await self._known(reference)).state in _OPEN or _wants_renewal(entry):
            await asyncio.sleep(_POLL)
        return Receipt.of(entry)

    async def support_report(self, reference: str) -> SupportReport:
        """
        Return all that the service's support asks about a reward, told from the ledger.

        Every id with its times, and the request of the present one, rebuilt and signed anew, but not sent.
        Secrets are masked; the signature is in it, which opens nothing after 15 minutes. What is settled as
        not issued is not signed again.
        """
        return await self._report(await self._known(reference))

    async def reopen(self, reference: str) -> Receipt:
        """
        Drive an abandoned reward on from where it stood, for another 24 hours.

        For the person whose case it is, once the service works again or its support has answered: then
        :meth:`issue`, :meth:`undo` and :meth:`recover` go on with it, under the same id.

        Raises:
            ConfigurationError: the reward is no case.
        """
        entry = await self._known(reference)
        if entry.state != "abandoned":
            raise ConfigurationError(f"reference: {reference!r} is not abandoned: nothing is to be reopened")
        opened = states.release(states.reopen_abandoned(entry, self._session.clock()))
        return Receipt.of(await self._ledger.save(opened))

    async def finish(self, *, within: float) -> None:
        """
        Wait for the steps that are under way, at most *within* seconds; then they are cancelled.

        For whoever is about to close the session and the ledger after a budget has ended, or a caller was
        cancelled: a step that ends by itself leaves no lease behind, for which the next one had to wait.
        """
        tasks = [drive.task for drive in self._drives.values()]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=within)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # Driving one reference

    async def _issue(self, intent: Intent, on_unknown: OnUnknown | None, budget: float | None) -> Step:
        policy: OnUnknown = self._on_unknown if on_unknown is None else _policy(on_unknown)
        self._ceilings.check(intent)
        # Who asks for the same joins the drive under way; who asks for another value, or would give up
        # otherwise, meets the ledger.
        move = partial(self._issue_move, intent=intent, policy=policy)
        step = await self._driven((intent, policy), move, _is_unissued, budget)
        if step.entry.state == "issued" and step.response is not None:
            return step
        raise await self._unsettled(step)

    async def _driven(
        self,
        key: tuple[Intent, OnUnknown] | str,
        move: Callable[[Callable[[Entry], None]], Awaitable[Step]],
        is_open: Callable[[Step], bool],
        budget: float | None,
    ) -> Step:
        """Join the drive of a reference, or begin one, and wait for as long as this caller's budget lasts."""
        seconds = self._budget if budget is None else _seconds(budget)
        drive = self._drives.get(key)
        if drive is None or drive.task.done():
            drive = Drive(move, is_open, partial(self._pause, began=self._session.clock()))
            self._drives[key] = drive
            drive.task.add_done_callback(partial(self._ended, key))
        step = await drive.wait(seconds)
        if step is None:
            reference = key if isinstance(key, str) else key[0].reference
            raise _under_way(reference, drive.entry, drive.last)
        return step

    def _ended(self, key: tuple[Intent, OnUnknown] | str, task: asyncio.Task[Step]) -> None:
        if self._drives[key].task is task:
            del self._drives[key]
        if not task.cancelled():
            # Asked for, because everybody who waited may have been cancelled.
            task.exception()

    async def _issue_move(self, see: Callable[[Entry], None], intent: Intent, policy: OnUnknown) -> Step:
        entry, is_mine = await self._ledger.begin(
            intent,
            payer=self.payer,
            owner=self._owner(),
            lease=LEASE,
            signing=self._session.signing_time(),
        )
        see(entry)
        if is_mine:
            return await self._current(self._driver.forward, entry)
        if entry.state == "issued":
            return await self._current(self._driver.fetch, entry)
        if _is_closed(entry):
            return Step(entry)
        claimed = await self._claim(intent.reference)
        return Step(entry) if claimed is None else await self._move(claimed, policy)

    async def _undo_move(self, see: Callable[[Entry], None], reference: str) -> Step:
        entry = await self._known(reference)
        see(entry)
        if _is_closed(entry):
            return Step(entry)
        claimed = await self._claim(reference)
        return Step(entry) if claimed is None else await self._current(self._driver.undo, claimed)

    async def _claim(self, reference: str) -> Entry | None:
        return await self._ledger.claim(reference, payer=self.payer, owner=self._owner(), lease=LEASE)

    async def _move(self, entry: Entry, policy: OnUnknown) -> Step:
        """Take the next step of a claimed entry."""
        if entry.state == "sent" and policy != "complete":
            return await self._current(partial(self._driver.give_up, goal=policy), entry)
        return await self._current(self._driver.advance, entry)

    async def _current(self, act: Callable[[Entry], Awaitable[Step]], entry: Entry) -> Step:
        try:
            try:
                step = await act(entry)
            except StaleEntry:
                # Somebody else was faster: what stands now is what counts.
                return Step(await self._known(entry.reference))
        except (LedgerError, ConfigurationError) as error:
            # The ledger is closed, or has lost the entry; a request of it may have left before.
            error.outcome = "unknown"
            raise
        self._tell(entry, step)
        return step

    def _tell(self, before: Entry, step: Step) -> None:
        entry, hooks = step.entry, self._session.hooks
        if hooks.are_watched:
            hooks.emit(
                RewardStep(
                    reference=entry.reference,
                    kind=entry.kind,
                    request_id=entry.request_id,
                    generation=entry.generation,
                    before=before.state,
                    state=entry.state,
                    value=entry.value,
                    error=None if step.error is None else type(step.error).__name__,
                )
            )
        if entry.state == "abandoned" and before.state != "abandoned":
            hooks.emit(RewardNeedsPerson(reference=entry.reference, request_id=entry.request_id))

    async def _report(self, entry: Entry) -> SupportReport:
        history = await self._ledger.history(entry.reference)
        is_settled = entry.state in ("refused", "reversed")
        exchange = None if is_settled else await self._driver.rehearse(entry)
        return case.report(entry, history, exchange, self._session.clock())

    async def _unsettled(self, step: Step) -> AgcodError:
        """Return what to raise about a reward that was not issued."""
        if step.entry.state != "abandoned":
            return _unsettled(step)
        try:
            report = await self._report(step.entry)
        except (LedgerError, ConfigurationError):
            # What became of the money is worth more than its story.
            report = None
        abandoned = RewardAbandoned(
            "unknown for 24 hours: send its support_report() to the service, and keep its ids",
            reference=step.entry.reference,
            since=step.entry.planned_at,
            request_id=step.entry.request_id,
            report=report,
        )
        abandoned.__cause__ = step.error
        return abandoned

    async def _known(self, reference: str) -> Entry:
        entry = await self._ledger.get(reference)
        if entry is None:
            raise ConfigurationError(f"reference: {reference!r} is not in the ledger")
        check_owned(entry, self.payer)
        return entry

    def _pause(self, step: Step, *, began: datetime) -> float:
        entry, now = step.entry, self._session.clock()
        if entry.state == "issued" and step.error is not None:
            return self._until(cadence.next_time(now, began, self._session.rng))
        if entry.lease_until is not None:
            # Somebody else drives it, or died doing so. By the ledger's clock, which may not be this one.
            wait = max(timedelta(seconds=_POLL), (now - began) / 4)
            return max(_POLL, self._until(min(entry.lease_until, now + wait)))
        return self._until(entry.due_at or now)

    def _until(self, moment: datetime) -> float:
        return max(0.0, (moment - self._session.clock()).total_seconds())

    def _owner(self) -> str:
        return f"{self._session.rng.getrandbits(100):025x}"


class Ceilings:
    """What may not be exceeded, whoever made the mistake."""

    def __init__(self, ceiling: Money | None, run_ceiling: Money | None) -> None:
        self._ceiling = ceiling
        self._run_ceiling = run_ceiling
        self._total = Decimal(0)
        self._counted: dict[str, Decimal] = {}

    def check(self, intent: Intent) -> None:
        """Refuse what is over a ceiling; what passes counts towards the run's, once for each reference."""
        value = intent.value
        self._compare("ceiling", self._ceiling, value.currency_code, value.amount)
        if self._run_ceiling is not None:
            more = max(Decimal(0), value.amount - self._counted.get(intent.reference, Decimal(0)))
            self._compare("run_ceiling", self._run_ceiling, value.currency_code, self._total + more)
            self._total += more
            self._counted[intent.reference] = max(
                value.amount, self._counted.get(intent.reference, value.amount)
            )

    @staticmethod
    def _compare(name: str, ceiling: Money | None, currency_code: str, amount: Decimal) -> None:
        if ceiling is None:
            return
        if currency_code != ceiling.currency_code:
            raise ConfigurationError(
                f"{name}: it is in {ceiling.currency_code}, and says nothing of {currency_code}"
            )
        if amount > ceiling.amount:
            raise ConfigurationError(f"{name}: {amount} {currency_code} are more than {ceiling}")


def _policy(on_unknown: OnUnknown) -> OnUnknown:
    if on_unknown not in _POLICIES:
        raise ConfigurationError(f"on_unknown: {on_unknown!r} is none of {', '.join(_POLICIES)}")
    return on_unknown


def _seconds(budget: float) -> float:
    if not budget > 0:
        raise ConfigurationError("budget: seconds greater than 0 are needed")
    return budget


def _wants_renewal(entry: Entry) -> bool:
    return entry.state == "reversed" and entry.goal == "replace"


def _is_closed(entry: Entry) -> bool:
    return entry.state == "abandoned" or (entry.state == "reversed" and not _wants_renewal(entry))


def _is_unsettled(step: Step) -> bool:
    """Whether an undo has more to do."""
    entry = step.entry
    return not _is_closed(entry) and (entry.state != "issued" or step.error is None)


def _is_unissued(step: Step) -> bool:
    """Whether an issue has more to do: also what was issued still wants its code."""
    entry = step.entry
    if isinstance(step.error, CONFIGURED_WRONGLY) and step.error.outcome != "unknown":
        return False
    if entry.state == "issued":
        return step.response is None
    return entry.state in _OPEN or _wants_renewal(entry)


def _under_way(reference: str, entry: Entry | None, last: Step | None) -> OutcomePending:
    """Return what to raise when a caller's budget ends while a step is under way."""
    pending = OutcomePending(
        "still under way: ask again with the same reference",
        reference=reference,
        since=None if entry is None else entry.planned_at,
        request_id=None if entry is None else entry.request_id,
    )
    pending.outcome = "unknown"
    pending.__cause__ = None if last is None else last.error
    return pending


def _unsettled(step: Step) -> AgcodError:
    """Return what to raise about a reward that was not issued, and is no case either."""
    entry, error = step.entry, step.error
    if entry.state == "reversed":
        return RewardUndone("it was undone; a new one needs a new reference", request_id=entry.request_id)
    if error is not None and entry.state == "refused":
        return error
    if isinstance(error, CONFIGURED_WRONGLY) and entry.state == "planned":
        # Elsewhere its outcome would be a lie: an earlier request may have charged, or surely has.
        return error
    pending = OutcomePending(
        "not settled yet: ask again with the same reference",
        reference=entry.reference,
        since=entry.planned_at,
        request_id=entry.request_id,
    )
    pending.outcome = "not_sent" if entry.state == "planned" else "unknown"
    pending.__cause__ = error
    return pending
