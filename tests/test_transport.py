"""The transport: real sockets, every family of client, every way in which an exchange goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import traceback

import httpx
import pytest

from agcod_async import (
    AgcodError,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    MalformedResponse,
    ResponseTimeout,
)
from agcod_async.transport import MAX_BODY, HTTPXTransport, tls_context
from agcod_async.wire import HTTPRequest
from tests.support import server as wire
from tests.support.clients import FAMILIES, INJECTED, make_client, open_client
from tests.support.leaks import SENSITIVE
from tests.support.optional import require
from tests.support.server import ScriptedServer

BODY = b'{"status":"SUCCESS"}'


def make_request(origin: str, body: bytes = b'{"partnerId":"Acme1"}') -> HTTPRequest:
    headers = {
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKID/x, SignedHeaders=host, Signature=" + 64 * "0",
        "content-type": "application/json",
        "host": origin.partition("://")[2],
        "user-agent": "agcod-async/test",
        "x-amz-date": "20260301T120000Z",
        "x-amz-target": "com.amazonaws.agcod.AGCODService.GetAvailableFunds",
    }
    return HTTPRequest(origin=origin, path="/GetAvailableFunds", headers=headers, body=body)


@contextlib.asynccontextmanager
async def open_transport(family: str, timeout: float = 5.0, verify: object = False, **options: object):
    async with open_client(family, verify, **options) as client:
        transport = HTTPXTransport(client, timeout=timeout)
        try:
            yield transport
        finally:
            await transport.aclose()


@pytest.fixture(params=FAMILIES)
def family(request):
    """Each kind of client, skipped where its package is missing."""
    make_client_or_skip(request.param)
    return request.param


@pytest.fixture(params=INJECTED)
def injected(request):
    """Each kind of client that a caller can bring."""
    make_client_or_skip(request.param)
    return request.param


def make_client_or_skip(name: str) -> None:
    for module in {"httpx2": ["httpx2"], "aiohttp": ["aiohttp", "httpx_aiohttp"]}.get(name, []):
        require(module)


# What is sent, and what is read


async def test_sends_the_request_exactly_and_reads_the_answer(family):
    """The signature covers these bytes and headers: a client that changes one gets a refusal."""
    async with (
        ScriptedServer(wire.answer(BODY, 200, {"X-Thing": "one"})) as server,
        open_transport(family) as transport,
    ):
        request = make_request(server.url)
        response = await transport.send(request)
    assert (response.status, response.body) == (200, BODY)
    assert response.headers["x-thing"] == "one"
    (received,) = server.requests
    assert received.request_line == "POST /GetAvailableFunds HTTP/1.1"
    assert received.body == request.body
    extra = received.headers.keys() - request.headers.keys()
    assert extra <= {"content-length", "connection"}
    assert {name: received.headers[name] for name in request.headers} == dict(request.headers)


async def test_sends_over_tls(family, tls):
    """Every family speaks real TLS to a server whose certificate is trusted."""
    async with ScriptedServer(wire.answer(BODY), tls=tls.server) as server:
        if family == "own":
            transport = HTTPXTransport(None, timeout=5, ca_file=tls.ca_file)
            response = await transport.send(make_request(server.url))
            await transport.aclose()
        else:
            async with open_transport(family, verify=tls.client) as transport:
                response = await transport.send(make_request(server.url))
    assert response.body == BODY


async def test_an_untrusted_certificate_is_a_failed_connect(family, tls):
    """Verification is always on, and a request that met a stranger never left this machine."""
    verify = ssl.create_default_context()
    async with (
        ScriptedServer(wire.answer(BODY), tls=tls.server) as server,
        open_transport(family, verify=verify) as transport,
    ):
        with pytest.raises(ConnectFailed) as caught:
            await transport.send(make_request(server.url))
        assert server.requests == []
    assert caught.value.outcome == "not_sent"


async def test_the_connection_is_kept_for_the_next_request(family):
    """A handshake per call would cost more than the call."""
    async with ScriptedServer(wire.answer(BODY)) as server, open_transport(family) as transport:
        for _ in range(3):
            await transport.send(make_request(server.url))
        assert (len(server.requests), server.connections) == (3, 1)


async def test_a_body_in_chunks_is_put_together(family):
    """HTTP/1.1 servers may answer without a length."""
    async with ScriptedServer(wire.chunked(BODY)) as server, open_transport(family) as transport:
        assert (await transport.send(make_request(server.url))).body == BODY


async def test_a_body_of_just_the_cap_is_read(family):
    """The cap itself is allowed: it must not cut off what the service may send."""
    async with (
        ScriptedServer(wire.answer(b" " * MAX_BODY)) as server,
        open_transport(family, timeout=20) as transport,
    ):
        assert len((await transport.send(make_request(server.url))).body) == MAX_BODY


async def test_an_error_status_is_an_answer_like_any_other(family):
    """The verdict is in the body; the transport does not judge."""
    async with ScriptedServer(wire.answer(b"no", 503)) as server, open_transport(family) as transport:
        response = await transport.send(make_request(server.url))
    assert (response.status, response.body) == (503, b"no")


async def test_a_redirect_is_not_followed(injected):
    """A followed redirect would send a signed order for money to a place nobody chose."""
    async with (
        ScriptedServer(wire.answer(BODY)) as elsewhere,
        ScriptedServer(wire.redirect(f"{elsewhere.url}/GetAvailableFunds")) as server,
        open_transport(injected, follow_redirects=True) as transport,
    ):
        assert (await transport.send(make_request(server.url))).status == 307
        assert elsewhere.requests == []


# What goes wrong: the error class, and what is known about the money

TROUBLES = {
    "closed before answering": (wire.close_before_answering(), ConnectionLost),
    "closed after the headers": (wire.close_after_headers(), ConnectionLost),
    "truncated body": (wire.truncated(BODY), ConnectionLost),
    "reset": (wire.reset(), ConnectionLost),
    "no HTTP": (wire.garbage(), ConnectionLost),
    "never answered": (wire.never(), ResponseTimeout),
    "never ending": (wire.drip(b"{"), ResponseTimeout),
    "compressed": (wire.compressed(BODY), MalformedResponse),
    "oversized": (wire.oversized(), MalformedResponse),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_whatever_goes_wrong_after_sending_is_unknown(family, trouble):
    """The request arrived, so the card may exist: no family may call that "not sent" or "refused"."""
    step, expected = TROUBLES[trouble]
    timeout = 0.3 if expected is ResponseTimeout else 10.0
    async with ScriptedServer(step) as server, open_transport(family, timeout) as transport:
        with pytest.raises(AgcodError) as caught:
            await transport.send(make_request(server.url))
        assert len(server.requests) == 1
    assert type(caught.value) is expected
    assert caught.value.outcome == "unknown"
    assert caught.value.is_retry_safe
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_pool_is_usable_after_trouble(family, trouble):
    """One broken exchange neither leaks its connection nor poisons the next one."""
    step, expected = TROUBLES[trouble]
    timeout = 0.3 if expected is ResponseTimeout else 10.0
    async with (
        ScriptedServer(step, wire.answer(BODY)) as server,
        open_transport(family, timeout) as transport,
    ):
        with pytest.raises(AgcodError):
            await transport.send(make_request(server.url))
        assert (await transport.send(make_request(server.url))).body == BODY
        await server.until(lambda: server.open_connections == 1)


async def test_a_kept_connection_lost_after_sending_is_not_a_failed_connect(family):
    """httpx-aiohttp calls this a ConnectTimeout: believing it would report a bought card as not sent."""
    async with (
        ScriptedServer(wire.answer(BODY), wire.close_before_answering()) as server,
        open_transport(family) as transport,
    ):
        await transport.send(make_request(server.url))
        with pytest.raises(ConnectionLost) as caught:
            await transport.send(make_request(server.url))
        assert len(server.requests) == 2
    assert caught.value.outcome == "unknown"


async def test_refused_connections_never_left_this_machine(family):
    """Nobody listens: the one case in which nothing can have happened."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with open_transport(family) as transport:
            with pytest.raises(ConnectFailed) as caught:
                await transport.send(make_request(origin))
    assert caught.value.outcome == "not_sent"
    assert caught.value.is_retry_safe


