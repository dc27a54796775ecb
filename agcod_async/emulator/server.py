"""The gateway on a loopback socket: uvicorn inside the running loop, TLS made on the spot."""

import asyncio
import ipaddress
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from agcod_async.emulator.app import Receive, Scope, Send
from agcod_async.emulator.certificates import Authority

ASGIApp = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]

_HEADER_BYTES = 32_768
_CONNECTIONS = 1_000


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A gateway that listens, and what a client needs to find and trust it."""

    url: str
    port: int
    ca_file: str | None
    environment: dict[str, str] = field(repr=False)


def bind(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """
    Bind a listening address.

    Raises:
        ValueError: The address is not loopback, and *allow_remote* was not given.
    """
    if not allow_remote and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} can be reached from other machines: allow_remote=True is needed to bind it")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


@asynccontextmanager
async def listening(
    app: ASGIApp, listener: socket.socket, context: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """
    Serve *app* on a bound socket from inside the running loop.

    Neither signal handlers nor background tasks of uvicorn are used: its main loop does nothing that
    is needed here. On leaving, connections are cut and requests under way are cancelled.
    """
    config = uvicorn.Config(
        _quiet(app),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=75,
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
    config.load()
    config.ssl = context
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield
    finally:
        await _close(server)


async def _close(server: uvicorn.Server) -> None:
    for one in server.servers:
        one.close()
    state = server.server_state
    for connection in list(state.connections):
        transport = getattr(connection, "transport", None)
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
    # The protocols learn of the end first, so that nothing is sent to a connection that is gone.
    while state.connections:
        await asyncio.sleep(0)
    for task in list(state.tasks):
        task.cancel()
    await asyncio.gather(*state.tasks, return_exceptions=True)


def _quiet(app: ASGIApp) -> ASGIApp:
    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            # Only a closing server cancels, and by then the connection is gone.
            return

    return quiet


@asynccontextmanager
async def certified(*, tls: bool) -> AsyncIterator[tuple[ssl.SSLContext | None, str | None]]:
    """A server context and the file with its authority; the file is gone afterwards."""
    if not tls:
        yield None, None
        return
    authority = Authority()
    with tempfile.TemporaryDirectory(prefix="agcod-emulator-") as folder:
        ca_file = Path(folder) / "ca.pem"
        authority.write_ca(ca_file)
        yield authority.context(), str(ca_file)
