"""Many universes on many processors."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice

from .machine import swept_late, workers
from .universe import Tally, Universe, Wrong

BATCH = 100
"""Universes that a process runs before it tells of them: some seconds' worth."""

Failures = list[tuple[int, str]]


def run_many(seeds: range) -> tuple[Tally, Failures]:
    """Run universes until five have failed."""
    total, failures = Tally(), []
    with swept_late() as sweep:
        for seed in seeds:
            if len(failures) >= 5:
                break
            try:
                total.add(Universe(seed).run())
            except Wrong as wrong:
                failures.append((seed, str(wrong)))
            sweep(total.steps)
    return total, failures


def batches(
    seed: int, universes: int, jobs: int, seconds: float, *, every: float = float("inf")
) -> tuple[Tally, Failures]:
    """
    Spread universes over processes, until one has failed five times or the time is up.

    A failure is printed when it is known, and every so many seconds what has happened so far.
    """
    total, failures = Tally(), []
    began = told = time.monotonic()
    end = seed + universes
    shares = (range(first, min(first + BATCH, end)) for first in range(seed, end, BATCH))
    with workers(jobs) as pool:
        # No more are asked for than keep everybody busy, so that a long run stays small.
        running = deque(pool.submit(run_many, share) for share in islice(shares, 2 * jobs))
        while running:
            tally, wrong = running.popleft().result()
            total.add(tally)
            failures += wrong
            for failed, why in wrong:
                print(f"seed {failed}: {why}\n  again: --replay {failed}", flush=True)
            now = time.monotonic()
            if now - told > every:
                told = now
                print(report(total, now - began, jobs), f"{len(failures)} failures", sep="\n", flush=True)
            if now - began < seconds and len(failures) < 5:
                running.extend(pool.submit(run_many, share) for share in islice(shares, 1))
    return total, failures


def report(total: Tally, wall: float, jobs: int) -> str:
    """Return the totals as text."""
    faults = ", ".join(f"{kind} {count:,}" for kind, count in sorted(total.faults.items()))
    states = ", ".join(f"{state} {count:,}" for state, count in sorted(total.states.items()))
    return (
        f"{total.universes:,} universes, {total.issuances:,} issuances, {total.requests:,} requests, "
        f"{total.kills:,} kills, {total.freezes:,} freezes, {sum(total.faults.values()):,} faults, "
        f"{total.steps:,} steps, {total.virtual_days:,.0f} virtual days, {wall:.1f} s on {jobs} cores, "
        f"{total.issuances / wall / jobs:,.0f} issuances/s per core\nstates: {states}\nfaults: {faults}"
    )
