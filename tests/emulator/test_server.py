"""The gateway on a socket: what it binds, what it leaves behind, and what it survives."""

import asyncio
import json
import logging
import resource
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="pip install agcod-async[emulator]")
pytest.importorskip("trustme", reason="pip install agcod-async[emulator]")

import httpx

from agcod_async.emulator import Emulator, Fault, FaultKind, Settings, server

from . import clients, foreign

HEAD = b"POST /CreateGiftCard HTTP/1.1\r\nhost: localhost\r\n"


async def test_a_card_is_sold_over_tls():
    """A client that trusts the authority gets a card, by either name of the machine, in real time."""
    emulator = Emulator()
    async with emulator.serve() as running, clients.client_of(httpx, running) as client:
        for index, url in enumerate((running.url, f"https://127.0.0.1:{running.port}")):
            fields = foreign.create_fields(f"Acme1order{index}")
            response = await clients.post(client, emulator, url, "CreateGiftCard", fields)
            assert response.json()["gcId"] == emulator.state.cards[f"Acme1order{index}"].gc_id
    assert emulator.partner.funds == 10_000 - emulator.state.spent("Acme1") == 9949


async def test_what_a_client_needs_is_handed_over():
    """The environment variables of the client, and a repr without the secret."""
    emulator = Emulator(region="eu-west-1")
    async with emulator.serve() as running:
        assert running.environment == {
            "AGCOD_ENDPOINT": f"https://localhost:{running.port}",
            "AGCOD_REGION": "eu-west-1",
            "AGCOD_CA_FILE": running.ca_file,
            "AGCOD_PARTNER_ID": "Acme1",
            "AGCOD_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AGCOD_SECRET_ACCESS_KEY": emulator.partner.secret_access_key,
        }
        assert emulator.partner.secret_access_key not in repr(running)
    async with emulator.serve(tls=False) as running:
        assert running.url.startswith("http://localhost:")
        assert "AGCOD_CA_FILE" not in running.environment


async def test_a_client_that_does_not_trust_us_gets_nothing():
    """The authority exists for one run, and nobody knows it by default."""
    async with Emulator().serve() as running, httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{running.url}/sping")


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"content-length: 9\r\n\r\n"], ids=["", "head", "all"])
async def test_nothing_is_left_behind(tls, sent, caplog):
    """No task, socket, file or log line outlives the server, even with a client in mid-request."""
    before = asyncio.all_tasks()
    async with Emulator().serve(tls=tls) as running:
        trust = ssl.create_default_context(cafile=running.ca_file) if tls else None
        host = "localhost" if tls else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", running.port, ssl=trust, server_hostname=host
        )
        writer.write(sent)
        await _let_it_read()
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    assert asyncio.all_tasks() == before
    assert running.ca_file is None or not Path(running.ca_file).parent.exists()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", running.port))


async def _let_it_read():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_nothing_is_left_behind_when_cancelled(caplog):
    """Ctrl-C in the middle of everything: a handshake, an answer that is late, the body of the context."""
    before = asyncio.all_tasks()
    emulator = Emulator(throttle=None)
    emulator.faults.arm(Fault(FaultKind.DELAY, seconds=3600))
    started = asyncio.Event()
    ports = []

    async def serve():
        async with emulator.serve() as running, clients.client_of(httpx, running) as client:
            ports.append(running.port)
            _, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(b"\x16\x03\x01")  # the beginning of a handshake that will not go on
            fields = foreign.create_fields("Acme1a")
            waiting = asyncio.ensure_future(
                clients.post(client, emulator, running.url, "CreateGiftCard", fields)
            )
            while not emulator.state.cards:
                await asyncio.sleep(0)
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                writer.close()
                waiting.cancel()

    task = asyncio.ensure_future(serve())
    await started.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await _let_it_read()
    assert asyncio.all_tasks() == before
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", ports[0]))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
async def test_only_loopback_is_bound(host):
    """Nobody opens a gateway to the network by accident."""
    with pytest.raises(ValueError, match="allow_remote"):
        async with Emulator().serve(host=host):
            pass


async def test_other_addresses_need_an_explicit_word():
    """With it, they can be bound."""
    serving = Emulator().serve(host="0.0.0.0", allow_remote=True, tls=False)
    async with serving as running, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{running.port}/sping")).status_code == 200


async def test_ipv6_loopback():
    """As good as 127.0.0.1."""
    async with Emulator().serve(host="::1", tls=False) as running, httpx.AsyncClient() as client:
        assert (await client.get(f"http://[::1]:{running.port}/sping")).status_code == 200


async def test_a_port_that_is_taken_is_an_error():
    """And the socket that could not be bound is closed."""
    async with Emulator().serve(tls=False) as running:
        with pytest.raises(OSError, match="in use"):
            async with Emulator().serve(tls=False, port=running.port):
                pass


