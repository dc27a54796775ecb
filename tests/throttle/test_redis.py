"""The shared throttle and its store: one budget, wherever the store is at the moment."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from itertools import count

import pytest

from agcod_async import (
    ConfigurationError,
    Endpoint,
    RateChanged,
    ThrottleStoreBack,
    ThrottleStoreLost,
    ThrottleTimeout,
    ThrottleUnavailable,
)
from tests.support.redis_server import RedisServer
from tests.support.servers import gaps, most_in_a_second

pytest.importorskip("redis")
from agcod_async.throttle.redis import RedisThrottle
from agcod_async.throttle.store import Reservation, StoreLost

CREATE, FUNDS, ACTIVITY = "CreateGiftCard", "GetAvailableFunds", "GetGiftCardActivityPage"
_partners = count()


def clock() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def throttle_on(server: RedisServer | str, partner: str | None = None, **options):
    """Yield a throttle and the events it emits; closed in the end."""
    events = []
    url = server if isinstance(server, str) else server.url
    partner = partner or f"Partner{next(_partners)}"
    throttle = RedisThrottle(partner, Endpoint.NA_SANDBOX, url, hooks=[events.append], **options)
    try:
        yield throttle, events
    finally:
        await throttle.aclose()


async def slots(throttle: RedisThrottle, number: int, operation: str = CREATE) -> list[float]:
    """Take so many slots, and return their times."""
    times = []
    for _ in range(number):
        await throttle.acquire(operation)
        times.append(clock())
    return times


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


# One budget


async def test_throttles_of_one_account_share_its_rate(shared_redis):
    """Two processes' worth of calls leave at one account's rate; another partner's at its own."""
    async with (
        throttle_on(shared_redis, "AcmeTwins", rate=100) as (one, _),
        throttle_on(shared_redis, "AcmeTwins", rate=100) as (two, _),
        throttle_on(shared_redis, "AcmeOther", rate=100) as (other, _),
    ):
        twins = asyncio.gather(slots(one, 60), slots(two, 60))
        others = await slots(other, 60)
        both = [at for times in await twins for at in times]
    assert most_in_a_second(both) <= 100
    assert max(both) - min(both) >= 119 * 0.0105 - 0.05
    assert max(others) < max(both) - 0.3


async def test_all_keys_of_an_account_have_one_hash_tag(own_redis):
    """A cluster runs a script only if its keys live on one node; the tag sees to that."""
    async with throttle_on(own_redis, "Acme1") as (throttle, _):
        await throttle.acquire(FUNDS)
        throttle.refused(FUNDS)
        await until(lambda: throttle.rate)
        from redis.asyncio import Redis

        async with Redis.from_url(own_redis.url) as client:
            keys = {key.decode() async for key in client.scan_iter()}
    assert {"{agcod:Acme1@agcod-v2-gamma.amazon.com}:slots"} < keys
    assert {key.partition("}")[0] for key in keys} == {"{agcod:Acme1@agcod-v2-gamma.amazon.com"}


async def test_a_cluster_serves_too(tmp_path):
    """Several partners on one cluster, each on the node that its hash tag names."""
    bus = RedisServer(tmp_path).port
    server = RedisServer(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(bus))
    server.start()
    try:
        assert server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == "+OK"
        async with asyncio.timeout(10):
            while server.command("SET", "ready", "1") != "+OK":
                await asyncio.sleep(0.05)
        async with throttle_on(server, rate=100) as (throttle, events):
            start = clock()
            times = await slots(throttle, 20)
            await throttle.acquire(FUNDS)
        # Whatever else the machine does: it can make the last one later, and not earlier.
        assert times[-1] - start > 19 * 0.009
        assert not events
    finally:
        server.kill()


async def test_one_round_trip_for_each_grant(shared_redis):
    """The account's bucket and the operation's are one question; only the first script is sent whole."""
    async with throttle_on(shared_redis, rate=100, operation_rates={FUNDS: 50}) as (throttle, _):
        await slots(throttle, 30)
        await slots(throttle, 20, FUNDS)
        assert throttle._store.round_trips <= 51


async def test_an_operation_keeps_both_rates(shared_redis):
    """Funds and creates at once, from two processes: neither limit is broken, neither is wasted."""
    options = {"rate": 100, "operation_rates": {FUNDS: 10}}
    async with (
        throttle_on(shared_redis, "AcmeMixed", **options) as (one, _),
        throttle_on(shared_redis, "AcmeMixed", **options) as (two, _),
    ):
        creates = asyncio.gather(slots(one, 60), slots(two, 60))
        funds = sorted(await slots(one, 7, FUNDS) + await slots(two, 7, FUNDS))
        both = [*funds, *(at for times in await creates for at in times)]
    assert most_in_a_second(both) <= 100
    assert min(gaps(funds)) > 0.08
    assert max(funds) - min(funds) < 13 * 0.101 * 1.2


