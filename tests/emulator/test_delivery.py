"""Every fault, as a real client sees it: over TLS, over a plain socket, and in process."""

import asyncio
import gzip
import json
import logging
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

pytest.importorskip("uvicorn", reason="pip install agcod-async[emulator]")
pytest.importorskip("trustme", reason="pip install agcod-async[emulator]")

from agcod_async.emulator import Emulator, Fault, FaultKind
from agcod_async.emulator.faults import CONNECTION_FAULTS

from . import clients, foreign

FIELDS = foreign.create_fields("Acme1a")
WAYS = [(way, name) for way in ("tls", "plain", "in process") for name in clients.LIBRARIES]
NOT_PLAIN = [way for way in WAYS if way[0] != "plain"]


@pytest.fixture(params=WAYS, ids=" ".join)
def way(request):
    """How the client reaches the gateway, and which library it is of."""
    return request.param


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog):
    """Faults are asked for: the server has nothing to complain about."""
    yield
    assert [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING] == []


@asynccontextmanager
async def _client(emulator, way, **options):
    kind, name = way
    library = clients.LIBRARIES[name]
    if kind == "in process":
        transport = emulator.transport() if library is httpx else emulator.httpx2_transport()
        async with library.AsyncClient(transport=transport, **options) as client:
            yield client, "https://localhost", library
        return
    async with (
        emulator.serve(tls=kind == "tls") as server,
        clients.client_of(library, server, **options) as client,
    ):
        yield client, server.url, library


@asynccontextmanager
async def _struck(emulator, way, kind, *, seconds=0.0, status=503, **options):
    """A client whose next call goes wrong."""
    async with _client(emulator, way, **options) as (client, url, library):
        if kind not in CONNECTION_FAULTS:
            # The connection is up already, so that the fault is the only thing that can go wrong.
            assert (await _post(client, emulator, url, fields={"partnerId": "Acme1"})).status_code == 200
        emulator.faults.once(kind, seconds=seconds, status=status)
        yield client, url, library


async def _post(client, emulator, url, fields=FIELDS):
    operation = "CreateGiftCard" if "value" in fields else "GetAvailableFunds"
    return await clients.post(client, emulator, url, operation, fields)


def _is_done(emulator):
    return "Acme1a" in emulator.state.cards


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "deliver_late"])
async def test_a_cut_connection(emulator, way, kind):
    """The library's own transport error, and the work is done or not as the name says."""
    async with _struck(emulator, way, kind, seconds=60) as (client, url, library):
        with pytest.raises((library.RemoteProtocolError, library.ReadError)):
            await _post(client, emulator, url)
        assert _is_done(emulator) is (kind == "drop_after")
        assert (await _post(client, emulator, url)).status_code == 200


async def test_a_late_delivery(emulator, clock):
    """The request takes effect when nobody waits for it any more, at its own time."""
    async with _struck(emulator, ("in process", "httpx"), "deliver_late", seconds=60) as (client, url, _):
        with pytest.raises(httpx.RemoteProtocolError):
            await _post(client, emulator, url)
        clock.shift(timedelta(seconds=59))
        assert not _is_done(emulator)
        clock.shift(timedelta(seconds=600))
        assert emulator.state.cards["Acme1a"].created_at == clock() - timedelta(seconds=599)


async def test_a_delivery_that_outlives_its_signature(emulator, clock):
    """After fifteen minutes a message in flight is dead: the gateway refuses it."""
    async with _struck(emulator, ("in process", "httpx"), "deliver_late", seconds=901) as (client, url, _):
        with pytest.raises(httpx.RemoteProtocolError):
            await _post(client, emulator, url)
        clock.shift(timedelta(hours=1))
        assert not _is_done(emulator)


async def test_a_duplicate(emulator, way, clock):
    """The second copy can do harm later: a cancel of a card that was created anew stays a cancel."""
    async with _struck(emulator, way, "duplicate", seconds=5) as (client, url, _):
        assert (await _post(client, emulator, url)).json()["status"] == "SUCCESS"
        assert len(emulator.state.activity) == 1
        clock.shift(timedelta(seconds=5))
        assert [one.is_real for one in emulator.state.activity] == [True, False]


async def test_a_duplicate_at_once(emulator):
    """Without a time, both copies arrive together."""
    async with _struck(emulator, ("in process", "httpx"), "duplicate") as (client, url, _):
        await _post(client, emulator, url)
        assert len(emulator.state.activity) == 2


