"""Retries: what is repeated, when, how often, and what is then known about the money."""

from __future__ import annotations

import asyncio
from datetime import datetime
from random import Random
from typing import Any

import pytest

from agcod_async import (
    AccountError,
    AgcodError,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    CredentialsError,
    GatewayFault,
    InvalidRequestError,
    LocalThrottle,
    MalformedResponse,
    Money,
    PostconditionError,
    ResendError,
    ResponseTimeout,
    RetryPolicy,
    RetryScheduled,
    SystemFaultError,
    ThrottlingError,
    UnknownServiceError,
)
from agcod_async.retry import Retries
from agcod_async.wire import HTTPRequest
from tests.support.sessions import (
    CREATED,
    CREDENTIALS,
    RESEND,
    THROTTLED,
    OpenThrottle,
    loop_clock,
    make_session,
    notable,
    response,
)
from tests.support.transports import ScriptedTransport

REFUSED = b'{"errorCode":"F300","errorType":"InsufficientFunds","status":"FAILURE"}'
FORBIDDEN = b'{"message":"The security token included in the request is invalid."}'
REFUNDED = CREATED.replace(b"Fulfilled", b"RefundedToPurchaser")


@pytest.fixture
def anyio_backend(virtual_time):
    """Hours of waiting pass in milliseconds."""
    return virtual_time


class Upper(Random):
    """Full jitter at its upper end: the waits are the longest that are allowed."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def fault(code: str) -> bytes:
    return b'{"errorCode":"%b","errorType":"GeneralError","status":"FAILURE"}' % code.encode()


def now() -> float:
    return asyncio.get_running_loop().time()


async def create(transport: ScriptedTransport, **options: Any) -> Any:
    async with make_session(transport, **options) as session:
        return await session.create_gift_card("Acme1X0001", Money("25.00", "USD"))


async def failure(*script: Any, **options: Any) -> tuple[AgcodError, ScriptedTransport]:
    """Run a create against the script, and return its error and the transport."""
    transport = ScriptedTransport(*script)
    with pytest.raises(AgcodError) as caught:
        await create(transport, **options)
    return caught.value, transport


# What is repeated


@pytest.mark.parametrize(
    "step",
    [
        ConnectFailed(),
        ResponseTimeout(),
        ConnectionLost(),
        response(b"", 500),
        response(b"<html>", 200),
        response(RESEND, 400),
        response(THROTTLED, 400),
    ],
    ids=["not sent", "timeout", "lost", "5xx", "malformed", "resend", "throttled"],
)
async def test_what_is_retry_safe_is_repeated(step):
    """The same id buys the same card, so the second attempt settles what the first left open."""
    transport = ScriptedTransport(step, response())
    card = await create(transport)
    assert card.gc_id == "A0B1C2D3E4F5G6"
    assert len(transport.requests) == 2


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (fault("F100"), 400, SystemFaultError),
        (fault("F500"), 400, UnknownServiceError),
        (REFUSED, 400, AccountError),
        (fault("F200"), 400, InvalidRequestError),
        (FORBIDDEN, 403, CredentialsError),
        (REFUNDED, 200, PostconditionError),
    ],
)
async def test_what_is_not_retry_safe_is_raised_at_once(body, status, kind):
    """A repeat cannot change these; it would only spend the rate that others wait for."""
    error, transport = await failure(response(body, status))
    assert type(error) is kind
    assert (error.attempts, len(transport.requests)) == (1, 1)


@pytest.mark.parametrize("code", ["F100", "F500"])
async def test_system_faults_are_repeated_where_asked(code):
    """Safe with the same id, and of unknown benefit: the caller decides."""
    transport = ScriptedTransport(response(fault(code), 400), response())
    await create(transport, retry=RetryPolicy(system_faults=True))
    assert len(transport.requests) == 2


async def test_each_attempt_sends_the_same_bytes_freshly_signed():
    """Other bytes could be another card; the old signature could be out of date."""
    transport = ScriptedTransport(ResponseTimeout(), response(RESEND, 400), response(), latency=2.0)
    await create(transport)
    first, second, third = transport.requests
    assert first.body is second.body is third.body
    assert b'"creationRequestId":"Acme1X0001"' in first.body
    assert len({request.headers["x-amz-date"] for request in transport.requests}) == 3
    assert len({request.headers["authorization"] for request in transport.requests}) == 3


async def test_each_attempt_asks_for_credentials():
    """A key rotated between two attempts must not fail the second."""

    class Rotating:
        asked = 0

        async def get_credentials(self) -> Any:
            self.asked += 1
            return CREDENTIALS

    provider = Rotating()
    await create(ScriptedTransport(ResponseTimeout(), response()), credentials=provider)
    assert provider.asked == 2


async def test_each_attempt_is_throttled():
    """A retry is a request like any other to the service's limits."""
    throttle = OpenThrottle()
    transport = ScriptedTransport(response(THROTTLED, 400), ConnectionLost(), response())
    await create(transport, throttle=throttle)
    assert throttle.granted == ["CreateGiftCard"] * 3
    assert throttle.slowed == 1


