"""Three models of the same limit."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from agcod_async.emulator import Rate, Throttle
from agcod_async.emulator.throttle import Meters

START = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)


def _admitted(throttle, offsets, operation="CreateGiftCard"):
    meters = Meters(throttle)
    return [at for at in offsets if meters.admits(operation, START + timedelta(seconds=at))]


def test_a_sliding_window_holds_the_rate_wherever_it_starts():
    """Eleven in any second are one too many; a second after the first there is room for one."""
    offsets = [0.5, *[0.6] * 9, 1.0, 1.499999, 1.5, 1.55, 1.6]
    assert _admitted(Throttle(), offsets) == [0.5, *[0.6] * 9, 1.5, 1.6]


def test_a_fixed_window_lets_twice_the_rate_across_a_border():
    """Ten at the end of one second and ten at the beginning of the next."""
    admitted = _admitted(Throttle(model="fixed"), [0.9] * 12 + [1.1] * 12)
    assert admitted == [0.9] * 10 + [1.1] * 10


def test_a_bucket_gives_its_burst_and_then_the_rate():
    """A burst of two, then a token every tenth of a second, and never more than two waiting."""
    offsets = [0, 0, 0, 0.05, 0.1, 0.15, 0.2, 5, 5, 5]
    assert _admitted(Throttle(model="bucket", burst=2), offsets) == [0, 0, 0.1, 0.2, 5, 5]


def test_a_bucket_is_as_large_as_its_rate_by_default():
    """A burst of ten."""
    assert len(_admitted(Throttle(model="bucket"), [0] * 30)) == 10


@pytest.mark.parametrize("model", ["sliding", "fixed", "bucket"])
def test_an_operation_has_a_rate_of_its_own(model):
    """One page of activity per second; what it refuses does not count against the others."""
    meters = Meters(Throttle(model=model))
    assert meters.admits("GetGiftCardActivityPage", START)
    assert [meters.admits("GetGiftCardActivityPage", START) for _ in range(5)] == [False] * 5
    assert [meters.admits("CreateGiftCard", START) for _ in range(10)] == [True] * 9 + [False]


def test_once_a_minute_for_those_held_to_the_old_rule():
    """Rates may have any period."""
    throttle = Throttle(operations={"GetGiftCardActivityPage": Rate(1, seconds=60)})
    admitted = _admitted(throttle, [0, 1, 59.9, 60, 61], "GetGiftCardActivityPage")
    assert admitted == [0, 60]


def test_there_may_be_no_overall_rate():
    """Only those of the operations."""
    assert len(_admitted(Throttle(overall=None, operations={}), [0] * 100)) == 100


@pytest.mark.parametrize("model", ["sliding", "fixed", "bucket"])
def test_a_clock_that_is_set_back_locks_nobody_out(model):
    """Whoever shifts time back by an hour need not wait an hour."""
    assert len(_admitted(Throttle(model=model), [0] * 10 + [-3600 + step for step in range(3)])) >= 12


@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=200).map(sorted), st.sampled_from(["sliding", "bucket"])
)
def test_no_window_holds_more_than_it_may(offsets, model):
    """Ten for the sliding window; for the bucket its burst and what trickles in meanwhile."""
    admitted = _admitted(Throttle(model=model), offsets)
    limit = 10 if model == "sliding" else 20
    for at in admitted:
        assert sum(at <= other < at + 1 - 1e-5 for other in admitted) <= limit
