"""``python -m tests.simulation --universes 10000 --seed 1``: let universes happen, and print what did."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice

from .machine import swept_late
from .small import every_world
from .universe import Bounds, Tally, Universe, Wrong

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


def shrink(seed: int) -> tuple[Bounds, str]:
    """Return the least of a failing universe that still fails."""
    bounds, text = Bounds(), _fate(seed, Bounds()) or ""
    for name in ("rewards", "kills", "freezes", "faults"):
        for value in (*range(6), 10, 20, 30, 100, 300):
            smaller = replace(bounds, **{name: value})
            if (wrong := _fate(seed, smaller)) is not None:
                bounds, text = smaller, wrong
                break
    return bounds, text


def _fate(seed: int, bounds: Bounds) -> str | None:
    try:
        Universe(seed, bounds).run()
    except Wrong as wrong:
        return str(wrong)
    return None


def batches(
    seed: int, universes: int, jobs: int, seconds: float, *, every: float = float("inf")
) -> tuple[Tally, Failures]:
    """
    Spread universes over processes, until one has failed five times or the time is up.

    Every so many seconds, what has happened so far is printed.
    """
    total, failures = Tally(), []
    began = told = time.monotonic()
    end = seed + universes
    shares = (range(first, min(first + BATCH, end)) for first in range(seed, end, BATCH))
    with ProcessPoolExecutor(jobs) as pool:
        # No more are asked for than keep everybody busy, so that a long run stays small.
        running = deque(pool.submit(run_many, share) for share in islice(shares, 2 * jobs))
        while running:
            tally, wrong = running.popleft().result()
            total.add(tally)
            failures += wrong
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--universes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--every", type=float, default=float("inf"), help="seconds between reports")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one universe again, and shrink it")
    parser.add_argument("--small", action="store_true", help="all small worlds instead")
    asked = parser.parse_args()
    if asked.small:
        began = time.monotonic()
        total = every_world(jobs=asked.jobs)
        print(report(total, time.monotonic() - began, asked.jobs))
        return 0
    if asked.replay is not None:
        return _replay(asked.replay)
    began = time.monotonic()
    total, failures = batches(asked.seed, asked.universes, asked.jobs, asked.seconds, every=asked.every)
    print(report(total, time.monotonic() - began, asked.jobs))
    for seed, wrong in failures:
        print(f"seed {seed}: {wrong}\n  again: python -m tests.simulation --replay {seed}")
    return 1 if failures else 0


def _replay(seed: int) -> int:
    wrong = _fate(seed, Bounds())
    if wrong is None:
        print(f"seed {seed}: the books balance")
        return 0
    bounds, text = shrink(seed)
    print(f"seed {seed}: {wrong}\nshrunk to {bounds}: {text}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