async def test_a_refusal_slows_the_fleet_down(shared_redis, monkeypatch):
    """One process is refused, all slow down; and all come back by steps, on the store's clock."""
    monkeypatch.setattr("agcod_async.throttle.store.STEP_EVERY", 0.1)
    async with (
        throttle_on(shared_redis, "AcmeSlow", rate=100) as (one, _),
        throttle_on(shared_redis, "AcmeSlow", rate=100) as (two, events),
    ):
        await slots(one, 1)
        one.refused(CREATE)
        one.refused(CREATE)
        await asyncio.sleep(0.05)
        start = clock()
        times = await slots(two, 1)
        assert times[0] - start > 0.9
        assert two.rate == pytest.approx(70 / 1.05)
        await slots(two, 60)
        assert two.rate == pytest.approx(100 / 1.05)
    rates = [round(event.rate * 1.05) for event in events]
    assert [type(event) for event in events] == [RateChanged] * 7
    assert rates == [70, 75, 80, 85, 90, 95, 100]
    assert events[-1].reason == "clean answers"


async def test_a_refused_operation_slows_itself(shared_redis):
    """The pause is everybody's, the slower rate is the operation's; jitter widens its window."""
    async with throttle_on(shared_redis, operation_rates={FUNDS: 10}) as (throttle, events):
        await throttle.acquire(FUNDS)
        throttle.accepted(FUNDS, 0.1)
        throttle.accepted(FUNDS, 0.3)
        throttle.refused(FUNDS)
        await until(lambda: events)
        assert throttle.rate == pytest.approx(10 / 1.05)
    assert (events[0].scope, events[0].reason) == (FUNDS, "refused by the service")
    assert events[0].rate == pytest.approx(0.7 * 10 / 1.2)


# The store's coming and going


async def test_a_frozen_store_holds_nobody_up(own_redis):
    """Within 0.3 s the first call leaves by the process's own share; later ones wait for the rate only."""
    async with throttle_on(own_redis, expected_processes=2) as (throttle, events):
        await slots(throttle, 2)
        own_redis.freeze()
        await asyncio.sleep(0.3)
        start = clock()
        times = await slots(throttle, 5)
        print(f"the first call after the freeze took {times[0] - start:.3f} s")
        assert times[0] - start < 0.4
        assert max(gaps(times)) < 0.4
        assert min(gaps(times)) > 0.19
        assert throttle.rate == pytest.approx(5 / 1.05, rel=0.05)
        assert throttle.next_slot <= 0.21
        with pytest.raises(ThrottleTimeout):
            await throttle.acquire(CREATE, max_wait=0.1)
        own_redis.thaw()
        await until(lambda: len(events) > 1)
        await slots(throttle, 5)
    assert [type(event) for event in events] == [ThrottleStoreLost, ThrottleStoreBack]
    assert events[0].error == "TimeoutError"
    assert events[0].rate == pytest.approx(5 / 1.05, rel=0.05)


async def test_a_store_that_dies_and_comes_back_empty(own_redis):
    """Calls go on by the share, and the store is used again with nothing but what it says then."""
    async with throttle_on(own_redis) as (throttle, events):
        await slots(throttle, 3)
        own_redis.kill()
        taking = asyncio.create_task(slots(throttle, 12))
        await until(lambda: events)
        assert events[0].error == "ConnectionError"
        throttle.refused(CREATE)
        await asyncio.sleep(0.2)
        own_redis.start()
        times = await taking
        assert most_in_a_second(times) <= 10
        await until(lambda: len(events) > 1)
    assert [type(event) for event in events] == [ThrottleStoreLost, ThrottleStoreBack]


async def test_a_slow_operation_keeps_its_rate_through_a_restart(own_redis):
    """A store without memory must not give the once-a-second operation a second second."""
    async with throttle_on(own_redis) as (throttle, events):
        await throttle.acquire(FUNDS)
        before = clock()
        own_redis.kill()
        own_redis.start()
        # The connection is gone, the store is not: one more try, and no alarm.
        await throttle.acquire(FUNDS)
        assert 1.0 < clock() - before < 1.3
    assert not events


