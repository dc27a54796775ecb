"""A program that uses the whole public API; type checkers read it, nobody runs it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import ClassVar, Literal, assert_type

import httpx

import agcod_async
from agcod_async import (
    Account,
    AccountError,
    AgcodError,
    AgcodSession,
    CallableCredentials,
    ClaimCode,
    ClockCorrected,
    ClockSkewError,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    Credentials,
    CredentialsError,
    CredentialsProvider,
    CredentialsUnavailable,
    Diagnosis,
    Endpoint,
    EnvironmentCredentials,
    Event,
    Exchange,
    FileCredentials,
    GatewayFault,
    Hook,
    InvalidRequestError,
    KeyAgeing,
    KeyOverdue,
    KeyRefreshed,
    KeyRefreshFailed,
    KeyRejected,
    LocalThrottle,
    MalformedResponse,
    Money,
    Outcome,
    PostconditionError,
    Priority,
    ProfileCredentials,
    ResendError,
    ResponseError,
    ResponseTimeout,
    RetryPolicy,
    RetryScheduled,
    Secret,
    ServiceError,
    SignatureError,
    SupportReport,
    SystemFaultError,
    Throttle,
    ThrottlingError,
    TransactionSource,
    TransportError,
    UnknownServiceError,
    UnlistedCurrency,
)
from agcod_async.credentials.keyring import KeyringCredentials
from agcod_async.credentials.secrets_manager import SecretsManagerCredentials
from agcod_async.diagnosis import diagnose
from agcod_async.model import (
    ActivateGiftCardResponse,
    ActivationStatusCheckResponse,
    BalanceLoadResponse,
    CancelGiftCardResponse,
    CardActivity,
    CardInfo,
    CreateGiftCardResponse,
    DeactivateGiftCardResponse,
    GetAvailableFundsResponse,
    GetGiftCardActivityPageResponse,
)
from agcod_async.signer import SigV4Signer, explain
from agcod_async.signing import Cause, SigningSteps
from agcod_async.wire import HTTPRequest, HTTPResponse

assert_type(agcod_async.__version__, str)
assert_type(agcod_async.__all__, list[str])

# Values

money = Money("25.00", "USD")
Money(25, "USD")
Money(Decimal(25), currency_code="USD")
Money(amount="1", currency_code="USD")
Money(25.0, "USD")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(money, Money)
assert_type(money.amount, Decimal)
assert_type(money.currency_code, str)

secret = Secret("secret")
assert_type(secret.reveal(), str)
code: Secret = ClaimCode("AAAA-BBBBBB-CCCC")

account = Account(id="amzn1.account.1", type="2")
source = TransactionSource(source_id="Shop1", institution_id="1", source_details="{}")

assert_type(Endpoint.NA_SANDBOX, Endpoint)
for endpoint in (
    Endpoint.NA,
    Endpoint.EU,
    Endpoint.FE,
    Endpoint.EU_SANDBOX,
    Endpoint.FE_SANDBOX,
    Endpoint.from_name("eu"),
    Endpoint.for_country("DE", sandbox=True),
    Endpoint.custom("https://localhost:8443", region="us-east-1", ca_file="ca.pem"),
):
    assert_type(endpoint, Endpoint)
    assert_type(endpoint.name, str)
    assert_type(endpoint.host, str)
    assert_type(endpoint.origin, str)
    assert_type(endpoint.region, str)
    assert_type(endpoint.environment, Literal["sandbox", "production", "custom"])
    assert_type(endpoint.marketplaces, Mapping[str, str])
    assert_type(endpoint.currencies, frozenset[str])
    assert_type(endpoint.ca_file, str | None)


# What users bring


class Vault:
    """A provider of one's own."""

    async def get_credentials(self) -> Credentials:
        return Credentials("AKIDEXAMPLE", Secret("secret"))


class Generous:
    """A throttle of one's own."""

    waiting = 0
    rate = 10.0
    next_slot = 0.0

    async def acquire(
        self, operation: str, /, *, priority: Priority = "interactive", max_wait: float | None = None
    ) -> None: ...

    def accepted(self, operation: str, /, seconds: float) -> None: ...

    def refused(self, operation: str, /) -> None: ...

    async def aclose(self) -> None: ...


class Loopback:
    """A transport of one's own."""

    async def send(self, request: HTTPRequest, /) -> HTTPResponse:
        assert_type(request.method, str)
        assert_type(request.headers, Mapping[str, str])
        return HTTPResponse(status=200, headers={}, body=request.body)

    async def aclose(self) -> None: ...


class Deployed(Event):
    """An event of one's own."""

    level: ClassVar[int] = logging.DEBUG


