"""Support reports: everything that is asked for, and nothing that is worth money."""

from __future__ import annotations

import json
import pickle
import re
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from agcod_async import (
    AgcodError,
    ConfigurationError,
    ConnectFailed,
    Endpoint,
    Exchange,
    GatewayFault,
    MalformedResponse,
    Money,
    OutcomePending,
    ResponseTimeout,
    SignatureError,
    SupportReport,
    ThrottleTimeout,
)
from agcod_async.masking import MAX_BODY, masked_body, masked_headers
from agcod_async.signer import SigV4Signer, explain
from agcod_async.support import MAX_REPORT
from agcod_async.wire import HTTPRequest, HTTPResponse
from tests.support.copies import TRAVELS
from tests.support.leaks import SENSITIVE
from tests.support.properties import examples
from tests.support.server import CLAIM_CODE
from tests.support.sessions import (
    CREATED,
    CREDENTIALS,
    NO_RETRY,
    SECRET_KEY,
    START,
    OpenThrottle,
    make_session,
    response,
)
from tests.support.transports import ScriptedTransport

pytestmark = pytest.mark.reveals(
    "exceptions", because="the caller writes a code into an argument of their own"
)

VECTORS = sorted((Path(__file__).parent / "vectors" / "refusals").iterdir())
MISMATCH = (Path(__file__).parent / "vectors" / "refusals" / "invalid-signature.json").read_bytes()
OTHER_CODE = "BBBB-CCCCCC-DDDD"


@pytest.fixture
def anyio_backend(virtual_time):
    """Nothing waits."""
    return virtual_time


async def failing(step: Any, wire_format: str = "json", **options: Any) -> tuple[AgcodError, HTTPRequest]:
    """Return the error of a create that *step* answers, and what was sent."""
    transport = ScriptedTransport(step)
    options = {"clock": lambda: START, "retry": NO_RETRY, "wire_format": wire_format, **options}
    async with make_session(transport, **options) as session:
        with pytest.raises(AgcodError) as caught:
            await session.create_gift_card(
                "Acme1X0001", Money("25.00", "USD"), external_reference=f"order {OTHER_CODE}"
            )
    return caught.value, transport.requests[0]


def signature_of(request: HTTPRequest) -> str:
    return request.headers["authorization"].rpartition("Signature=")[2]


def assert_clean(text: str, request: HTTPRequest) -> None:
    authorization = request.headers["authorization"]
    for secret in (
        CLAIM_CODE,
        OTHER_CODE,
        SECRET_KEY,
        authorization,
        f"Credential={CREDENTIALS.access_key_id}",
    ):
        assert secret not in text, f"a secret beginning with {secret[:4]}"
    assert SENSITIVE.search(text) is None


# What is in it


async def test_the_report_has_what_support_asks_for():
    """Who writes to the service is asked for all of this, and finds that the logs have none of it."""
    error, request = await failing(response(MISMATCH, 403, x_amzn_requestid="11111111-2222"))
    assert isinstance(error, SignatureError)
    report = error.support_report()
    content = json.loads(report.json())
    assert content["summary"] == str(error)
    assert content["library"].startswith("agcod-async ")
    assert re.match(r"\w+ 3\.\d+\.\d+ on \w+", content["language"])
    facts = content["facts"]
    assert facts["operation"] == "CreateGiftCard"
    assert facts["request_id"] == "Acme1X0001"
    assert facts["aws_request_id"] == "11111111-2222"
    assert facts["outcome"] == "refused"
    assert facts["attempts"] == 1
    exchange = content["exchange"]
    assert exchange["partner_id"] == "Acme1"
    assert exchange["endpoint"] == "na-sandbox"
    assert exchange["url"] == "https://agcod-v2-gamma.amazon.com/CreateGiftCard"
    assert exchange["signed_at"] == "20260301T120000Z"
    assert exchange["signature"] == signature_of(request)
    assert exchange["string_to_sign"].startswith("AWS4-HMAC-SHA256\n20260301T120000Z\n20260301/us-east-1/")
    assert exchange["canonical_request"].startswith("POST\n/CreateGiftCard\n\naccept:application/json\n")
    assert exchange["credential_scope"] == "20260301/us-east-1/AGCODService/aws4_request"
    assert json.loads(exchange["request_body"])["creationRequestId"] == "Acme1X0001"
    assert json.loads(exchange["request_body"])["value"] == {"amount": 25.0, "currencyCode": "USD"}
    assert exchange["request_headers"]["authorization"] == "****"
    assert exchange["http_status"] == 403
    assert "String-to-Sign" in exchange["response_body"]