async def test_forgotten_scripts_are_sent_again(own_redis):
    """SCRIPT FLUSH, or a failover to a replica without them, is nobody's emergency."""
    async with throttle_on(own_redis, rate=100) as (throttle, events):
        await slots(throttle, 5)
        assert own_redis.command("SCRIPT", "FLUSH") == "+OK"
        times = await slots(throttle, 5)
    assert max(gaps(times)) < 0.2
    assert not events


async def test_a_dropped_connection_is_no_loss(own_redis):
    """Load balancers cut idle connections: a process that took its share then would be one too many."""
    async with throttle_on(own_redis, rate=100) as (throttle, events):
        for _ in range(3):
            await slots(throttle, 2)
            own_redis.command("CLIENT", "KILL", "TYPE", "normal")
        await slots(throttle, 2)
    assert not events


async def test_failing_closed(own_redis):
    """Who would rather wait than guess: an error at once, retry-safe, until the store is back."""
    async with throttle_on(own_redis, fail_closed=True) as (throttle, events):
        await slots(throttle, 1)
        own_redis.freeze()
        start = clock()
        calls = [asyncio.create_task(throttle.acquire(operation)) for operation in [CREATE, FUNDS] * 5]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert clock() - start < 0.4
        assert all(isinstance(result, ThrottleUnavailable) for result in results)
        assert len({id(result) for result in results}) == 10
        start = clock()
        with pytest.raises(ThrottleUnavailable) as caught:
            await throttle.acquire(CREATE)
        assert clock() - start < 0.05
        assert caught.value.outcome == "not_sent"
        assert caught.value.is_retry_safe
        own_redis.thaw()
        await until(lambda: len(events) > 1)
        await slots(throttle, 2)
    assert events[0].rate == 0.0
    assert isinstance(events[1], ThrottleStoreBack)


class SlowStore:
    """Stands in for the store of a process that is slow itself: blocks the loop, then plays its script."""

    round_trips = 0

    def __init__(self, *script: float | Exception) -> None:
        self.script = list(script)

    async def check(self) -> None: ...

    async def aclose(self) -> None: ...

    async def reserve(self, *_: object) -> Reservation:
        self.round_trips += 1
        step = self.script.pop(0) if self.script else 0.0
        time.sleep(0.51)  # noqa: ASYNC251  (the process is frozen)
        if isinstance(step, Exception):
            raise step
        return Reservation(step, 1.0, 1.0)


async def make_slow(throttle: RedisThrottle, *script: float | Exception) -> SlowStore:
    await throttle._store.aclose()
    throttle._store = store = SlowStore(*script)
    return store


async def test_who_was_frozen_does_not_blame_the_store(shared_redis):
    """A process that wakes up late finds its answer late: no reason to leave the common budget."""
    async with throttle_on(shared_redis) as (throttle, events):
        store = await make_slow(throttle, StoreLost("TimeoutError"))
        store.reserve, slow = (lambda *_: asyncio.sleep(0, Reservation(0, 1, 1))), store.reserve
        await throttle.acquire(CREATE)
        store.reserve = slow
        await throttle.acquire(CREATE)
    assert not events
    assert store.round_trips == 3


async def test_a_process_that_is_always_late_uses_its_share(shared_redis):
    """Slots that are past when one wakes are asked for again, but not for ever."""
    async with throttle_on(shared_redis) as (throttle, events):
        store = await make_slow(throttle)
        await throttle.acquire(CREATE)
    assert store.round_trips == 3
    assert not events


# Cancellation


async def test_a_slot_that_comes_to_a_cancelled_call_goes_to_the_next(shared_redis):
    """The one race that would lose a slot: cancelled in the very step in which the turn came."""
    async with throttle_on(shared_redis, rate=2) as (throttle, _):
        await throttle.acquire(CREATE)
        first, second = (asyncio.create_task(throttle.acquire(CREATE)) for _ in range(2))
        grant = throttle._grant

        def grant_and_cancel(lane: str | None) -> None:
            throttle._grant = grant
            grant(lane)
            first.cancel()

        throttle._grant = grant_and_cancel
        start = clock()
        await second
        assert first.cancelled()
        assert clock() - start < 0.8


async def test_closing_while_the_store_is_asked_for(own_redis):
    """A shutdown in the middle of an outage leaves no task behind."""
    tasks = asyncio.all_tasks()
    async with throttle_on(own_redis) as (throttle, _):
        await slots(throttle, 1)
        own_redis.kill()
        calls = [asyncio.create_task(throttle.acquire(operation)) for operation in [CREATE, FUNDS] * 3]
        await asyncio.sleep(0.4)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(result, ConfigurationError) for result in results) >= 3
    assert asyncio.all_tasks() == tasks


