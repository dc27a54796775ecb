"""
A whole ``create_gift_card``, ten in flight, against the bare POST over the same client, and aiobotocore.

The server is a process of its own on 127.0.0.1; only the client's CPU time counts.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import process_time
from typing import Any

import httpx

from agcod_async import AgcodSession, Credentials, Endpoint, LocalThrottle, Money
from agcod_async.wire import HTTPRequest, HTTPResponse

from . import server
from .answers import CREATE_JSON, REQUEST_ID
from .measure import Row, Timings, compare, main, optional, rounds_of, skipped

Call = Callable[[], Awaitable[object]]

_IN_FLIGHT = 10
_CALLS = 400
_ROUNDS = 15
_KEY = ("AKIDEXAMPLE", "not-a-secret")
_BODY = b'{"creationRequestId":"Acme1X1","partnerId":"Acme1","value":{"amount":25.00,"currencyCode":"USD"}}'
_HEADERS = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": "benchmark",
    "x-amz-date": "20260302T100000Z",
    "x-amz-target": "com.amazonaws.agcod.AGCODService.CreateGiftCard",
    "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260302/us-east-1/AGCODService/aws4_request, "
    f"SignedHeaders=accept;content-type;host;x-amz-date;x-amz-target, Signature={'0' * 64}",
}
_AIOBOTOCORE = "aiobotocore"


def run() -> Iterator[Row]:
    timings = asyncio.run(_measure())
    case = f"create_gift_card, {_IN_FLIGHT} in flight"
    yield compare(timings, f"{case}, own client", "own client", "POST httpx", goal=1.10)
    for library, package in (("httpx", "httpx"), ("httpx2", "httpx2"), ("httpx-aiohttp", "httpx_aiohttp")):
        if f"call {library}" in timings:
            yield compare(timings, f"{case}, {library}", f"call {library}", f"POST {library}", goal=1.10)
        else:
            yield skipped(f"{case}, {library}", package)
    if _AIOBOTOCORE in timings:
        yield compare(timings, f"{case}, own client", "own client", _AIOBOTOCORE, goal=1.0)
        if "call httpx-aiohttp" in timings:
            label = f"{case}, httpx-aiohttp"
            yield compare(timings, label, "call httpx-aiohttp", _AIOBOTOCORE, goal=0.65)
    else:
        yield skipped(case, _AIOBOTOCORE)
    yield compare(timings, f"{case}, no network", "in process", "POST httpx")


async def _measure() -> Timings:
    with server.running() as url:
        async with AsyncExitStack() as stack:
            timed = {name: _timed(call) async for name, call in _candidates(url, stack)}
            return await rounds_of(timed, rounds=_ROUNDS)


def _timed(call: Call, in_flight: int = _IN_FLIGHT) -> Callable[[], Awaitable[float]]:
    """Return what makes a round of calls and tells the CPU seconds of one."""

    async def worker() -> None:
        for _ in range(_CALLS // in_flight):
            await call()

    async def timed() -> float:
        start = process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(worker())
        return (process_time() - start) / _CALLS

    return timed


async def _candidates(url: str, stack: AsyncExitStack) -> AsyncIterator[tuple[str, Call]]:
    endpoint = Endpoint.custom(url, region="us-east-1")
    yield "own client", await stack.enter_async_context(_session(endpoint))
    yield "in process", await stack.enter_async_context(_session(endpoint, transport=_InProcess()))
    for library, client in _clients():
        await stack.enter_async_context(client)
        yield f"call {library}", await stack.enter_async_context(_session(endpoint, http_client=client))
        yield f"POST {library}", _bare_post(client, url)
    if optional(_AIOBOTOCORE):
        yield _AIOBOTOCORE, await stack.enter_async_context(_aiobotocore(url))


@asynccontextmanager
async def _session(endpoint: Endpoint, **options: Any) -> AsyncIterator[Call]:
    # A rate that never makes anybody wait; the throttle itself is part of the call.
    throttle = LocalThrottle(rate=1e6, operation_rates={}, margin=0)
    async with AgcodSession("Acme1", Credentials(*_KEY), endpoint, throttle=throttle, **options) as session:
        yield lambda: session.create_gift_card(REQUEST_ID, Money("25.00", "USD"))


class _InProcess:
    """Answers without a network, so that what is left is this package's own share."""

    async def send(self, request: HTTPRequest, /) -> HTTPResponse:  # noqa: ARG002
        return HTTPResponse(status=200, headers={"content-type": "application/json"}, body=CREATE_JSON)

    async def aclose(self) -> None:
        """Nothing is open."""