async def test_the_text_says_the_same_as_the_json():
    """One is for a mail, the other for a ticket system: neither may know more."""
    error, request = await failing(response(MISMATCH, 403))
    report = error.support_report()
    text, exchange = report.text(), json.loads(report.json())["exchange"]
    assert str(report) == text
    for value in ("Acme1", "na-sandbox", "20260301T120000Z", signature_of(request), "http status: 403"):
        assert value in text
    for line in exchange["string_to_sign"].split("\n") + exchange["canonical_request"].split("\n"):
        assert f"    {line}\n" in text
    assert_clean(text, request)
    assert_clean(report.json(), request)


async def test_times_have_a_zone():
    """Support looks into logs of its own zone; a bare time costs a mail to and fro."""
    east = timezone(timedelta(hours=9))
    report = SupportReport(summary="late", facts={"planned at": datetime(2026, 3, 1, 9, 30, tzinfo=east)})
    assert json.loads(report.json())["facts"]["planned at"] == "2026-03-01T00:30:00Z"


async def test_without_an_answer_the_report_says_so():
    """A time-out is the error that support is most often asked about: it has a request and no answer."""
    error, request = await failing(ResponseTimeout("no complete answer within 6 s"))
    report = error.support_report()
    assert error.exchange is not None
    assert error.exchange.http_status is None
    assert "response: none came" in report.text()
    assert "response_body" not in json.loads(report.json())["exchange"]
    assert_clean(report.text() + report.json(), request)


async def test_an_error_before_anything_was_sent_has_a_report_too():
    """Whoever catches AgcodError can always ask for one."""
    report = ConfigurationError("value: too small").support_report()
    assert "exchange" not in json.loads(report.json())
    assert "value: too small" in report.text()
    assert "outcome: not_sent" in report.text()


class Closed(OpenThrottle):
    """Refuses everybody after the first."""

    async def acquire(self, operation: str, /, **options: Any) -> None:
        if self.granted:
            raise ThrottleTimeout("no slot")
        await super().acquire(operation, **options)


async def test_the_last_exchange_is_the_one_that_was_last():
    """An attempt that was never sent leaves the evidence of the one before it in place."""
    transport = ScriptedTransport(ResponseTimeout("why"))
    async with make_session(transport, throttle=Closed()) as session:
        with pytest.raises(AgcodError) as caught:
            await session.get_available_funds()
    assert type(caught.value) is ThrottleTimeout
    assert caught.value.exchange is not None
    assert caught.value.exchange.url.endswith("/GetAvailableFunds")


async def test_each_attempt_has_its_own_evidence():
    """The answer of a former attempt must not pass for that of the last."""
    transport = ScriptedTransport(response(b"busy", 503), ConnectFailed("no route"))
    async with make_session(transport) as session:
        transport.script += [ConnectFailed("no route")] * 3
        with pytest.raises(AgcodError) as caught:
            await session.get_available_funds()
    assert caught.value.exchange is not None
    assert caught.value.exchange.http_status is None