def on_event(event: Event) -> None:
    assert_type(event.level, int)
    if isinstance(event, RetryScheduled):
        assert_type(event.operation, str)
        assert_type(event.request_id, str | None)
        assert_type(event.attempt, int)
        assert_type(event.delay, float)
        assert_type(event.error, str)
    elif isinstance(event, ClockCorrected):
        assert_type(event.seconds, float)
    elif isinstance(event, KeyRefreshed):
        assert_type((event.key, event.previous), tuple[str, str])
    elif isinstance(event, KeyRefreshFailed):
        assert_type((event.key, event.error), tuple[str, str])
    elif isinstance(event, KeyRejected):
        assert_type((event.key, event.used), tuple[str, str])
    elif isinstance(event, KeyAgeing | KeyOverdue):
        assert_type((event.key, event.days_left), tuple[str, int])
    elif isinstance(event, UnlistedCurrency):
        assert_type(event.currency_code, str)
        assert_type(event.endpoint, str)


hook: Hook = on_event
clock: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731
providers: list[CredentialsProvider] = [
    Credentials("AKIDEXAMPLE", "secret"),
    Vault(),
    EnvironmentCredentials({}),
    FileCredentials("key.json", max_age=5.0, check_mode=False),
    ProfileCredentials("agcod"),
    ProfileCredentials("agcod", Path("credentials"), max_age=5.0, check_mode=False),
    CallableCredentials(lambda: Credentials("AKIDEXAMPLE", "secret")),
    CallableCredentials(Vault().get_credentials, max_age=300.0),
    KeyringCredentials("agcod", max_age=60.0),
    SecretsManagerCredentials("agcod/live", region_name="us-east-1", endpoint_url=None, max_age=300.0),
]
assert_type(Credentials("A", "s", key_created=datetime.now(UTC)).days_left(datetime.now(UTC)), int | None)
assert_type(FileCredentials("key.json").load(), Credentials)
throttles: list[Throttle] = [
    LocalThrottle(),
    LocalThrottle(5.0, {"GetAvailableFunds": 0.5}, margin=0.1),
    Generous(),
]
policy = RetryPolicy(
    max_attempts=3,
    max_elapsed=10.0,
    base_delay=0.1,
    throttled_delay=2.0,
    max_delay=5.0,
    quota=10,
    system_faults=True,
)
assert_type(policy.max_attempts, int)

signer = SigV4Signer("us-east-1", date_header="date", signed_headers=("accept", "host"))


def sign(request: HTTPRequest, pair: Credentials, at: datetime) -> None:
    assert_type(signer.sign(request, pair, at=at), HTTPRequest)
    canonical = signer.canonical_request(request, at=at)
    assert_type(canonical, str)
    assert_type(signer.string_to_sign(canonical, at=at), str)
    assert_type(signer.credential_scope(at), str)
    steps = explain(signer.sign(request, pair, at=at))
    assert_type(steps, SigningSteps)
    assert_type(steps.signature, Secret)
    assert_type(steps.as_dict(reveal=True), dict[str, str | dict[str, str]])
    assert_type(steps.curl(), str)
    assert_type(pair.access_key_id, str)
    assert_type(pair.secret_access_key, Secret)


# Explanations


def explained(error: AgcodError, refused: SignatureError) -> None:
    assert_type(refused.diagnosis, Diagnosis | None)
    assert_type(diagnose("text"), Diagnosis)
    assert_type(diagnose("text").cause, Cause)
    assert_type(diagnose("text").text, str)
    assert_type(error.exchange, Exchange | None)
    report = error.support_report()
    assert_type(report, SupportReport)
    assert_type(report.text(), str)
    assert_type(report.json(), str)
    SupportReport(summary="abandoned", facts={"reference": "order-4711", "since": datetime.now(UTC)})


# Sessions


async def sessions() -> None:
    async with AgcodSession(
        partner_id="Acme1",
        credentials=Credentials("AKIDEXAMPLE", "secret"),
        endpoint=Endpoint.NA_SANDBOX,
        wire_format="xml",
        credentials_timeout=2.0,
        timeout=6.0,
        retry=policy,
        throttle=throttles[0],
        http_client=httpx.AsyncClient(),
        hooks=[on_event],
        user_agent_suffix="shop/1.0",
        clock=clock,
        rng=Random(1),
    ) as session:
        assert_type(session, AgcodSession)
        assert_type(session.partner_id, str)
        assert_type(session.endpoint, Endpoint)
        assert_type(session.is_closed, bool)
    AgcodSession("Acme1", Vault(), Endpoint.NA, transport=Loopback())
    AgcodSession("Acme1", Vault(), Endpoint.NA, wire_format="yaml")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AgcodSession("Acme1", Vault())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    other = AgcodSession.from_env({"AGCOD_PARTNER_ID": "Acme1"}, wire_format="json", hooks=[hook])
    assert_type(other, AgcodSession)
    await other.aclose()


