"""
Timing that holds on a busy machine.

CPU time of this process instead of wall time; all candidates take turns in every round of one run; a
result is the median over the rounds of the ratio *within* a round.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from statistics import median
from time import process_time
from typing import Any

Run = Callable[[], Iterator["Row"]]
Timings = Mapping[str, list[float]]
"""Seconds of CPU per call, one for each round, by candidate."""

_BATCH_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; ``value`` is None where a package was missing."""

    case: str
    against: str
    value: float | None
    unit: str = "x"
    goal: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met, if there is one and something was measured."""
        return None if self.value is None or self.goal is None else self.value <= self.goal

    def __str__(self) -> str:
        value = "skipped" if self.value is None else f"{self.value:.3f} {self.unit}"
        goal = "" if self.goal is None else f"{self.goal:.3f} {self.unit}"
        verdict = {True: "met", False: "MISSED", None: ""}[self.is_met]
        return f"{self.case:<48}{self.against:<20}{value:>12}  {goal:>12}  {verdict:<7}{self.note}".rstrip()


def skipped(case: str, package: str) -> Row:
    """Return the row of a comparison whose other side is not installed."""
    return Row(case=case, against=package, value=None, note=f"{package} is not installed")


def optional(name: str) -> Any:
    """Return the module called *name*, or None where it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


def micro(candidates: Mapping[str, Callable[[], object]], *, rounds: int = 25) -> Timings:
    """Time functions of microseconds, in batches, without the garbage collector."""
    batches = {name: _batch_size(function) for name, function in candidates.items()}
    timings: dict[str, list[float]] = {name: [] for name in candidates}
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            for name in _order(candidates, turn):
                timings[name].append(_seconds(candidates[name], batches[name]) / batches[name])
    finally:
        gc.enable()
    return timings


async def rounds_of(candidates: Mapping[str, Callable[[], Awaitable[float]]], *, rounds: int) -> Timings:
    """Let *candidates*, which time themselves, take turns; a first round warms up and is not counted."""
    timings: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name in _order(candidates, turn):
            seconds = await candidates[name]()
            if turn:
                timings[name].append(seconds)
    return timings


def ratio(timings: Timings, case: str, against: str) -> float:
    """Return how many times as long as *against* *case* takes."""
    return median(ours / theirs for ours, theirs in zip(timings[case], timings[against], strict=True))


def microseconds(timings: Timings, name: str) -> str:
    """Return what one call takes, for a note."""
    return f"{median(timings[name]) * 1e6:.1f} us"


def compare(timings: Timings, label: str, case: str, against: str, goal: float | None = None) -> Row:
    """Return the row that holds *case* against *against*."""
    note = f"{microseconds(timings, case)} : {microseconds(timings, against)}"
    return Row(case=label, against=against, value=ratio(timings, case, against), goal=goal, note=note)


def main(*runs: Run) -> None:
    """Print the table of *runs* as it grows, and say what was missed."""
    print(f"{'case':<48}{'against':<20}{'measured':>12}  {'goal':>12}  {'':<7}CPU per call")
    missed = 0
    for run in runs:
        for row in run():
            print(row, flush=True)
            missed += row.is_met is False
    print(f"{missed} goals missed" if missed else "every goal met")


def _order(candidates: Mapping[str, object], turn: int) -> list[str]:
    """Turn the order round every time, so that no candidate always follows the same one."""
    return list(candidates) if turn % 2 else list(candidates)[::-1]


def _batch_size(function: Callable[[], object]) -> int:
    size = 1
    while (seconds := _seconds(function, size)) < _BATCH_SECONDS / 10:
        size *= 2
    return max(1, round(size * _BATCH_SECONDS / seconds))


def _seconds(function: Callable[[], object], number: int) -> float:
    start = process_time()
    for _ in range(number):
        function()
    return process_time() - start
