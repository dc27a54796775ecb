"""The ten operations on the wire: what is sent to each endpoint in each format, written out by hand."""

from __future__ import annotations

import hashlib
import hmac
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from agcod_async import Account, AgcodSession, Endpoint, Money, TransactionSource, __version__
from agcod_async.model import OPERATIONS
from tests.support import server as wire
from tests.support.server import CLAIM_CODE, ReceivedRequest, ScriptedServer
from tests.support.sessions import SECRET_KEY, make_session, response
from tests.support.transports import ScriptedTransport

SINCE, UNTIL = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
ACCOUNT = Account(id="amz1.account.123512341234", type="2")
SOURCE = TransactionSource(source_id="Customer Service", institution_id="Shop 7")

Call = Callable[[AgcodSession], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "CreateGiftCard": lambda session: session.create_gift_card(
        "Acme1X0001", Money("25.00", "USD"), program_id="P1", external_reference="注文 & <42>"
    ),
    "CancelGiftCard": lambda session: session.cancel_gift_card("Acme1X0001", gc_id="A0B1C2D3E4F5G6"),
    "ActivateGiftCard": lambda session: session.activate_gift_card(
        "Acme1A0001", "1400000000000000123", Money(50, "USD"), product_type="bookPV"
    ),
    "DeactivateGiftCard": lambda session: session.deactivate_gift_card("Acme1A0001", "1400000000000000123"),
    "ActivationStatusCheck": lambda session: session.activation_status_check("S1", "1400000000000000123"),
    "GetGiftCardActivityPage": lambda session: session.get_gift_card_activity_page(
        "R1", SINCE, UNTIL, page_index=2, page_size=200, show_no_ops=True
    ),
    "GetAvailableFunds": lambda session: session.get_available_funds(),
    "LoadAmazonBalance": lambda session: session.load_amazon_balance(
        "Acme1L0001", Money("10.50", "USD"), ACCOUNT, transaction_source=SOURCE
    ),
    "VoidAmazonBalanceLoad": lambda session: session.void_amazon_balance_load(
        "Acme1L0001", Money("10.50", "USD"), ACCOUNT
    ),
    "ValidateAccountForAmazonBalanceLoad": lambda session: session.validate_account_for_amazon_balance_load(
        "Acme1L0001", Money("10.50", "USD"), ACCOUNT
    ),
}

