"""A raw TCP or TLS server on loopback that plays wire behaviours from a script, byte by byte."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Self

CLAIM_CODE = "AAAA-BBBBBB-CCCC"


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came over the socket."""

    head: bytes
    body: bytes

    @property
    def request_line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("ascii")

    @property
    def method(self) -> str:
        return self.request_line.split(" ")[0]

    @property
    def path(self) -> str:
        return self.request_line.split(" ")[1]

    @property
    def headers(self) -> dict[str, str]:
        """Lower-case names; a header that came twice is a failure of the test."""
        lines = self.head.decode("ascii").split("\r\n")[1:]
        pairs = [
            (name.strip().lower(), value.strip()) for name, _, value in (x.partition(":") for x in lines)
        ]
        assert len(dict(pairs)) == len(pairs), f"a header came twice: {[name for name, _ in pairs]}"
        return dict(pairs)


@dataclass(frozen=True)
class Connection:
    """What a step has to work with; returning True keeps the connection open for the next request."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: ReceivedRequest

    async def gone(self) -> None:
        """Wait until the client has hung up."""
        await self.reader.read()


Step = Callable[[Connection], Awaitable[bool]]


class ScriptedServer:
    """
    Plays the next step of its script for each request; the last step is played for ever.

    Args:
        script: what to do with the requests.
        tls: the server's side of TLS, or None for plain TCP.
    """

    def __init__(self, *script: Step, tls=None) -> None:
        self._script = list(script)
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Condition()
        self.requests: list[ReceivedRequest] = []
        self.connections = 0
        self.most_open = 0
        self.port = 0

    @property
    def url(self) -> str:
        scheme, host = ("https", "localhost") if self._tls else ("http", "127.0.0.1")
        return f"{scheme}://{host}:{self.port}"

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self.until(lambda: not self._writers)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds, which is looked at whenever something happened on a socket."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(condition)

    async def received(self, number: int) -> None:
        """Wait until so many requests have arrived in full."""
        await self.until(lambda: len(self.requests) >= number)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        self.most_open = max(self.most_open, len(self._writers))
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, EOFError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)
            await self._notify()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
        length = int(ReceivedRequest(head, b"").headers["content-length"])
        request = ReceivedRequest(head, await reader.readexactly(length))
        self.requests.append(request)
        await self._notify()
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return await step(Connection(reader, writer, request))

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def settle() -> None:
    """Let whatever is on its way on this machine arrive."""
    for _ in range(100):
        await asyncio.sleep(0)


# What a server can do with a request


def raw(payload: bytes, *, keep: bool = False) -> Step:
    """Write *payload* as it is, then hang up (or wait for the next request)."""

    async def play(connection: Connection) -> bool:
        connection.writer.write(payload)
        await connection.writer.drain()
        return keep

    return play


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(
    body: bytes | str, status: int = 200, headers: Mapping[str, str] | None = None, *, date: str | None = None
) -> Step:
    """Answer with a proper HTTP response, and keep the connection."""
    content = body.encode() if isinstance(body, str) else body
    fields = {
        "Date": date or formatdate(usegmt=True),
        "x-amzn-RequestId": "11111111-2222-3333-4444-555555555555",
        "Content-Length": str(len(content)),
        **(headers or {}),
    }
    return raw(head(status, fields) + content, keep=True)


def close_before_answering() -> Step:
    return raw(b"")


def close_after_headers() -> Step:
    return raw(head(200, {"Content-Length": "100"}))


def truncated(body: bytes) -> Step:
    """Promise one byte more than is sent."""
    return raw(head(200, {"Content-Length": str(len(body) + 1)}) + body)


def reset() -> Step:
    """Tear the connection down with RST."""

    async def play(connection: Connection) -> bool:
        sock = connection.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.writer.transport.abort()
        return False

    return play


def never() -> Step:
    """Read the request, and never answer."""

    async def play(connection: Connection) -> bool:
        await connection.gone()
        return False

    return play


def drip(first: bytes = b"") -> Step:
    """Begin an answer, and never come to its end."""

    async def play(connection: Connection) -> bool:
        connection.writer.write(head(200, {"Content-Length": "1000"}) + first)
        await connection.writer.drain()
        await connection.gone()
        return False

    return play


def garbage() -> Step:
    return raw(b"\x16\x03\x01\x00\xa5 this is no HTTP at all\r\n\r\n")


def compressed(body: bytes) -> Step:
    return answer(gzip.compress(body), headers={"Content-Encoding": "gzip"})


def oversized(first: bytes = b"") -> Step:
    """More than four MiB, announced by no Content-Length, so that only counting helps."""
    return raw(head(200, {"Connection": "close"}) + first.ljust(4 * 2**20 + 1))


def redirect(location: str) -> Step:
    return answer(b"", 307, {"Location": location})


def chunked(body: bytes) -> Step:
    """The body in chunks of seven bytes."""
    parts = [body[start : start + 7] for start in range(0, len(body), 7)]
    frames = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return raw(head(200, {"Transfer-Encoding": "chunked"}) + frames + b"0\r\n\r\n", keep=True)
