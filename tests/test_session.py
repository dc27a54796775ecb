"""The session: configuration, life cycle, hooks, and many tasks at once."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import httpx
import pytest

from agcod_async import (
    Account,
    AgcodError,
    AgcodSession,
    ConfigurationError,
    ConnectionLost,
    Credentials,
    Endpoint,
    LocalThrottle,
    Money,
    ResponseTimeout,
    UnlistedCurrency,
)
from agcod_async.events import LOGGER
from agcod_async.wire import HTTPRequest, HTTPResponse
from tests.support import server as wire
from tests.support.server import ScriptedServer
from tests.support.sessions import (
    CREATED,
    CREDENTIALS,
    FUNDS,
    NO_RETRY,
    OpenThrottle,
    make_session,
    notable,
    response,
)
from tests.support.transports import ScriptedTransport
from tests.support.virtual_time import run_virtually, virtual_time

ENVIRON = {
    "AGCOD_PARTNER_ID": "Acme1",
    "AGCOD_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AGCOD_SECRET_ACCESS_KEY": "canary-secret-key",
    "AGCOD_ENDPOINT": "eu-sandbox",
}
USD = Money("25.00", "USD")


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in ENVIRON.items() if key != name}


@pytest.fixture
def log():
    """The package's logger, put back as it was."""
    level, handlers = LOGGER.level, list(LOGGER.handlers)
    yield LOGGER
    LOGGER.setLevel(level)
    LOGGER.handlers[:] = handlers


def echo(request: HTTPRequest) -> HTTPResponse:
    """Answer a create with a card of the id that it asks for."""
    start = request.body.index(b"Acme1X")
    return response(CREATED.replace(b"Acme1X0001", request.body[start : start + 10]))


# From the environment


async def test_a_session_is_configured_by_the_environment():
    """Twelve-factor deployments have no code of their own for this."""
    transport = ScriptedTransport(response(FUNDS))
    async with AgcodSession.from_env(ENVIRON, transport=transport) as session:
        assert (session.partner_id, session.endpoint) == ("Acme1", Endpoint.EU_SANDBOX)
        assert (await session.get_available_funds()).available_funds == Money("812.5", "USD")
    (request,) = transport.requests
    assert "Credential=AKIDEXAMPLE/" in request.headers["authorization"]
    assert "/eu-west-1/" in request.headers["authorization"]


async def test_the_processs_environment_is_the_default(monkeypatch):
    """Called without a mapping, the real environment is read."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    async with AgcodSession.from_env(transport=ScriptedTransport()) as session:
        assert session.endpoint is Endpoint.EU_SANDBOX


@pytest.mark.parametrize("name", ENVIRON)
def test_a_missing_variable_is_named(name):
    """At start-up, and not at the first payment."""
    for environ in (without(name), ENVIRON | {name: "  "}):
        with pytest.raises(ConfigurationError, match=f"environment variable {name} is not set"):
            AgcodSession.from_env(environ)


def test_an_endpoint_can_be_a_url():
    """A proxy or the emulator; its region has to be said."""
    environ = ENVIRON | {"AGCOD_ENDPOINT": "https://localhost:8443", "AGCOD_REGION": "us-west-2"}
    session = AgcodSession.from_env(environ, transport=ScriptedTransport())
    assert (session.endpoint.origin, session.endpoint.region) == ("https://localhost:8443", "us-west-2")
    with pytest.raises(ConfigurationError, match="AGCOD_REGION"):
        AgcodSession.from_env(ENVIRON | {"AGCOD_ENDPOINT": "https://localhost:8443"})


async def test_a_url_can_bring_its_authority(tls):
    """The emulator's certificate is made on the spot: its authority is trusted by file."""
    async with ScriptedServer(wire.answer(FUNDS), tls=tls.server) as server:
        environ = ENVIRON | {
            "AGCOD_ENDPOINT": server.url,
            "AGCOD_REGION": "us-east-1",
            "AGCOD_CA_FILE": tls.ca_file,
        }
        async with AgcodSession.from_env(environ) as session:
            assert (await session.get_available_funds()).status == "SUCCESS"


