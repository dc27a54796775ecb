"""The throttle: a contract for every implementation, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from agcod_async import ConfigurationError, LocalThrottle, Throttle
from tests.support.virtual_time import run_virtually

CREATE, FUNDS, ACTIVITY = "CreateGiftCard", "GetAvailableFunds", "GetGiftCardActivityPage"
OWN = {FUNDS: 1.0, ACTIVITY: 1.0}

THROTTLES: dict[str, Callable[..., Throttle]] = {"local": LocalThrottle}

Grant = tuple[float, str]


@pytest.fixture(scope="module", params=THROTTLES)
def make_throttle(request):
    """Each implementation's constructor: rate and operation_rates, the service's limits by default."""
    return THROTTLES[request.param]


def now() -> float:
    return asyncio.get_running_loop().time()


async def serve(throttle: Throttle, arrivals: Iterable[Grant]) -> list[Grant]:
    """Let requests arrive at their times, and return when each was granted, in the order of arrival."""

    async def arrive(at: float, operation: str) -> Grant:
        await asyncio.sleep(at)
        await throttle.acquire(operation)
        return now(), operation

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(arrive(at, operation)) for at, operation in arrivals]
    return [task.result() for task in tasks]


def most_in_a_second(grants: Iterable[Grant], operations: Iterable[str] = (CREATE, *OWN)) -> int:
    """Return how many grants the fullest second holds, wherever it begins."""
    times = sorted(at for at, operation in grants if operation in operations)
    return max((sum(start <= at < start + 1 for at in times) for start in times), default=0)


def assert_within_limits(grants: list[Grant]) -> None:
    assert most_in_a_second(grants) <= 10
    for operation in OWN:
        assert most_in_a_second(grants, [operation]) <= 1


# The limits


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 6), st.sampled_from([CREATE, CREATE, CREATE, FUNDS, ACTIVITY])), max_size=70
    )
)
def test_no_second_holds_more_than_the_limits(make_throttle, arrivals):
    """The service refuses what exceeds ten a second, or one for two operations, and may block a partner."""

    async def main() -> list[Grant]:
        return await serve(make_throttle(), arrivals)

    grants = run_virtually(main())
    assert len(grants) == len(arrivals)
    assert_within_limits(grants)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 25)), max_size=6))
def test_bursts_stay_within_the_limit(make_throttle, bursts):
    """A leaky bucket of ten lets twenty into the first second: the trap everybody falls into."""
    arrivals, at = [], 0.0
    for pause, size in bursts:
        at += pause
        arrivals += [(at, CREATE)] * size

    async def main() -> list[Grant]:
        return await serve(make_throttle(), arrivals)

    assert_within_limits(run_virtually(main()))


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.1, 0.105])
def test_steady_demand_reaches_the_rate(make_throttle, gap):
    """Safety that costs a third of the rate would cost a third of a campaign's day."""

    async def main() -> list[Grant]:
        return await serve(make_throttle(), [(index * gap, CREATE) for index in range(300)])

    grants = run_virtually(main())
    assert_within_limits(grants)
    assert 299 / (grants[-1][0] - grants[0][0]) >= min(9.4, 0.94 / gap if gap else 9.4)


def test_slow_operations_reach_their_rate(make_throttle):
    """A page of activity a second, and not one every two."""

    async def main() -> list[Grant]:
        return await serve(make_throttle(), [(0.0, ACTIVITY)] * 30)

    grants = run_virtually(main())
    assert_within_limits(grants)
    assert 29 / (grants[-1][0] - grants[0][0]) >= 0.94


def test_mixed_demand_reaches_the_rate(make_throttle):
    """A slot is taken from both buckets at once, so neither limit starves or breaks the other."""
    arrivals = [(second, operation) for second in range(40) for operation in (*[CREATE] * 10, FUNDS)]

    async def main() -> list[Grant]:
        return await serve(make_throttle(), arrivals)

    grants = run_virtually(main())
    assert_within_limits(grants)
    end = max(at for at, operation in grants if operation == CREATE)
    assert sum(at <= end for at, _ in grants) / end >= 9.4
    assert sum(at <= end for at, operation in grants if operation == FUNDS) >= 10


def test_a_burst_of_ten_passes_at_once(make_throttle):
    """Ten rewards at ten in flight should not wait for what the account allows."""

    async def main() -> list[Grant]:
        return await serve(make_throttle(), [(0.0, CREATE)] * 11)

    times = [at for at, _ in run_virtually(main())]
    assert times[:10] == [0.0] * 10
    assert 1.0 <= times[10] <= 1.1


@pytest.mark.parametrize(("rate", "most"), [(1, 1), (2.5, 2), (5, 5), (9.5, 9), (40, 40)])
def test_the_rate_can_be_set(make_throttle, rate, most):
    """Accounts have other limits too; a fraction must not let a second burst into the same second."""

    async def main() -> list[Grant]:
        return await serve(make_throttle(rate, {}), [(0.0, CREATE)] * 100)

    assert most_in_a_second(run_virtually(main())) == most


