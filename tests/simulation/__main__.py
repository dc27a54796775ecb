"""``python -m tests.simulation --universes 10000 --seed 1``: let universes happen, and print what did."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace

from .batches import batches, report
from .small import every_world
from .universe import Bounds, Universe, Wrong


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