def test_the_log_can_be_switched_on(log, capsys):
    """AGCOD_LOG=debug shows what happens without a line of code."""
    AgcodSession.from_env(ENVIRON | {"AGCOD_LOG": "debug"}, transport=ScriptedTransport())
    assert log.level == logging.DEBUG
    log.debug("hello")
    assert "DEBUG agcod_async hello" in capsys.readouterr().err


def test_an_unknown_log_level_is_refused(log):
    """A typing error must not switch the log off in silence."""
    with pytest.raises(ConfigurationError, match="AGCOD_LOG"):
        AgcodSession.from_env(ENVIRON | {"AGCOD_LOG": "loud"})


@virtual_time
async def test_rotated_variables_are_read_again():
    """Keys are rotated every 180 days, and the process need not be restarted for it."""
    environ = dict(ENVIRON)
    transport = ScriptedTransport(response(FUNDS), response(FUNDS))
    async with AgcodSession.from_env(environ, transport=transport, throttle=OpenThrottle()) as session:
        await session.get_available_funds()
        environ["AGCOD_ACCESS_KEY_ID"] = "AKIDROTATED"
        await asyncio.sleep(1)
        await session.get_available_funds()
    assert ["AKIDROTATED" in request.headers["authorization"] for request in transport.requests] == [
        False,
        True,
    ]


# Arguments


@pytest.mark.parametrize("partner_id", ["", "Acme 1", "Acmé", None])
def test_a_partner_id_that_begins_no_request_id_is_refused(partner_id):
    """Every call would be refused by the service."""
    with pytest.raises(ConfigurationError, match="partner_id"):
        AgcodSession(partner_id, CREDENTIALS, Endpoint.NA_SANDBOX, transport=ScriptedTransport())


def test_an_unknown_format_is_refused():
    """There are two."""
    with pytest.raises(ConfigurationError, match="wire_format: 'yaml'"):
        make_session(ScriptedTransport(), wire_format="yaml")


async def test_a_transport_and_a_client_are_too_many():
    """One of them would be ignored without a word."""
    async with httpx.AsyncClient() as client:
        with pytest.raises(ConfigurationError, match="not both"):
            make_session(ScriptedTransport(), http_client=client)


@pytest.mark.parametrize("suffix", ["ünknown", "a\r\nx-evil: 1", "\x00"])
def test_a_user_agent_that_is_no_header_is_refused(suffix):
    """Line ends would add headers of their own."""
    with pytest.raises(ConfigurationError, match="user_agent_suffix"):
        make_session(ScriptedTransport(), user_agent_suffix=suffix)


async def test_the_user_agent_is_extended():
    """Support can tell two programs of one partner apart."""
    transport = ScriptedTransport(response(FUNDS), response(FUNDS))
    for suffix in ("shop/2 (staging)", ""):
        async with make_session(transport, user_agent_suffix=suffix) as session:
            await session.get_available_funds()
    first, second = (request.headers["user-agent"] for request in transport.requests)
    assert first == f"{second} shop/2 (staging)"
    assert second.startswith("agcod-async/")
    assert second == second.strip()


