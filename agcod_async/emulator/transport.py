"""The gateway without a socket: a transport for clients of the httpx family."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, cast

import httpx

from .delivery import Delivery
from .faults import FaultKind
from .values import Request

if TYPE_CHECKING:
    import httpx2

    from .gateway import Emulator

    HTTPXTransport = httpx.AsyncBaseTransport
    HTTPX2Transport = httpx2.AsyncBaseTransport
    HTTPXClient = httpx.AsyncClient


def httpx_transport(emulator: "Emulator") -> "HTTPXTransport":
    """A transport for clients of httpx."""
    return cast("HTTPXTransport", in_process(httpx, emulator))


def httpx2_transport(emulator: "Emulator") -> "HTTPX2Transport":
    """A transport for clients of httpx2."""
    import httpx2

    return cast("HTTPX2Transport", in_process(httpx2, emulator))


def httpx_client(emulator: "Emulator") -> "HTTPXClient":
    """A client of httpx that reaches nothing but the emulator."""
    return httpx.AsyncClient(transport=httpx_transport(emulator), trust_env=False)


def in_process(library: Any, emulator: "Emulator") -> Any:
    """
    Return a transport for the clients of *library*, which is httpx or httpx2.

    The two have the same names but unrelated classes, so everything is taken from the one given.
    """

    class Stream(library.AsyncByteStream):  # type: ignore[misc]  # of either family
        """The body of an answer as it trickles in."""

        def __init__(self, delivery: Delivery, body: bytes, patience: float | None) -> None:
            self._delivery, self._body, self._patience = delivery, body, patience

        async def __aiter__(self) -> AsyncGenerator[bytes]:
            delivery, body = self._delivery, self._body
            if delivery.drip is not None:
                for byte in body:
                    await _wait(delivery.drip, self._patience, library)
                    yield bytes([byte])
                return
            yield body[: delivery.cut_after]
            if delivery.cut_after is not None:
                raise library.RemoteProtocolError("peer closed connection in the middle of the body")

    class Transport(library.AsyncBaseTransport):  # type: ignore[misc]  # of either family
        """Hands requests to the emulator; every host leads to it."""

        async def handle_async_request(self, request: Any) -> Any:
            fault = emulator.faults.strike_connection()
            if fault and fault.kind is FaultKind.REFUSE_CONNECTION:
                raise library.ConnectError("connection refused")
            if fault:
                raise library.ConnectError("certificate verify failed: certificate has expired")
            delivery = emulator.deliver(await _request(request))
            patience = request.extensions.get("timeout", {}).get("read")
            await _wait(delivery.delay, patience, library)
            if delivery.answer is None:
                raise library.RemoteProtocolError("Server disconnected without sending a response.")
            body = delivery.answer.body
            headers = {**delivery.answer.headers, "content-length": str(len(body))}
            stream = Stream(delivery, body, patience)
            return library.Response(delivery.answer.status, headers=headers, stream=stream)

    return Transport()


async def _request(request: Any) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    path, _, query = request.url.raw_path.decode("latin-1").partition("?")
    body = await request.aread()
    return Request(method=request.method, path=path, query=query, headers=headers, body=body)


async def _wait(seconds: float, patience: float | None, library: Any) -> None:
    """Wait as on a wire: for the next byte, or until the client has had enough."""
    if patience is not None and seconds > patience:
        await asyncio.sleep(patience)
        raise library.ReadTimeout("the emulator was told to be late")
    await asyncio.sleep(seconds)
