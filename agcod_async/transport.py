"""Requests over the network. The only file that names httpx."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol

from .errors import (
    AgcodError,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    MalformedResponse,
    ResponseTimeout,
)
from .secret import redact
from .wire import HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    import httpx

    from .wire import HTTPRequest

MAX_BODY = 2**20
"""Bytes of an answer; the longest page of activity has about a third of it."""


class Transport(Protocol):
    """Turns one request into one response, or raises a TransportError."""

    async def send(self, request: HTTPRequest, /) -> HTTPResponse:
        """Send *request* as it is, once, and read the whole answer."""
        ...

    async def aclose(self) -> None:
        """Close what is our own."""
        ...


class HTTPClient(Protocol):
    """An ``httpx.AsyncClient`` or ``httpx2.AsyncClient``, recognised by its family."""

    @property
    def is_closed(self) -> bool:
        """Whether it can still be used."""
        ...

    async def aclose(self) -> None:
        """Close it; ours to call only for a client of our own."""
        ...


class Rehearsal:
    """Sends nothing: each request ends in an error that has it."""

    async def send(self, request: HTTPRequest, /) -> HTTPResponse:
        """Refuse to."""
        error = AgcodError(f"{request.path} was rehearsed: nothing was sent")
        error.outcome = "not_sent"
        raise error

    async def aclose(self) -> None:
        """Nothing is held open."""


class HTTPXTransport:
    """
    Sends over a client of the httpx family: httpx itself, httpx2, or either over another transport.

    Args:
        client: yours to close; or None for one of our own, closed by :meth:`aclose`.
        timeout: seconds from the first byte of the connection to the last of the answer.
        ca_file: PEM file of the authorities to trust instead of the public ones (own client only).
    """

    def __init__(self, client: HTTPClient | None, *, timeout: float, ca_file: str | None = None) -> None:
        if not isinstance(timeout, int | float) or not timeout > 0:
            raise ConfigurationError("timeout: seconds greater than 0 are needed; the service advises 6")
        if client is not None and ca_file is not None:
            raise ConfigurationError(
                "endpoint: ca_file has no effect on a client of your own; give it to the client"
            )
        self._client: Any = _own_client(ca_file) if client is None else client
        self._library: Any = _library_of(self._client)
        self._is_own = client is None
        self._send = _sending(self._client, is_own=self._is_own)
        self._is_closed = False
        self._timeout = timeout
        # Half of the time each for the pool and for connecting: whoever is still not connected then has
        # certainly sent nothing, and the whole has not run out yet.
        phases = {"pool": timeout / 2, "connect": timeout / 2, "read": None, "write": None}
        self._extensions = {"timeout": phases}
        self._urls = cache(self._library.URL)

    async def send(self, request: HTTPRequest, /) -> HTTPResponse:
        """Send *request* exactly as it is: no header of the client's own, no redirect, no encoding."""
        failure: BaseException
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(request)
        except (AgcodError, asyncio.CancelledError) as exc:
            failure = exc
        except TimeoutError:
            failure = ResponseTimeout(f"no complete answer within {self._timeout:g} s")
        except Exception as exc:  # noqa: BLE001  (whatever goes wrong after sending: the outcome is unknown)
            failure = _failure(self._library, exc)
        # Outside of the handlers, and from here: the frames below hold the Authorization header and the
        # body, and would carry them into every traceback that shows locals.
        raise failure.with_traceback(None)

    async def _exchange(self, request: HTTPRequest) -> HTTPResponse:
        if self._is_closed or (not self._is_own and self._client.is_closed):
            raise ConfigurationError("the session or its client was closed before the request could leave")
        outgoing = self._library.Request(
            request.method,
            self._urls(request.origin + request.path),
            headers=request.headers,
            content=request.body,
            extensions=self._extensions,
        )
        incoming = await self._send(outgoing)
        try:
            headers = dict(incoming.headers.items())
            return HTTPResponse(status=incoming.status_code, headers=headers, body=await _read(incoming))
        finally:
            await incoming.aclose()

    async def aclose(self) -> None:
        """Close the client, if it is our own."""
        if self._is_own:
            self._is_closed = True
            await self._client.aclose()


