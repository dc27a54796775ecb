"""What a call learns from its failures: above all, how far this machine's clock is off."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any

import pytest

from agcod_async import (
    AgcodSession,
    ClockCorrected,
    ClockSkewError,
    ConnectFailed,
    LocalThrottle,
    Money,
    RetryScheduled,
    SignatureError,
)
from agcod_async.wire import HTTPRequest, HTTPResponse
from tests.support.sessions import CREATED, THROTTLED, loop_clock, make_session, notable, response
from tests.support.transports import ScriptedTransport

EXPIRED = b'{"__type":"com.amazon.coral.service#RequestExpired","message":"Request expired"}'
MISMATCH = b'{"message":"The request signature we calculated does not match"}'


@pytest.fixture
def anyio_backend(virtual_time):
    """Hours of waiting pass in milliseconds."""
    return virtual_time


def signed_at(request: HTTPRequest) -> datetime:
    return datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


class Gateway:
    """
    Refuses signatures that are more than fifteen minutes off its own clock, like the service.

    Args:
        skew: how far its clock is ahead of the session's.
        date: the Date header it sends; its own time by default.
    """

    def __init__(self, skew: timedelta, *, date: str | None = None, latency: float = 0.1) -> None:
        self.skew = skew
        self.date = date
        self.latency = latency
        self.requests: list[HTTPRequest] = []
        self.refused = 0

    async def send(self, request: HTTPRequest, /) -> HTTPResponse:
        self.requests.append(request)
        await asyncio.sleep(self.latency)
        now = loop_clock() + self.skew
        headers = {"date": self.date if self.date is not None else format_datetime(now, usegmt=True)}
        if abs(signed_at(request) - now) > timedelta(minutes=15):
            self.refused += 1
            return HTTPResponse(status=400, headers=headers, body=EXPIRED)
        body = CREATED.replace(b"Acme1X0001", request.body[22:32])
        return HTTPResponse(status=200, headers=headers, body=body)

    async def aclose(self) -> None:
        pass


async def create(session: AgcodSession, number: int = 1) -> Any:
    return await session.create_gift_card(f"Acme1X{number:04}", Money("25.00", "USD"))


@pytest.mark.parametrize("minutes", [20, -20, 60 * 24 * 365])
async def test_a_wrong_clock_is_corrected_once(minutes):
    """A laptop that slept or a container without NTP pays all the same, with one refusal."""
    gateway = Gateway(timedelta(minutes=minutes))
    events: list[Any] = []
    async with make_session(gateway, hooks=[events.append]) as session:
        assert (await create(session)).gc_id
        assert (await create(session, 2)).gc_id
    assert (gateway.refused, len(gateway.requests)) == (1, 3)
    corrected, retry = notable(events)
    assert isinstance(corrected, ClockCorrected)
    assert corrected.seconds == pytest.approx(60 * minutes, abs=1.1)
    assert (type(retry), retry.error) == (RetryScheduled, "ClockSkewError")


async def test_calls_in_flight_together_all_recover():
    """Both left with the old skew: the second refusal must not find the correction already spent."""
    gateway = Gateway(timedelta(hours=1))
    async with make_session(gateway) as session:
        async with asyncio.TaskGroup() as group:
            for number in range(1, 6):
                group.create_task(create(session, number))
        before = len(gateway.requests)
        await create(session, 9)
    assert gateway.refused == 5
    assert len(gateway.requests) - before == 1


async def test_calls_whose_refusals_come_late_do_not_undo_the_correction():
    """A slow refusal of an old signature teaches the same time that is known by then."""
    slow, gateway = Gateway(timedelta(hours=1), latency=5.0), Gateway(timedelta(hours=1))

    class Both(Gateway):
        async def send(self, request: HTTPRequest, /) -> HTTPResponse:
            return await (slow if not slow.requests else gateway).send(request)

    async with make_session(Both(timedelta(0))) as session, asyncio.TaskGroup() as group:
        group.create_task(create(session, 1))
        group.create_task(create(session, 2))
    assert (slow.refused, gateway.refused) == (1, 1)
    assert len(gateway.requests) == 3


async def test_a_skew_that_correcting_does_not_mend_is_raised():
    """A gateway that contradicts itself is asked twice, and not five times."""
    gateway = Gateway(timedelta(hours=1), date="Sun, 01 Mar 2026 18:00:00 GMT")
    async with make_session(gateway) as session:
        with pytest.raises(ClockSkewError) as caught:
            await create(session)
    assert (caught.value.attempts, len(gateway.requests)) == (2, 2)
    assert caught.value.outcome == "refused"


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 01 Mar 2026 12:00:00 GMT"])
async def test_a_refusal_without_a_skew_is_not_repeated(date):
    """If the clocks agree, or nobody knows, signing again changes nothing."""
    gateway = Gateway(timedelta(hours=1), date=date)
    async with make_session(gateway) as session:
        with pytest.raises(ClockSkewError) as caught:
            await create(session)
    assert (caught.value.attempts, len(gateway.requests)) == (1, 1)


async def test_a_wrong_date_on_a_good_answer_teaches_nothing():
    """Only a refusal says that the clock is wrong; a cache's Date header does not."""
    gateway = Gateway(timedelta(0), date="Mon, 01 Jan 2001 00:00:00 GMT")
    async with make_session(gateway) as session:
        for number in (1, 2):
            await create(session, number)
    assert gateway.refused == 0
    assert all(signed_at(request).year == 2026 for request in gateway.requests)


