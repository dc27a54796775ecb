"""One run of a campaign: rewards go out, receipts come back."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import (
    AgcodError,
    LedgerError,
    OutcomePending,
    RewardAbandoned,
    RewardUndone,
)
from ..money import Money
from .limits import stopped
from .outlook import LEFT
from .progress import Meter, Progress

if TYPE_CHECKING:
    from ..issuer import Issuer
    from ..ledger import Intent
    from ..receipts import IssuedGiftCard, Receipt
    from .limits import Limits
    from .outlook import Outlook
    from .survey import Due, Survey

STEP = 10.0
"""Seconds for which a reward is driven before it is looked at again."""

PATIENCE = 10.0
"""Seconds after which a reward no longer keeps others from being begun."""

SLOW = 200
"""Rewards that may be unsettled for longer, at once; while there are so many, none is begun."""

LOOK_EVERY = 60.0
"""Seconds from one look at the funds and the key to the next."""

GRACE = 15.0
"""Seconds that what is in flight has to end in when a run is left."""


async def issue(issuer: Issuer, intent: Intent, budget: float) -> IssuedGiftCard:
    """Issue, or continue to issue, what *intent* says."""
    return await issuer.issue(
        intent.reference,
        intent.value,
        program_id=intent.program_id,
        product_type=intent.product_type,
        external_reference=intent.external_reference,
        budget=budget,
    )


class Run:
    """
    Issues what a survey says is open.

    Results are taken one by one; when nobody takes them, nothing more is begun.
    """

    def __init__(
        self, issuer: Issuer, survey: Survey, limits: Limits, *, budget: float, in_flight: int
    ) -> None:
        self._issuer = issuer
        self._limits = limits
        self._budget = budget
        self._in_flight = in_flight
        self._clock = asyncio.get_running_loop().time
        self._meter = Meter(self._clock)
        self._open = survey.open_rewards()
        self._reading = asyncio.Lock()
        self._waiting: deque[Due] = deque()
        self._is_read = False
        self._begun = 0
        self._taken_up = 0
        """Of these, what an earlier run has sent."""
        self._rewards: set[asyncio.Task[None]] = set()
        self._slow = asyncio.Semaphore(SLOW)
        self._receipts: asyncio.Queue[Receipt | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._main: asyncio.Task[None] | None = None
        self._is_stopping = asyncio.Event()
        self._failure: Exception | None = None
        self._is_over = False

    async def next(self) -> Receipt:
        """Return the next receipt; the first call begins the run."""
        if self._main is None and not self._is_over:
            self._main = asyncio.create_task(self._issue_all())
        receipt = None if self._is_over else await self._receipts.get()
        if receipt is not None:
            if self._receipts.qsize() < self._in_flight:
                self._room.set()
            return receipt
        self._is_over = True
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    def stop(self, why: Exception) -> None:
        """Begin nothing more; *why* is raised after the last receipt."""
        if not self._is_stopping.is_set():
            self._failure = why
        self._is_stopping.set()
        self._room.set()

    async def aclose(self, *, is_urgent: bool) -> None:
        """
        Begin nothing more, wait for what is in flight, and forget the receipts that nobody took.

        It is not waited for where it *is_urgent* and was asked to stop before: somebody lost patience.
        """
        deadline = self._clock() + (0.0 if is_urgent and self._is_stopping.is_set() else GRACE)
        self._is_over = True
        self._is_stopping.set()
        self._room.set()
        if self._main is not None:
            await asyncio.wait([self._main], timeout=deadline - self._clock())
            self._main.cancel()
            await asyncio.wait([self._main, *self._rewards])
            # A step that ends leaves no lease behind, for which the next run had to wait.
            await self._issuer.finish(within=max(0.0, deadline - self._clock()))
        await self._open.aclose()

    def progress(self, outlook: Outlook, funds: Money | None) -> Progress:
        """Return how far it is."""
        before = Counter(outlook.states) - Counter(outlook.to_do)
        states = Counter(self._meter.states)
        rate = self._meter.rate
        remaining = 0 if self._is_read else max(0, sum(outlook.to_do.values()) - self._begun)
        left_before = sum(outlook.to_do.get(state, 0) for state in LEFT) - self._taken_up
        left_before = min(remaining, max(0, left_before))
        in_flight = self._begun - states.total()
        left = remaining + in_flight
        return Progress(
            rewards=outlook.rewards,
            issued=before["issued"] + states["issued"],
            refused=before["refused"] + states["refused"],
            unknown=before["reversing"] + states["sent"] + states["reversing"] + left_before,
            not_sent=states["planned"],
            closed=sum((before + states)[state] for state in ("reversed", "abandoned")),
            in_flight=in_flight,
            remaining=remaining - left_before,
            spent=[Money(amount, currency) for currency, amount in sorted(self._meter.spent.items())],
            rate=rate,
            eta=0.0 if not left else left / rate if rate > 0 else None,
            funds=funds,
        )

    # What runs in the background

    async def _issue_all(self) -> None:
        asking = asyncio.create_task(self._look_again())
        try:
            await asyncio.gather(*(self._work() for _ in range(self._in_flight)))
            while self._rewards:
                await asyncio.wait(self._rewards)
            if self._begun and not self._is_stopping.is_set():
                await self._look_once()
        except Exception as failure:  # noqa: BLE001  (raised to whoever iterates)
            self.stop(failure)
        finally:
            for task in (asking, *self._rewards):
                task.cancel()
            self._receipts.put_nowait(None)

    async def _work(self) -> None:
        """Begin one reward after the other. What takes long is left to itself, and the next one is begun."""
        while (intent := await self._next()) is not None:
            reward = asyncio.create_task(self._issue(intent))
            self._rewards.add(reward)
            reward.add_done_callback(self._rewards.discard)
            await asyncio.wait([reward], timeout=PATIENCE)
            if not reward.done():
                await self._slow.acquire()
                reward.add_done_callback(lambda _: self._slow.release())

    async def _next(self) -> Intent | None:
        """Return a reward to begin, which is counted as begun; None if there is none, or must be none."""
        await self._room.wait()
        async with self._reading:
            while not (self._waiting or self._is_read or self._is_stopping.is_set()):
                some = await anext(self._open, None)
                self._is_read = some is None
                self._waiting.extend(some or ())
        if self._is_stopping.is_set() or not self._waiting:
            return None
        has_left, intent = self._waiting.popleft()
        if stopped := self._limits.begin(intent.value):
            self.stop(stopped)
            return None
        self._begun += 1
        self._taken_up += has_left
        return intent

    async def _issue(self, intent: Intent) -> None:
        try:
            receipt = await self._settled(intent)
        except Exception as failure:  # noqa: BLE001  (raised to whoever iterates)
            # Nothing is known against this reward: its entry stands as it is, and a later run continues.
            self._begun -= 1
            self._limits.end(intent.value, "sent")
            self.stop(failure)
            return
        self._limits.end(intent.value, receipt.state)
        self._meter.count(receipt)
        self._receipts.put_nowait(receipt)
        if self._receipts.qsize() >= self._in_flight:
            self._room.clear()

    async def _settled(self, intent: Intent) -> Receipt:
        """Drive a reward until it is settled, its budget ends, or the run does."""
        began = self._clock()
        while True:
            try:
                return (await issue(self._issuer, intent, min(STEP, self._budget))).receipt
            except LedgerError:
                raise
            except (RewardAbandoned, RewardUndone):
                return await self._issuer.status(intent.reference)
            except OutcomePending:
                passed = self._clock() - began
                pause = max(1.0, passed / 2)
                if self._is_stopping.is_set() or passed + pause > self._budget:
                    self._check_silence()
                    return await self._issuer.status(intent.reference)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._is_stopping.wait()
            except AgcodError as refusal:
                receipt = await self._issuer.status(intent.reference)
                if receipt.state != "refused":
                    # A wrong key, for example: it says nothing about this reward, and would strike all.
                    raise
                if stopped := self._limits.refused(refusal):
                    self.stop(stopped)
                return receipt

    def _check_silence(self) -> None:
        """Begin no more when nothing at all was settled for as long as a single reward is given."""
        is_all_begun = self._is_read and not self._waiting
        if not is_all_begun and self._clock() - self._meter.last_settled > self._budget:
            text = f"nothing was settled for {self._budget:.0f} s: the service or the network is away"
            self.stop(stopped("silence", text))

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self._look_once()

    async def _look_once(self) -> None:
        # Not told this time: the estimate goes on.
        with suppress(AgcodError):
            await self._limits.look_again()