def test_a_rate_below_one_a_second(make_throttle):
    """Older documents allow a page of activity a minute, and block who asks more often."""

    async def main() -> list[Grant]:
        return await serve(make_throttle(10, {ACTIVITY: 1 / 60}), [(0.0, ACTIVITY)] * 4)

    times = [at for at, _ in run_virtually(main())]
    assert all(60 <= later - earlier <= 61 for earlier, later in pairwise(times))


# The waiting line


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=60, unique=True))
def test_first_come_first_served(make_throttle, gaps):
    """Nobody overtakes: a call that waits forever times out although the account has room."""

    async def main() -> list[Grant]:
        return await serve(make_throttle(), [(at, CREATE) for at in sorted(gaps)])

    times = [at for at, _ in run_virtually(main())]
    assert times == sorted(times)


def test_a_slow_operation_overtakes_nobody(make_throttle):
    """A balance check that came last waits behind the creates that were there before it."""

    async def main() -> list[Grant]:
        return await serve(make_throttle(), [(0.0, CREATE)] * 30 + [(0.1, FUNDS)])

    *created, (asked, _) = run_virtually(main())
    assert asked >= max(at for at, _ in created)


def test_waiters_of_a_slow_operation_hold_nobody_up(make_throttle):
    """Thirty balance checks in line must not stop the creates behind them for half a minute."""

    async def main() -> list[Grant]:
        return await serve(make_throttle(), [(0.0, FUNDS)] * 30 + [(0.1, CREATE)] * 50)

    created = [at for at, operation in run_virtually(main()) if operation == CREATE]
    assert max(created) < 7


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([CREATE, FUNDS, ACTIVITY]), min_size=1, max_size=40),
    st.lists(st.floats(0, 4), min_size=1, max_size=40),
)
def test_a_cancelled_waiter_takes_nothing(make_throttle, operations, moments):
    """Requests of clients that hung up would otherwise eat the rate of those that stayed."""

    async def main() -> list[Grant]:
        throttle = make_throttle()
        waiting = [asyncio.create_task(throttle.acquire(operation)) for operation in operations]
        for index, moment in enumerate(moments):
            asyncio.get_running_loop().call_later(moment, waiting[index % len(waiting)].cancel)
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(10)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        start = now()
        fresh = [(0.0, FUNDS), (0.0, ACTIVITY), *[(0.0, CREATE)] * 8]
        return [(at - start, operation) for at, operation in await serve(throttle, fresh)]

    assert {at for at, _ in run_virtually(main())} == {0.0}


def test_cancelling_the_whole_line_frees_the_next_slots(make_throttle):
    """The one who comes after fifty cancelled waiters waits for the window, and not for them."""

    async def main() -> float:
        throttle = make_throttle()
        await serve(throttle, [(0.0, CREATE)] * 10)
        waiting = [asyncio.create_task(throttle.acquire(CREATE)) for _ in range(50)]
        await asyncio.sleep(0.5)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await throttle.acquire(CREATE)
        return now()

    assert 1.0 <= run_virtually(main()) <= 1.1


# Refusals by the service


@pytest.mark.parametrize("operation", [CREATE, FUNDS])
def test_slowing_down_lets_nobody_pass_for_a_second(make_throttle, operation):
    """After "Rate exceeded" the next request would only be refused, too."""

    async def main() -> list[Grant]:
        throttle = make_throttle()
        await throttle.acquire(CREATE)
        throttle.slow_down()
        return await serve(throttle, [(0.0, operation), (0.0, CREATE)])

    assert min(at for at, _ in run_virtually(main())) >= 1.0


def test_slowing_down_reaches_those_who_wait_already(make_throttle):
    """Everybody in line shares the budget that was exceeded."""

    async def main() -> list[Grant]:
        throttle = make_throttle()
        asyncio.get_running_loop().call_later(0.9, throttle.slow_down)
        return await serve(throttle, [(0.0, CREATE)] * 20)

    times = [at for at, _ in run_virtually(main())]
    assert times[9] == 0.0
    assert times[10] >= 1.9


# Arguments of the local throttle


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_rates_that_cannot_be_granted_are_refused(rate):
    """Each would hang the first call or crash it, long after the mistake."""
    with pytest.raises(ConfigurationError, match="rate"):
        LocalThrottle(rate)
    with pytest.raises(ConfigurationError, match=r"operation_rates\['GetAvailableFunds'\]"):
        LocalThrottle(10, {FUNDS: rate})


@pytest.mark.parametrize("margin", [-0.01, float("nan"), float("inf")])
def test_margins_that_cannot_work_are_refused(margin):
    """A negative margin lets bursts overlap, which is what it is there to prevent."""
    with pytest.raises(ConfigurationError, match="margin"):
        LocalThrottle(margin=margin)


def test_the_margin_widens_the_window():
    """Network jitter moves requests together: the margin is what it may take."""

    async def main() -> list[Grant]:
        return await serve(LocalThrottle(margin=0.5), [(0.0, CREATE)] * 11)

    assert run_virtually(main())[10][0] == pytest.approx(1.5)