async def test_a_wrong_date_on_a_refusal_is_unlearnt():
    """Whatever a strange proxy taught is forgotten once it did not help: the next call is not lost to it."""
    transport = ScriptedTransport(
        response(EXPIRED, 400, date="Mon, 01 Jan 2001 00:00:00 GMT"),
        response(EXPIRED, 400, date=format_datetime(loop_clock(), usegmt=True)),
        response(),
    )
    async with make_session(transport) as session:
        with pytest.raises(ClockSkewError):
            await create(session)
        await create(session)
    assert [signed_at(request).year for request in transport.requests] == [2026, 2001, 2026]


async def test_a_refused_signature_with_a_right_clock_is_not_repeated():
    """A wrong secret stays wrong, and every repeat brings the key closer to being locked."""
    date = format_datetime(loop_clock() + timedelta(minutes=14), usegmt=True)
    transport = ScriptedTransport(response(MISMATCH, 403, date=date))
    async with make_session(transport) as session:
        with pytest.raises(SignatureError):
            await create(session)
    assert len(transport.requests) == 1


async def test_a_refused_signature_with_a_wrong_clock_is_mended():
    """Some gateways refuse stale signatures under another name."""
    date = format_datetime(loop_clock() + timedelta(minutes=16), usegmt=True)
    transport = ScriptedTransport(response(MISMATCH, 403, date=date), response())
    async with make_session(transport) as session:
        await create(session)
    assert len(transport.requests) == 2


async def test_errors_name_the_call():
    """Without operation and request id in hand, an unknown outcome could not be settled."""
    async with make_session(ScriptedTransport(*[ConnectFailed() for _ in range(10)])) as session:
        with pytest.raises(ConnectFailed) as caught:
            await create(session)
        assert (caught.value.operation, caught.value.request_id) == ("CreateGiftCard", "Acme1X0001")
        with pytest.raises(ConnectFailed) as caught:
            await session.get_available_funds()
        assert (caught.value.operation, caught.value.request_id) == ("GetAvailableFunds", None)


async def test_throttling_slows_everybody_who_shares_the_budget():
    """One refusal for the rate stops the other calls of the session for a second, too."""
    throttle = LocalThrottle()
    times: list[float] = []

    def note(_: HTTPRequest) -> HTTPResponse:
        times.append(asyncio.get_running_loop().time())
        return response()

    transport = ScriptedTransport(response(THROTTLED, 400), note, note)
    async with make_session(transport, throttle=throttle, rng=Random(3)) as session:
        first = asyncio.create_task(create(session))
        await asyncio.sleep(0.1)
        await create(session)
        await first
    assert min(times) >= 1.0
