"""
What OpenTelemetry adds to a ``create_gift_card``, ten in flight, with the SDK's own spans and metrics.

Spans are made and ended, and exported nowhere: what an exporter costs is its own affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

from agcod_async import Endpoint

from . import server
from .bench_call import _session, _timed
from .measure import Row, Timings, compare, main, optional, rounds_of, skipped

_ROUNDS = 15


def run() -> Iterator[Row]:
    case = "create_gift_card with OpenTelemetry"
    if not optional("opentelemetry.sdk.trace"):
        yield skipped(case, "opentelemetry.sdk")
        return
    timings = asyncio.run(_measure())
    yield compare(timings, f"{case}, own client", "spans and metrics", "no hook", goal=1.15)
    yield compare(timings, "create_gift_card with a hook that does nothing", "a hook", "no hook")


async def _measure() -> Timings:
    with server.running() as url:
        endpoint = Endpoint.custom(url, region="us-east-1")
        hooks = {"no hook": [], "a hook": [lambda _: None], "spans and metrics": [_hook()]}
        async with AsyncExitStack() as stack:
            calls = {
                name: await stack.enter_async_context(_session(endpoint, hooks=each))
                for name, each in hooks.items()
            }
            return await rounds_of({name: _timed(call) for name, call in calls.items()}, rounds=_ROUNDS)


def _hook() -> Any:
    from agcod_async.telemetry import OpenTelemetryHook

    trace = optional("opentelemetry.sdk.trace").TracerProvider()
    reader = optional("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    meters = optional("opentelemetry.sdk.metrics").MeterProvider(metric_readers=[reader])
    return OpenTelemetryHook(tracer_provider=trace, meter_provider=meters)


if __name__ == "__main__":
    main(run)