async def test_a_connection_that_never_opens_never_left_this_machine(family):
    """Half of the time is for connecting, so that a dead host is told from a silent one."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # The kernel completes handshakes until the queue is full; then connecting hangs.
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with open_transport(family, timeout=0.3) as transport:
            with pytest.raises(ConnectFailed) as caught:
                await transport.send(make_request(f"http://127.0.0.1:{full.getsockname()[1]}"))
    assert caught.value.outcome == "not_sent"


async def test_a_full_pool_never_left_this_machine(injected):
    """Waiting for a connection of a busy client is waiting before sending."""
    library = __import__("httpx2" if injected == "httpx2" else "httpx")
    async with (
        ScriptedServer(wire.never()) as server,
        open_transport(injected, 1.0, limits=library.Limits(max_connections=1)) as first,
    ):
        second = HTTPXTransport(first._client, timeout=0.3)
        busy = asyncio.create_task(first.send(make_request(server.url)))
        await server.received(1)
        with pytest.raises(ConnectFailed) as caught:
            await second.send(make_request(server.url))
        busy.cancel()
        with pytest.raises(asyncio.CancelledError):
            await busy
        assert len(server.requests) == 1
    assert caught.value.outcome == "not_sent"


async def test_a_reset_while_the_body_is_sent_is_unknown(family):
    """The service may have read enough of it: only a connection that never was is "not sent"."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        loop = asyncio.get_running_loop()

        async def slam() -> None:
            accepted, _ = await loop.sock_accept(listener)
            await loop.sock_recv(accepted, 100)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()

        slamming = asyncio.create_task(slam())
        async with open_transport(family) as transport:
            with pytest.raises(ConnectionLost) as caught:
                await transport.send(
                    make_request(f"http://127.0.0.1:{listener.getsockname()[1]}", b" " * 2**20)
                )
        await slamming
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_is_an_answer(family, status):
    """A strange proxy's status is passed on: whoever reads the body will find that none is there."""
    async with (
        ScriptedServer(wire.raw(wire.head(status, {"Connection": "close"}))) as server,
        open_transport(family) as transport,
    ):
        response = await transport.send(make_request(server.url))
    assert (response.status, response.body) == (status, b"")