def test_the_repr_shows_whom_and_where():
    """And no key."""
    session = make_session(ScriptedTransport())
    assert repr(session) == "AgcodSession('Acme1', 'na-sandbox')"


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda session: session.create_gift_card("Acme1X1", 25), "value"),
        (lambda session: session.create_gift_card("Acme1X1", Money(0, "USD")), "value"),
        (lambda session: session.create_gift_card("Acme1X1", Money("500.5", "JPY")), "value"),
        (lambda session: session.create_gift_card("Other", USD), "creation_request_id"),
        (lambda session: session.create_gift_card("Acme1" + 36 * "0", USD), "creation_request_id"),
        (lambda session: session.cancel_gift_card(""), "creation_request_id"),
        (lambda session: session.activate_gift_card("Acme1A1", "", USD), "card_number"),
        (lambda session: session.deactivate_gift_card("Acme1A1", 14), "card_number"),
        (lambda session: session.activation_status_check("S1", ""), "card_number"),
        (lambda session: session.load_amazon_balance("Acme1L1", 5.0, Account(id="a", type="2")), "amount"),
        (lambda session: session.void_amazon_balance_load("L1", USD, Account(id="a", type="2")), "load_"),
        (
            lambda session: session.validate_account_for_amazon_balance_load(
                "Acme1L1", USD, Account(id="", type="2")
            ),
            "id",
        ),
        (lambda session: page(session, datetime(2026, 1, 1), datetime(2026, 2, 1)), "utc_start_date"),  # noqa: DTZ001
        (lambda session: page(session, SINCE, SINCE), "utc_end_date"),
        (lambda session: page(session, SINCE, UNTIL, page_size=1001), "page_size"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_sent(call, field):
    """Each message names the field; the money has not moved, and the outcome says so."""
    transport, throttle = ScriptedTransport(), OpenThrottle()
    async with make_session(transport, throttle=throttle) as session:
        with pytest.raises(ConfigurationError, match=f"^{field}") as caught:
            await call(session)
    assert caught.value.outcome == "not_sent"
    assert (transport.requests, throttle.granted) == ([], [])


SINCE, UNTIL = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)


def page(session: AgcodSession, start: datetime, end: datetime, **options: Any) -> Any:
    return session.get_gift_card_activity_page("R1", start, end, **options)


# Life cycle


async def test_a_closed_session_refuses_calls():
    """A call after close would otherwise make connections that nobody closes."""
    transport = ScriptedTransport()
    session = make_session(transport)
    async with session:
        assert not session.is_closed
    assert session.is_closed
    assert not transport.is_closed, "what the caller brought is the caller's to close"
    with pytest.raises(ConfigurationError, match="closed") as caught:
        await session.get_available_funds()
    assert caught.value.outcome == "not_sent"
    with pytest.raises(ConfigurationError, match="closed"):
        await session.__aenter__()
    await session.aclose()


async def test_a_call_in_line_when_the_session_closes_is_not_sent():
    """Shutting down ends what still waits for its turn, and says that no money has moved."""

    class Gate(OpenThrottle):
        opened = asyncio.Event()

        async def acquire(self, operation: str, /, **options: Any) -> None:
            await super().acquire(operation, **options)
            await self.opened.wait()

    gate = Gate()
    async with ScriptedServer(wire.answer(FUNDS)) as server:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        async with make_session(endpoint=endpoint, throttle=gate) as session:
            call = asyncio.create_task(session.get_available_funds())
            await wire.settle()
        gate.opened.set()
        with pytest.raises(ConfigurationError, match="closed") as caught:
            await call
        assert server.requests == []
    assert (caught.value.outcome, gate.granted) == ("not_sent", ["GetAvailableFunds"])


async def test_a_call_in_line_is_not_sent_through_a_transport_of_the_callers_either():
    """What the session does not own it cannot close, but it can stop using it."""
    opened = asyncio.Event()

    class Gate(OpenThrottle):
        async def acquire(self, operation: str, /, **options: Any) -> None:
            await opened.wait()

    transport = ScriptedTransport(response(FUNDS))
    async with make_session(transport, throttle=Gate()) as session:
        call = asyncio.create_task(session.get_available_funds())
        await asyncio.sleep(0)
    opened.set()
    with pytest.raises(ConfigurationError, match="closed"):
        await call
    assert transport.requests == []


def test_another_event_loop_is_refused():
    """Its connections belong to the first loop: used from another they hang or crash at random."""
    session = make_session(ScriptedTransport(response(FUNDS), response(FUNDS)))

    async def use() -> str | None:
        return (await session.get_available_funds()).status

    assert run_virtually(use()) == "SUCCESS"
    with pytest.raises(ConfigurationError, match="another event loop"):
        run_virtually(use())


def test_a_session_is_made_without_a_loop():
    """At import time of an application, say; it belongs to the loop that uses it first."""
    session = make_session(ScriptedTransport(response(FUNDS)))

    async def use() -> None:
        async with session:
            await session.get_available_funds()

    run_virtually(use())


