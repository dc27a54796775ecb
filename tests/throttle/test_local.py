"""The local throttle in virtual time: how fast, how fair, and never one too many."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from agcod_async import ConfigurationError, LocalThrottle, Priority, RateChanged, ThrottleTimeout
from tests.support.servers import SlidingWindow, drive, gaps, most_in_a_second
from tests.support.virtual_time import run_virtually

CREATE, CANCEL = "CreateGiftCard", "CancelGiftCard"
FUNDS, ACTIVITY = "GetAvailableFunds", "GetGiftCardActivityPage"

Grant = tuple[float, str]
Arrival = tuple[float, str, Priority]


def now() -> float:
    return asyncio.get_running_loop().time()


async def serve(throttle: LocalThrottle, arrivals: Iterable[Arrival]) -> list[Grant]:
    """Let calls arrive at their times, and return when each left, in the order of the arrivals."""

    async def arrive(at: float, operation: str, priority: Priority) -> Grant:
        await asyncio.sleep(at)
        await throttle.acquire(operation, priority=priority)
        return now(), operation

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(arrive(*arrival)) for arrival in arrivals]
    return [task.result() for task in tasks]


def times_of(grants: Iterable[Grant], *operations: str) -> list[float]:
    return sorted(at for at, operation in grants if not operations or operation in operations)


# No refusals, at full speed


@pytest.mark.parametrize("is_bursty", [False, True], ids=["steady", "bursty"])
@pytest.mark.parametrize("jitter", [0.0, 0.02, 0.05])
def test_no_kind_of_server_refuses_one_of_ten_thousand(jitter, is_bursty):
    """Whatever counts at the other end, and however the network shakes: no refusal, 94 % of the limit."""

    async def main():
        throttle = LocalThrottle()
        return await drive(
            lambda: throttle.acquire(CREATE), calls=10_000, jitter=jitter, is_bursty=is_bursty, seed=7
        )

    traffic = run_virtually(main())
    assert traffic.refusals == dict.fromkeys(traffic.refusals, 0)
    assert traffic.rate >= 9.4


def test_a_burst_suits_servers_that_count_windows():
    """Who asks for bursts gets ten at once, and still no second with eleven."""

    async def main():
        return await serve(LocalThrottle(burst=10), [(0.0, CREATE, "interactive")] * 100)

    times = times_of(run_virtually(main()))
    assert times[9] == 0.0
    assert most_in_a_second(times) == 10
    assert 99 / times[-1] >= 9.4


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([1, 3, 10]),
    st.lists(
        st.tuples(
            st.floats(0, 6),
            st.sampled_from([CREATE, CREATE, CREATE, FUNDS, ACTIVITY]),
            st.sampled_from(["interactive", "bulk"]),
        ),
        max_size=80,
    ),
)
def test_no_second_holds_more_than_the_limits(burst, arrivals):
    """Every pattern of arrivals: ten in any second, and one of each operation that has its own limit."""

    async def main():
        return await serve(LocalThrottle(burst=burst), arrivals)

    grants = run_virtually(main())
    assert len(grants) == len(arrivals)
    assert most_in_a_second(times_of(grants)) <= 10
    for operation in (FUNDS, ACTIVITY):
        assert most_in_a_second(times_of(grants, operation)) <= 1


def test_mixed_operations_reach_both_limits():
    """Creates at 10/s and funds at 1/s at once: each slot is of both buckets, and none is lost."""

    async def main():
        return await serve(
            LocalThrottle(), [(0.0, FUNDS, "interactive")] * 320 + [(0.0, CREATE, "interactive")] * 3000
        )

    grants = run_virtually(main())
    both = times_of(grants)
    busy = [at for at in both if at <= max(times_of(grants, CREATE))]
    funds = times_of(grants, FUNDS)
    assert most_in_a_second(both) == 10
    assert most_in_a_second(funds) == 1
    assert (len(busy) - 1) / busy[-1] >= 0.99 * 10 / 1.05
    assert (len(funds) - 1) / funds[-1] >= 0.99 * 1 / 1.05


@pytest.mark.parametrize(("rate", "most"), [(0.5, 1), (1, 1), (2.5, 2), (9.5, 9), (40, 40)])
@pytest.mark.parametrize("burst", [1, 100])
def test_other_rates(rate, most, burst):
    """Accounts have other limits too; a fraction must not let a second burst into the same second."""

    async def main():
        throttle = LocalThrottle(rate, {}, burst=burst)
        return await serve(throttle, [(0.0, CREATE, "interactive")] * 100)

    times = times_of(run_virtually(main()))
    assert most_in_a_second(times) <= most + (burst == 1 and rate % 1 > 0)
    assert 99 / times[-1] >= 0.94 * (rate if burst == 1 or rate < 1 else int(rate))


def test_an_operation_once_a_minute():
    """Partners held to the old rule may ask for a page of activity a minute, and nobody waits for them."""

    async def main():
        throttle = LocalThrottle(10, {ACTIVITY: 1 / 60})
        return await serve(throttle, [(0.0, ACTIVITY, "interactive")] * 4 + [(0.1, CREATE, "bulk")] * 50)

    grants = run_virtually(main())
    assert all(60 <= gap <= 60.1 for gap in gaps(times_of(grants, ACTIVITY)))
    assert max(times_of(grants, CREATE)) < 6


# The line


def test_an_interactive_call_leaves_within_a_slot():
    """Behind 10,000 rewards in line a customer waits a tenth of a second, and not seventeen minutes."""

    async def main():
        throttle = LocalThrottle()
        bulk = [asyncio.create_task(throttle.acquire(CREATE, priority="bulk")) for _ in range(10_000)]
        waits = []
        for _ in range(20):
            await asyncio.sleep(1.234)
            start = now()
            await throttle.acquire(CREATE)
            waits.append(now() - start)
        for task in bulk:
            task.cancel()
        await asyncio.gather(*bulk, return_exceptions=True)
        return waits

    assert max(run_virtually(main())) <= 0.105 + 1e-6


@pytest.mark.parametrize("operation", [CREATE, FUNDS])
def test_bulk_moves_under_constant_interactive_calls(operation):
    """One slot in ten is for bulk, in the lane of a slow operation too: nobody is starved."""

    async def main():
        throttle = LocalThrottle()
        left: dict[Priority, int] = {"interactive": 0, "bulk": 0}

        async def want(operation: str, priority: Priority) -> None:
            while True:
                await throttle.acquire(operation, priority=priority)
                left[priority] += operation == wanted

        wanted = operation
        # Bulk creates besides must not take the turns of bulk funds.
        others: list[tuple[str, Priority]] = [(CREATE, "interactive"), (CREATE, "bulk")]
        wants = [*others, (operation, "interactive"), (operation, "bulk")]
        tasks = [asyncio.create_task(want(*each)) for each in wants for _ in range(3)]
        await asyncio.sleep(600)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return left

    left = run_virtually(main())
    assert 0.08 <= left["bulk"] / sum(left.values()) <= 0.13


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.05, 0.95))
def test_cancelling_any_of_ten_thousand_costs_nobody_a_slot(seed, part):
    """Those who stay leave in their order, one each slot, as if the others had never come."""
    size, random = 10_000, Random(seed)

    async def main():
        throttle = LocalThrottle()
        order: list[int] = []
        times: list[float] = []

        async def call(number: int) -> None:
            await throttle.acquire(CREATE, priority="bulk" if number % 3 else "interactive")
            order.append(number)
            times.append(now())

        tasks = [asyncio.create_task(call(number)) for number in range(size)]
        doomed = random.sample(range(size), int(size * part))
        # At any moment, that of the very turn included.
        for number in doomed:
            moment = random.choice([0.0, random.uniform(0, 300), random.randrange(3000) * 0.105])
            asyncio.get_running_loop().call_at(moment, tasks[number].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert throttle.waiting == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return order, times

    order, times = run_virtually(main())
    assert len(order) >= size - int(size * part)
    assert max(gaps(times)) <= 0.105 + 1e-5
    for is_bulk in (False, True):
        same = [number for number in order if bool(number % 3) == is_bulk]
        assert same == sorted(same)


@pytest.mark.parametrize("max_wait", [0.0, 0.5, 3.0])
def test_max_wait(max_wait):
    """A call that cannot leave in time says so: at once where the line is too long, and never later."""

    async def main():
        throttle = LocalThrottle()

        async def call() -> tuple[float, bool]:
            try:
                await throttle.acquire(CREATE, max_wait=max_wait)
            except ThrottleTimeout:
                return now(), False
            return now(), True

        return await asyncio.gather(*(call() for _ in range(40)))

    ends = run_virtually(main())
    left = [at for at, is_granted in ends if is_granted]
    assert len(left) == int(max_wait / 0.105 + 1e-6) + 1
    assert max(left) <= max_wait
    assert all(at == 0.0 for at, is_granted in ends if not is_granted)


def test_a_call_that_comes_while_a_turn_is_handed_on():
    """The first of the line is cancelled in its turn, the second has it now, and a third just came."""

    async def main():
        throttle, loop = LocalThrottle(), asyncio.get_running_loop()
        await throttle.acquire(CREATE)
        first, second = (asyncio.create_task(throttle.acquire(CREATE)) for _ in range(2))
        late: list[asyncio.Task[None]] = []

        def hand_on() -> None:
            first.cancel()
            late.append(asyncio.create_task(throttle.acquire(CREATE)))

        # In the same step of the loop as the timer of the turn, after it.
        loop.call_at(0.105 + 1e-10, hand_on)
        await second
        assert first.cancelled()
        assert now() == pytest.approx(0.105)
        await late[0]
        return now()

    assert run_virtually(main()) == pytest.approx(0.21)


def test_max_wait_ends_a_wait_that_others_made_longer():
    """Interactive calls that come later may push a bulk call back beyond what it is ready to wait."""

    async def main():
        throttle = LocalThrottle()
        bulk = asyncio.create_task(throttle.acquire(CREATE, priority="bulk", max_wait=0.3))
        first = [asyncio.create_task(throttle.acquire(CREATE)) for _ in range(8)]
        late = asyncio.create_task(throttle.acquire(CREATE, priority="bulk", max_wait=1.0))
        await asyncio.gather(bulk, *first)
        with pytest.raises(ThrottleTimeout, match=r"no slot within 1\.0 s"):
            await asyncio.gather(late, *(throttle.acquire(CREATE) for _ in range(8)))
        return now()

    assert run_virtually(main()) == pytest.approx(1.0)


def test_max_wait_looks_at_its_own_lane_only():
    """Thirty balance checks in line are no reason to refuse a create that could leave at once."""

    async def main():
        throttle = LocalThrottle()
        waiting = [asyncio.create_task(throttle.acquire(FUNDS)) for _ in range(30)]
        await asyncio.sleep(0.5)
        await throttle.acquire(CREATE, max_wait=0.1)
        with pytest.raises(ThrottleTimeout):
            await throttle.acquire(FUNDS, max_wait=20)
        await throttle.aclose()
        await asyncio.gather(*waiting, return_exceptions=True)
        return now()

    assert run_virtually(main()) == pytest.approx(0.5, abs=0.11)


def test_what_can_be_looked_at():
    """Progress bars show how many wait, how fast it goes, and when the next call could leave."""

    async def main():
        throttle = LocalThrottle()
        assert (throttle.waiting, throttle.next_slot) == (0, 0.0)
        assert throttle.rate == pytest.approx(10 / 1.05)
        waiting = [asyncio.create_task(throttle.acquire(CREATE, priority="bulk")) for _ in range(5)]
        await asyncio.sleep(0.01)
        assert throttle.waiting == 4
        assert throttle.next_slot == pytest.approx(0.095)
        interactive = asyncio.create_task(throttle.acquire(CREATE))
        await asyncio.sleep(0)
        assert throttle.next_slot == pytest.approx(0.2)
        await asyncio.gather(*waiting, interactive)

    run_virtually(main())


# Refusals


def test_a_refusal_pauses_and_slows_everybody_down():
    """After "Rate exceeded" the next request would only be refused, too."""
    events = []

    async def main():
        throttle = LocalThrottle(hooks=[events.append])
        asyncio.get_running_loop().call_later(0.45, throttle.refused, CREATE)
        # Refusals of what was under way with it are the same news.
        asyncio.get_running_loop().call_later(0.55, throttle.refused, CREATE)
        return times_of(await serve(throttle, [(0.0, CREATE, "bulk")] * 30 + [(0.5, FUNDS, "interactive")]))

    times = run_virtually(main())
    assert not [at for at in times if 0.45 < at < 1.45]
    assert min(gaps(times)[6:]) == pytest.approx(0.15)
    assert [(event.scope, event.reason) for event in events] == [("account", "refused by the service")]
    assert isinstance(events[0], RateChanged)
    assert events[0].rate == pytest.approx(0.7 * 10 / 1.05)


def test_a_refused_operation_slows_itself():
    """Funds that were refused at 1/s are no reason to create cards more slowly, after the pause."""

    async def main():
        throttle = LocalThrottle()
        await throttle.acquire(FUNDS)
        throttle.refused(FUNDS)
        return await serve(throttle, [(0.0, FUNDS, "bulk")] * 5 + [(0.0, CREATE, "bulk")] * 20)

    grants = run_virtually(main())
    assert min(times_of(grants)) == pytest.approx(1.0)
    # The first slot after 1 / 0.7 seconds and the margin.
    assert min(times_of(grants, FUNDS)) == pytest.approx(1.525)
    assert 1.5 <= min(gaps(times_of(grants, FUNDS))) <= 1.6
    assert min(gaps(times_of(grants, CREATE))) == pytest.approx(0.105)


@pytest.mark.parametrize("latency", [0.03, 0.2])
def test_a_server_that_allows_less_than_it_says(latency):
    """7/s for ten minutes, then 10/s: refusals stay under 1 %, and within two minutes the speed is back."""
    events = []

    async def main():
        throttle = LocalThrottle(hooks=[events.append])
        loop, server, random = asyncio.get_running_loop(), SlidingWindow(7), Random(3)
        answers: list[tuple[float, bool]] = []

        def answer(sent: float, is_taken: bool) -> None:
            answers.append((loop.time(), is_taken))
            if is_taken:
                throttle.accepted(CREATE, loop.time() - sent)
            else:
                throttle.refused(CREATE)

        def arrive(sent: float) -> None:
            loop.call_later(latency / 2, answer, sent, server.admits(loop.time()))

        async def call() -> None:
            while True:
                await throttle.acquire(CREATE)
                loop.call_later(latency / 2 + random.uniform(0, 0.02), arrive, loop.time())

        tasks = [asyncio.create_task(call()) for _ in range(20)]
        await asyncio.sleep(600)
        server.rate = 10
        await asyncio.sleep(420)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return answers

    answers = run_virtually(main())
    refused = [at for at, is_taken in answers if not is_taken]
    slow = [at for at, _ in answers if at < 600]
    assert len(refused) / len(answers) < 0.01
    assert len(slow) / 600 >= 0.8 * 7
    assert not [at for at in refused if at > 601]
    assert sum(720 <= at < 1020 for at, _ in answers) / 300 >= 9.4
    assert events[-1].rate == pytest.approx(10 / 1.05)
    assert events[-1].reason == "clean answers"


# The end, and bad input


def test_closing_sends_those_who_wait_away():
    """A program that shuts down must not hang on calls that wait for a turn."""

    async def main():
        throttle = LocalThrottle()
        operations = [CREATE, FUNDS, ACTIVITY, CANCEL] * 3
        waiting = [asyncio.create_task(throttle.acquire(operation)) for operation in operations]
        await asyncio.sleep(0.05)
        await throttle.aclose()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        errors = [result for result in results if result is not None]
        assert len(errors) == 11
        assert len({id(error) for error in errors}) == 11
        for error in errors:
            with pytest.raises(ConfigurationError, match="closed"):
                raise error
        with pytest.raises(ConfigurationError, match="closed"):
            await throttle.acquire(CREATE)
        assert throttle.waiting == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(main())


def test_the_clock_may_round():
    """Slots whose times are no round numbers are neither lost nor waited for in circles."""

    async def main():
        throttle, steps = LocalThrottle(7.3, {}, margin=0.0), count()
        await asyncio.sleep(1e5 / 3)
        pump = throttle._pump

        def counted() -> None:
            next(steps)
            pump()

        throttle._pump = counted
        await serve(throttle, [(0.0, CREATE, "bulk")] * 500)
        return next(steps)

    assert run_virtually(main()) < 2000


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_rates_that_cannot_be_granted(rate):
    """Each would hang the first call or crash it, long after the mistake."""
    with pytest.raises(ConfigurationError, match="rate"):
        LocalThrottle(rate)
    with pytest.raises(ConfigurationError, match=r"operation_rates\['GetAvailableFunds'\]"):
        LocalThrottle(10, {FUNDS: rate})


def test_an_operation_that_does_not_exist():
    """A limit for a misspelt operation would limit nothing."""
    with pytest.raises(ConfigurationError, match="'GetFunds' is none of ActivateGiftCard, "):
        LocalThrottle(10, {"GetFunds": 1})


@pytest.mark.parametrize("margin", [-0.01, 11, float("nan"), float("inf")])
def test_margins_that_cannot_work(margin):
    """A negative margin lets windows overlap, which is what it is there to prevent."""
    with pytest.raises(ConfigurationError, match="margin"):
        LocalThrottle(margin=margin)


def test_a_burst_of_none():
    """Nobody could leave."""
    with pytest.raises(ConfigurationError, match="burst"):
        LocalThrottle(burst=0)
