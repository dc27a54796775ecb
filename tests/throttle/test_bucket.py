"""One limit in virtual time: the long run and every window of it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings, strategies as st

from agcod_async.throttle.bucket import Bucket, Limits
from tests.support.servers import most_in_a_second
from tests.support.virtual_time import run_virtually

FUNDS = "GetAvailableFunds"


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.2, 30),
    st.integers(1, 40),
    st.floats(0, 0.5),
    st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_no_window_holds_more_than_the_rate(rate, burst, margin, rests):
    """Every rate, burst and margin, after every rest; and aiolimiter never adds a wait of its own."""

    async def main():
        bucket, loop, times = Bucket("rate", rate, burst, margin), asyncio.get_running_loop(), []
        for rest in rests:
            await asyncio.sleep(rest)
            while (wait := bucket.wait(loop.time())) > 0:
                await asyncio.sleep(wait)
            now = loop.time()
            await bucket.take()
            assert loop.time() == now
            times.append(now)
        return times

    # Evenly spaced, a rate of 9.5 has a second with ten now and then.
    most = max(1, int(rate)) + (min(burst, int(rate)) <= 1 and rate > 1 and rate % 1 > 0)
    assert most_in_a_second(run_virtually(main())) <= most


@pytest.mark.parametrize(("burst", "expected"), [(1, [0, 0.105, 0.21, 1.05]), (5, [0, 0, 0, 1.05])])
def test_the_wait_behind_others(burst, expected):
    """What is certain about a line of waiters, so that a call may give up before it waits."""

    async def main():
        limits = Limits(10, {FUNDS: 1}, burst=burst, margin=0.05)
        assert [limits.wait_behind(ahead, None) for ahead in (0, 1, 2, 10)] == pytest.approx(expected)
        assert limits.wait_behind(3, FUNDS) == pytest.approx(3.15)
        limits.note(FUNDS)
        assert limits.wait_behind(0, FUNDS) == pytest.approx(1.05)
        assert limits.wait_behind(0, None) == pytest.approx(0.105 if burst == 1 else 0.0)

    run_virtually(main())