# What is known about the money


@pytest.mark.parametrize("first", [ResponseTimeout(), ConnectionLost(), response(b"", 502), response(RESEND)])
@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (ConnectFailed(), ConnectFailed),
        (response(REFUSED, 400), AccountError),
        (response(FORBIDDEN, 403), CredentialsError),
        (response(THROTTLED, 429), ThrottlingError),
    ],
)
async def test_a_refusal_after_an_unknown_is_unknown(first, last, kind):
    """Send 1 timed out and charged, send 2 was refused: booking "refused" would lose a card."""
    error, _ = await failure(first, last, retry=RetryPolicy(max_attempts=2))
    assert type(error) is kind
    assert error.outcome == "unknown"
    assert error.attempts == 2
    assert error.request_id == "Acme1X0001"
    assert "outcome unknown" in str(error)


async def test_an_answer_about_the_card_itself_settles_an_unknown():
    """SUCCESS about a refunded card says what became of this id, whatever came before."""
    error, _ = await failure(ResponseTimeout(), response(REFUNDED))
    assert isinstance(error, PostconditionError)
    assert error.outcome == "refused"


async def test_refusals_and_failed_connects_alone_stay_known():
    """Without any unknown among the attempts, the last word stands."""
    error, _ = await failure(ConnectFailed(), response(THROTTLED, 400), response(REFUSED, 400))
    assert (type(error), error.outcome, error.attempts) == (AccountError, "refused", 3)
    error, _ = await failure(*[ConnectFailed() for _ in range(5)])
    assert (type(error), error.outcome, error.attempts) == (ConnectFailed, "not_sent", 5)


async def test_an_unknown_among_others_is_remembered():
    """Not the last attempt decides, nor the first."""
    error, _ = await failure(ConnectFailed(), ResponseTimeout(), ConnectFailed(), response(REFUSED, 400))
    assert (error.outcome, error.attempts) == ("unknown", 4)


async def test_unknown_outcomes_do_not_spread_to_other_calls():
    """Each call has its own money."""
    transport = ScriptedTransport(ResponseTimeout(), response(REFUSED, 400), response(REFUSED, 400))
    async with make_session(transport) as session:
        for outcome in ("unknown", "refused"):
            with pytest.raises(AccountError) as caught:
                await session.create_gift_card("Acme1X0001", Money("25.00", "USD"))
            assert caught.value.outcome == outcome


# How often


async def test_five_attempts_by_default():
    """An outage is handed to the caller, with the id, instead of being knocked at for ever."""
    error, transport = await failure(*[ConnectionLost() for _ in range(9)])
    assert (error.attempts, len(transport.requests)) == (5, 5)
    assert isinstance(error, ConnectionLost)


async def test_a_single_attempt_switches_retries_off():
    """Whoever repeats on their own must not be repeated for."""
    error, transport = await failure(ConnectionLost(), retry=RetryPolicy(max_attempts=1))
    assert (error.attempts, len(transport.requests)) == (1, 1)


async def test_no_attempt_begins_after_thirty_seconds():
    """A web request waits for this call: the time is bounded, however many attempts are left."""
    policy = RetryPolicy(max_attempts=100, base_delay=4.0)
    began = now()
    _, transport = await failure(*[ConnectionLost() for _ in range(99)], retry=policy, rng=Upper())
    # Waits of 4 and 8 fit into thirty seconds, and 16 as well; 20 more do not.
    assert (len(transport.requests), now() - began) == (4, 28.0)