# Bad input

PASSWORD = "hunter2/secret"


@pytest.mark.parametrize("secret", ["", ":wrong-hunter2@", "somebody:wrong-hunter2@"])
async def test_a_wrong_password(tmp_path, secret):
    """Refused at the first call, in words that do not quote it."""
    server = RedisServer(tmp_path, "--requirepass", PASSWORD)
    server.start()
    try:
        async with throttle_on(f"redis://{secret}127.0.0.1:{server.port}") as (throttle, _):
            with pytest.raises(ConfigurationError, match="refuses the user or password") as caught:
                await throttle.acquire(CREATE)
    finally:
        server.kill()
    assert "hunter2" not in f"{caught.value!r} {caught.value}"
    assert caught.value.__suppress_context__


async def test_a_store_that_cannot_be_reached(own_redis):
    """Said at each call until it can be: a service may be started before its Redis is."""
    own_redis.kill()
    url = f"redis://:{'hunter2'}@127.0.0.1:{own_redis.port}"
    async with throttle_on(url.replace(":hunter2@", "")) as (throttle, _):
        calls = [asyncio.create_task(throttle.acquire(CREATE)) for _ in range(3)]
        for result in await asyncio.gather(*calls, return_exceptions=True):
            with pytest.raises(ConfigurationError, match=r"cannot be reached \(ConnectionError\)"):
                raise result
        own_redis.start()
        await throttle.acquire(CREATE)
    own_redis.kill()
    async with throttle_on(url) as (throttle, _):
        with pytest.raises(ConfigurationError) as caught:
            await throttle.acquire(CREATE)
    assert "hunter2" not in str(caught.value)


async def test_a_frozen_store_at_the_first_call(own_redis):
    """Not even the first call hangs."""
    own_redis.freeze()
    async with throttle_on(own_redis) as (throttle, _):
        start = clock()
        with pytest.raises(ConfigurationError, match=r"cannot be reached \(TimeoutError\)"):
            await throttle.acquire(CREATE)
        assert clock() - start < 0.8


@asynccontextmanager
async def fake_redis(info: str):
    """A server that speaks just enough of the protocol to answer INFO as told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            answer = info if words[0].upper() == b"INFO" else "-ERR unknown command 'AUTH', 'hunter2'\r\n"
            writer.write(answer.encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}?protocol=2"


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ("$20\r\nredis_version:4.0.9\r\n\r\n", "Redis 4.0.9 is too old; Redis 5 or Valkey is needed"),
        ("-NOPERM no permission for 'info hunter2'\r\n", r"refuses .*\(NoPermissionError\)"),
        ("$9\r\nwhat:ever\r\n", "Redis 0 is too old"),
    ],
)
async def test_a_store_that_will_not_do(info, message):
    """Scripts that ask for the time need Redis 5: said in so many words, and not by a Lua error."""
    async with fake_redis(info) as url, throttle_on(url) as (throttle, _):
        with pytest.raises(ConfigurationError, match=message) as caught:
            await throttle.acquire(CREATE)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://:hunter2@localhost",
        "redis://user:hunter2/with-slash@localhost:6379",
        "redis://:hunter2@localhost:port",
        "redis://:hunter2@localhost:99999999",
        "redis://localhost?socket_timeout=hunter2",
        "redis://localhost/zero?db=hunter2",
        "redis://[hunter2",
        " ",
    ],
)
def test_what_is_no_url(url):
    """Refused when it is made, without a word of the password that may stand in it."""
    with pytest.raises(ConfigurationError, match="AGCOD_THROTTLE_URL") as caught:
        RedisThrottle("Acme1", Endpoint.NA_SANDBOX, url)
    assert "hunter2" not in f"{caught.value!r}"
    assert caught.value.__suppress_context__


def test_no_url_at_all(monkeypatch):
    """Without one, the environment has it, or the message says its name."""
    monkeypatch.delenv("AGCOD_THROTTLE_URL", raising=False)
    with pytest.raises(ConfigurationError, match="AGCOD_THROTTLE_URL is not set"):
        RedisThrottle("Acme1", Endpoint.NA_SANDBOX)


@pytest.mark.parametrize("processes", [0, -1])
def test_no_processes(processes):
    """A rate divided by nobody."""
    with pytest.raises(ConfigurationError, match="expected_processes"):
        RedisThrottle("Acme1", Endpoint.NA_SANDBOX, "redis://localhost", expected_processes=processes)
