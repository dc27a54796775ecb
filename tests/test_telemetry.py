"""Spans and metrics, made by OpenTelemetry's own SDK out of what really happened."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from agcod_async import (
    AgcodError,
    AgcodSession,
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    CallStarted,
    Event,
    LocalThrottle,
    Money,
    OutcomePending,
    RetryPolicy,
    UnlistedCurrency,
)
from agcod_async.emulator import FaultKind
from tests.issuer.world import World, world
from tests.support.leaks import SENSITIVE
from tests.support.optional import require
from tests.support.sessions import make_session, response
from tests.support.transports import ScriptedTransport

USD = Money("25.00", "USD")
DOCUMENT = Path(__file__).parents[1] / "docs" / "telemetry.md"


@pytest.fixture
def anyio_backend(virtual_time):
    return virtual_time


class Telemetry:
    """A hook, and what it came to."""

    def __init__(self) -> None:
        require("opentelemetry.sdk")
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        from agcod_async.telemetry import OpenTelemetryHook

        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = tracers.get_tracer("the application")
        meters = MeterProvider(metric_readers=[self.reader])
        self.hook = OpenTelemetryHook(tracer_provider=tracers, meter_provider=meters)

    @property
    def spans(self) -> list[Any]:
        """In the order of their beginning."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time)

    @property
    def metrics(self) -> dict[tuple[str, str], Any]:
        """Sums, and the numbers of what histograms hold, by name and attributes."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        found: dict[tuple[str, str], Any] = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.data.data_points:
                is_histogram = hasattr(point, "bucket_counts")
                found[metric.name, labels(point.attributes)] = point.count if is_histogram else point.value
        return found


def labels(attributes: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(attributes.items()))


@pytest.fixture
def telemetry():
    return Telemetry()


def watched(here: World, telemetry: Telemetry) -> AgcodSession:
    """Let the hook see what the session of this world does."""
    here.session.hooks._hooks = (telemetry.hook,)
    return here.session


def tree(spans: list[Any]) -> list[str]:
    """Spans as indented lines: name, attributes, what happened in them, and the spans below."""
    by_id = {span.context.span_id: span for span in spans}

    def depth(span: Any) -> int:
        return 0 if span.parent is None else 1 + depth(by_id[span.parent.span_id])

    lines = []
    for span in spans:
        indent = "    " * depth(span)
        lines.append(f"{indent}{span.name}")
        lines += [f"{indent}    {key} = {value}" for key, value in sorted(span.attributes.items())]
        for each in span.events:
            lines.append(f"{indent}    * {each.name}")
            lines += [f"{indent}        {key} = {value}" for key, value in sorted(each.attributes.items())]
    return lines


async def issue_with_a_resend(telemetry: Telemetry) -> None:
    """The service cannot say, and the caller has no time; recovery finds the card two seconds later."""
    async with world(retry=RetryPolicy(max_attempts=1)) as here:
        watched(here, telemetry)
        here.faults.once(FaultKind.RESEND_AFTER)
        with telemetry.tracer.start_as_current_span("checkout"), pytest.raises(OutcomePending):
            await here.issuer.issue("order-4711", USD, budget=0.5)
        await asyncio.sleep(2)
        with telemetry.tracer.start_as_current_span("recovery"):
            await here.issuer.recover()


async def test_the_document_shows_what_a_resend_and_its_recovery_look_like(telemetry):
    """Dashboards are built on it: a table that nobody produced would be wrong with the next release."""
    await issue_with_a_resend(telemetry)
    spans = tree(telemetry.spans)
    metrics = [
        f"| `{name}` | {where} | {value} |" for (name, where), value in sorted(telemetry.metrics.items())
    ]
    document = DOCUMENT.read_text(encoding="utf-8")
    for shown in (["```text", *spans, "```"], ["| metric | attributes | value |", "|---|---|---|", *metrics]):
        assert "\n".join(shown) in document, "\n".join(shown)


EVENTS = {kind.__name__: kind for kind in Event.__subclasses__()}


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_every_event_is_documented_with_its_level(kind):
    """Whoever writes a hook or an alert looks here for what there is."""
    level = logging.getLevelName(kind.level).lower()
    assert re.search(rf"\| `{kind.__name__}` \| .+ \| {level} \|", DOCUMENT.read_text(encoding="utf-8"))


async def test_a_failed_call_is_an_error_of_the_trace(telemetry):
    """Whoever looks for red spans finds it, with the class of the error and without its text."""
    async with world() as here:
        session = watched(here, telemetry)
        here.faults.once(FaultKind.DROP_AFTER)
        with pytest.raises(AgcodError):
            await session.create_gift_card(f"{session.partner_id}X1", USD)
    call, attempt = telemetry.spans
    assert {call.status.status_code.name, attempt.status.status_code.name} == {"ERROR"}
    assert call.status.description is None
    assert call.attributes["error.type"] == attempt.attributes["error.type"] == "ConnectionLost"
    assert "http.response.status_code" not in attempt.attributes


async def test_a_repeat_is_counted_and_numbered(telemetry):
    """Semantic conventions number repeats from the second request on."""
    async with world(retry=RetryPolicy(max_attempts=2, base_delay=0)) as here:
        session = watched(here, telemetry)
        here.faults.once(FaultKind.DROP_AFTER)
        await session.create_gift_card(f"{session.partner_id}X1", USD)
    _, first, second = telemetry.spans
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert (
        telemetry.metrics["agcod.client.retries", "error.type=ConnectionLost, rpc.method=CreateGiftCard"] == 1
    )


async def test_a_wait_in_line_and_a_changed_rate_are_measured(telemetry):
    """Is it the service that is slow, or is the account's rate used up?"""
    throttle = LocalThrottle(rate=1, margin=0, hooks=[telemetry.hook])
    transport = ScriptedTransport(response(), response())
    async with make_session(transport, hooks=[telemetry.hook], throttle=throttle) as session:
        for _ in range(2):
            await session.create_gift_card("Acme1X0001", USD)
        throttle.refused("CreateGiftCard")
    # One of the two calls had to wait.
    assert telemetry.metrics["agcod.client.throttle.wait", "rpc.method=CreateGiftCard"] == 1
    assert telemetry.metrics["agcod.client.throttle.rate", "agcod.throttle.scope=account"] < 1


