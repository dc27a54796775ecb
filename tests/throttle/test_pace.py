"""The feedback of one limit: down at once, up by steps."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from agcod_async.throttle.pace import Pace


def test_a_refusal_cuts_and_steps_give_back():
    """0.7, and a twentieth of the full rate every ten seconds: two minutes from anywhere near."""
    pace = Pace(0.05)
    assert pace.refused(100.0)
    assert (pace.factor, pace.paused_until) == (0.7, 101.0)
    assert not pace.refused(100.5)
    assert pace.factor == 0.7
    changes = [now for now in range(101, 300) if pace.accepted(now, 0.1)]
    assert changes == [110, 120, 130, 140, 150, 160]
    assert pace.factor == 1.0


def test_no_series_of_refusals_stops_the_line():
    """A tenth of the rate is what is left in the end."""
    pace = Pace(0.05)
    for now in range(0, 100, 2):
        assert pace.refused(now)
    assert pace.factor == 0.1


def test_jitter_widens_the_window_once_a_refusal_blames_it():
    """Answers differ in time for other reasons too, so jitter alone changes nothing."""
    pace = Pace(0.05)
    for latency in (0.1, 0.22, 0.15):
        pace.accepted(0.0, latency)
    assert pace.margin == 0.05
    pace.refused(1.0)
    assert pace.margin == pytest.approx(0.12)
    for now in range(10, 80, 10):
        pace.accepted(now, 0.1)
    assert (pace.factor, pace.margin) == (1.0, 0.05)


@given(st.floats(0, 10), st.lists(st.floats(0, 100), max_size=80))
def test_the_margin_has_its_bounds(margin, latencies):
    """One answer of a minute must not halve the rate; what the user set is never narrowed."""
    pace = Pace(margin)
    for latency in latencies:
        pace.measured(latency)
    pace.refused(1.0)
    assert margin <= pace.margin <= max(margin, 0.25)
