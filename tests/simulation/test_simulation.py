"""A part of what ``python -m tests.simulation`` does, small enough for every run of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.simulation.__main__ import shrink
from tests.simulation.batches import batches, report
from tests.simulation.mutants import MUTANTS, ROOT, hunt_apart
from tests.simulation.small import every_world
from tests.simulation.universe import Bounds, Universe

# What holds here does not depend on the Python that it is tried with.
pytestmark = pytest.mark.once

UNIVERSES = 3200
ISSUANCES = 200_000
CORES = os.cpu_count() or 1


def test_the_books_balance_in_every_universe():
    """Nothing is charged twice, charged and lost, or left open, whatever fails and whoever is killed."""
    began = time.monotonic()
    total, failures = batches(1, UNIVERSES, CORES, 1200.0)
    print(report(total, time.monotonic() - began, CORES))
    assert failures == []
    assert total.universes == UNIVERSES
    assert total.issuances >= ISSUANCES
    assert min(total.kills, total.freezes, total.states["abandoned"], total.states["reversed"]) > 100


def test_the_command_says_what_happened():
    """A run that takes a night is started like this, and must not be lost in its first second."""
    command = [sys.executable, "-m", "tests.simulation", "--universes", "3", "--jobs", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 universes, ")


def test_a_universe_repeats_itself():
    """A failing seed can be looked at, because it fails again in the same way."""
    first, again = (Universe(8).run() for _ in range(2))
    assert first == again
    assert first.requests > 0


def test_small_worlds_hold_whenever_the_process_dies():
    """One reward, two faults, and a kill before each step: nothing is left to chance."""
    total = every_world(jobs=CORES)
    assert total.kills > 90_000
    assert set(total.states) <= {"issued", "reversed"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_rule_is_caught(mutant):
    """A simulation that passes broken programs proves nothing."""
    is_caught, text = hunt_apart(mutant)
    assert is_caught, text


def test_shrinking_keeps_what_fails(monkeypatch):
    """Of a failing universe, as little is left as still fails."""
    monkeypatch.setattr(Universe, "check_books", lambda self: self.wrong.append("planted"))
    bounds, text = shrink(5)
    assert text == "planted"
    assert bounds == Bounds(rewards=0, kills=0, freezes=0, faults=0)
