"""Secrets Manager over a real socket: a server that speaks its JSON protocol, and boto3 that signs to it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest

from agcod_async import CredentialsUnavailable, Money
from tests.support.leaks import SENSITIVE
from tests.support.sessions import CREATED, OpenThrottle, make_session, response
from tests.support.transports import ScriptedTransport

pytest.importorskip("boto3", reason="pip install agcod-async[aws]")

from agcod_async.credentials.secrets_manager import SecretsManagerCredentials, _unlogged_answers

from .providers import NEW, OLD
from .test_file import document

STORED = datetime(2026, 2, 1, 12, tzinfo=UTC)


class SecretsManager:
    """The one operation that is asked for; what it holds, and what it was asked."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []
        self.garbage = b""
        self.opened = threading.Event()
        self.opened.set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                order = json.loads(self.rfile.read(int(self.headers["content-length"])))
                assert self.headers["x-amz-target"] == "secretsmanager.GetSecretValue"
                assert "AKIDAWS/" in self.headers["authorization"]
                service.asked.append(order)
                assert service.opened.wait(10)
                status, body = service.answer(order)
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.1")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, order: dict[str, Any]) -> tuple[int, bytes]:
        if self.garbage:
            return 200, self.garbage
        found = self.secrets.get(order["SecretId"])
        if found is None:
            kind = {"__type": "ResourceNotFoundException", "Message": "can't find the specified secret."}
            return 400, json.dumps(kind).encode()
        facts = {"ARN": "arn", "Name": order["SecretId"], "VersionId": "1", "CreatedDate": STORED.timestamp()}
        return 200, json.dumps({**facts, **found}).encode()

    def put(self, name: str, text: str) -> None:
        self.secrets[name] = {"SecretString": text}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def service(monkeypatch) -> Iterator[SecretsManager]:
    """The service, and an environment in which boto3 finds it with a key of its own."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDAWS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with SecretsManager() as service:
        service.put("agcod/live", document(OLD))
        yield service


def provider_of(
    service: SecretsManager, name: str = "agcod/live", **options: Any
) -> SecretsManagerCredentials:
    return SecretsManagerCredentials(name, region_name="us-east-1", endpoint_url=service.url, **options)


async def test_a_pair_is_read(service):
    """And the next version of the secret after it."""
    provider = provider_of(service)
    pair = await provider.get_credentials()
    assert (pair, pair.key_created) == (OLD, STORED)
    service.put("agcod/live", document(NEW))
    assert await provider.get_credentials() == NEW
    assert service.asked == [{"SecretId": "agcod/live"}] * 2
    assert repr(provider) == "SecretsManagerCredentials('agcod/live')"


async def test_a_secret_may_say_its_age_and_be_bytes(service):
    """The day on which a key was made is older than the one on which it was stored."""
    text = document(OLD).replace("{", '{"key_created": "2026-01-01T00:00:00Z", ', 1)
    service.secrets["agcod/live"] = {"SecretBinary": base64.b64encode(text.encode()).decode()}
    pair = await provider_of(service).get_credentials()
    assert (pair, pair.key_created) == (OLD, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda service: service.secrets.clear(), "secret agcod/live: ResourceNotFoundException$"),
        (lambda service: service.put("agcod/live", ""), "secret agcod/live: it is empty$"),
        (
            lambda service: service.put("agcod/live", '{"password": "canary-secret-key"}'),
            "missing required field",
        ),
        (lambda service: setattr(service, "garbage", b"<html>"), "secret agcod/live: it is empty$"),
    ],
)
async def test_a_secret_without_a_pair(service, spoil, says):
    """What is wrong, and which secret; nothing of its content."""
    spoil(service)
    with pytest.raises(CredentialsUnavailable, match=says) as caught:
        await provider_of(service).get_credentials()
    assert caught.value.outcome == "not_sent"
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert SENSITIVE.search(shown) is None


async def test_a_service_that_is_not_there():
    """Named as what it is, within a session's patience."""
    provider = SecretsManagerCredentials("s", region_name="us-east-1", endpoint_url="http://127.0.0.1:1")
    with pytest.raises(CredentialsUnavailable, match=r"secret s: (EndpointConnection|NoCredentials)Error$"):
        await provider.get_credentials()


async def test_a_session_goes_on_while_it_hangs(service):
    """The pair in hand is good; one thread waits for the next."""
    provider = provider_of(service, max_age=0.0)
    transport = ScriptedTransport(*[response(CREATED)] * 20)
    async with make_session(transport, credentials=provider, throttle=OpenThrottle()) as session:
        await session.create_gift_card("Acme1X0001", Money("25.00", "USD"))
        service.opened.clear()
        calls = [session.create_gift_card("Acme1X0001", Money("25.00", "USD")) for _ in range(19)]
        await asyncio.wait_for(asyncio.gather(*calls), 5)
        assert len(service.asked) == 2
        service.opened.set()
        # The thread ends before the server does.
        assert await provider.get_credentials() == OLD


async def test_nobody_logs_the_answer(service, caplog):
    """At DEBUG botocore logs whatever it reads; of others' answers it still may."""
    records: list[str] = []

    class Everything(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(f"{record.name} {record.getMessage()} {record.args!r}")

    handler, logger = Everything(), logging.getLogger()
    caplog.set_level(logging.DEBUG)
    logger.addHandler(handler)
    try:
        assert await provider_of(service).get_credentials() == OLD
        parsers = logging.getLogger("botocore.parsers")
        parsers.debug("Response body of somebody else")
    finally:
        logger.removeHandler(handler)
    assert any(record.startswith("botocore") for record in records)
    assert any("somebody else" in record for record in records)
    assert not any("canary-secret-key" in record for record in records)
    assert parsers.filters == []


def test_another_threads_answers_are_logged(service, caplog):
    """Whoever debugs another service at the same moment sees what belongs there."""
    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("botocore.parsers")
    with _unlogged_answers():
        logger.debug("of this thread")
        other = threading.Thread(target=logger.debug, args=("of another thread",))
        other.start()
        other.join()
    assert [record.getMessage() for record in caplog.records if record.name == logger.name] == [
        "of another thread"
    ]
