"""The gateway on a socket: uvicorn's protocol inside the running loop, one accepted connection at a time."""

import asyncio
import ipaddress
import socket
import ssl
import struct
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any, Self, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .app import TRANSPORT, Receive, Scope, Send
from .faults import FaultKind, FaultPlan

ASGIApp = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]

_HEADER_BYTES = 32_768
CONNECTIONS = 500
"""More at once are reset."""
_ACCEPT_AGAIN = 0.1
_HANDSHAKE_SECONDS = 10.0
_RESET = struct.pack("ii", 1, 0)


def bind(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """
    Listen on an address.

    Raises:
        ValueError: The address is not loopback, and *allow_remote* was not given.
    """
    if not allow_remote and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} can be reached from other machines: allow_remote=True is needed to bind it")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only for sockets that do.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(CONNECTIONS)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class Listener:
    """
    Serves an application on a bound socket from inside the running loop.

    uvicorn's own server is not used: it installs signal handlers, hands sockets to asyncio before
    anybody can refuse a connection or choose its certificate, and needs 0.1 s to stop.

    Args:
        contexts: A good and an expired TLS context, or None for plain HTTP.

        faults: Decides which connections are refused.

        first_request_timeout: Seconds until the head of the first request must have come.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None,
        faults: FaultPlan,
        first_request_timeout: float,
    ) -> None:
        self._address: tuple[str, int] = listener.getsockname()[:2]
        self._listener = listener
        self._contexts = contexts
        self._faults = faults
        self._first_request_timeout = first_request_timeout
        self._config = _config(app)
        self._state = ServerState()
        self._connections: set[_Connection] = set()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._unwatch = faults.watch(self._heed_faults)

    @property
    def port(self) -> int:
        """The port."""
        return self._address[1]

    async def __aenter__(self) -> Self:
        """Begin to accept connections."""
        self._heed_faults()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cut every connection and cancel every request under way."""
        self._unwatch()
        self._stop_listening()
        await _cancelled(self._handshakes)
        for connection in list(self._connections):
            connection.transport.abort()
        # The protocols learn of the end first, so that nothing is sent to a connection that is gone.
        while self._connections:
            await asyncio.sleep(0)
        await _cancelled(self._state.tasks)

    def _heed_faults(self) -> None:
        """Nobody listens during an outage; other faults of connections need new connections to strike."""
        if self._faults.is_outage:
            self._stop_listening()
        elif self._accepting is None:
            if self._listener.fileno() < 0:
                self._listener = bind(*self._address, allow_remote=True)
            self._accepting = asyncio.get_running_loop().create_task(self._accept())
        if self._faults.has_connection_faults:
            for connection in list(self._connections):
                connection.end_if_idle()

    def _stop_listening(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None
        self._listener.close()

    async def _accept(self) -> None:
        while True:
            connection = await self._next_connection()
            fault = self._faults.strike_connection()
            is_full = len(self._connections) + len(self._handshakes) >= CONNECTIONS
            if is_full or (fault is not None and fault.kind is FaultKind.REFUSE_CONNECTION):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.close()
                continue
            context = self._contexts[0 if fault is None else 1] if self._contexts else None
            task = asyncio.get_running_loop().create_task(self._connect(connection, context))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _next_connection(self) -> socket.socket:
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError:
                # Out of file descriptors, most likely: a moment later there may be some.
                await asyncio.sleep(_ACCEPT_AGAIN)
            else:
                return connection

    async def _connect(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        # Whatever goes wrong in a handshake is the client's business.
        with suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Connection(
                    self._config, self._state, self._connections, self._first_request_timeout
                ),
                connection,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if context else None,
            )


class _Connection(H11Protocol):
    """A connection that its listener knows from beginning to end."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, connections: "set[_Connection]", timeout: float
    ) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._application, self.app = self.app, self._run
        self._known = connections
        self._timeout = timeout
        self._is_busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._known.add(self)
        self._silence = self.loop.call_later(self._timeout, self.end_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._silence.cancel()
        self._known.discard(self)
        super().connection_lost(exc)

    def end_if_idle(self) -> None:
        """Close the connection unless a request is under way."""
        if not self._is_busy:
            # Shut down first: a client that looks at its connection now finds it ended.
            with suppress(OSError):
                self.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            self.transport.abort()

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with its connection at hand."""
        self._silence.cancel()
        self._is_busy = True
        scope["extensions"] = {TRANSPORT: self.transport}
        # Only a listener that ends cancels, and by then the connection is gone.
        with suppress(asyncio.CancelledError):
            await self._application(scope, receive, send)
        self._is_busy = False


def _config(app: ASGIApp) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
    config.load()
    return config


async def _cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