# Bodies as they must leave: JSON, then XML.
BODIES = {
    "CreateGiftCard": (
        (
            '{"creationRequestId":"Acme1X0001","partnerId":"Acme1",'
            '"value":{"amount":25.00,"currencyCode":"USD"},"programId":"P1",'
            '"externalReference":"注文 & <42>"}'
        ),
        (
            "<CreateGiftCardRequest><creationRequestId>Acme1X0001</creationRequestId><partnerId>Acme1</partnerId>"
            "<value><amount>25.00</amount><currencyCode>USD</currencyCode></value><programId>P1</programId>"
            "<externalReference>注文 &amp; &lt;42&gt;</externalReference></CreateGiftCardRequest>"
        ),
    ),
    "CancelGiftCard": (
        '{"creationRequestId":"Acme1X0001","partnerId":"Acme1","gcId":"A0B1C2D3E4F5G6"}',
        (
            "<CancelGiftCardRequest><creationRequestId>Acme1X0001</creationRequestId><partnerId>Acme1</partnerId>"
            "<gcId>A0B1C2D3E4F5G6</gcId></CancelGiftCardRequest>"
        ),
    ),
    "ActivateGiftCard": (
        (
            '{"activationRequestId":"Acme1A0001","partnerId":"Acme1","cardNumber":"1400000000000000123",'
            '"value":{"amount":50.00,"currencyCode":"USD"},"productType":"bookPV"}'
        ),
        (
            "<ActivateGiftCardRequest><activationRequestId>Acme1A0001</activationRequestId>"
            "<partnerId>Acme1</partnerId><cardNumber>1400000000000000123</cardNumber>"
            "<value><amount>50.00</amount><currencyCode>USD</currencyCode></value>"
            "<productType>bookPV</productType></ActivateGiftCardRequest>"
        ),
    ),
    "DeactivateGiftCard": (
        '{"activationRequestId":"Acme1A0001","partnerId":"Acme1","cardNumber":"1400000000000000123"}',
        (
            "<DeactivateGiftCardRequest><activationRequestId>Acme1A0001</activationRequestId>"
            "<partnerId>Acme1</partnerId><cardNumber>1400000000000000123</cardNumber>"
            "</DeactivateGiftCardRequest>"
        ),
    ),
    "ActivationStatusCheck": (
        '{"statusCheckRequestId":"S1","partnerId":"Acme1","cardNumber":"1400000000000000123"}',
        (
            "<ActivationStatusCheckRequest><statusCheckRequestId>S1</statusCheckRequestId>"
            "<partnerId>Acme1</partnerId><cardNumber>1400000000000000123</cardNumber>"
            "</ActivationStatusCheckRequest>"
        ),
    ),
    "GetGiftCardActivityPage": (
        (
            '{"requestId":"R1","partnerId":"Acme1","utcStartDate":"2026-02-01T00:00:00",'
            '"utcEndDate":"2026-03-01T12:30:00","pageIndex":2,"pageSize":200,"showNoOps":true}'
        ),
        (
            "<GetGiftCardActivityPageRequest><requestId>R1</requestId><partnerId>Acme1</partnerId>"
            "<utcStartDate>2026-02-01T00:00:00</utcStartDate><utcEndDate>2026-03-01T12:30:00</utcEndDate>"
            "<pageIndex>2</pageIndex><pageSize>200</pageSize><showNoOps>true</showNoOps>"
            "</GetGiftCardActivityPageRequest>"
        ),
    ),
    "GetAvailableFunds": (
        '{"partnerId":"Acme1"}',
        "<GetAvailableFundsRequest><partnerId>Acme1</partnerId></GetAvailableFundsRequest>",
    ),
    "LoadAmazonBalance": (
        (
            '{"loadBalanceRequestId":"Acme1L0001","partnerId":"Acme1",'
            '"amount":{"currencyCode":"USD","value":"10.50"},'
            '"account":{"id":"amz1.account.123512341234","type":"2"},'
            '"transactionSource":{"sourceId":"Customer Service","institutionId":"Shop 7"}}'
        ),
        (
            "<LoadAmazonBalanceRequest><loadBalanceRequestId>Acme1L0001</loadBalanceRequestId>"
            "<partnerId>Acme1</partnerId><amount><currencyCode>USD</currencyCode><value>10.50</value></amount>"
            "<account><id>amz1.account.123512341234</id><type>2</type></account><transactionSource>"
            "<sourceId>Customer Service</sourceId><institutionId>Shop 7</institutionId></transactionSource>"
            "</LoadAmazonBalanceRequest>"
        ),
    ),
    "VoidAmazonBalanceLoad": (
        (
            '{"loadBalanceRequestId":"Acme1L0001","partnerId":"Acme1",'
            '"amount":{"currencyCode":"USD","value":"10.50"},'
            '"account":{"id":"amz1.account.123512341234","type":"2"}}'
        ),
        (
            "<VoidAmazonBalanceLoadRequest><loadBalanceRequestId>Acme1L0001</loadBalanceRequestId>"
            "<partnerId>Acme1</partnerId><amount><currencyCode>USD</currencyCode><value>10.50</value></amount>"
            "<account><id>amz1.account.123512341234</id><type>2</type></account></VoidAmazonBalanceLoadRequest>"
        ),
    ),
    "ValidateAccountForAmazonBalanceLoad": (
        (
            '{"loadBalanceRequestId":"Acme1L0001","partnerId":"Acme1",'
            '"amount":{"currencyCode":"USD","value":"10.50"},'
            '"account":{"id":"amz1.account.123512341234","type":"2"}}'
        ),
        (
            "<ValidateAccountForAmazonBalanceLoadRequest><loadBalanceRequestId>Acme1L0001</loadBalanceRequestId>"
            "<partnerId>Acme1</partnerId><amount><currencyCode>USD</currencyCode><value>10.50</value></amount>"
            "<account><id>amz1.account.123512341234</id><type>2</type></account>"
            "</ValidateAccountForAmazonBalanceLoadRequest>"
        ),
    ),
}