@pytest.mark.parametrize("kind", ["resend_before", "resend_after"])
async def test_resend(emulator, way, kind):
    """F400, status RESEND: outcome unknown."""
    async with _struck(emulator, way, kind) as (client, url, _):
        response = await _post(client, emulator, url)
    assert response.status_code == 400
    assert (response.json()["errorCode"], response.json()["agcodResponse"]["status"]) == ("F400", "RESEND")
    assert _is_done(emulator) is (kind == "resend_after")


@pytest.mark.parametrize("kind", ["fault_before", "fault_after"])
async def test_faults_of_http(emulator, way, kind):
    """A status of the five hundreds with a page for people."""
    async with _struck(emulator, way, kind, status=502) as (client, url, _):
        response = await _post(client, emulator, url)
    assert (response.status_code, response.headers["content-type"]) == (502, "text/html")
    assert response.text.startswith("<html>")
    assert _is_done(emulator) is (kind == "fault_after")


async def test_a_throttle_storm(emulator, way):
    """ThrottlingException whatever the rate; nothing is done."""
    async with _struck(emulator, way, "throttle_storm") as (client, url, _):
        response = await _post(client, emulator, url)
    assert response.json() == {"message": "Rate exceeded"}
    assert not _is_done(emulator)


@pytest.mark.parametrize("kind", ["garbage", "bad_utf8", "deep_nesting"])
async def test_bodies_that_nobody_can_read(emulator, way, kind):
    """Noise, broken UTF-8, a hundred thousand levels: the work is done, and nothing can be read of it."""
    async with _struck(emulator, way, kind) as (client, url, _):
        response = await _post(client, emulator, url)
    assert response.status_code == 200
    with pytest.raises((ValueError, RecursionError)):
        json.loads(response.content)
    if kind == "bad_utf8":
        with pytest.raises(UnicodeDecodeError):
            response.content.decode()
    assert _is_done(emulator)


async def test_deep_nesting_in_xml(emulator):
    """In the format that was asked for."""
    async with _struck(emulator, ("in process", "httpx"), "deep_nesting") as (client, url, _):
        response = await clients.post(client, emulator, url, "CreateGiftCard", FIELDS, accept="*/*")
    assert response.content == b"<a>" * 100_000


async def test_a_gzip_bomb(emulator, way):
    """Some thirty kilobytes that become thirty-two megabytes."""
    async with _struck(emulator, way, "gzip_bomb") as (client, url, _):
        body = json.dumps(FIELDS).encode()
        headers = foreign.signed_headers(emulator, url, "CreateGiftCard", body)
        request = client.build_request("POST", f"{url}/CreateGiftCard", content=body, headers=headers)
        response = await client.send(request, stream=True)
        raw = b"".join([part async for part in response.aiter_raw()])
        await response.aclose()
    assert response.headers["content-encoding"] == "gzip"
    assert len(raw) < 40_000
    assert len(gzip.decompress(raw)) == 32 * 1024 * 1024


async def test_a_wrong_content_type(emulator, way):
    """The right body under a wrong name."""
    async with _struck(emulator, way, "wrong_content_type") as (client, url, _):
        response = await _post(client, emulator, url)
    assert response.headers["content-type"] == "text/html"
    assert response.json()["status"] == "SUCCESS"


async def test_a_truncated_body(emulator, way):
    """Fewer bytes than promised, and then the end."""
    async with _struck(emulator, way, "truncated") as (client, url, library):
        with pytest.raises(library.RemoteProtocolError):
            await _post(client, emulator, url)
    assert _is_done(emulator)


async def test_a_skewed_date(emulator, way, clock):
    """The Date header is wrong; the gateway's own clock is not."""
    async with _struck(emulator, way, "skewed_date", seconds=-3600) as (client, url, _):
        response = await _post(client, emulator, url)
        assert parsedate_to_datetime(response.headers["date"]) == clock() - timedelta(hours=1)
        assert (await _post(client, emulator, url)).headers["date"] == "Mon, 02 Mar 2026 12:00:00 GMT"


async def test_a_delay_that_the_client_waits_for(emulator, way):
    """The answer comes, only later."""
    async with _struck(emulator, way, "delay", seconds=0.02) as (client, url, _):
        started = asyncio.get_running_loop().time()
        response = await _post(client, emulator, url)
        assert asyncio.get_running_loop().time() - started >= 0.02
    assert response.status_code == 200


async def test_a_delay_that_the_client_does_not_wait_for(emulator, way):
    """A read timeout of the library's own, with the work done."""
    async with _struck(emulator, way, "delay", seconds=30, timeout=0.05) as (client, url, library):
        with pytest.raises(library.ReadTimeout):
            await _post(client, emulator, url)
        assert _is_done(emulator)


