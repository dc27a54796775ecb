"""Between a process and the gateway: everything that can happen to a message."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from agcod_async.emulator import Answer, Emulator, Request, core
from agcod_async.emulator.refusals import GatewayRefusal, Refusal, refusal
from agcod_async.errors import ConnectFailed, ConnectionLost, ResponseTimeout
from agcod_async.wire import HTTPRequest, HTTPResponse

from .machine import Machine, Process

TIMEOUT = 6.0
IN_FLIGHT = 1800.0
"""Seconds that a message can be under way: longer than any signature lives, so that the gateway decides."""

FAULTS = (
    "connect_failed", "drop_request", "drop_answer", "late", "duplicate", "reset_before", "reset_after",
    "http_500_before", "http_500_after", "resend_before", "resend_after", "fault_before", "fault_after",
    "garbage", "truncated", "bad_utf8", "deep_json", "denied", "throttled",
)  # fmt: skip
OUTAGES = ("connect_failed", "drop_request", "drop_answer", "reset_before", "http_500_before", "http_500_after", "resend_before", "resend_after", "denied")  # fmt: skip  # noqa: E501

_DEEP = b'{"cardInfo":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

FORWARD = ("CreateGiftCard", "ActivateGiftCard", "LoadAmazonBalance")


@dataclass
class Weather:
    """Which faults strike, and when."""

    rng: Random
    rate: float = 0.0
    kinds: tuple[str, ...] = FAULTS
    outages: tuple[tuple[float, float, str], ...] = ()
    most: int | None = None
    """No more than this many, outages aside."""
    script: tuple[str | None, ...] | None = None
    """What strikes one request after the other, instead of chance."""
    struck: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)

    def strike(self, now: float) -> str | None:
        kind = self._kind(now)
        if kind is not None:
            self.by_kind[kind] = self.by_kind.get(kind, 0) + 1
        return kind

    def _kind(self, now: float) -> str | None:
        if self.script is not None:
            self.struck += 1
            return self.script[self.struck - 1] if self.struck <= len(self.script) else None
        for begin, end, kind in self.outages:
            if begin <= now < end:
                return kind
        if self.rng.random() >= self.rate:
            return None
        self.struck += 1
        kind = self.rng.choice(self.kinds)
        return kind if self.most is None or self.struck <= self.most else None


class Sent(NamedTuple):
    """A request that has left."""

    step: int
    operation: str
    at: float
    process: str


class Network:
    """Carries requests to the gateway, and keeps a record of what has left."""

    def __init__(self, machine: Machine, emulator: Emulator, weather: Weather, rng: Random) -> None:
        self.machine = machine
        self.emulator = emulator
        self.weather = weather
        self.rng = rng
        self.requests = 0
        self.sent: defaultdict[str, list[Sent]] = defaultdict(list)
        self.on_sent: Callable[[str], object] = lambda _id: None
        """Told of each id that a request leaves with."""
        # By path and body: a request that is repeated has the same id.
        self._ids: dict[tuple[str, bytes], str] = {}

    def handle(self, request: Request) -> Answer:
        return self.emulator.handle(request)

    def note(self, request: Request, process: str) -> str:
        """Keep a record of what leaves now, and return its id."""
        self.requests += 1
        key = (request.path, request.body)
        request_id = self._ids.get(key)
        if request_id is None:
            request_id = self._ids[key] = core.request_id(self.emulator._state, request)
        sent = Sent(self.machine.steps, request.path[1:], self.machine.now, process)
        self.sent[request_id].append(sent)
        return request_id


class SimulatedTransport:
    """One process's way into the network."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    async def aclose(self) -> None:
        pass

    async def send(self, signed: HTTPRequest, /) -> HTTPResponse:
        network, rng = self._network, self._network.rng
        request = Request(method=signed.method, path=signed.path, headers=signed.headers, body=signed.body)
        kind = network.weather.strike(network.machine.now)
        if kind == "connect_failed":
            await asyncio.sleep(rng.uniform(0.001, 0.1))
            raise ConnectFailed("no connection")
        network.on_sent(network.note(request, self._process.name))
        answer: asyncio.Future[Answer | None] = self._process.create_future()
        Passage(network, request, answer, self._process).begin(kind)
        timer = self._process.call_later(TIMEOUT, _give_up, answer)
        try:
            got = await answer
        finally:
            timer.cancel()
        if got is None:
            raise ConnectionLost("connection reset")
        return HTTPResponse(status=got.status, headers=got.headers, body=got.body)


