"""
What OpenTelemetry's SDK adds to a ``create_gift_card`` over TLS, one at a time.

A call is what production makes of it: the session's own HTTP client, TLS to a server in another process,
and nothing beside it, as an account lets ten a second pass. Spans are made and ended, and exported nowhere:
what an exporter costs is its own affair. ``bare SDK`` makes the same two spans and two measurements out of
constants, and nothing else: less no hook can cost that is to export them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

from agcod_async import CallEnded, Endpoint

from . import server
from .bench_call import _session, _timed
from .measure import Row, Timings, compare, main, optional, rounds_of, skipped

_ROUNDS = 25
_CASE = "create_gift_card, TLS"


def run() -> Iterator[Row]:
    for package in ("opentelemetry.sdk.trace", "trustme"):
        if not optional(package):
            yield skipped(f"{_CASE}, spans and metrics", package)
            return
    timings = asyncio.run(_measure())
    yield compare(timings, f"{_CASE}, spans and metrics", "all traced", "no hook", goal=1.15)
    yield compare(timings, f"{_CASE}, one in ten traced", "one in ten", "no hook")
    yield compare(timings, f"{_CASE}, the bare SDK", "bare SDK", "no hook")
    yield compare(timings, f"{_CASE}, an empty hook", "a hook", "no hook")


async def _measure() -> Timings:
    with server.running_tls() as (url, ca_file):
        endpoint = Endpoint.custom(url, region="us-east-1", ca_file=ca_file)
        hooks = {
            "no hook": [],
            "a hook": [lambda _: None],
            "all traced": [_hook()],
            "one in ten": [_hook(0.1)],
            "bare SDK": [_BareSDK()],
        }
        async with AsyncExitStack() as stack:
            calls = {
                name: await stack.enter_async_context(_session(endpoint, hooks=each))
                for name, each in hooks.items()
            }
            timed = {name: _timed(call, in_flight=1) for name, call in calls.items()}
            return await rounds_of(timed, rounds=_ROUNDS)


def _hook(ratio: float = 1.0) -> Any:
    from agcod_async.telemetry import OpenTelemetryHook

    traces, meters = _providers(ratio)
    return OpenTelemetryHook(tracer_provider=traces, meter_provider=meters)


def _providers(ratio: float = 1.0) -> tuple[Any, Any]:
    sampler = optional("opentelemetry.sdk.trace.sampling").ParentBasedTraceIdRatio(ratio)
    traces = optional("opentelemetry.sdk.trace").TracerProvider(sampler=sampler)
    reader = optional("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    return traces, optional("opentelemetry.sdk.metrics").MeterProvider(metric_readers=[reader])


class _BareSDK:
    """Makes at the end of each call what a call is worth, in the cheapest way there is."""

    def __init__(self) -> None:
        traces, meters = _providers()
        self._tracer, meter = traces.get_tracer("bare"), meters.get_meter("bare")
        self._counter, self._histogram = meter.create_counter("calls"), meter.create_histogram("seconds")

    def __call__(self, event: object) -> None:
        if isinstance(event, CallEnded):
            for attributes, last in (_CALL, _ATTEMPT):
                span = self._tracer.start_span("span", attributes=attributes)
                span.set_attribute(*last)
                span.end()
            self._counter.add(1, _LABELS)
            self._histogram.record(0.1, _LABELS)


_CALL = (
    {"rpc.system": "aws-api", "rpc.service": "S", "rpc.method": "M", "agcod.request_id": "Acme1"},
    ("agcod.outcome", "success"),
)
_ATTEMPT = (
    {"http.request.method": "POST", "server.address": "localhost"},
    ("http.response.status_code", 200),
)
_LABELS = {"rpc.method": "M", "agcod.outcome": "success"}


if __name__ == "__main__":
    main(run)