# Answers in the service's own spelling: JSON, then XML.
_CARD = (
    '"cardInfo":{"cardNumber":%s,"cardStatus":"%s","expirationDate":null,'
    '"value":{"amount":%s,"currencyCode":"USD"}}'
)
_XML_CARD = (
    "<cardInfo><cardNumber>%s</cardNumber><cardStatus>%s</cardStatus>"
    "<value><currencyCode>USD</currencyCode><amount>%s</amount></value></cardInfo>"
)
_LOADED = (
    '{"loadBalanceRequestId":"Acme1L0001","status":"SUCCESS","news":1}',
    "<R><loadBalanceRequestId>Acme1L0001</loadBalanceRequestId><status>SUCCESS</status><news>1</news></R>",
)
ANSWERS = {
    "CreateGiftCard": (
        "{" + _CARD % ("null", "Fulfilled", "25.0") + ',"creationRequestId":"Acme1X0001","gcClaimCode":'
        f'"{CLAIM_CODE}","gcExpirationDate":null,"gcId":"A0B1C2D3E4F5G6","status":"SUCCESS"}}\n',
        f"<CreateGiftCardResponse><gcClaimCode>{CLAIM_CODE}</gcClaimCode>"
        + _XML_CARD.replace("<cardNumber>%s</cardNumber>", "") % ("Fulfilled", "25.00")
        + "<gcId>A0B1C2D3E4F5G6</gcId><creationRequestId>Acme1X0001</creationRequestId>"
        "<status>SUCCESS</status></CreateGiftCardResponse>",
    ),
    "CancelGiftCard": (
        '{"creationRequestId":"Acme1X0001","gcId":"A0B1C2D3E4F5G6","status":"SUCCESS"}',
        ("<CancelGiftCardResponse><creationRequestId>Acme1X0001</creationRequestId>"
        "<status>SUCCESS</status></CancelGiftCardResponse>"),
    ),
    "ActivateGiftCard": (
        '{"activationRequestId":"Acme1A0001",' + _CARD % ('"1400000000000000123"', "Activated", "50.0")
        + ',"status":"SUCCESS"}',
        "<ActivateGiftCardResponse><activationRequestId>Acme1A0001</activationRequestId>"
        + _XML_CARD % ("1400000000000000123", "Activated", "50") + "<status>SUCCESS</status>"
        "</ActivateGiftCardResponse>",
    ),
    "DeactivateGiftCard": (
        '{"activationRequestId":"Acme1A0001",'
        + _CARD % ('"1400000000000000123"', "AwaitingActivation", "50.0") + ',"status":"SUCCESS"}',
        "<DeactivateGiftCardResponse><activationRequestId>Acme1A0001</activationRequestId>"
        + _XML_CARD % ("1400000000000000123", "AwaitingActivation", "50.0") + "<status>SUCCESS</status>"
        "</DeactivateGiftCardResponse>",
    ),
    "ActivationStatusCheck": (
        '{"statusCheckRequestId":"S1",' + _CARD % ('"1400000000000000123"', "Activated", "50.0")
        + ',"status":"SUCCESS"}',
        "<ActivationStatusCheckResponse><statusCheckRequestId>S1</statusCheckRequestId>"
        + _XML_CARD % ("1400000000000000123", "Activated", "50.0") + "<status>SUCCESS</status>"
        "</ActivationStatusCheckResponse>",
    ),
    "GetGiftCardActivityPage": (
        ('{"cardActivityList":[{"activityStatus":"Success","isRealOp":"true","requestId":"Acme1X0002"}],'
        '"pageIndex":2,"requestId":"R1","status":"SUCCESS",'
        '"totalNumberOfTransactionsInRequestedTimeFrame":401}'),
        ("<GetGiftCardActivityPageResponse><cardActivityList><member><activityStatus>Success</activityStatus>"
        "<isRealOp>true</isRealOp><requestId>Acme1X0002</requestId></member></cardActivityList>"
        "<pageIndex>2</pageIndex><requestId>R1</requestId><status>SUCCESS</status>"
        "<totalNumberOfTransactionsInRequestedTimeFrame>401</totalNumberOfTransactionsInRequestedTimeFrame>"
        "</GetGiftCardActivityPageResponse>"),
    ),
    "GetAvailableFunds": (
        ('{"availableFunds":{"amount":812.5,"currencyCode":"USD"},"status":"SUCCESS",'
        '"timestamp":"20260304T101500Z"}'),
        ("<GetAvailableFunds><availableFunds><amount>812.50</amount><currencyCode>USD</currencyCode>"
        "</availableFunds><status>SUCCESS</status><timestamp>20260304T101500Z</timestamp></GetAvailableFunds>"),
    ),
    "LoadAmazonBalance": _LOADED,
    "VoidAmazonBalanceLoad": _LOADED,
    "ValidateAccountForAmazonBalanceLoad": _LOADED,
}  # fmt: skip

ENDPOINTS = {
    "na": (Endpoint.NA, "agcod-v2.amazon.com", "us-east-1"),
    "eu": (Endpoint.EU, "agcod-v2-eu.amazon.com", "eu-west-1"),
    "fe": (Endpoint.FE, "agcod-v2-fe.amazon.com", "us-west-2"),
    "na-sandbox": (Endpoint.NA_SANDBOX, "agcod-v2-gamma.amazon.com", "us-east-1"),
    "eu-sandbox": (Endpoint.EU_SANDBOX, "agcod-v2-eu-gamma.amazon.com", "eu-west-1"),
    "fe-sandbox": (Endpoint.FE_SANDBOX, "agcod-v2-fe-gamma.amazon.com", "us-west-2"),
}
FORMATS = {"json": 0, "xml": 1}


def test_the_tables_know_every_operation():
    """A new operation without a row here would be sent untested."""
    assert OPERATIONS.keys() == CALLS.keys() == BODIES.keys() == ANSWERS.keys()
    assert len(OPERATIONS) == 10


