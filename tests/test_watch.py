"""What hooks see of a call: each thing that happens, once, in order, and nothing where nobody listens."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

from agcod_async import (
    AgcodError,
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    CallStarted,
    ConfigurationError,
    ConnectionLost,
    Event,
    InvalidRequestError,
    LocalThrottle,
    Money,
    ResponseTimeout,
    RetryPolicy,
    ThrottleTimeout,
    ThrottleWaited,
)
from agcod_async.events import LOGGER, Hooks
from agcod_async.watch import watch
from tests.support.sessions import NO_RETRY, make_session, response
from tests.support.transports import ScriptedTransport

USD = Money("25.00", "USD")
CALL = {"operation": "CreateGiftCard", "request_id": "Acme1X0001"}


@pytest.fixture
def anyio_backend(virtual_time):
    return virtual_time


async def events_of(*answers: Any, calls: int = 1, **options: Any) -> list[Event]:
    """Return what a hook saw while a card was created, however that ended."""
    events: list[Event] = []
    transport = ScriptedTransport(*answers, latency=0.25)
    async with make_session(transport, hooks=[events.append], **options) as session:
        for _ in range(calls):
            with suppress(AgcodError, RuntimeError):
                await session.create_gift_card("Acme1X0001", USD)
    return events


async def test_a_call_is_told_from_beginning_to_end():
    """A trace, a metric and a log line can be made of these, and of nothing else."""
    assert await events_of(response()) == [
        CallStarted(**CALL, server="agcod-v2-gamma.amazon.com"),
        ThrottleWaited(**CALL, seconds=0.0),
        AttemptStarted(**CALL, attempt=1),
        AttemptEnded(**CALL, attempt=1, seconds=0.25, http_status=200, error=None),
        CallEnded(**CALL, attempts=1, seconds=0.25, outcome="success", error=None),
    ]


async def test_every_attempt_is_told():
    """The repeat is a request of its own, with a wait before it."""
    events = await events_of(ConnectionLost(), response(), retry=RetryPolicy(base_delay=0.0))
    assert [type(event).__name__ for event in events] == [
        "CallStarted",
        *("ThrottleWaited", "AttemptStarted", "AttemptEnded", "RetryScheduled"),
        *("ThrottleWaited", "AttemptStarted", "AttemptEnded"),
        "CallEnded",
    ]
    ended = [event for event in events if isinstance(event, AttemptEnded)]
    assert [(event.attempt, event.http_status, event.error) for event in ended] == [
        (1, None, "ConnectionLost"),
        (2, 200, None),
    ]


async def test_the_time_in_line_is_told_apart_from_the_call():
    """A slow service and a full line are different troubles."""
    throttle = LocalThrottle(rate=1, margin=0)
    events = await events_of(response(), response(), calls=2, throttle=throttle)
    waits = [event.seconds for event in events if isinstance(event, ThrottleWaited)]
    assert waits == [0.0, pytest.approx(0.75, abs=0.01)]


@pytest.mark.parametrize(
    ("answer", "outcome", "error"),
    [
        (ResponseTimeout(), "unknown", "ResponseTimeout"),
        (
            response(b'{"errorCode":"F200","errorType":"InvalidAmountValue","message":"no"}', 400),
            "refused",
            InvalidRequestError.__name__,
        ),
        (RuntimeError("a transport of the caller's"), "unknown", "RuntimeError"),
    ],
)
async def test_a_call_that_fails_says_what_is_known_of_the_money(answer, outcome, error):
    """Counting outcomes needs no knowledge of exceptions."""
    ended = (await events_of(answer, retry=NO_RETRY))[-1]
    assert isinstance(ended, CallEnded)
    assert (ended.outcome, ended.error) == (outcome, error)


async def test_a_call_that_never_got_its_turn_has_no_attempt():
    """Nothing was sent, and the events must not say otherwise."""
    throttle = LocalThrottle(rate=1, margin=0)
    events = await events_of(response(), calls=2, throttle=throttle, max_wait=0.1, retry=NO_RETRY)
    assert [type(event).__name__ for event in events[5:]] == ["CallStarted", "CallEnded"]
    assert events[-1].outcome == "not_sent"
    assert events[-1].error == ThrottleTimeout.__name__


@pytest.mark.parametrize(("seconds", "outcome"), [(0.0, "not_sent"), (0.1, "unknown")])
async def test_a_call_that_is_cancelled_is_told_to_its_end(seconds, outcome):
    """An open span would hang in the air; and what was sent before is unknown, never refused."""
    events: list[Event] = []
    throttle = LocalThrottle(rate=1, margin=0)
    transport = ScriptedTransport(response(), response(), latency=0.25)
    async with make_session(transport, hooks=[events.append], throttle=throttle) as session:
        if seconds == 0.0:
            await session.create_gift_card("Acme1X0001", USD)
        task = asyncio.ensure_future(session.create_gift_card("Acme1X0001", USD))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
    assert isinstance(events[-1], CallEnded)
    assert (events[-1].outcome, events[-1].error) == (outcome, "CancelledError")


async def test_bad_input_is_no_call():
    """It is refused before there is anything to tell."""
    events: list[Event] = []
    async with make_session(ScriptedTransport(), hooks=[events.append]) as session:
        with pytest.raises(ConfigurationError):
            await session.create_gift_card("Other1", USD)
    assert events == []


async def test_the_log_tells_the_same_at_debug(caplog):
    """`AGCOD_LOG=debug` is the first thing that somebody in trouble tries."""
    with caplog.at_level(logging.DEBUG, "agcod_async"):
        async with make_session(ScriptedTransport(response())) as session:
            await session.create_gift_card("Acme1X0001", USD)
    assert [each.getMessage().partition("(")[0] for each in caplog.records if each.name == "agcod_async"] == [
        "CallStarted",
        "ThrottleWaited",
        "AttemptStarted",
        "AttemptEnded",
        "CallEnded",
    ]


def test_nobody_listening_costs_nothing(caplog):
    """One shared object that does nothing, whatever the call."""
    with caplog.at_level(logging.INFO, "agcod_async"):
        first = watch(Hooks(()), "CreateGiftCard", None, "host", lambda: 0.0)
        assert first is watch(Hooks(()), "CancelGiftCard", None, "host", lambda: 1.0)
        assert first.attempt() is first


def test_the_log_masks_what_looks_like_a_secret(caplog):
    """The last guard, for what a message should never have held."""
    with caplog.at_level(logging.DEBUG, "agcod_async"):
        LOGGER.warning("card %s, Signature=%s", "AAAA-BBBBBB-CCCC", "0" * 64)
    assert caplog.messages == ["card ****, ****"]