async def test_a_time_limit_of_the_clients_own_is_a_timeout():
    """A caller's client may have limits below ours; after sending they leave the outcome unknown."""

    def never_answers(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("the caller's own transport gave up", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(never_answers)) as client:
        with pytest.raises(ResponseTimeout) as caught:
            await HTTPXTransport(client, timeout=5).send(make_request("http://127.0.0.1:9"))
    assert caught.value.outcome == "unknown"


async def test_the_refusal_of_a_header_does_not_quote_it():
    """Libraries complain about a bad header by quoting it, and one of them is the signature."""
    quoted = "Signature=" + 64 * "a"

    def complain(_: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError(f"Illegal header value b'AWS4-HMAC-SHA256 {quoted}'")

    async with httpx.AsyncClient(transport=httpx.MockTransport(complain)) as client:
        with pytest.raises(ConnectionLost, match="LocalProtocolError: Illegal header value") as caught:
            await HTTPXTransport(client, timeout=5).send(make_request("http://127.0.0.1:9"))
    assert SENSITIVE.search(str(caught.value)) is None


async def test_a_request_that_is_no_http_never_leaves(family):
    """Whatever the library says to a broken header, the call ends in an error of ours."""
    request = make_request("http://127.0.0.1:9")
    broken = HTTPRequest(
        origin=request.origin,
        path=request.path,
        headers={**request.headers, "authorization": "line\nend"},
        body=b"",
    )
    async with open_transport(family) as transport:
        with pytest.raises(AgcodError):
            await transport.send(broken)


# Clients of the caller


async def test_an_injected_client_is_not_closed(injected):
    """Others use it too: its owner closes it."""
    async with open_client(injected) as client:
        transport = HTTPXTransport(client, timeout=5)
        await transport.aclose()
        assert not client.is_closed
        async with ScriptedServer(wire.answer(BODY)) as server:
            assert (await transport.send(make_request(server.url))).body == BODY


async def test_the_own_client_is_closed():
    """What the transport made, it cleans up: no connection stays open behind a closed session."""
    async with ScriptedServer(wire.answer(BODY)) as server:
        transport = HTTPXTransport(None, timeout=5)
        await transport.send(make_request(server.url))
        assert server.open_connections == 1
        await transport.aclose()
        await server.until(lambda: server.open_connections == 0)


async def test_slow_answers_cost_no_connections():
    """Thirty in flight, again and again, share thirty connections: nobody pays for a second handshake."""

    async def together(connection):
        wave = -(-len(server.requests) // 30)
        await server.received(30 * wave)
        return await wire.answer(BODY)(connection)

    transport = HTTPXTransport(None, timeout=5)
    async with ScriptedServer(together) as server:
        for _ in range(3):
            await asyncio.gather(*(transport.send(make_request(server.url)) for _ in range(30)))
        assert server.connections == 30
        await transport.aclose()


async def test_an_injected_clients_defaults_change_nothing(injected):
    """Its auth would replace the signature, its headers break it, its base_url lead elsewhere."""
    options = {
        "auth": ("user", "password"),
        "headers": {"accept": "*/*", "x-extra": "1", "user-agent": "mine"},
        "cookies": {"session": "1"},
        "params": {"query": "1"},
        "base_url": "http://127.0.0.1:9/elsewhere",
    }
    async with (
        ScriptedServer(wire.answer(BODY, headers={"Set-Cookie": "a=b"})) as server,
        open_transport(injected, **options) as transport,
    ):
        request = make_request(server.url)
        await transport.send(request)
        await transport.send(request)
    for received in server.requests:
        assert received.request_line == "POST /GetAvailableFunds HTTP/1.1"
        assert received.headers.keys() - request.headers.keys() <= {"content-length", "connection"}
        assert {name: received.headers[name] for name in request.headers} == dict(request.headers)


async def test_a_closed_client_never_sends(family):
    """Nothing left this machine, and a repeat cannot either: no reason to wonder about the money."""
    client = make_client(family)
    transport = HTTPXTransport(client, timeout=5)
    await (client or transport).aclose()
    with pytest.raises(ConfigurationError, match="closed") as caught:
        await transport.send(make_request("http://127.0.0.1:9"))
    assert caught.value.outcome == "not_sent"


async def test_a_subclass_of_a_client_is_recognised_by_its_family():
    """Instrumented clients derive from the library's, and their errors are the library's."""

    class Traced(httpx.AsyncClient):
        pass

    async with Traced() as client, ScriptedServer(wire.never()) as server:
        with pytest.raises(ResponseTimeout):
            await HTTPXTransport(client, timeout=0.3).send(make_request(server.url))


def test_another_kind_of_client_is_refused_by_name():
    """A requests session, say, would fail at the first payment otherwise."""
    with pytest.raises(ConfigurationError, match=r"http_client: expected .* got object"):
        HTTPXTransport(object(), timeout=6)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_cannot_work_is_refused(timeout):
    """Every call would time out, each of them with an unknown outcome."""
    with pytest.raises(ConfigurationError, match="timeout"):
        HTTPXTransport(None, timeout=timeout)


async def test_a_ca_file_for_an_injected_client_is_refused():
    """It would be ignored without a word, and the connection fail or trust another authority."""
    async with httpx.AsyncClient() as client:
        with pytest.raises(ConfigurationError, match="ca_file"):
            HTTPXTransport(client, timeout=6, ca_file="ca.pem")


def test_a_missing_ca_file_is_named(tmp_path):
    """The ssl module would only say that there is no such file."""
    with pytest.raises(ConfigurationError, match=r"absent\.pem"):
        HTTPXTransport(None, timeout=6, ca_file=str(tmp_path / "absent.pem"))


# The environment and TLS


async def test_proxies_of_the_environment_are_ignored(monkeypatch):
    """A variable set for something else must not lead money through a stranger."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with ScriptedServer(wire.answer(BODY)) as server, open_transport("own") as transport:
        assert (await transport.send(make_request(server.url))).body == BODY


def test_trusted_authorities_of_the_environment_are_ignored(monkeypatch, tls):
    """SSL_CERT_FILE would make every holder of that authority a possible Amazon."""
    monkeypatch.setenv("SSL_CERT_FILE", tls.ca_file)
    tls_context.cache_clear()
    try:
        assert len(tls_context(None).get_ca_certs()) > 1
    finally:
        tls_context.cache_clear()


async def test_the_tls_context_is_made_once():
    """It costs 20 ms and most of a MiB, so ten sessions of a process share one."""
    tls_context.cache_clear()
    transports = [HTTPXTransport(None, timeout=6) for _ in range(10)]
    assert tls_context.cache_info().misses == 1
    for transport in transports:
        await transport.aclose()


async def test_the_tls_context_is_made_lazily():
    """Whoever brings a client does not pay for a context that is never used."""
    tls_context.cache_clear()
    async with httpx.AsyncClient(verify=False) as client:
        HTTPXTransport(client, timeout=6)
    assert tls_context.cache_info().misses == 0


def test_tls_is_verified_and_at_least_1_2():
    """Older protocols can be broken, and an unverified peer can be anybody."""
    context = tls_context(None)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


# Cancellation


async def test_cancelling_while_sending_gives_the_connection_back(family):
    """A client that hung up must not cost the pool a connection, and the transport works on."""
    async with (
        ScriptedServer(wire.never(), wire.answer(BODY)) as server,
        open_transport(family) as transport,
    ):
        before = asyncio.all_tasks()
        sending = asyncio.create_task(transport.send(make_request(server.url)))
        await server.received(1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.until(lambda: server.open_connections == 0)
        assert (await transport.send(make_request(server.url))).body == BODY
        assert {task for task in asyncio.all_tasks() - before if "_serve" not in repr(task)} == set()


async def test_an_outer_timeout_is_not_mistaken_for_our_own(family):
    """asyncio.timeout of the caller raises TimeoutError there, and not a ResponseTimeout here."""
    async with ScriptedServer(wire.never()) as server, open_transport(family) as transport:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await transport.send(make_request(server.url))
        await server.until(lambda: server.open_connections == 0)


def shown_with_locals(error: BaseException) -> str:
    """Return the traceback as error reporters print it."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


async def test_a_large_answer_with_a_code_leaves_none_in_the_traceback(family):
    """The refused body may hold a claim code, and tracebacks may be logged with locals."""
    async with (
        ScriptedServer(wire.oversized(wire.CLAIM_CODE.encode())) as server,
        open_transport(family, 20) as transport,
    ):
        with pytest.raises(MalformedResponse) as caught:
            await transport.send(make_request(server.url))
    assert SENSITIVE.search(shown_with_locals(caught.value)) is None


@pytest.mark.parametrize("step", [wire.never(), wire.drip(wire.CLAIM_CODE.encode())])
async def test_a_cancelled_request_leaves_no_secret_in_the_traceback(family, step):
    """The library's frames hold the signature, and whoever cancelled may log with locals."""
    async with ScriptedServer(step) as server, open_transport(family) as transport:
        sending = asyncio.create_task(transport.send(make_request(server.url)))
        await server.received(1)
        await wire.settle()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await sending
    assert SENSITIVE.search(shown_with_locals(caught.value)) is None


async def test_a_closed_client_of_the_caller_is_said_to_be_closed(injected):
    """Nothing was sent, so nothing is unknown."""
    async with ScriptedServer(wire.answer(b"{}")) as server:
        client = make_client(injected)
        transport = HTTPXTransport(client, timeout=5.0)
        await client.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await transport.send(make_request(server.url))
        assert server.requests == []


def test_a_client_that_would_block_the_loop_is_refused():
    """A synchronous client has the same methods, and would send without being awaited."""
    with httpx.Client(verify=False) as client, pytest.raises(ConfigurationError, match="got Client"):
        HTTPXTransport(client, timeout=5.0)  # type: ignore[arg-type]


def test_a_ca_file_that_is_no_certificate_is_named(tmp_path):
    """A key, or a page of a proxy, saved in its place."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"ca\.pem is not a PEM file"):
        HTTPXTransport(None, timeout=5.0, ca_file=str(file))