async def test_the_time_counts_from_the_first_failure():
    """A long wait in the throttle before the first attempt must not cost the retries."""

    class Busy(OpenThrottle):
        async def acquire(self, operation: str, /, **options: Any) -> None:
            await super().acquire(operation, **options)
            await asyncio.sleep(1000 if len(self.granted) == 1 else 0)

    transport = ScriptedTransport(ConnectionLost(), response())
    await create(transport, throttle=Busy())
    assert len(transport.requests) == 2


async def test_the_quota_stops_a_storm():
    """A session with a thousand calls must not answer an outage with five thousand requests."""
    transport = ScriptedTransport(*[ConnectionLost() for _ in range(999)])
    async with make_session(transport, retry=RetryPolicy(quota=7)) as session:
        for _ in range(20):
            with pytest.raises(ConnectionLost):
                await session.create_gift_card("Acme1X0001", Money("25.00", "USD"))
    assert len(transport.requests) == 20 + 7


async def test_the_quota_is_earned_back():
    """Ten calls that succeed at once pay for one retry, and a successful retry pays for itself."""
    script = [
        ConnectionLost(),
        ConnectionLost(),
        *[response() for _ in range(10)],
        ConnectionLost(),
        response(),
    ]
    transport = ScriptedTransport(*script, ConnectionLost(), response())
    async with make_session(transport, retry=RetryPolicy(quota=1)) as session:

        async def call() -> Any:
            return await session.create_gift_card("Acme1X0001", Money("25.00", "USD"))

        with pytest.raises(ConnectionLost):
            await call()
        for _ in range(12):
            await call()
    assert transport.script == []


def test_an_easy_success_pays_for_a_tenth_of_a_retry():
    """Retries stay below a tenth of the requests in the long run, however long an outage lasts."""
    retries = Retries(RetryPolicy(quota=1), Random(1))
    assert retries.spend()
    paid = []
    for _ in range(10):
        paid.append(retries.spend())
        retries.earn(1)
    assert paid == [False] * 10
    assert retries.spend()


async def test_the_quota_never_exceeds_its_size():
    """A quiet week must not save up for a storm."""
    retries = Retries(RetryPolicy(quota=2), Random(1))
    for _ in range(100):
        retries.earn(1)
        retries.earn(3)
    assert [retries.spend() for _ in range(3)] == [True, True, False]


# How long in between


class _Recorder(Random):
    """Full jitter whose bounds are remembered."""

    def __init__(self) -> None:
        super().__init__(7)
        self.bounds: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.bounds.append((a, b))
        return super().uniform(a, b)


async def test_waits_are_full_jitter_from_the_injected_randomness():
    """A thousand clients that fail together must not come back together."""
    rng = _Recorder()
    events: list[Any] = []
    await failure(*[ConnectionLost() for _ in range(5)], rng=rng, hooks=[events.append])
    assert rng.bounds[:4] == [(0, 0.05), (0, 0.1), (0, 0.2), (0, 0.4)]
    again = Random(7)
    assert [event.delay for event in notable(events)] == [again.uniform(*bounds) for bounds in rng.bounds[:4]]


async def test_throttled_waits_begin_at_a_second():
    """After "Rate exceeded" fifty milliseconds would only be refused again."""
    rng = _Recorder()
    await failure(*[response(THROTTLED, 400) for _ in range(5)], rng=rng)
    assert rng.bounds[:4] == [(0, 1.0), (0, 2.0), (0, 4.0), (0, 8.0)]


def test_waits_have_a_longest():
    """However many attempts, the next one is at most twenty seconds away, and nothing overflows."""
    retries = Retries(RetryPolicy(), Upper())
    assert retries.delay(ConnectionLost(), 30) == 20.0
    assert retries.delay(ConnectionLost(), 10**6) == 20.0
    assert retries.delay(ThrottlingError(), 2) == 2.0


