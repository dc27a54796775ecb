from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agcod_async import ClockSkewError
from agcod_async.clock import SkewedClock, utc_now

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
minutes = timedelta(minutes=1)


class Clock:
    """A machine's clock that a test moves."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


def test_this_machines_time_is_aware():
    """A naive time signs for another hour on most machines."""
    before = datetime.now(UTC)
    assert before <= utc_now() <= datetime.now(UTC)


def test_a_clock_is_trusted_until_it_is_refused():
    """Nothing is corrected on suspicion."""
    assert SkewedClock(lambda: NOON).now() == NOON


@pytest.mark.parametrize("off", [-60 * minutes, -16 * minutes, -5 * minutes, 5 * minutes, 16 * minutes])
def test_a_refusal_corrects_the_clock(off):
    """From then on every call of the session signs for the gateway's time, while this clock runs on."""
    machine = Clock()
    clock = SkewedClock(machine)
    assert clock.learn(ClockSkewError(signed_at=NOON, server_date=NOON + off)) == off
    assert clock.now() == NOON + off
    machine.time += 10 * minutes
    assert clock.now() == NOON + off + 10 * minutes


def test_a_later_refusal_replaces_the_correction():
    """A machine whose clock was set right in between is not corrected twice over."""
    machine = Clock()
    clock = SkewedClock(machine)
    clock.learn(ClockSkewError(signed_at=NOON, server_date=NOON + 60 * minutes))
    machine.time += 60 * minutes
    skewed = clock.now()
    assert clock.learn(ClockSkewError(signed_at=skewed, server_date=machine.time)) == timedelta(0)
    assert clock.now() == machine.time


def test_the_correction_is_counted_from_now_and_not_from_the_signature():
    """An answer that took long does not make the clock wrong by as much."""
    machine = Clock()
    clock = SkewedClock(machine)
    machine.time += 2 * minutes
    assert clock.learn(ClockSkewError(signed_at=NOON, server_date=NOON + 32 * minutes)) == 30 * minutes


@pytest.mark.parametrize(
    ("signed_at", "server_date"),
    [
        (NOON, None),
        (None, NOON),
        (NOON, NOON),
        (NOON, NOON + 4 * minutes),
        (NOON, NOON - 4 * minutes),
    ],
)
def test_a_refusal_without_a_difference_corrects_nothing(signed_at, server_date):
    """Signing again would be refused again: the error is the caller's to see."""
    clock = SkewedClock(lambda: NOON)
    assert clock.learn(ClockSkewError(signed_at=signed_at, server_date=server_date)) is None
    assert clock.now() == NOON


def test_a_date_at_the_end_of_time_is_not_believed():
    """A correction by thousands of years would make every later moment overflow."""
    clock = SkewedClock(lambda: datetime(2026, 3, 1, tzinfo=UTC))
    error = ClockSkewError(
        signed_at=datetime(2026, 3, 1, tzinfo=UTC), server_date=datetime(9999, 12, 31, tzinfo=UTC)
    )
    assert clock.learn(error) is None
    assert clock.now() == datetime(2026, 3, 1, tzinfo=UTC)