def _give_up(answer: asyncio.Future[Answer | None]) -> None:
    if not answer.done():
        answer.set_exception(ResponseTimeout("no answer in time"))


class Passage:
    """One request on its way, and its answer on the way back."""

    def __init__(
        self, network: Network, request: Request, answer: asyncio.Future[Any], process: Process
    ) -> None:
        self._network = network
        self._machine = network.machine
        self._request = request
        self._answer = answer
        self._process = process

    def begin(self, kind: str | None) -> None:
        rng = self._network.rng
        arrival = self._machine.now + rng.choice((0.005, 0.05, rng.uniform(0.001, 2.9)))
        match kind:
            case "late":
                late = TIMEOUT + (IN_FLIGHT - TIMEOUT) * rng.random() ** 3
                self._machine.at(self._machine.now + late, self._execute)
            case "drop_request":
                pass
            case "drop_answer":
                self._machine.at(arrival, self._execute)
            case _:
                self._machine.at(arrival, self._arrive, kind, arrival)

    def _execute(self) -> Answer:
        return self._network.handle(self._request)

    def _arrive(self, kind: str | None, now: float) -> None:
        rng, state = self._network.rng, self._network.emulator._state
        refused = self._refusal(kind)
        if kind == "reset_before":
            answer = None
        elif kind == "http_500_before":
            answer = _page(rng)
        elif refused is not None and not str(kind).endswith("_after"):
            answer = core.refuse(state, self._request, refused)
        else:
            answer = self._spoil(kind, self._execute())
            if kind == "duplicate" and answer is not None and answer.status == 200:
                # A refused request has no copy that is taken later: see the assumptions in universe.py.
                self._machine.at(now + IN_FLIGHT * rng.random() ** 3, self._execute)
        self._machine.at(now + rng.choice((0.005, rng.uniform(0.001, 2.9))), self._return, answer)

    def _refusal(self, kind: str | None) -> Refusal | GatewayRefusal | None:
        match kind:
            case "resend_before" | "resend_after":
                return refusal("SystemTemporarilyUnavailable")
            case "fault_before" | "fault_after":
                code = self._network.rng.choice(("F100", "F500"))
                return Refusal(code, "GeneralError", "General Error")
            case "denied":
                return GatewayRefusal("UnrecognizedClientException", "The security token is invalid.", 403)
            case "throttled":
                return core.throttled(self._network.emulator._state)
            case _:
                return None

    def _spoil(self, kind: str | None, answer: Answer) -> Answer | None:
        rng, state = self._network.rng, self._network.emulator._state
        match kind:
            case "reset_after":
                return None
            case "http_500_after":
                return _page(rng)
            case "resend_after" | "fault_after":
                refused = self._refusal(kind)
                assert refused is not None
                return core.refuse(state, self._request, refused)
            case "garbage":
                return _with(answer, rng.randbytes(40))
            case "truncated":
                return _with(answer, answer.body[: rng.randrange(len(answer.body))])
            case "bad_utf8":
                return _with(answer, answer.body[:-2] + b'","x":"\xff\xfe"}')
            case "deep_json":
                return _with(answer, _DEEP)
            case _:
                return answer

    def _return(self, answer: Answer | None) -> None:
        if not self._process.is_alive or self._answer.done():
            return
        self._answer.set_result(answer)


def _page(rng: Random) -> Answer:
    status = rng.choice((500, 502, 503, 504))
    return Answer(status=status, headers={"content-type": "text/html"}, body=b"<html>sorry</html>")


def _with(answer: Answer, body: bytes) -> Answer:
    return Answer(status=answer.status, headers=answer.headers, body=body)
