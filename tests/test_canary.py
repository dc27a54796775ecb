"""Secrets never leak: planted codes, keys and signatures are looked for wherever text comes out."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import re
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agcod_async import AgcodSession, Endpoint, Money, RetryPolicy
from agcod_async.signer import SigV4Signer
from agcod_async.wire import HTTPRequest, HTTPResponse
from tests.support import server as wire
from tests.support.clients import FAMILIES, open_client
from tests.support.leaks import SENSITIVE, LeakDetector
from tests.support.optional import require
from tests.support.server import CLAIM_CODE, Connection, ReceivedRequest, ScriptedServer, settle
from tests.support.sessions import CREATED, CREDENTIALS, NO_RETRY, RESEND, SECRET_KEY, START, make_session

VECTORS = Path(__file__).parent / "vectors" / "refusals"


async def quote_the_request(connection: Connection) -> bool:
    """Refuse the signature the way AWS does, and worse: with the whole request in the first line."""
    received = connection.request
    text = f"The request signature we calculated does not match: {received.headers} {received.body!r}\n"
    text += received.head.decode()
    return await wire.answer(json.dumps({"message": text}), 403)(connection)


def vector(name: str, status: int = 200) -> wire.Step:
    return wire.answer((VECTORS / name).read_bytes(), status)


ONCE_MORE = RetryPolicy(max_attempts=2, base_delay=0.0)

STEPS: dict[str, wire.Step] = {
    "a card": wire.answer(CREATED),
    "a card with news": wire.answer(CREATED.replace(b'{"card', b'{"second":"BBBB-CCCCCC-DDDD","card', 1)),
    "a refunded card": vector("refunded.json"),
    "a refunded card in XML": vector("refunded.xml"),
    "another amount": vector("other-amount.json"),
    "another id": vector("other-id.json"),
    "a code as amount": wire.answer(CREATED.replace(b"25.0", b'"%b"' % CLAIM_CODE.encode())),
    "a code as message": wire.answer(f'{{"message":"{CLAIM_CODE}"}}', 400),
    "a code as error": wire.answer(
        f'{{"errorCode":"F200","errorType":"Odd","message":"card {CLAIM_CODE} is odd"}}', 400
    ),
    "a wrong type": vector("wrong-type.json"),
    "a truncated answer": vector("truncated.json"),
    "a truncated body": wire.truncated(CREATED),
    "a compressed body": wire.compressed(CREATED),
    "an oversized body": wire.oversized(CREATED),
    "a garbled answer": wire.raw(CREATED),
    "a page": wire.answer(f"<html>{CLAIM_CODE}", 502),
    "a RESEND": wire.answer(RESEND, 400),
    "a quoted request": quote_the_request,
    "a reset": wire.reset(),
    "a closed connection": wire.close_before_answering(),
    "closed after the headers": wire.close_after_headers(),
    "no answer": wire.never(),
    "half an answer": wire.drip(CREATED[:-20]),
}


@pytest.fixture(params=FAMILIES)
def family(request):
    """Each kind of client, skipped where its package is missing."""
    for module in {"httpx2": ["httpx2"], "aiohttp": ["httpx_aiohttp"]}.get(request.param, []):
        require(module)
    return request.param


async def shown_by(call: Callable[[], Awaitable[Any]]) -> list[str]:
    """Run the call, and return everything that its result or its error shows of itself."""
    try:
        result = await call()
    except BaseException as error:  # noqa: BLE001  (cancellations show locals, too)
        with_locals = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown = [str(error), repr(error), repr(vars(error)), "".join(with_locals.format())]
        return [*shown, repr(pickle.dumps(error))]
    return [str(result), repr(result), f"{result.gc_claim_code} {result.gc_claim_code!r}", f"{vars(result)}"]


async def create(session: AgcodSession) -> Any:
    return await session.create_gift_card("Acme1X0001", Money("25.00", "USD"))


def secrets_of(requests: list[ReceivedRequest]) -> set[str]:
    """Return what was planted, and what was derived from it and sent."""
    signatures = {request.headers["authorization"].rpartition("Signature=")[2] for request in requests}
    return {SECRET_KEY, CLAIM_CODE, "BBBB-CCCCCC-DDDD", *signatures}


def assert_clean(texts: list[str], secrets: set[str]) -> None:
    # Only the secret's first letters are shown when this fails, and never the text it was found in.
    leaked = {(secret[:4], text[:30]) for text in texts for secret in secrets if secret in text}
    assert leaked == set()
    assert all(SENSITIVE.search(text) is None for text in texts)


@pytest.mark.parametrize("wire_format", ["json", "xml"])
@pytest.mark.parametrize("name", STEPS)
async def test_no_exchange_shows_a_secret(family, name, wire_format, caplog, capfd):
    """Logs are read by more people than may spend money, and error reporters show every local."""
    caplog.set_level(logging.DEBUG)
    events: list[Any] = []
    async with ScriptedServer(STEPS[name]) as server, open_client(family) as client:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        timeout, policy = (0.3, NO_RETRY) if name in ("no answer", "half an answer") else (10.0, ONCE_MORE)
        async with make_session(
            endpoint=endpoint,
            http_client=client,
            retry=policy,
            timeout=timeout,
            wire_format=wire_format,
            hooks=[events.append],
        ) as session:
            shown = await shown_by(lambda: create(session))
            shown += [repr(session), repr(vars(session)), repr(session._transport), repr(session._signer)]
    logged = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    printed = list(capfd.readouterr())
    assert server.requests
    assert_clean([*shown, *logged, *printed, *map(repr, events)], secrets_of(server.requests))


@pytest.mark.parametrize("name", ["no answer", "half an answer"])
@pytest.mark.parametrize("deadline", [True, False])
async def test_no_cancelled_call_shows_a_secret(family, name, deadline):
    """The library's frames hold the signature while it waits, and a deadline shows where it struck."""
    async with ScriptedServer(STEPS[name]) as server, open_client(family) as client:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        async with make_session(endpoint=endpoint, http_client=client) as session:

            async def bounded() -> Any:
                async with limit:
                    return await create(session)

            limit = asyncio.timeout(None)
            call = asyncio.create_task(shown_by(bounded))
            await server.received(1)
            await settle()
            if deadline:
                limit.reschedule(asyncio.get_running_loop().time())
            else:
                call.cancel()
            shown = await call
    assert any("Error" in text for text in shown)
    assert_clean(shown, secrets_of(server.requests))