async def test_an_error_raised_from_another_reports_its_exchange():
    """An issuer's OutcomePending sends nothing itself; what it was raised from did."""
    error, _ = await failing(ResponseTimeout("why"))
    pending = OutcomePending("not settled", reference="order-4711", since=START, request_id="Acme1X0001")
    pending.__cause__ = error
    report = pending.support_report()
    assert report.exchange is error.exchange
    assert json.loads(report.json())["facts"] == {
        "error": "OutcomePending",
        "outcome": "unknown",
        "request_id": "Acme1X0001",
        "attempts": 0,
        "reference": "order-4711",
        "since": "2026-03-01T12:00:00Z",
    }
    # Errors may be raised from each other in a ring.
    error.evidence, error.__cause__ = None, pending
    assert pending.support_report().exchange is None


async def test_evidence_that_cannot_be_kept_costs_no_error():
    """The error knows what became of the money; a custom transport's odd answer must not replace it."""
    odd = HTTPResponse(status=503, headers={"date": 7}, body=b"busy")  # type: ignore[dict-item]
    error, _ = await failing(odd)
    assert type(error) is GatewayFault
    assert error.exchange is None
    assert error.exchange is None
    assert "exchange" not in json.loads(error.support_report().json())


async def test_evidence_is_masked_when_somebody_looks():
    """A storm of refusals is dealt with first; only who looks, or pickles, waits for the masking."""
    error, _ = await failing(response(MISMATCH, 403))
    assert repr(error.evidence) == "<Evidence>"
    assert error.exchange is error.exchange
    assert error.evidence != error.exchange


def _signed(body: bytes = b"{}", **headers: str) -> HTTPRequest:
    named = dict.fromkeys(("accept", "content-type", "x-amz-target"), "x") | {"host": "localhost"} | headers
    request = HTTPRequest(origin="https://localhost", path="/CreateGiftCard", headers=named, body=body)
    return SigV4Signer("us-east-1").sign(request, CREDENTIALS, at=START)


def exchange_of(body: bytes, **headers: str) -> Exchange:
    answer = HTTPResponse(status=400, headers=headers, body=body)
    return Exchange.of(explain(_signed()), answer, partner_id="Acme1", endpoint="na")


# What is not in it


@pytest.mark.parametrize("wire_format", ["json", "xml"])
@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
async def test_no_report_of_any_known_answer_shows_a_secret(path, wire_format):
    """The report leaves the house by mail."""
    try:
        error, request = await failing(response(path.read_bytes(), 400), wire_format)
    except pytest.fail.Exception:
        return  # a SUCCESS
    report = error.support_report()
    assert_clean(report.text() + report.json(), request)
    assert signature_of(request) in report.text()
    assert signature_of(request) not in f"{error} {error!r} {vars(error)!r} {report!r} {error.exchange!r}"
    assert "AWS4-HMAC-SHA256" not in f"{error} {error!r} {vars(error)!r} {report!r}"