async def gift_cards(session: AgcodSession) -> None:
    card = await session.create_gift_card(
        "Acme1X1", money, program_id="p", product_type="bookPV", external_reference="order 1"
    )
    assert_type(card, CreateGiftCardResponse)
    assert_type(card.status, str | None)
    assert_type(card.creation_request_id, str | None)
    assert_type(card.gc_id, str | None)
    assert_type(card.gc_claim_code, ClaimCode | None)
    assert_type(card.gc_expiration_date, datetime | None)
    assert_type(card.gc_expiration_date_text, str | None)
    assert_type(card.card_info, CardInfo | None)
    assert_type(card.unknown_fields, Mapping[str, object])
    assert_type(card.without_secrets(), CreateGiftCardResponse)
    if card.card_info is not None:
        assert_type(card.card_info.card_number, str | None)
        assert_type(card.card_info.card_status, str | None)
        assert_type(card.card_info.value, Money | None)
        assert_type(card.card_info.expiration_date, datetime | None)
    cancelled = await session.cancel_gift_card("Acme1X1", gc_id=card.gc_id)
    assert_type(cancelled, CancelGiftCardResponse)
    assert_type(cancelled.gc_id, str | None)


async def physical_cards(session: AgcodSession) -> None:
    activated = await session.activate_gift_card("Acme1A1", "1", money, program_id="p", product_type="p")
    assert_type(activated, ActivateGiftCardResponse)
    assert_type(activated.activation_request_id, str | None)
    assert_type(await session.deactivate_gift_card("Acme1A1", "1"), DeactivateGiftCardResponse)
    assert_type(await session.activation_status_check("S1", "1"), ActivationStatusCheckResponse)


async def accounts(session: AgcodSession, start: datetime, end: datetime) -> None:
    page = await session.get_gift_card_activity_page(
        "R1", start, end, page_index=0, page_size=1000, show_no_ops=True
    )
    assert_type(page, GetGiftCardActivityPageResponse)
    assert_type(page.card_activity_list, list[CardActivity] | None)
    assert_type(page.total_number_of_transactions_in_requested_time_frame, int | None)
    walk = session.iter_gift_card_activity(start, end, page_size=200, show_no_ops=False)
    assert_type(walk, AsyncGenerator[CardActivity, None])
    async for record in walk:
        assert_type(record, CardActivity)
        assert_type(record.activity_time, datetime | None)
        assert_type(record.is_real_op, bool | None)
        assert_type(record.card_value, Money | None)
    assert_type(await session.key_days_left(), int | None)
    funds = await session.get_available_funds()
    assert_type(funds, GetAvailableFundsResponse)
    assert_type(funds.available_funds, Money | None)
    assert_type(funds.timestamp, datetime | None)


async def balance_loads(session: AgcodSession) -> None:
    for call in (
        session.load_amazon_balance,
        session.void_amazon_balance_load,
        session.validate_account_for_amazon_balance_load,
    ):
        answer = await call("Acme1L1", money, account, transaction_source=source)
        assert_type(answer, BalanceLoadResponse)
        assert_type(answer.load_balance_request_id, str | None)


# Errors


def handle(error: AgcodError) -> None:
    assert_type(error.outcome, Outcome)
    assert_type(error.outcome, Literal["refused", "unknown", "not_sent"])
    assert_type(error.is_retry_safe, bool)
    assert_type(error.message, str)
    assert_type(error.operation, str | None)
    assert_type(error.request_id, str | None)
    assert_type(error.attempts, int)
    if isinstance(error, ResponseError):
        assert_type(error.http_status, int | None)
        assert_type(error.aws_request_id, str | None)
        assert_type(error.retry_after, float | None)
    if isinstance(error, ServiceError):
        assert_type(error.error_code, str | None)
        assert_type(error.error_type, str | None)
    if isinstance(error, ClockSkewError):
        assert_type(error.signed_at, datetime | None)
        assert_type(error.server_date, datetime | None)


kinds: list[type[AgcodError]] = [
    *(ConfigurationError, TransportError, ConnectFailed, ConnectionLost, ResponseTimeout),
    *(GatewayFault, MalformedResponse, PostconditionError, CredentialsUnavailable),
]
service_kinds: list[type[ServiceError]] = [
    *(InvalidRequestError, AccountError, SystemFaultError, UnknownServiceError, ResendError),
    *(ThrottlingError, SignatureError, CredentialsError, ClockSkewError),
]
