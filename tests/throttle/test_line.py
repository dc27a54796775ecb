"""The waiting line by itself: who is next."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, strategies as st

from agcod_async import ConfigurationError
from agcod_async.throttle.line import Line, Waiter
from tests.support.virtual_time import run_virtually

LANES = st.sampled_from([None, "GetAvailableFunds", "GetGiftCardActivityPage"])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("join"), LANES, st.sampled_from(["interactive", "bulk"])),
            st.tuples(st.just("leave"), st.integers(0, 50)),
            st.tuples(st.just("next"), st.sets(LANES)),
        ),
        max_size=80,
    )
)
def test_a_line_is_a_list_of_those_who_wait(steps):
    """Whatever happens in whatever order: first come, first served in each lane and priority, nobody lost."""

    async def main():
        line, waiting, passed = Line(), list[Waiter](), dict[str | None, int]()
        for step in steps:
            if step[0] == "join":
                waiting.append(line.join(step[1], step[2]))
            elif step[0] == "leave" and waiting:
                line.leave(waiting.pop(step[1] % len(waiting)))
            elif step[0] == "next":
                open_ = [waiter for waiter in waiting if waiter.lane in step[1]]
                waiter = line.next(step[1].__contains__)
                assert (waiter is None) == (not open_)
                if waiter is None:
                    continue
                before = waiting[: waiting.index(waiter)]
                assert not [w for w in before if (w.lane, w.priority) == (waiter.lane, waiter.priority)]
                bulk_lanes = {w.lane for w in open_ if w.priority == "bulk"}
                if waiter.priority == "interactive":
                    for lane in bulk_lanes:
                        passed[lane] = passed.get(lane, 0) + 1
                        assert passed[lane] <= 9
                else:
                    due = passed.get(waiter.lane, 0) == 9
                    assert due or not [w for w in open_ if w.priority == "interactive"]
                    passed[waiter.lane] = 0
                waiting.remove(waiter)
                line.leave(waiter)
            assert line.waiting == len(waiting)
            assert {*line.lanes()} == {waiter.lane for waiter in waiting}
            for lane in (None, "GetAvailableFunds"):
                here = [waiter for waiter in waiting if waiter.lane == lane]
                assert line.has(lane) == bool(here)
                assert line.ahead(lane, "bulk") == len(here)
                assert line.ahead(lane, "interactive") == sum(w.priority == "interactive" for w in here)

    run_virtually(main())


def test_only_the_first_is_the_head():
    """Who is not first need not look at the clock, so that 100,000 may wait."""

    async def main():
        line = Line()
        first, second = line.join(None, "bulk"), line.join(None, "bulk")
        assert line.is_head(first)
        assert not line.is_head(second)
        line.leave(first)
        assert line.is_head(second)

    run_virtually(main())


def test_what_a_waiter_knows():
    """Only a turn that came is one: not a cancelled one, and not an error."""

    async def main():
        line = Line()
        first, second, third = (line.join(None, "bulk") for _ in range(3))
        assert not first.has_turn
        first.turn.set_result(None)
        assert first.has_turn
        line.leave(second)
        assert not second.has_turn
        line.close()
        assert not third.has_turn
        with pytest.raises(ConfigurationError, match="closed"):
            await third.wait(None)
        with pytest.raises(ConfigurationError, match="closed"):
            line.join(None, "bulk")

    run_virtually(main())


def test_an_error_nobody_waits_for_is_no_noise():
    """A call that is cancelled as the throttle closes leaves no "never retrieved" in the log."""

    async def main():
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        line = Line()
        line.join(None, "bulk")
        line.close()
        del line
        await asyncio.sleep(0)
        return complaints

    assert not run_virtually(main())
