"""Small worlds, all of them: one reward, every kill point crossed with every pair of faults."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any

from agcod_async import Money

from .network import FAULTS, Weather
from .stores import MemoryStore
from .universe import _FUNDS, Bounds, Reward, Tally, Universe, Wrong

ALIKE = ("connect_failed", "drop_answer", "late", "resend_before", "resend_after", "denied", "throttled")
"""One of each sort, for who has little time."""


class SmallWorld(Universe):
    """
    One process issues one reward, dies before a step, and starts again.

    Args:
        policy: what is done about unknown outcomes.
        faults: what strikes the first requests.
        kill: the step before which the process dies; None lets it live.
    """

    def __init__(self, policy: Any, faults: tuple[str | None, ...], kill: int | None) -> None:
        super().__init__(0, Bounds(freezes=0))
        self.horizon = 300.0
        self.store.remove()
        self.store = MemoryStore()
        self.rewards = [Reward("order", "create", Money("25.00", "USD"), 1)]
        self.state.funds["Acme1"], self.extra_funds = _FUNDS, Decimal(0)
        self.network.weather = Weather(Random(0), script=faults)
        self.issuer_policy = policy
        self.policies = (policy,)
        self.machine.forget()
        self._start("A", Random(1), [] if kill is None else [kill], 0)
        self.first = self.machine.processes[-1]

    def _plan_process(self, name: str, rng: Random) -> None:
        """Not as the seed would have it."""

    async def _recover(self, issuer: Any, rng: Random) -> None:
        await issuer.recover()

    async def _serve(self, process: Any, issuer: Any, reward: Reward, rng: Random) -> None:
        while not reward.handed_out and reward.undone is None and self.machine.now < self.horizon:
            await self._issue(process, issuer, reward, rng)
            await asyncio.sleep(30.0)


def steps_of(policy: Any, faults: tuple[str | None, ...]) -> int:
    """Return how many steps the first process takes when nobody kills it, up to the first minute."""
    world = SmallWorld(policy, faults, None)
    world.run()
    return min(world.first.steps, 400)


def every_world(
    kinds: Iterable[str] = FAULTS, policies: Iterable[str] = ("complete", "replace", "undo")
) -> Tally:
    """
    Run them all.

    Raises:
        Wrong: in the first world whose books do not balance.
    """
    total = Tally()
    strikes = (None, *kinds)
    for policy, first, second in product(policies, strikes, strikes):
        for kill in range(1, steps_of(policy, (first, second)) + 1):
            try:
                total.add(SmallWorld(policy, (first, second), kill).run())
            except Wrong as wrong:
                raise Wrong(f"{policy}, {first}, {second}, killed before step {kill}: {wrong}") from None
    return total