async def test_a_slow_drip(emulator, way):
    """Byte by byte; no single wait is long enough for a read timeout, the whole is."""
    async with _struck(emulator, way, "slow_drip", seconds=0.0001) as (client, url, _):
        response = await _post(client, emulator, url)
    assert response.json()["status"] == "SUCCESS"


async def test_a_drip_too_slow_for_the_client(emulator, way):
    """A read timeout in the middle of the body."""
    async with _struck(emulator, way, "slow_drip", seconds=30, timeout=0.05) as (client, url, library):
        with pytest.raises(library.ReadTimeout):
            await _post(client, emulator, url)
    assert _is_done(emulator)


async def test_a_drip_ends_with_its_client(emulator):
    """Whoever hangs up is not dripped on."""
    patience = httpx.Timeout(5.0, read=0.02)
    async with _client(emulator, ("plain", "httpx"), timeout=patience) as (client, url, library):
        emulator.faults.once("slow_drip", seconds=0.03)
        with pytest.raises(library.ReadTimeout):
            await _post(client, emulator, url)
        await client.aclose()
        await asyncio.sleep(0.08)


# Without a TLS handshake a reset connection cannot be told from one that was cut later.
@pytest.mark.parametrize("way", NOT_PLAIN, ids=" ".join)
async def test_a_refused_connection(emulator, way):
    """Counted: the library says that it could not connect."""
    async with _struck(emulator, way, "refuse_connection") as (client, url, library):
        with pytest.raises(library.ConnectError):
            await _post(client, emulator, url)
        assert not _is_done(emulator)
        assert (await _post(client, emulator, url)).status_code == 200


async def test_an_outage(emulator, way):
    """Nobody listens, not even for those who are connected already, until it is over."""
    async with _client(emulator, way) as (client, url, library):
        assert (await _post(client, emulator, url)).status_code == 200
        outage = emulator.faults.arm(Fault(FaultKind.REFUSE_CONNECTION))
        for _ in range(3):
            with pytest.raises(library.ConnectError):
                await _post(client, emulator, url)
        emulator.faults.disarm(outage)
        assert (await _post(client, emulator, url)).status_code == 200


@pytest.mark.parametrize("way", NOT_PLAIN, ids=" ".join)
async def test_an_expired_certificate(emulator, way):
    """A client that verifies goes away before it has sent anything."""
    async with _struck(emulator, way, "expired_certificate") as (client, url, library):
        with pytest.raises(library.ConnectError, match="expired"):
            await _post(client, emulator, url)
        assert not _is_done(emulator)
        assert (await _post(client, emulator, url)).status_code == 200


async def _seen(seed, way, clock):
    emulator = Emulator(clock=clock, throttle=None, seed=seed)
    for kind in ("drop_before", "drop_after", "garbage", "resend_after", "fault_before", "throttle_storm"):
        emulator.faults.arm(Fault(FaultKind(kind), probability=0.2))
    seen = []
    async with _client(emulator, way) as (client, url, library):
        for index in range(40):
            fields = foreign.create_fields(f"Acme1{index}", 1)
            try:
                response = await _post(client, emulator, url, fields)
            except library.TransportError:
                seen.append("cut")
            else:
                seen.append((response.status_code, response.content))
    return (
        seen,
        [(fired.kind, fired.request_id) for fired in emulator.faults.fired],
        emulator.state.snapshot(),
    )


async def test_faults_are_reproducible_from_their_seed(clock):
    """The same seed gives the same failures, byte for byte, over a socket and in process."""
    first = await _seen(7, ("tls", "httpx"), clock)
    assert await _seen(7, ("tls", "httpx2"), clock) == first
    assert await _seen(7, ("in process", "httpx"), clock) == first
    assert await _seen(8, ("in process", "httpx"), clock) != first
    assert len(set(first[1])) > 10


def test_every_fault_is_shown_above():
    """A new kind needs a test of its own."""
    shown = {
        "drop_before", "drop_after", "deliver_late", "duplicate", "resend_before", "resend_after",
        "fault_before", "fault_after", "throttle_storm", "garbage", "bad_utf8", "deep_nesting", "gzip_bomb",
        "wrong_content_type", "truncated", "skewed_date", "delay", "slow_drip", "refuse_connection",
        "expired_certificate",
    }  # fmt: skip
    assert shown == set(FaultKind)