async def _read(incoming: Any) -> bytes:
    if incoming.headers.get("content-encoding", "identity") != "identity":
        raise _unreadable(incoming, "a compressed body, though identity was asked for")
    # aiter_bytes repeats what a hook of the caller's client has read already.
    stream = incoming.aiter_bytes() if incoming.is_stream_consumed else incoming.stream
    chunks: list[bytes] = []
    size = 0
    async for chunk in stream:
        size += len(chunk)
        if size > MAX_BODY:
            raise _unreadable(incoming, f"a body of more than {MAX_BODY} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _unreadable(incoming: Any, reason: str) -> MalformedResponse:
    return MalformedResponse(
        reason,
        http_status=incoming.status_code,
        aws_request_id=incoming.headers.get("x-amzn-requestid"),
    )


def _failure(library: Any, exc: Exception) -> AgcodError:
    """Translate what the library raised; its families have unrelated classes of the same names."""
    # Redacted, because a complaint about a header quotes it.
    text = redact(f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__)
    never_left = (
        library.ConnectError,
        library.ConnectTimeout,
        library.PoolTimeout,
        library.ProxyError,
        library.UnsupportedProtocol,
    )
    if isinstance(exc, never_left):
        return (ConnectionLost if _was_connected(exc) else ConnectFailed)(text)
    if isinstance(exc, library.TimeoutException):
        return ResponseTimeout(text)
    return ConnectionLost(text)


def _was_connected(exc: Exception) -> bool:
    # httpx-aiohttp reports every lost connection as ConnectTimeout; what aiohttp itself said is the cause.
    cause = exc.__cause__
    if cause is None or not type(cause).__module__.startswith("aiohttp"):
        return False
    names = {cls.__name__ for cls in type(cause).__mro__}
    return names.isdisjoint({"ClientConnectorError", "ConnectionTimeoutError", "InvalidURL"})


def _library_of(client: object) -> ModuleType:
    for cls in type(client).__mro__:
        name = cls.__module__.partition(".")[0]
        if name in ("httpx", "httpx2") and not isinstance(client, sys.modules[name].Client):
            return sys.modules[name]
    raise ConfigurationError(
        f"http_client: expected an httpx.AsyncClient or httpx2.AsyncClient, got {type(client).__name__}"
    )


def _sending(client: Any, *, is_own: bool) -> Callable[[Any], Awaitable[Any]]:
    if is_own:
        return client.handle_async_request  # type: ignore[no-any-return]
    # auth=None: an injected client must not replace the signature with its own.
    return partial(client.send, auth=None, follow_redirects=False, stream=True)


def _own_client(ca_file: str | None) -> httpx.AsyncHTTPTransport:
    """Return what an ``AsyncClient`` sends through: cookies, redirects and the like have no use here."""
    # Imported here, because whoever brings another client never needs it.
    import httpx

    # As many are kept as there may be: httpcore 1.0 counts the busy ones too, and with fewer kept than
    # are in flight it closes each after its answer, so that every call pays for a handshake.
    pool = httpx.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=55)
    return httpx.AsyncHTTPTransport(verify=tls_context(ca_file), limits=pool, trust_env=False)


@cache
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the one TLS context of this process for these authorities: 20 ms and 800 KiB each."""
    if ca_file is not None and not os.path.isfile(ca_file):  # noqa: PTH113
        raise ConfigurationError(f"endpoint: ca_file {ca_file} is not a file")
    import httpx

    if ca_file is None:
        context = httpx.create_ssl_context(trust_env=False)
    else:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except ssl.SSLError:
            raise ConfigurationError(f"endpoint: ca_file {ca_file} is not a PEM file") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
