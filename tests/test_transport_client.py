"""The client below the transport: its life, and the hooks of its owner."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest

from agcod_async import ConfigurationError
from agcod_async.transport import HTTPXTransport
from agcod_async.wire import HTTPRequest

BODY = b'{"status":"SUCCESS"}'


@asynccontextmanager
async def serving():
    """Give the URL of a server that answers every request, and the list of what it was sent."""
    heads = []

    async def serve(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


def a_request(url):
    headers = {"host": url.removeprefix("http://")}
    return HTTPRequest(origin=url, path="/GetAvailableFunds", headers=headers, body=b"")


async def test_nothing_is_sent_after_closing():
    """A call that waited in the throttle while its session was closed must not spend money unseen."""
    async with serving() as (url, heads):
        transport = HTTPXTransport(None, timeout=5)
        assert (await transport.send(a_request(url))).body == BODY
        await transport.aclose()
        with pytest.raises(ConfigurationError, match="closed") as caught:
            await transport.send(a_request(url))
    assert caught.value.outcome == "not_sent"
    assert len(heads) == 1


async def test_an_answer_that_a_hook_has_read_is_not_lost():
    """Hooks that log answers read them first: the card must not be lost to that."""

    async def read(response):
        await response.aread()

    async with serving() as (url, _), httpx.AsyncClient(event_hooks={"response": [read]}) as client:
        answer = await HTTPXTransport(client, timeout=5).send(a_request(url))
    assert answer.body == BODY