def _clients() -> Iterator[tuple[str, Any]]:
    yield "httpx", httpx.AsyncClient(trust_env=False)
    if httpx2 := optional("httpx2"):
        yield "httpx2", httpx2.AsyncClient(trust_env=False)
    if httpx_aiohttp := optional("httpx_aiohttp"):
        transport = httpx_aiohttp.AiohttpTransport()
        yield "httpx-aiohttp", httpx.AsyncClient(transport=transport, trust_env=False)


def _bare_post(client: Any, url: str) -> Call:
    target = f"{url}/CreateGiftCard"

    async def post() -> None:
        response = await client.post(target, content=_BODY, headers=_HEADERS)
        assert response.content == CREATE_JSON

    return post


@asynccontextmanager
async def _aiobotocore(url: str) -> AsyncIterator[Call]:
    """Give the same operation through aiobotocore, which learns it from a service model."""
    with tempfile.TemporaryDirectory() as folder:
        _write_service_model(Path(folder, "agcod", "2013-09-01"))
        session = optional("aiobotocore.session").get_session()
        session.get_component("data_loader").search_paths.append(folder)
        made = session.create_client(
            "agcod",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id=_KEY[0],
            aws_secret_access_key=_KEY[1],
        )
        async with made as client:

            async def create() -> None:
                answer = await client.create_gift_card(
                    creationRequestId=REQUEST_ID,
                    partnerId="Acme1",
                    value={"amount": 25.00, "currencyCode": "USD"},
                )
                assert answer["status"] == "SUCCESS"

            yield create


def _write_service_model(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(_SERVICE_MODEL))


def _structure(*required: str, **members: str) -> dict[str, Any]:
    shapes = {name: {"shape": shape} for name, shape in members.items()}
    return {"type": "structure", "required": list(required), "members": shapes}


_SERVICE_MODEL = {
    "version": "2.0",
    "metadata": {
        "apiVersion": "2013-09-01",
        "endpointPrefix": "agcod",
        "protocol": "rest-json",
        "serviceFullName": "Incentives API",
        "serviceId": "agcod",
        "signatureVersion": "v4",
        "signingName": "AGCODService",
    },
    "operations": {
        "CreateGiftCard": {
            "name": "CreateGiftCard",
            "http": {"method": "POST", "requestUri": "/CreateGiftCard"},
            "input": {"shape": "CreateGiftCardRequest"},
            "output": {"shape": "CreateGiftCardResponse"},
        }
    },
    "shapes": {
        "String": {"type": "string"},
        "Double": {"type": "double"},
        "Value": _structure("amount", "currencyCode", amount="Double", currencyCode="String"),
        "CardInfo": _structure(
            cardNumber="String", cardStatus="String", expirationDate="String", value="Value"
        ),
        "CreateGiftCardRequest": _structure(
            "creationRequestId",
            "partnerId",
            "value",
            creationRequestId="String",
            partnerId="String",
            value="Value",
            programId="String",
            productType="String",
            externalReference="String",
        ),
        "CreateGiftCardResponse": _structure(
            creationRequestId="String",
            cardInfo="CardInfo",
            gcClaimCode="String",
            gcId="String",
            gcExpirationDate="String",
            status="String",
        ),
    },
}


if __name__ == "__main__":
    main(run)
