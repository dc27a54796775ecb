"""Small worlds, all of them: one reward, every kill point crossed with every pair of faults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any, Literal

from agcod_async import Money

from .machine import swept_late, workers
from .network import FAULTS, Weather
from .stores import MemoryStore
from .universe import _FUNDS, Bounds, Reward, Tally, Universe, Wrong

POLICIES = ("complete", "replace", "undo")

Memory = Literal["remembered", "forgotten"]


class SmallWorld(Universe):
    """
    One process issues one reward, dies before a step, and starts again.

    Args:
        policy: what is done about unknown outcomes.
        faults: what strikes the first requests.
        kill: the step before which the process dies; None lets it live.
        memory: what a cancel of an id does that the gateway has never seen.
    """

    def __init__(
        self, policy: Any, faults: tuple[str | None, ...], kill: int | None, memory: Memory = "remembered"
    ) -> None:
        super().__init__(0, Bounds(freezes=0, rewards=0), crowds=0.0)
        self.horizon = 300.0
        self.store.remove()
        self.store = MemoryStore()
        self.rewards = [Reward("order", "create", Money("25.00", "USD"), 1)]
        self.state.settings = replace(self.state.settings, cancel_of_unknown=memory)
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


def worlds_of(policy: str, faults: tuple[str | None, ...]) -> Tally:
    """
    Run every world of one policy and the same faults.

    Raises:
        Wrong: in the first whose books do not balance.
    """
    total = Tally()
    with swept_late() as sweep:
        kill, last = None, 0
        while kill is None or kill < last:
            for memory in ("remembered", "forgotten"):
                world = SmallWorld(policy, faults, kill, memory)
                try:
                    total.add(world.run())
                except Wrong as wrong:
                    at = f"{policy}, {', '.join(map(str, faults))}, killed before step {kill}, {memory}"
                    raise Wrong(f"{at}: {wrong}") from None
                if kill is None:
                    # Nobody kills it: its steps are the kill points.
                    last = max(last, world.first.steps)
                if not world.state.buried:
                    # Nothing unknown was cancelled, so that a gateway without a memory does the same.
                    break
            kill = 0 if kill is None else kill + 1
            sweep(total.steps)
    return total


def every_world(kinds: Sequence[str] = FAULTS, policies: Sequence[str] = POLICIES, *, jobs: int = 1) -> Tally:
    """
    Run them all: each policy, each pair of faults or none, each kill point, both memories.

    Raises:
        Wrong: in a world whose books do not balance.
    """
    total = Tally()
    strikes = (None, *kinds)
    asked = list(product(policies, product(strikes, strikes)))
    with workers(jobs) as pool:
        for tally in pool.map(worlds_of, *zip(*asked, strict=True), chunksize=4):
            total.add(tally)
    return total
