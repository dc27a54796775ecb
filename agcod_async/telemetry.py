"""Spans and metrics through OpenTelemetry (extra ``otel``)."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode

from ._version import __version__
from .events import (
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    CallStarted,
    Event,
    RateChanged,
    RetryScheduled,
    RewardStep,
    ThrottleWaited,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

_SCOPE = "agcod_async"
_SERVICE = "AGCODService"

_SHORTEST_WAIT = 0.001
"""Seconds; below, it was its turn already."""


_PLAIN = Context({_SCOPE: "no span"})
"""A context for counts: an example of a trace would cost each as much again, and histograms have them."""


@dataclass(slots=True)
class _Open:
    """A span that is open, and the context to go back to."""

    span: Span
    token: Token[Context]


@dataclass(slots=True)
class _Call:
    """A call that was begun and not ended in this task."""

    open: _Open
    server: str
    above: _Call | None
    attempt: _Open | None = None


class OpenTelemetryHook:
    """
    A hook that makes a span of every call and every attempt, and counts: ``hooks=[OpenTelemetryHook()]``.

    Spans are the current ones while they last, so that what an instrumented HTTP client adds hangs below
    its attempt. Attributes come from a fixed list and hold no code, key, body or amount; request ids are on
    spans only, never on metrics. ``docs/telemetry.md`` lists everything.

    Args:
        tracer_provider: by default the global one.
        meter_provider: by default the global one.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
        self._calls = meter.create_counter("agcod.client.calls", "{call}", "Calls, by how they ended.")
        self._durations = meter.create_histogram(
            "agcod.client.call.duration", "s", "Time of a call, over all its attempts and waits."
        )
        self._retries = meter.create_counter(
            "agcod.client.retries", "{retry}", "Attempts that were followed by another one."
        )
        self._waits = meter.create_histogram(
            "agcod.client.throttle.wait", "s", "Time in the throttle's line, where there was one."
        )
        self._rates = meter.create_gauge(
            "agcod.client.throttle.rate", "{request}/s", "What the throttle lets pass, after it changed."
        )
        self._rewards = meter.create_counter(
            "agcod.rewards", "{reward}", "Rewards that came to a state; each issued one counts once."
        )
        self._amounts = meter.create_counter(
            "agcod.rewards.amount", "{currency}", "What issued rewards are worth, in major units."
        )
        self._current: ContextVar[_Call | None] = ContextVar("agcod_open_call", default=None)
        self._handlers: Mapping[type[Event], Callable[..., None]] = {
            CallStarted: self._call_started,
            ThrottleWaited: self._throttle_waited,
            AttemptStarted: self._attempt_started,
            AttemptEnded: self._attempt_ended,
            RetryScheduled: self._retry_scheduled,
            CallEnded: self._call_ended,
            RewardStep: self._reward_step,
            RateChanged: self._rate_changed,
        }

    def __call__(self, event: Event) -> None:
        """Take note of *event*."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _call_started(self, event: CallStarted) -> None:
        attributes = {
            "rpc.system": "aws-api",
            "rpc.service": _SERVICE,
            "rpc.method": event.operation,
        }
        if event.request_id is not None:
            attributes["agcod.request_id"] = event.request_id
        span = self._opened(f"{_SERVICE}/{event.operation}", SpanKind.INTERNAL, attributes)
        self._current.set(_Call(span, event.server, self._current.get()))

    def _throttle_waited(self, event: ThrottleWaited) -> None:
        # Most waits are none, and each record costs as much as signing does.
        if event.seconds >= _SHORTEST_WAIT:
            self._waits.record(event.seconds, {"rpc.method": event.operation})

    def _attempt_started(self, event: AttemptStarted) -> None:
        call = self._current.get()
        if call is None:
            # Its beginning was not seen: the hook came later.
            return
        attributes: dict[str, str | int] = {"http.request.method": "POST", "server.address": call.server}
        if event.attempt > 1:
            attributes["http.request.resend_count"] = event.attempt - 1
        call.attempt = self._opened("POST", SpanKind.CLIENT, attributes)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        call = self._current.get()
        if call is not None and call.attempt is not None:
            _close(call.attempt, "http.response.status_code", event.http_status, event.error)
            call.attempt = None

    def _retry_scheduled(self, event: RetryScheduled) -> None:
        self._retries.add(1, {"rpc.method": event.operation, "error.type": event.error})

    def _call_ended(self, event: CallEnded) -> None:
        labels = {"rpc.method": event.operation, "agcod.outcome": event.outcome}
        if event.error is not None:
            labels["error.type"] = event.error
        self._calls.add(1, labels, _PLAIN)
        self._durations.record(event.seconds, labels)
        call = self._current.get()
        if call is not None:
            self._current.set(call.above)
            _close(call.open, "agcod.outcome", event.outcome, event.error)

    def _reward_step(self, event: RewardStep) -> None:
        attributes: dict[str, str | int] = {
            "agcod.reward.kind": event.kind,
            "agcod.reward.state": event.state,
            "agcod.reward.generation": event.generation,
            "agcod.request_id": event.request_id,
        }
        trace.get_current_span().add_event("agcod.reward.step", attributes)
        if event.state == event.before:
            return
        labels = {"agcod.reward.kind": event.kind, "agcod.reward.state": event.state}
        self._rewards.add(1, labels)
        if event.state == "issued":
            labels["agcod.currency"] = event.value.currency_code
            self._amounts.add(float(event.value.amount), labels)

    def _rate_changed(self, event: RateChanged) -> None:
        self._rates.set(event.rate, {"agcod.throttle.scope": event.scope})

    def _opened(self, name: str, kind: SpanKind, attributes: Mapping[str, str | int]) -> _Open:
        here = context.get_current()
        span = self._tracer.start_span(name, here, kind, attributes)
        return _Open(span, context.attach(trace.set_span_in_context(span, here)))


def _close(ending: _Open, attribute: str, value: str | int | None, error: str | None) -> None:
    context.detach(ending.token)
    span = ending.span
    if value is not None:
        span.set_attribute(attribute, value)
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
