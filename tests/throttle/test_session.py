"""What a session does with its throttle."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from random import Random

import pytest

import agcod_async
from agcod_async import (
    AgcodSession,
    ConfigurationError,
    Credentials,
    Endpoint,
    LocalThrottle,
    RateChanged,
    RetryPolicy,
    ThrottleTimeout,
    ThrottlingError,
)
from agcod_async.wire import HTTPResponse
from tests.support.transports import ScriptedTransport
from tests.support.virtual_time import run_virtually

FUNDS = HTTPResponse(
    status=200,
    headers={},
    body=b'{"availableFunds":{"amount":812.5,"currencyCode":"USD"},"status":"SUCCESS",'
    b'"timestamp":"20260304T101500Z"}\n',
)
THROTTLED = HTTPResponse(status=400, headers={}, body=b'{"message":"Rate exceeded"}')
ENVIRONMENT = {
    "AGCOD_PARTNER_ID": "Acme1",
    "AGCOD_ACCESS_KEY_ID": "AKID",
    "AGCOD_SECRET_ACCESS_KEY": "secret",
    "AGCOD_ENDPOINT": "na-sandbox",
}


class RecordingThrottle:
    """Lets everybody pass, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.waiting, self.rate, self.next_slot = 0, 10.0, 0.0

    async def acquire(self, operation: str, /, *, priority="interactive", max_wait=None) -> None:
        self.told.append(("acquire", operation, priority, max_wait))

    def accepted(self, operation: str, /, seconds: float) -> None:
        self.told.append(("accepted", operation, seconds))

    def refused(self, operation: str, /) -> None:
        self.told.append(("refused", operation))

    async def aclose(self) -> None:
        self.told.append(("closed",))


def make_session(*script, latency=0.0, **options) -> AgcodSession:
    transport = ScriptedTransport(*script, latency=latency)
    credentials = Credentials("AKID", "secret")
    return AgcodSession(
        "Acme1", credentials, Endpoint.NA_SANDBOX, transport=transport, rng=Random(1), **options
    )


def test_each_attempt_waits_and_reports():
    """A refusal feeds ``refused``, a success ``accepted`` with what the answer took."""

    async def main():
        throttle = RecordingThrottle()
        async with make_session(THROTTLED, FUNDS, latency=0.3, throttle=throttle) as session:
            await session.get_available_funds()
        return throttle.told

    told = run_virtually(main())
    acquire = ("acquire", "GetAvailableFunds", "interactive", None)
    assert told[:3] == [acquire, ("refused", "GetAvailableFunds"), acquire]
    assert told[3] == ("accepted", "GetAvailableFunds", pytest.approx(0.3))
    assert len(told) == 4, "the throttle is the caller's, and so is its end"


def test_priority_and_max_wait_of_a_session_and_of_a_view():
    """A backend's bulk job says so once; its customers' calls go on as they are."""

    async def main():
        throttle = RecordingThrottle()
        session = make_session(*[FUNDS] * 4, throttle=throttle, priority="bulk", max_wait=5.0)
        await session.get_available_funds()
        await session.with_options(priority="interactive").get_available_funds()
        await session.with_options(max_wait=0.0).get_available_funds()
        await session.get_available_funds()
        await session.aclose()
        return [told[2:] for told in throttle.told if told[0] == "acquire"]

    assert run_virtually(main()) == [("bulk", 5.0), ("interactive", 5.0), ("bulk", 0.0), ("bulk", 5.0)]


