"""Cancelling a call at any await: no slot, task or connection leaks, and the session works on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agcod_async import AgcodSession, Endpoint, LocalThrottle, Money, RetryPolicy
from agcod_async.wire import HTTPRequest, HTTPResponse
from tests.support import server as wire
from tests.support.clients import FAMILIES, open_client
from tests.support.optional import require
from tests.support.server import ScriptedServer
from tests.support.sessions import CREATED, RESEND, THROTTLED, make_session, response
from tests.support.virtual_time import virtual_time

Stop = Callable[[Awaitable[object], Awaitable[object]], Awaitable[None]]


def create(session: AgcodSession) -> Awaitable[object]:
    return session.create_gift_card("Acme1X0001", Money("25.00", "USD"))


async def cancel(call: Awaitable[object], when: Awaitable[object]) -> None:
    """Cancel the call's task, as a web framework does when its client hangs up."""
    task = asyncio.ensure_future(call)
    await when
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def time_out(call: Awaitable[object], when: Awaitable[object]) -> None:
    """Bound the call by asyncio.timeout, as callers with a deadline do."""

    async def bounded() -> None:
        async with deadline:
            await call

    deadline = asyncio.timeout(None)
    task = asyncio.ensure_future(bounded())
    await when
    deadline.reschedule(asyncio.get_running_loop().time())
    with pytest.raises(TimeoutError):
        await task


@pytest.fixture(params=[cancel, time_out])
def stop(request):
    """Both ways to end a call early."""
    return request.param


class Answering:
    """Answers everything after a while, and remembers when it was asked."""

    def __init__(self, *script: HTTPResponse, latency: float = 0.0) -> None:
        self.script = list(script)
        self.latency = latency
        self.times: list[float] = []

    async def send(self, _: HTTPRequest, /) -> HTTPResponse:
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.latency)
        return self.script.pop(0) if self.script else response()

    async def aclose(self) -> None:
        pass


@virtual_time
async def test_a_call_cancelled_in_the_throttles_line_takes_no_slot(stop: Stop):
    """A thousand clients that hung up must not eat the rate of those who stayed."""
    transport = Answering()
    async with make_session(transport, throttle=LocalThrottle(burst=10)) as session:
        await asyncio.gather(*(create(session) for _ in range(10)))
        before = asyncio.all_tasks()
        await asyncio.gather(*(stop(create(session), asyncio.sleep(0.5)) for _ in range(30)))
        assert len(transport.times) == 10
        assert asyncio.all_tasks() == before
        await asyncio.gather(*(create(session) for _ in range(10)))
    assert transport.times[10:] == [pytest.approx(1.05)] * 10


@virtual_time
async def test_a_throttled_operation_cancelled_in_line_takes_no_slot(stop: Stop):
    """The operations with a rate of their own wait for two buckets, and give up both."""
    transport = Answering(
        *[response(b'{"status":"SUCCESS","availableFunds":{"amount":0,"currencyCode":"USD"}}')] * 2
    )
    async with make_session(transport, throttle=LocalThrottle(burst=10)) as session:
        await session.get_available_funds()
        await asyncio.gather(*(stop(session.get_available_funds(), asyncio.sleep(0.5)) for _ in range(5)))
        await session.get_available_funds()
        await asyncio.gather(*(create(session) for _ in range(8)))
    assert transport.times == pytest.approx([0.0, *[1.05] * 9])


@virtual_time
@pytest.mark.parametrize("body", [RESEND, THROTTLED])
async def test_a_call_cancelled_while_backing_off_leaves_nothing(stop: Stop, body: bytes):
    """The wait between attempts ends at once, and nobody makes the next attempt."""
    policy = RetryPolicy(base_delay=10.0, throttled_delay=10.0, max_delay=100.0)
    transport = Answering(response(body, 400, retry_after="10"))
    async with make_session(transport, retry=policy) as session:
        before = asyncio.all_tasks()
        await stop(create(session), asyncio.sleep(5.0))
        assert asyncio.all_tasks() == before
        await asyncio.sleep(100)
        assert transport.times == [0.0]
        await create(session)
    assert len(transport.times) == 2


@virtual_time
async def test_a_cancelled_attempt_is_not_repeated(stop: Stop):
    """Cancellation is the caller's word, and not a failure to be retried."""
    transport = Answering(latency=3.0)
    async with make_session(transport) as session:
        await stop(create(session), asyncio.sleep(1.0))
        await asyncio.sleep(60)
    assert transport.times == [0.0]


@virtual_time
async def test_a_cancelled_call_earns_and_spends_no_quota(stop: Stop):
    """Calls that were given up say nothing about the health of the service."""
    policy = RetryPolicy(quota=1, base_delay=0.0)
    transport = Answering(latency=1.0)
    async with make_session(transport, retry=policy) as session:
        for _ in range(20):
            await stop(create(session), asyncio.sleep(0.5))
        transport.script = [response(b"", 503), response()]
        await create(session)
        assert transport.script == []


@pytest.fixture(params=FAMILIES)
def family(request):
    """Each kind of client, skipped where its package is missing."""
    for module in {"httpx2": ["httpx2"], "aiohttp": ["httpx_aiohttp"]}.get(request.param, []):
        require(module)
    return request.param


@pytest.mark.parametrize("step", [wire.never(), wire.drip(b"{")], ids=["unanswered", "half answered"])
async def test_a_call_cancelled_while_sending_leaves_no_connection(stop: Stop, family: str, step: wire.Step):
    """Its connection cannot be used again and is closed; the pool opens another for the next call."""
    async with ScriptedServer(step, wire.answer(CREATED)) as server, open_client(family) as client:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        async with make_session(endpoint=endpoint, http_client=client) as session:
            clients_tasks = asyncio.all_tasks()
            await stop(create(session), server.received(1))
            await server.until(lambda: server.open_connections == 0)
            assert asyncio.all_tasks() <= clients_tasks
            await create(session)
            assert len(server.requests) == 2


async def test_many_cancelled_calls_leave_a_whole_pool(family: str):
    """More than the pool has connections: were one lost per call, the last calls could not connect."""
    async with (
        ScriptedServer(*[wire.never()] * 70, wire.answer(CREATED)) as server,
        open_client(family) as client,
    ):
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        async with make_session(endpoint=endpoint, http_client=client) as session:
            for round_ in (1, 2):
                calls = [asyncio.ensure_future(create(session)) for _ in range(35)]
                await server.received(35 * round_)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                assert all(call.cancelled() for call in calls)
            await server.until(lambda: server.open_connections == 0)
            await create(session)


async def test_a_task_group_that_fails_ends_its_calls(family: str):
    """Structured concurrency: one failed sibling cancels the calls, and they go quietly."""

    async def fail_together(session: AgcodSession, server: ScriptedServer) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(session.get_available_funds())
            await server.received(3)
            raise LookupError

    async with ScriptedServer(wire.never()) as server, open_client(family) as client:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        async with make_session(endpoint=endpoint, http_client=client) as session:
            with pytest.raises(ExceptionGroup) as caught:
                await fail_together(session, server)
            await server.until(lambda: server.open_connections == 0)
    assert [type(error) for error in caught.value.exceptions] == [LookupError]
