"""
A web server that answers every POST with a card of its id, as cheaply as it can.

It runs in a process of its own, so that its CPU time is not the client's. It prints its port, and ends
when its standard input does, or after MAX_REQUESTS.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from .answers import CREATE_JSON, REQUEST_ID

MAX_REQUESTS = 200_000

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-amzn-requestid: 0-0-0-0\r\n"
    b"date: Mon, 02 Mar 2026 10:00:00 GMT\r\ncontent-length: %d\r\n\r\n%s"
)
_BEFORE, _AFTER = CREATE_JSON.split(REQUEST_ID.encode())
_ID = re.compile(rb'"creationRequestId":"([^"]*)"')
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _CONTENT_LENGTH.search(self._buffer, 0, end)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < size:
                return
            asked = _ID.search(self._buffer, end, size)
            self._buffer = self._buffer[size:]
            card = _BEFORE + (asked[1] if asked else b"") + _AFTER
            self._transport.write(_HEAD % (len(card), card))
            _Connection.served += 1
            if _Connection.served >= MAX_REQUESTS:
                asyncio.get_running_loop().stop()


async def _serve(certificate: str | None = None) -> None:
    loop = asyncio.get_running_loop()
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await loop.create_server(_Connection, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def running_tls() -> Iterator[tuple[str, str]]:
    """Run the server with TLS; give its URL and the file of the authority to trust."""
    authority = import_module("trustme").CA()
    with TemporaryDirectory() as folder:
        certificate, trusted = Path(folder, "server.pem"), Path(folder, "ca.pem")
        authority.cert_pem.write_to_path(trusted)
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
        with running(str(certificate)) as url:
            yield url.replace("http://127.0.0.1", "https://localhost"), str(trusted)


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """Run the server; give its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, *arguments],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