ANSWERS = {
    "a known field": CREATED,
    "another spelling": CREATED.replace(b"gcClaimCode", b"GC_CLAIM_CODE").replace(b"AAAA", b"wxyz"),
    "a list of codes": b'{"gcClaimCode": ["%b", {"x": "%b"}]}' % ((CLAIM_CODE.encode(),) * 2),
    "a number as code": b'{"gcClaimCode": 1234567890123456, "pin": 987654321}',
    "an unknown field": b'{"voucher": "WXYZABCDEFGHIJ", "nested": {"deeper": ["WXYZABCDEFGHIJ"]}}',
    "a code as name": b'{"%b": 1}' % CLAIM_CODE.encode(),
    "a code in a message": b'{"message": "your code %b is odd"}' % CLAIM_CODE.encode(),
    "a code as amount": CREATED.replace(b"25.0", b'"%b"' % CLAIM_CODE.encode()),
    "a code in lower case": b'{"message": "%b"}' % CLAIM_CODE.lower().encode(),
    "xml": b"<CreateGiftCardResponse><gcClaimCode>%b</gcClaimCode><second>%b</second>"
    b"<gcId>A1</gcId></CreateGiftCardResponse>" % ((CLAIM_CODE.encode(),) * 2),
    "xml with attributes": b'<a code="%b"><gcId>A1</gcId></a>' % CLAIM_CODE.encode(),
    "xml with a comment": b"<a><!-- %b --><gcId>A1</gcId></a>" % CLAIM_CODE.encode(),
    "xml records": b"<a><cardActivityList><r><gcId>A1</gcId><code>%b</code></r><r><gcId>A2</gcId></r>"
    b"</cardActivityList></a>" % CLAIM_CODE.encode(),
    "truncated before its end": CREATED[: CREATED.index(b"AAAA") + 14],
    "truncated early": CREATED[CREATED.index(b"gcClaim") : CREATED.index(b"AAAA") + 9],
    "a bare code": CLAIM_CODE.encode()[:12],
    "html": b"<html><br>%b" % CLAIM_CODE.encode(),
    "utf-16": CREATED.decode().encode("utf-16"),
    "nested deeply": b'{"a":' * 40 + b'"%b"' % CLAIM_CODE.encode() + b"}" * 40,
    "a bare string": b'"%b"' % CLAIM_CODE.encode(),
    "a list": b'["%b"]' % CLAIM_CODE.encode(),
}
FORBIDDEN = (
    CLAIM_CODE, CLAIM_CODE.lower(), "AAAA", "BBBBBB-", "1234567890123456", "987654321", "WXYZABCDEFGHIJ",
    "wxyz", "A\0A",
)  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_codes_are_masked_by_structure(name):
    """Not a pattern decides what is shown, but the list of fields that are known to be harmless."""
    shown = masked_body(ANSWERS[name])
    assert [secret for secret in FORBIDDEN if secret in shown] == []


def test_what_is_harmless_is_shown():
    """A report in which everything is masked helps nobody."""
    assert json.loads(masked_body(CREATED)) == {
        **json.loads(CREATED),
        "gcClaimCode": "****",
    }
    assert masked_body(ANSWERS["xml"]) == (
        "<CreateGiftCardResponse><gcClaimCode>****</gcClaimCode><second>**** (str)</second>"
        "<gcId>A1</gcId></CreateGiftCardResponse>"
    )
    assert masked_body(b"<a><cardInfo><value/><cardStatus>x&lt;y</cardStatus></cardInfo></a>") == (
        "<a><cardInfo><value></value><cardStatus>x&lt;y</cardStatus></cardInfo></a>"
    )


def test_of_an_unreadable_body_length_hash_and_start_are_left():
    """A proxy's page says who answered; its hash tells support which one it was."""
    shown = masked_body(b"<html><head><title>502 Bad Gateway</title>")
    assert shown.startswith("(42 bytes that cannot be read, sha256 ")
    assert "<title>502 Bad Gateway</title>" in shown
    assert "begin" not in masked_body(b"\x16\x03\x01 binary")
    assert masked_body(b"").startswith("(0 bytes that cannot be read, sha256 e3b0c442")


def test_long_lists_are_cut():
    """A page of activity has a thousand records, and no mail should."""
    page = json.dumps({"cardActivityList": [{"gcId": "A1"}] * 1000}).encode()
    shown = json.loads(masked_body(page))["cardActivityList"]
    assert len(shown) == 21
    assert shown[-1] == "… 980 more"


def test_a_gateway_that_quotes_the_signature_is_masked():
    """The report has the signature in one place of its own, and the Authorization header nowhere."""
    signature = signature_of(_signed())
    body = json.dumps({"message": f"you sent {signature}"}).encode()
    exchange = exchange_of(body, server=signature)
    assert signature not in f"{exchange.response_body} {exchange.response_headers}"
    assert exchange.signature == signature


def test_unknown_headers_show_their_names_only():
    """A cookie of a proxy is somebody's secret."""
    assert masked_headers({"Date": "today", "Set-Cookie": "a=b", "authorization": "x"}) == {
        "Date": "today",
        "Set-Cookie": "****",
        "authorization": "****",
    }