async def test_a_proxy_header_changes_nothing():
    """The body of what is signed is what arrived, whoever says to have forwarded it."""
    emulator = Emulator(throttle=None)
    async with emulator.serve(tls=False) as running, httpx.AsyncClient() as client:
        body = json.dumps({"partnerId": "Acme1"}).encode()
        headers = foreign.signed_headers(emulator, running.url, "GetAvailableFunds", body)
        headers |= {"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https"}
        response = await client.post(f"{running.url}/GetAvailableFunds", content=body, headers=headers)
    assert response.status_code == 200


async def _speak(port, *parts):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
        with suppress(ConnectionResetError):
            return await reader.read(4096)
    finally:
        writer.close()
    return b""


async def test_an_outage_lets_answers_under_way_arrive():
    """Only new connections are refused, and idle ones ended."""
    emulator = Emulator(throttle=None)
    emulator.faults.once(FaultKind.DELAY, seconds=0.05)
    async with emulator.serve(tls=False) as running, httpx.AsyncClient() as client:
        fields = foreign.create_fields("Acme1a")
        waiting = asyncio.ensure_future(clients.post(client, emulator, running.url, "CreateGiftCard", fields))
        while not emulator.state.cards:
            await asyncio.sleep(0)
        emulator.faults.arm(Fault(FaultKind.REFUSE_CONNECTION))
        emulator.faults.arm(Fault(FaultKind.DELAY))
        assert (await waiting).status_code == 200
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient() as other:
                await other.get(f"{running.url}/sping")


async def test_two_gigabytes_are_not_read():
    """The length alone is enough to refuse; nothing of the body is awaited."""
    async with Emulator().serve(tls=False) as running:
        answer = await _speak(running.port, HEAD + b"content-length: 2147483648\r\n\r\n", b"x" * 1000)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_without_end_is_not_read():
    """Without a length it is cut at the cap: memory grows by less than a megabyte for sixty-four sent."""
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    async with Emulator().serve(tls=False) as running:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = await _speak(running.port, HEAD + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 1000)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert answer.startswith(b"HTTP/1.1 413 ") or answer == b""
    assert after - before < 8 * 1024


async def test_a_header_without_end_is_not_read():
    """Thirty-two kilobytes of header are enough."""
    async with Emulator().serve(tls=False) as running:
        answer = await _speak(running.port, HEAD, *[b"x-long: " + b"x" * 8000 + b"\r\n"] * 64)
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""


async def test_noise_is_answered_400():
    """And by nothing else."""
    async with Emulator().serve(tls=False) as running:
        assert (await _speak(running.port, b"\x00\xff noise\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_two_hundred_thousand_levels():
    """Signed and well within a raised cap, in both formats: refused, and the next request is answered."""
    emulator = Emulator(throttle=None, settings=Settings(max_body=2_000_000))
    async with emulator.serve(tls=False) as running, httpx.AsyncClient() as client:
        for body, kind in ((b'{"a":' * 200_000, foreign.JSON), (b"<a>" * 200_000, foreign.XML)):
            headers = foreign.signed_headers(emulator, running.url, "CreateGiftCard", body, content_type=kind)
            response = await client.post(f"{running.url}/CreateGiftCard", content=body, headers=headers)
            assert response.status_code == 400
        fields = foreign.create_fields("Acme1a")
        response = await clients.post(client, emulator, running.url, "CreateGiftCard", fields)
    assert response.status_code == 200


async def test_a_slow_sender_is_cut_off():
    """A body that drips, and a head that never comes, hold a connection for as long as is allowed."""
    async with Emulator(body_timeout=0.02).serve(tls=False) as running:
        answer = await _speak(running.port, HEAD + b"content-length: 100\r\n\r\n", b"x")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert await _speak(running.port, b"POST /Create") == b""


async def test_too_many_connections_are_reset(monkeypatch):
    """The ones that are there go on; memory has a bound."""
    monkeypatch.setattr(server, "CONNECTIONS", 2)
    async with Emulator().serve(tls=False) as running:
        limits = httpx.Limits(max_keepalive_connections=2)
        async with httpx.AsyncClient(limits=limits) as client:
            first = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(2)]
            await _let_it_read()
            with pytest.raises(httpx.TransportError):
                await client.get(f"{running.url}/sping")
            for _, writer in first:
                writer.write(b"GET /sping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            for reader, writer in first:
                assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
                writer.close()
            assert (await client.get(f"{running.url}/sping")).status_code == 200


async def test_out_of_file_descriptors():
    """A connection that cannot be accepted now is accepted a moment later."""
    async with Emulator().serve(tls=False) as running:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as client:
            client.setblocking(False)
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno(), hard))
            try:
                await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", running.port))
                await _let_it_read()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, b"GET /sping HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert (await loop.sock_recv(client, 100)).startswith(b"HTTP/1.1 200 ")
