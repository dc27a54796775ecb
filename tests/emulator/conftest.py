"""A gateway whose time stands still."""

from datetime import UTC, datetime

import pytest

from agcod_async.emulator import Clock, Emulator

NOON = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    """A clock that moves when it is told to."""
    clock = Clock()
    clock.freeze(NOON)
    return clock


@pytest.fixture
def emulator(clock):
    """A gateway with the default partner, no throttle and no passing time."""
    return Emulator(clock=clock, throttle=None)
