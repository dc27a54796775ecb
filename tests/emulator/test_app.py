"""The ASGI application by itself, as another server would run it."""

import asyncio
import json

import pytest

from agcod_async.emulator import FaultKind

from . import foreign


async def _run(emulator, messages, headers=(), path=b"/sping", method="GET"):
    sent, waiting = [], iter(messages)

    async def receive():
        message = next(waiting, None)
        return message if message is not None else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path.decode(),
        "raw_path": path,
        "query_string": b"",
        "headers": list(headers),
    }
    await emulator.app(scope, receive, send)
    return sent


def _body(body, *, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


def _signed(emulator, fields):
    request = foreign.request(emulator, "CreateGiftCard", fields)
    headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    return request.body, headers


async def test_a_body_in_parts(emulator):
    """Joined before its hash is checked; a header sent twice is joined by a comma."""
    body, headers = _signed(emulator, foreign.create_fields("Acme1a"))
    headers += [(b"x-twice", b"1"), (b"x-twice", b"2")]
    parts = [_body(body[:7], more=True), {"type": "http.request", "more_body": True}, _body(body[7:])]
    start, answer = await _run(emulator, parts, headers, b"/CreateGiftCard", "POST")
    assert start["status"] == 200
    assert json.loads(answer["body"])["creationRequestId"] == "Acme1a"
    assert dict(start["headers"])[b"content-length"] == str(len(answer["body"])).encode()


async def test_only_http(emulator):
    """No websockets, no lifespan."""
    with pytest.raises(ValueError, match="websocket"):
        await emulator.app({"type": "websocket"}, None, None)


async def test_a_client_that_goes_away_gets_no_answer(emulator):
    """And nothing is done for it."""
    assert await _run(emulator, [_body(b"x", more=True), {"type": "http.disconnect"}]) == []
    assert emulator.state.serial == 0


async def test_over_the_cap_in_parts(emulator):
    """Counted while it comes in."""
    start, _ = await _run(emulator, [_body(b"x" * 40_000, more=True)] * 3)
    assert start["status"] == 413


async def test_a_foreign_server_cuts_the_connection_its_own_way(emulator):
    """Without the connection at hand, the application fails: servers answer 500 or hang up."""
    emulator.faults.once(FaultKind.DROP_AFTER)
    body, headers = _signed(emulator, foreign.create_fields("Acme1a"))
    with pytest.raises(ConnectionAbortedError):
        await _run(emulator, [_body(body)], headers, b"/CreateGiftCard", "POST")
    assert "Acme1a" in emulator.state.cards
