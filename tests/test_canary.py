"""Secrets never leak: planted codes, keys and signatures are looked for wherever text comes out."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agcod_async import AgcodError, AgcodSession, Endpoint, Issuer, Money, RetryPolicy
from agcod_async.emulator import Emulator
from agcod_async.ledger import SQLiteLedger
from agcod_async.signer import SigV4Signer, explain
from agcod_async.wire import HTTPRequest, HTTPResponse
from tests.support import server as wire
from tests.support.canary import CHANNELS, HAS_TELEMETRY
from tests.support.clients import FAMILIES, open_client
from tests.support.leaks import SENSITIVE
from tests.support.optional import require
from tests.support.server import CLAIM_CODE, Connection, ReceivedRequest, ScriptedServer, settle
from tests.support.sessions import CREATED, CREDENTIALS, NO_RETRY, RESEND, SECRET_KEY, START, make_session

ROOT = Path(__file__).parents[1]
VECTORS = ROOT / "tests" / "vectors" / "refusals"


async def quote_the_request(connection: Connection) -> bool:
    """Refuse the signature the way AWS does, and worse: with the whole request in the first line."""
    received = connection.request
    text = f"The request signature we calculated does not match: {received.headers} {received.body!r}\n"
    text += received.head.decode()
    return await wire.answer(json.dumps({"message": text}), 403)(connection)


def vector(name: str, status: int = 200) -> wire.Step:
    return wire.answer((VECTORS / name).read_bytes(), status)


REQUEST = HTTPRequest(
    origin="https://localhost",
    path="/CreateGiftCard",
    headers=dict.fromkeys(("accept", "content-type", "host", "x-amz-target"), "x"),
    body=CREATED,
)
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
    signer = SigV4Signer("us-east-1")
    signed = signer.sign(REQUEST, CREDENTIALS, at=START)
    signature = signed.headers["authorization"].rpartition("Signature=")[2]
    answer = HTTPResponse(status=200, headers={"x": CLAIM_CODE}, body=CREATED)
    shown = [f"{each!r} {each}" for each in (REQUEST, signed, answer, signer, CREDENTIALS)]
    shown.append(repr(vars(signer)))
    assert_clean(shown, {SECRET_KEY, CLAIM_CODE, signature})


async def test_no_object_of_the_package_shows_a_secret(tmp_path):
    """Debuggers, error reporters and log lines print whatever object they meet, and its attributes."""
    pretty = require("rich.pretty").pretty_repr
    emulator = Emulator(throttle=None)
    emulator.state.add_partner(replace(emulator.partner, keys={CREDENTIALS.access_key_id: SECRET_KEY}))
    endpoint = Endpoint.custom("https://localhost", region="us-east-1")
    transport = {"http_client": emulator.http_client(), "clock": emulator.clock}
    async with (
        SQLiteLedger(tmp_path / "rewards.db") as ledger,
        make_session(endpoint=endpoint, **transport) as session,
    ):
        issuer = Issuer(session, ledger)
        issued = await issuer.issue("order-4711", Money("25.00", "USD"))
        code = issued.claim_code.reveal()
        with pytest.raises(AgcodError) as caught:
            await session.cancel_gift_card("Acme1X0002")
        steps = explain(SigV4Signer("us-east-1").sign(REQUEST, CREDENTIALS, at=START))
        kept = (issued, steps, caught.value)
        shown = {}
        for each in gc.get_objects():
            kind = type(each)
            if str(kind.__module__).startswith("agcod_async") and ".emulator" not in kind.__module__:
                texts = [repr(each), str(each), pretty(each), repr(getattr(each, "__dict__", ""))]
                shown.setdefault(kind.__name__, []).extend(texts)
    names = {"AgcodSession", "Credentials", "Issuer", "IssuedGiftCard", "Keys", "SQLiteLedger", "SigV4Signer"}
    assert names | {type(each).__name__ for each in kept} <= shown.keys()
    signature = steps.signature.reveal()
    assert_clean([text for texts in shown.values() for text in texts], {SECRET_KEY, code, signature})


async def test_everything_is_watched_in_every_test(canary, caplog):
    """The watch over the whole suite sees what the libraries below log, too, or it would guard nothing."""
    before = canary.seen.copy()
    async with ScriptedServer(wire.answer(RESEND, 400), wire.answer(CREATED)) as server:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        async with make_session(endpoint=endpoint) as session:
            await create(session)
    names = {record.name.partition(".")[0] for record in caplog.records}
    assert names >= {"httpcore", "agcod_async"}
    seen = canary.seen - before
    assert seen["log"] > seen["events"] > 0


@pytest.mark.reveals("output", because="it runs tests that let secrets out")
def test_a_leak_through_any_channel_fails_its_test():
    """A watch that has never found anything may be blind: tests that leak are run, and each must fail."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        "tests/support/leaky.py",
    ]
    environ = {**os.environ, "COLUMNS": "400"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environ, check=False)
    found = dict(
        re.findall(r"^ERROR .*::test_(\w+) - secrets were let out: (\w+)", done.stdout, re.MULTILINE)
    )
    passed = set(re.findall(r"^PASSED .*::test_(\w+)", done.stdout, re.MULTILINE))
    assert set(found.values()) == set(CHANNELS) - (set() if HAS_TELEMETRY else {"telemetry"})
    assert all(name.startswith(channel) for name, channel in found.items())
    assert passed - found.keys() == {"nothing", "nothing_that_was_not_said"}
    # What failed says where, and never what.
    shown = "".join(line for line in done.stdout.splitlines() if "let out" in line)
    assert SENSITIVE.search(shown) is None
