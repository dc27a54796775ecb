"""A proxy on loopback that changes requests on their way, as real ones do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from tests.support.server import Connection, ScriptedServer


@dataclass(frozen=True)
class Passing:
    """A request in the hands of the proxy. A header may come twice."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def with_header(self, name: str, value: str) -> Passing:
        """The same request with another value of one header."""
        others = tuple(pair for pair in self.headers if pair[0] != name)
        return replace(self, headers=(*others, (name, value)))

    def with_added(self, name: str, value: str) -> Passing:
        """The same request with one header line more."""
        return replace(self, headers=(*self.headers, (name, value)))

    def without(self, name: str) -> Passing:
        """The same request without a header."""
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0] != name))


Tamper = Callable[[Passing], Passing]


@asynccontextmanager
async def proxy(upstream_port: int, tamper: Tamper) -> AsyncIterator[str]:
    """Yield the URL of a proxy that passes on what *tamper* makes of each request."""

    async def play(connection: Connection) -> bool:
        received = connection.request
        passing = tamper(Passing(received.path, tuple(received.headers.items()), received.body))
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream_port)
        lines = [f"{received.method} {passing.path} HTTP/1.1", "connection: close"]
        lines += [f"{name}: {value}" for name, value in passing.headers if name != "content-length"]
        lines.append(f"content-length: {len(passing.body)}")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + passing.body)
        connection.writer.write(await reader.read())
        await connection.writer.drain()
        writer.close()
        await writer.wait_closed()
        return False

    async with ScriptedServer(play) as server:
        yield server.url