async def test_calls_at_the_same_time_keep_their_spans_apart(telemetry):
    """Each attempt hangs below its own call, whatever else runs in the loop."""
    async with world() as here:
        session = watched(here, telemetry)
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(session.create_gift_card(f"{session.partner_id}X{number}", USD))
    spans = telemetry.spans
    calls = {span.context.span_id for span in spans if span.parent is None}
    assert len(calls) == 20
    assert {span.parent.span_id for span in spans if span.parent is not None} == calls


async def test_the_span_of_the_caller_is_current_again_afterwards(telemetry):
    """Also after a cancelled call: a span left open would swallow everything that follows."""
    from opentelemetry import trace

    async with world() as here:
        session = watched(here, telemetry)
        here.faults.once(FaultKind.DELAY, seconds=5)
        with telemetry.tracer.start_as_current_span("caller") as caller:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await session.create_gift_card(f"{session.partner_id}X1", USD)
            assert trace.get_current_span() is caller
    assert len(telemetry.spans) == 3


def test_an_end_without_a_beginning_is_no_trouble(telemetry):
    """A hook may see the end of a call, or of an attempt, that began before it was there."""
    ended = AttemptEnded(
        operation="X", request_id=None, attempt=1, seconds=1.0, http_status=None, error="ConnectionLost"
    )
    telemetry.hook(ended)
    telemetry.hook(
        CallEnded(operation="X", request_id=None, attempts=1, seconds=1.0, outcome="unknown", error=None)
    )
    telemetry.hook(AttemptStarted(operation="X", request_id=None, attempt=1))
    assert telemetry.spans == []
    telemetry.hook(CallStarted(operation="X", request_id=None, server="localhost"))
    telemetry.hook(ended)
    telemetry.hook(
        CallEnded(operation="X", request_id=None, attempts=1, seconds=1.0, outcome="unknown", error=None)
    )
    assert [span.name for span in telemetry.spans] == ["AGCODService/X"]


async def test_nothing_secret_is_exported(telemetry):
    """Traces go to other companies' servers."""
    await issue_with_a_resend(telemetry)
    async with world() as here:
        session = watched(here, telemetry)
        await session.get_available_funds()
        codes = [card.claim_code for card in here.emulator.state.cards.values()]
        secrets = [here.emulator.partner.secret_access_key, *codes]
    exported = " ".join(span.to_json() for span in telemetry.spans) + str(telemetry.metrics)
    assert not SENSITIVE.search(exported)
    assert not any(str(secret) in exported for secret in secrets)


async def test_other_events_are_left_to_other_hooks(telemetry):
    """A new kind of event must not break a dashboard."""
    telemetry.hook(UnlistedCurrency(currency_code="XXX", endpoint="na"))
    assert telemetry.spans == []
    assert telemetry.metrics == {}


async def test_a_refused_reward_counts_and_is_worth_nothing(telemetry):
    """The sum of what was issued must not grow by what was not."""
    async with world() as here:
        watched(here, telemetry)
        here.emulator.state.funds["Acme1"] = 1
        with pytest.raises(AgcodError):
            await here.issuer.issue("order-4711", USD)
    names = {name: value for (name, _), value in telemetry.metrics.items()}
    assert names["agcod.rewards"] == 1
    assert "agcod.rewards.amount" not in names