async def test_the_own_client_is_closed_with_the_session():
    """No connection outlives the session."""
    async with ScriptedServer(wire.answer(FUNDS)) as server:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        async with make_session(endpoint=endpoint) as session:
            await session.get_available_funds()
            assert server.open_connections == 1
        await server.until(lambda: server.open_connections == 0)


async def test_an_injected_client_outlives_the_session():
    """It is its owner's, who may have other sessions on it."""
    async with ScriptedServer(wire.answer(FUNDS)) as server, httpx.AsyncClient() as client:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        for _ in range(2):
            async with make_session(endpoint=endpoint, http_client=client) as session:
                await session.get_available_funds()
        assert not client.is_closed
        assert server.connections == 1


async def test_the_timeout_is_the_sessions():
    """Six seconds by default, as the service advises, and the caller's where given."""
    async with ScriptedServer(wire.never()) as server:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        async with make_session(endpoint=endpoint, timeout=0.2, retry=NO_RETRY) as session:
            with pytest.raises(ResponseTimeout, match=r"0\.2 s"):
                await session.get_available_funds()


# Hooks


async def test_an_unlisted_currency_is_an_event_and_no_error():
    """The lists grow: a new country must not need a release."""
    events: list[Any] = []
    body = CREATED.replace(b"USD", b"SEK")
    async with make_session(ScriptedTransport(response(body)), hooks=[events.append]) as session:
        card = await session.create_gift_card("Acme1X0001", Money("25.00", "SEK"))
    assert card.card_info.value == Money("25", "SEK")
    assert notable(events) == [UnlistedCurrency(currency_code="SEK", endpoint="na-sandbox")]


@pytest.mark.parametrize(
    "endpoint", [Endpoint.NA, Endpoint.custom("https://localhost:1", region="us-east-1")]
)
async def test_a_listed_currency_is_no_event(endpoint):
    """Nor any at an endpoint whose marketplaces nobody knows."""
    events: list[Any] = []
    transport = ScriptedTransport(response())
    async with make_session(transport, endpoint=endpoint, hooks=[events.append]) as session:
        await session.create_gift_card("Acme1X0001", USD)
    assert notable(events) == []


async def test_every_operation_with_money_looks_at_the_currency():
    """Activations and loads are paid in a currency, too."""
    events: list[Any] = []
    account = Account(id="amz1.account.1", type="2")
    loaded = response(b'{"status":"SUCCESS"}')
    transport = ScriptedTransport(loaded, loaded, loaded, ConnectionLost())
    sek = Money("25.00", "SEK")
    async with make_session(transport, hooks=[events.append], retry=NO_RETRY) as session:
        await session.load_amazon_balance("Acme1L1", sek, account)
        await session.void_amazon_balance_load("Acme1L1", sek, account)
        await session.validate_account_for_amazon_balance_load("Acme1L1", sek, account)
        with pytest.raises(ConnectionLost):
            await session.activate_gift_card("Acme1A1", "14", sek)
    assert len(notable(events)) == 4


@virtual_time
async def test_a_hook_that_raises_breaks_nothing(caplog):
    """Telemetry that fails must not cost a card; the other hooks still hear of it."""
    events: list[Any] = []

    def broken(event: Any) -> None:
        raise RuntimeError("AAAA-BBBBBB-CCCC")

    transport = ScriptedTransport(ConnectionLost(), response())
    async with make_session(transport, hooks=[broken, events.append]) as session:
        await session.create_gift_card("Acme1X0001", USD)
    assert len(notable(events)) == 1
    assert "raised RuntimeError" in caplog.text


# Many tasks


@virtual_time
async def test_a_hundred_tasks_share_a_session():
    """Each gets its own card, at the account's full rate and not above."""
    transport = ScriptedTransport(*[echo] * 100, latency=0.2)
    async with make_session(transport, throttle=LocalThrottle()) as session:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(session.create_gift_card(f"Acme1X{number:04}", USD))
                for number in range(100)
            ]
        elapsed = asyncio.get_running_loop().time()
    assert [task.result().creation_request_id for task in tasks] == [f"Acme1X{n:04}" for n in range(100)]
    assert 10 < elapsed < 11


