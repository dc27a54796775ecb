"""One drive for all who ask for the same reward; each of them waits as long as it likes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tenacity import DoSleep, RetryCallState, Retrying, retry_if_result

from .errors import AgcodError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .driver import Step
    from .ledger import Entry


_UNCHARGED = ("planned", "refused", "reversed")


class Drive:
    """
    Takes step after step, each when it is due, until nothing is open or everybody's budget has ended.

    Args:
        move: takes the next step; it is given what to show the entry to before it sends anything.
        is_open: whether a step leaves more to do.
        pause: the seconds from a step to the next.
    """

    def __init__(
        self,
        move: Callable[[Callable[[Entry], None]], Awaitable[Step]],
        is_open: Callable[[Step], bool],
        pause: Callable[[Step], float],
    ) -> None:
        self._move = move
        self._is_open = is_open
        self._pause = pause
        self._deadline = 0.0
        self.entry: Entry | None = None
        """As it was seen last."""
        self.last: Step | None = None
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def wait(self, budget: float) -> Step | None:
        """
        Return the last step of all, or None after *budget* seconds.

        Neither that nor the caller's cancellation stops the drive in a step.
        """
        self._deadline = max(self._deadline, asyncio.get_running_loop().time() + budget)
        await asyncio.wait([self.task], timeout=budget)
        # Cancelled was the drive, by whoever is about to close everything: the caller was not.
        return self.task.result() if self.task.done() and not self.task.cancelled() else None

    async def _run(self) -> Step:
        step = await self._step()
        if not self._is_open(step):
            return step
        # Driven by hand: AsyncRetrying inspects each of its functions again for each step.
        chain = self._chain()
        state = RetryCallState(chain, None, (), {})
        chain.begin()
        state.set_result(step)
        while isinstance(pause := chain.iter(state), DoSleep):
            await asyncio.sleep(pause)
            state.prepare_for_next_attempt()
            state.set_result(await self._step())
        return _step(state)

    async def _step(self) -> Step:
        try:
            step = await self._move(self._see)
        except AgcodError as error:
            if self.last is not None or (self.entry is not None and self.entry.state not in _UNCHARGED):
                # It says something about this step, and an earlier one, or another process, may have charged.
                error.outcome = "unknown"
            raise
        self.entry, self.last = step.entry, step
        return step

    def _see(self, entry: Entry) -> None:
        self.entry = entry

    def _chain(self) -> Retrying:
        clock = asyncio.get_running_loop().time
        return Retrying(
            retry=retry_if_result(self._is_open),
            wait=lambda state: self._pause(_step(state)),
            stop=lambda state: clock() + state.upcoming_sleep > self._deadline,
            retry_error_callback=_step,
        )


def _step(state: RetryCallState) -> Step:
    assert state.outcome is not None
    step: Step = state.outcome.result()
    return step