def test_the_hooks_of_a_view_hear_of_its_own_calls_alone():
    """A request's own trace sees that request; the session's hooks see everything."""

    async def main():
        everything, mine = [], []
        session = make_session(*[FUNDS] * 2, throttle=RecordingThrottle(), hooks=[everything.append])
        await session.with_options(hooks=[mine.append]).get_available_funds()
        await session.get_available_funds()
        await session.aclose()
        return everything, mine

    everything, mine = run_virtually(main())
    assert mine == everything[: len(everything) // 2] != []


def test_a_call_that_would_wait_too_long():
    """``max_wait`` is the caller's last word: no retry, nothing sent, and the error says which call."""

    async def main():
        transport = ScriptedTransport(FUNDS, FUNDS)
        session = AgcodSession(
            "Acme1", Credentials("AKID", "secret"), Endpoint.NA_SANDBOX, transport=transport, max_wait=0.5
        )
        await session.get_available_funds()
        with pytest.raises(ThrottleTimeout) as caught:
            await session.get_available_funds()
        await session.aclose()
        return caught.value, len(transport.requests)

    error, sent = run_virtually(main())
    assert sent == 1
    assert (error.outcome, error.operation, error.attempts) == ("not_sent", "GetAvailableFunds", 1)


def test_the_rate_s_changes_reach_the_session_s_hooks():
    """Who watches a session learns that the service refuses, and that it was slowed down for it."""
    events = []

    async def main():
        async with make_session(
            *[THROTTLED] * 2, hooks=[events.append], retry=RetryPolicy(max_attempts=1)
        ) as session:
            with pytest.raises(ThrottlingError):
                await session.get_available_funds()

    run_virtually(main())
    assert [event.scope for event in events if isinstance(event, RateChanged)] == ["GetAvailableFunds"]


def test_closing_a_session_ends_its_waits():
    """Calls that wait for a turn when the session closes end at once, and leave no task."""

    async def main():
        session = make_session(*[FUNDS] * 3)
        calls = [asyncio.create_task(session.get_available_funds()) for _ in range(3)]
        await asyncio.sleep(0.5)
        await session.aclose()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results[1:]] == [ConfigurationError] * 2
        assert asyncio.get_running_loop().time() == pytest.approx(0.5)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(main())


def test_two_sessions_may_share_a_throttle():
    """Two sessions of one account in one process keep one rate, and neither closes it."""

    async def main():
        throttle = LocalThrottle()
        one, two = (make_session(*[FUNDS] * 2, throttle=throttle) for _ in range(2))
        await asyncio.gather(*(session.get_available_funds() for session in (one, two, one, two)))
        await one.aclose()
        await throttle.acquire("CreateGiftCard")
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) >= 3.15


async def test_the_environment_names_a_store(monkeypatch):
    """AGCOD_THROTTLE_URL makes processes share the rate; the session closes what it opened."""
    pytest.importorskip("redis")
    from agcod_async.throttle.redis import RedisThrottle

    environ = {**ENVIRONMENT, "AGCOD_THROTTLE_URL": "redis://127.0.0.1:1"}
    async with AgcodSession.from_env(environ, transport=ScriptedTransport(FUNDS)) as session:
        assert isinstance(session._throttle, RedisThrottle)
        with pytest.raises(ConfigurationError, match="cannot be reached"):
            await session.get_available_funds()
    with pytest.raises(ConfigurationError, match="closed"):
        await session._throttle.acquire("CreateGiftCard")


async def test_a_throttle_of_one_s_own_comes_first():
    """What is written out in the program beats the environment."""
    environ = {**ENVIRONMENT, "AGCOD_THROTTLE_URL": "redis://127.0.0.1:1"}
    throttle = RecordingThrottle()
    options = {"transport": ScriptedTransport(FUNDS), "throttle": throttle}
    async with AgcodSession.from_env(environ, **options) as session:
        await session.get_available_funds()
    assert len(throttle.told) == 2


@pytest.mark.parametrize("url", [None, ""])
async def test_without_a_store(url):
    """No URL, no store: each process keeps the rate for itself."""
    environ = ENVIRONMENT if url is None else {**ENVIRONMENT, "AGCOD_THROTTLE_URL": url}
    async with AgcodSession.from_env(environ, transport=ScriptedTransport(FUNDS)) as session:
        assert isinstance(session._throttle, LocalThrottle)


def test_who_knows_redis():
    """The package is an extra: a stray import would break everybody who has not installed it."""
    package = Path(agcod_async.__file__).parent
    pattern = re.compile(r"^\s*(from|import) redis\b", re.MULTILINE)
    knowing = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert knowing <= {"throttle/redis.py", "throttle/store.py"}
    assert knowing


def test_the_extra_is_missing(monkeypatch):
    """The message says what to install, and not which module was not found."""
    monkeypatch.setitem(sys.modules, "redis", None)
    for name in ("redis.asyncio", "agcod_async.throttle.redis", "agcod_async.throttle.store"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    environ = {**ENVIRONMENT, "AGCOD_THROTTLE_URL": "redis://127.0.0.1:1"}
    with pytest.raises(ConfigurationError, match=r"needs agcod-async\[redis\]"):
        AgcodSession.from_env(environ)