@pytest.mark.parametrize(("asked", "waited"), [("3", 3.0), ("9999", 20.0), ("0", 0.05)])
async def test_retry_after_is_honoured_and_capped(asked, waited):
    """The service knows best when to come back, but must not stop a caller for an hour."""
    began = now()
    transport = ScriptedTransport(response(b"", 503, retry_after=asked), response())
    await create(transport, rng=Upper())
    assert now() - began == pytest.approx(waited)


async def test_a_retry_after_beyond_the_time_limit_ends_the_call():
    """Better an error now than the same error after a useless wait."""
    began = now()
    error, _ = await failure(
        response(b"", 503, retry_after="15"), response(), retry=RetryPolicy(max_elapsed=10.0)
    )
    assert isinstance(error, GatewayFault)
    assert now() == began


async def test_each_retry_is_announced():
    """Operators see an outage in the events before the first call fails."""
    events: list[Any] = []
    await create(
        ScriptedTransport(response(THROTTLED, 400), MalformedResponse(http_status=200), response()),
        rng=Upper(),
        hooks=[events.append],
    )
    assert notable(events) == [
        RetryScheduled(
            operation="CreateGiftCard", request_id="Acme1X0001", attempt=1, delay=1.0, error="ThrottlingError"
        ),
        RetryScheduled(
            operation="CreateGiftCard",
            request_id="Acme1X0001",
            attempt=2,
            delay=pytest.approx(0.1),
            error="MalformedResponse",
        ),
    ]


# Long waits


def signed_at(request: HTTPRequest) -> datetime:
    return datetime.strptime(request.headers["x-amz-date"] + "+0000", "%Y%m%dT%H%M%SZ%z")


async def test_a_long_wait_in_the_throttle_still_sends_a_fresh_signature():
    """A signature lives fifteen minutes: made before the wait, it would be refused after it."""
    throttle = LocalThrottle(1 / (17 * 60))
    transport = ScriptedTransport(response(), lambda _: response())
    async with make_session(transport, throttle=throttle) as session:
        for _ in range(2):
            await session.create_gift_card("Acme1X0001", Money("25.00", "USD"))
            assert (loop_clock() - signed_at(transport.requests[-1])).total_seconds() < 1
    first, second = map(signed_at, transport.requests)
    assert (second - first).total_seconds() >= 17 * 60


async def test_a_long_wait_between_attempts_still_sends_a_fresh_signature():
    """Patient policies wait longer than a signature lives."""
    policy = RetryPolicy(base_delay=17 * 60, max_delay=3600, max_elapsed=86400)
    transport = ScriptedTransport(ResendError(), response())
    await create(transport, retry=policy, rng=Upper())
    first, second = map(signed_at, transport.requests)
    assert (second - first).total_seconds() == 17 * 60


# Errors that are not ours


class BrokenThrottle(LocalThrottle):
    """Lets so many pass, and then fails."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.passes = passes

    async def acquire(self, operation: str, /, **options: Any) -> None:
        self.passes -= 1
        if self.passes < 0:
            raise LookupError("the throttle has a bug")


async def test_foreign_errors_pass_through():
    """A bug in a throttle or a clock of the caller is theirs to see, and is not repeated."""
    transport = ScriptedTransport(response())
    with pytest.raises(LookupError, match="the throttle has a bug"):
        await create(transport, throttle=BrokenThrottle(0))
    assert transport.requests == []


async def test_a_foreign_error_does_not_hide_an_unknown_outcome():
    """What may have been paid for stays unknown, with its id in hand, whatever breaks afterwards."""
    transport = ScriptedTransport(ResponseTimeout("no answer"), response())
    with pytest.raises(ResponseTimeout) as caught:
        await create(transport, throttle=BrokenThrottle(1))
    assert caught.value.outcome == "unknown"
    assert caught.value.request_id == "Acme1X0001"
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_attempts", 0),
        ("max_elapsed", -1.0),
        ("base_delay", -0.1),
        ("throttled_delay", float("nan")),
        ("max_delay", -1.0),
        ("quota", -1),
    ],
)
def test_policies_that_cannot_work_are_refused(field, value):
    """Found at start-up, and not in the first outage."""
    with pytest.raises(ConfigurationError, match=field):
        RetryPolicy(**{field: value})
