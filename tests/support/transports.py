"""Transports that need no network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agcod_async.wire import HTTPRequest, HTTPResponse

Step = HTTPResponse | BaseException | Callable[[HTTPRequest], HTTPResponse]


class ScriptedTransport:
    """Answers each request with the next step of its script, and remembers the requests."""

    def __init__(self, *script: Step, latency: float = 0.0) -> None:
        self.script = list(script)
        self.latency = latency
        self.requests: list[HTTPRequest] = []
        self.is_closed = False

    async def send(self, request: HTTPRequest, /) -> HTTPResponse:
        self.requests.append(request)
        await asyncio.sleep(self.latency)
        step = self.script.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step if isinstance(step, HTTPResponse) else step(request)

    async def aclose(self) -> None:
        self.is_closed = True