async def test_the_values_of_an_exchange_show_no_secret():
    """Requests, responses, credentials and signers end up as locals in other people's frames."""
    request = HTTPRequest(
        origin="https://localhost",
        path="/CreateGiftCard",
        headers=dict.fromkeys(("accept", "content-type", "host", "x-amz-target"), "x"),
        body=CREATED,
    )
    signer = SigV4Signer("us-east-1")
    signed = signer.sign(request, CREDENTIALS, at=START)
    signature = signed.headers["authorization"].rpartition("Signature=")[2]
    answer = HTTPResponse(status=200, headers={"x": CLAIM_CODE}, body=CREATED)
    shown = [f"{each!r} {each}" for each in (request, signed, answer, signer, CREDENTIALS)]
    shown.append(repr(vars(signer)))
    assert_clean(shown, {SECRET_KEY, CLAIM_CODE, signature})


async def test_every_logger_is_watched(leak_detector, caplog):
    """The watch over the whole suite sees what the libraries below log, or it would guard nothing."""
    caplog.set_level(logging.DEBUG)
    before = leak_detector.records
    async with ScriptedServer(wire.answer(RESEND, 400), wire.answer(CREATED)) as server:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        async with make_session(endpoint=endpoint) as session:
            await create(session)
    names = {record.name.partition(".")[0] for record in caplog.records}
    assert names >= {"httpcore", "agcod_async"}
    assert leak_detector.records > before


@pytest.mark.parametrize(
    "text", [CLAIM_CODE, f"card {CLAIM_CODE}.", "Signature=" + 64 * "a", f"key {SECRET_KEY}"]
)
def test_the_watch_finds_what_is_planted(text):
    """A detector that has never found anything may be blind."""
    detector = LeakDetector()
    for arguments in ((text,), ("%s", text), ("%d", 7)):
        record = logging.LogRecord("somebody", logging.DEBUG, "", 0, arguments[0], arguments[1:], None)
        detector.emit(record)
    assert (len(detector.leaks), detector.records) == (2, 3)
    assert not any(re.search(re.escape(text), leak) for leak in detector.leaks)