async def test_a_hundred_tasks_share_the_connections():
    """The pool is bounded, and nobody is starved in it."""

    async def answer(connection: wire.Connection) -> bool:
        start = connection.request.body.index(b"Acme1X")
        body = CREATED.replace(b"Acme1X0001", connection.request.body[start : start + 10])
        return await wire.answer(body)(connection)

    async with ScriptedServer(answer) as server:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        async with make_session(endpoint=endpoint) as session, asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(session.create_gift_card(f"Acme1X{number:04}", USD))
        assert len(server.requests) == 100
        assert 10 < server.most_open <= 64


# Activity


@virtual_time
async def test_the_activity_is_walked_page_by_page():
    """A report gets all records, at a page per second, without knowing about pages."""
    times: list[float] = []

    def serve(request: HTTPRequest) -> HTTPResponse:
        times.append(asyncio.get_running_loop().time())
        index = int(request.body.partition(b'"pageIndex":')[2].partition(b",")[0])
        request_id = request.body.partition(b'"requestId":"')[2].partition(b'"')[0]
        records = [b'{"gcId":"G%d","isRealOp":"true"}' % number for number in range(5)][
            2 * index : 2 * index + 2
        ]
        return response(
            b'{"cardActivityList":[%b],"pageIndex":%d,"requestId":"%b","status":"SUCCESS",'
            b'"totalNumberOfTransactionsInRequestedTimeFrame":5}' % (b",".join(records), index, request_id)
        )

    transport = ScriptedTransport(serve, serve, serve)
    async with make_session(transport, throttle=LocalThrottle(), rng=Random(5)) as session:
        walk = session.iter_gift_card_activity(SINCE, UNTIL, page_size=2, show_no_ops=True)
        assert [record.gc_id async for record in walk] == ["G0", "G1", "G2", "G3", "G4"]
    ids = {request.body.partition(b'"requestId":"')[2].partition(b'"')[0] for request in transport.requests}
    assert len(ids) == 3
    assert all(each.startswith(b"Acme1") and len(each) == 21 and each.isalnum() for each in ids)
    assert all(b'"pageSize":2,"showNoOps":true' in request.body for request in transport.requests)
    assert all(1 <= later - earlier < 1.1 for earlier, later in pairwise(times))


async def test_credentials_and_clock_defaults_work_together():
    """The shortest way to make a session signs with this machine's time."""
    transport = ScriptedTransport(response(FUNDS))
    before = datetime.now(UTC) - timedelta(seconds=1)
    async with AgcodSession(
        "Acme1", Credentials("AKIDEXAMPLE", "canary-secret-key"), Endpoint.NA_SANDBOX, transport=transport
    ) as session:
        await session.get_available_funds()
    stamp = datetime.fromisoformat(transport.requests[0].headers["x-amz-date"])
    assert before <= stamp <= datetime.now(UTC)


async def test_errors_of_a_call_are_all_ours():
    """One except clause catches everything that a call can raise."""
    async with make_session(ScriptedTransport(ConnectionLost()), retry=NO_RETRY) as session:
        with pytest.raises(AgcodError):
            await session.get_available_funds()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"endpoint": "na"}, "endpoint: an Endpoint is needed"),
        ({"endpoint": None}, "endpoint: an Endpoint is needed"),
        ({"credentials": None}, "credentials: Credentials"),
        ({"credentials": ("AKID", "secret")}, "credentials: Credentials"),
        ({"timeout": None}, "timeout: seconds"),
        ({"hooks": ["print"]}, "hooks: 'print' is no function"),
        ({"hooks": print}, "hooks: a sequence"),
    ],
)
def test_arguments_of_another_kind_are_refused_by_name(changes, message):
    """Callers may have no type checker, and a mistake is cheapest at start-up."""
    options = {"endpoint": Endpoint.NA_SANDBOX, "credentials": Credentials("AKID", "secret"), **changes}
    with pytest.raises(ConfigurationError, match=message):
        AgcodSession("Acme1", **options)