def test_a_short_key_id_is_masked_whole():
    """Eight of eight characters would not be an abridgement."""
    assert exchange_of(b"{}").access_key_id == "AKID…MPLE"
    from dataclasses import replace as with_changes

    from agcod_async import Credentials

    request = HTTPRequest(
        origin="https://localhost",
        path="/x",
        headers=dict.fromkeys(("accept", "content-type", "host", "x-amz-target"), "x"),
        body=b"",
    )
    steps = explain(SigV4Signer("us-east-1").sign(request, Credentials("AKID", "s"), at=START))
    exchange = Exchange.of(steps, None, partner_id="Acme1", endpoint="na")
    assert exchange.access_key_id == "****"
    assert with_changes(exchange, signature=None) == exchange


# Travelling, and limits


@pytest.mark.parametrize("travel", TRAVELS)
async def test_the_exchange_travels_without_its_signature(travel):
    """A worker's error is reported by its parent; the signature stays where it was made."""
    error, request = await failing(response(MISMATCH, 403))
    travelled = TRAVELS[travel](error)
    assert travelled.exchange == error.exchange
    assert vars(travelled) == vars(error)
    assert travelled.support_report().summary == str(error)
    assert signature_of(request).encode() not in pickle.dumps(error)


texts = st.one_of(
    st.text(max_size=50), st.just("x" * 5000), st.just('"\\' * 3000), st.just(f"{CLAIM_CODE} " * 400)
)
trees = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda each: st.one_of(
        st.lists(each, max_size=5),
        st.dictionaries(st.one_of(st.sampled_from(["message", "gcClaimCode", "value", "id"]), texts), each),
    ),
    max_leaves=25,
)


@examples(150)
@given(
    body=st.one_of(st.binary(max_size=400), trees.map(lambda tree: json.dumps({"message": tree}).encode())),
    headers=st.dictionaries(st.sampled_from(["date", "server", "x", "via", *map(str, range(90))]), texts),
    facts=st.dictionaries(
        texts, st.one_of(texts, st.integers(), st.none(), st.datetimes(timezones=st.just(UTC)))
    ),
    summary=texts,
)
def test_reports_are_bounded_and_clean_whatever_comes(body, headers, facts, summary):
    """A hostile answer can make a report neither long nor dangerous, and never an exception."""
    report = SupportReport(summary=summary, facts=facts, exchange=exchange_of(body, **headers))
    assert len(report.text()) <= MAX_REPORT
    assert len(report.json()) <= MAX_REPORT
    for text in (report.text(), report.json()):
        assert CLAIM_CODE not in text
        assert all(char.isprintable() or char == "\n" for char in text)
    assert len(report.exchange.response_body) <= MAX_BODY + 40


def test_a_number_of_many_digits_is_none():
    """Codes have been sent as numbers before."""
    assert "1" * 100 not in masked_body(b'{"amount": %b}' % (b"1" * 100))


def test_keeping_evidence_costs_little():
    """It is kept for each failed attempt, so it must not slow down a recovery: 0.1 ms is usual."""
    steps, answer = explain(_signed()), HTTPResponse(status=400, headers={"date": "x"}, body=CREATED)

    def timed() -> float:
        began = time.perf_counter()
        Exchange.of(steps, answer, partner_id="Acme1", endpoint="na")
        return time.perf_counter() - began

    assert min(timed() for _ in range(5)) < 0.005


async def test_a_malformed_answer_is_reported():
    """What a codec could not read is described without being quoted."""
    error, request = await failing(response(CREATED[:-30]))
    assert type(error) is MalformedResponse
    assert "cannot be read" in error.support_report().text()
    assert_clean(error.support_report().json(), request)


def test_the_endpoint_is_named():
    """Support has to know where to look."""
    assert Endpoint.NA.name == exchange_of(b"{}").endpoint