@pytest.mark.parametrize("wire_format", FORMATS)
@pytest.mark.parametrize("place", ENDPOINTS)
@pytest.mark.parametrize("operation", CALLS)
async def test_what_is_sent(operation, place, wire_format):
    """Host, region, path, target, headers and body: one wrong letter is a refusal, or the wrong account."""
    endpoint, host, region = ENDPOINTS[place]
    transport = ScriptedTransport(response(ANSWERS[operation][FORMATS[wire_format]].encode()))
    async with make_session(
        transport, endpoint=endpoint, wire_format=wire_format, clock=lambda: UNTIL, user_agent_suffix="shop/2"
    ) as session:
        answer = await CALLS[operation](session)
    assert type(answer) is OPERATIONS[operation].response
    (request,) = transport.requests
    assert (request.method, request.origin, request.path) == ("POST", f"https://{host}", f"/{operation}")
    headers = dict(request.headers)
    authorization = headers.pop("authorization")
    assert re.fullmatch(
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260301/{region}/AGCODService/aws4_request, "
        "SignedHeaders=accept;content-type;host;x-amz-date;x-amz-target, Signature=[0-9a-f]{64}",
        authorization,
    )
    assert headers == {
        "accept": f"application/{wire_format}",
        "accept-encoding": "identity",
        "content-type": f"application/{wire_format}",
        "host": host,
        "user-agent": f"agcod-async/{__version__} python/{'.'.join(map(str, sys.version_info[:2]))} shop/2",
        "x-amz-date": "20260301T123000Z",
        "x-amz-target": f"com.amazonaws.agcod.AGCODService.{operation}",
    }
    assert request.body.decode() == BODIES[operation][FORMATS[wire_format]]


@pytest.mark.parametrize("wire_format", FORMATS)
@pytest.mark.parametrize("operation", CALLS)
async def test_the_bytes_signed_are_the_bytes_sent(operation, wire_format):
    """The server recomputes the signature from what arrived: every later change would be a refusal."""
    async with ScriptedServer(wire.answer(ANSWERS[operation][FORMATS[wire_format]])) as server:
        endpoint = Endpoint.custom(server.url, region="eu-west-1")
        async with make_session(endpoint=endpoint, wire_format=wire_format, clock=lambda: UNTIL) as session:
            await CALLS[operation](session)
    (request,) = server.requests
    assert request.body.decode() == BODIES[operation][FORMATS[wire_format]]
    assert request.headers["authorization"].endswith(f"Signature={signature_of(request, 'eu-west-1')}")


def signature_of(request: ReceivedRequest, region: str) -> str:
    """Compute a received request's signature by the book, from the raw bytes."""
    headers = request.headers
    names = re.search("SignedHeaders=([a-z0-9;-]+)", headers["authorization"])[1]
    lines = [f"{name}:{headers[name]}" for name in names.split(";")]
    payload = hashlib.sha256(request.body).hexdigest()
    canonical = "\n".join([request.method, request.path, "", *lines, "", names, payload])
    stamp = headers["x-amz-date"]
    scope = f"{stamp[:8]}/{region}/AGCODService/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = b"AWS4" + SECRET_KEY.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest()


@pytest.mark.parametrize("wire_format", FORMATS)
async def test_what_is_read(wire_format):
    """Both formats give the same typed values: amounts exact, the code masked but there."""

    async def ask(operation: str) -> Any:
        transport = ScriptedTransport(response(ANSWERS[operation][FORMATS[wire_format]].encode()))
        async with make_session(transport, wire_format=wire_format) as session:
            return await CALLS[operation](session)

    card = await ask("CreateGiftCard")
    assert card.gc_claim_code.reveal() == CLAIM_CODE
    assert (card.gc_id, card.creation_request_id) == ("A0B1C2D3E4F5G6", "Acme1X0001")
    assert (card.card_info.card_status, card.card_info.value) == ("Fulfilled", Money("25.00", "USD"))
    assert (await ask("CancelGiftCard")).creation_request_id == "Acme1X0001"
    assert (await ask("ActivateGiftCard")).card_info.card_number == "1400000000000000123"
    assert (await ask("DeactivateGiftCard")).card_info.card_status == "AwaitingActivation"
    assert (await ask("ActivationStatusCheck")).card_info.value == Money("50", "USD")
    page = await ask("GetGiftCardActivityPage")
    assert (page.page_index, page.total_number_of_transactions_in_requested_time_frame) == (2, 401)
    assert [record.is_real_op for record in page.card_activity_list] == [True]
    funds = await ask("GetAvailableFunds")
    assert funds.available_funds.amount == Decimal("812.5")
    assert funds.timestamp == datetime(2026, 3, 4, 10, 15, tzinfo=UTC)
    loaded = await ask("LoadAmazonBalance")
    assert loaded.load_balance_request_id == "Acme1L0001"
    assert str(loaded.unknown_fields["news"]) == "1"
