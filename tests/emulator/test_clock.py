"""Real, frozen and shifted time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from agcod_async.emulator import Clock, Emulator

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_time_is_real_until_told_otherwise():
    """The default clock of an emulator is the machine's."""
    before = datetime.now(UTC)
    assert before <= Emulator().clock() <= datetime.now(UTC)


def test_any_clock_can_be_the_source():
    """A simulation brings its own; freezing and shifting work on top of it."""
    moments = iter(NOON + timedelta(seconds=step) for step in range(9))
    clock = Emulator(clock=lambda: next(moments)).clock
    assert (clock(), clock()) == (NOON, NOON + timedelta(seconds=1))
    clock.shift(timedelta(hours=1))
    assert clock() == NOON + timedelta(hours=1, seconds=2)
    clock.freeze()
    frozen = clock()
    assert clock.is_frozen
    assert clock() == frozen == NOON + timedelta(hours=1, seconds=3)
    clock.shift(timedelta(hours=24))
    assert clock() == frozen + timedelta(hours=24)
    clock.reset()
    assert clock() == NOON + timedelta(seconds=4)
    assert not clock.is_frozen


def test_a_moment_has_a_time_zone():
    """A naive datetime is refused; any zone is understood."""
    clock = Clock()
    with pytest.raises(ValueError, match="naive"):
        clock.freeze(datetime(2026, 3, 2))  # noqa: DTZ001
    clock.freeze(datetime(2026, 3, 2, 13, tzinfo=timezone(timedelta(hours=1))))
    assert clock() == NOON
    assert clock().tzinfo is UTC
