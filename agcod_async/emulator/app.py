"""The gateway as a raw ASGI application."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from .delivery import Delivery
from .values import Answer, Request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TRANSPORT = "agcod.transport"
"""The ASGI extension by which our own server hands over the connection itself."""

_TOO_LARGE = Answer(
    status=413,
    headers={"connection": "close", "content-type": "text/plain"},
    body=b"Request body too large\n",
)
_TOO_SLOW = Answer(
    status=408, headers={"connection": "close", "content-type": "text/plain"}, body=b"Request took too long\n"
)


class BodyTooLarge(Exception):
    """The request body is over the cap; what was left of it has not been read."""


class ClientGone(Exception):
    """The client went away before its request was complete."""


class Gateway(Protocol):
    """What the application needs of the emulator."""

    body_timeout: float

    @property
    def max_body(self) -> int:
        """Bytes of a request body that are read."""
        ...

    def deliver(self, request: Request) -> Delivery:
        """Answer a request, faults included."""
        ...


class GatewayApp:
    """An ASGI application around the core; no framework, no middleware."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            raise ValueError(f"the gateway speaks HTTP, not {scope['type']}")
        gateway = self._gateway
        body = await body_in_time(scope, receive, send, gateway.max_body, gateway.body_timeout)
        if body is not None:
            await _deliver(scope, receive, send, gateway.deliver(request_of(scope, body)))


async def body_in_time(
    scope: Scope, receive: Receive, send: Send, limit: int, seconds: float
) -> bytes | None:
    """Read a body; None where there is none, which whoever is still there has been told."""
    try:
        async with asyncio.timeout(seconds):
            return await read_body(scope, receive, limit)
    except BodyTooLarge:
        await send_answer(send, _TOO_LARGE)
    except TimeoutError:
        await send_answer(send, _TOO_SLOW)
    except ClientGone:
        pass
    return None


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Read a body, but not one byte more than *limit* asks for."""
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit:
            raise BodyTooLarge
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge
        if not message.get("more_body", False):
            return bytes(body)


def request_of(scope: Scope, body: bytes) -> Request:
    """The request that an ASGI scope describes."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return Request(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
    )


async def _deliver(scope: Scope, receive: Receive, send: Send, delivery: Delivery) -> None:
    if delivery.delay:
        await asyncio.sleep(delivery.delay)
    answer, transport = delivery.answer, scope.get("extensions", {}).get(TRANSPORT)
    if answer is not None and delivery.cut_after is None and delivery.drip is None:
        await send_answer(send, answer)
        return
    if transport is None:
        # A foreign server closes the connection of an application that fails, or answers 500.
        raise ConnectionAbortedError("the emulator was told to cut this connection")
    await _spoil(transport, delivery)
    # The disconnect: only then has the server seen the end, and does not miss a response.
    await receive()


async def _spoil(transport: asyncio.WriteTransport, delivery: Delivery) -> None:
    """Write to the connection itself what no HTTP server would let pass."""
    answer = delivery.answer
    if answer is None:
        transport.abort()
        return
    if delivery.cut_after is not None:
        transport.write(_head(answer) + answer.body[: delivery.cut_after])
    else:
        await _drip(transport, answer, delivery.drip or 0.0)
    transport.close()


async def _drip(transport: asyncio.WriteTransport, answer: Answer, seconds: float) -> None:
    transport.write(_head(answer))
    for byte in answer.body:
        await asyncio.sleep(seconds)
        if transport.is_closing():
            return
        transport.write(bytes([byte]))


def _head(answer: Answer) -> bytes:
    """The head of a response, for the faults that an HTTP server would not let pass."""
    fields = {**answer.headers, "content-length": str(len(answer.body)), "connection": "close"}
    lines = [f"HTTP/1.1 {answer.status} -", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a whole answer."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
