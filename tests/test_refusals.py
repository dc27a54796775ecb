"""What answers amount to: every wire form that is known, from a file, over a real socket."""

from __future__ import annotations

import copy
import pickle
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import agcod_async
from agcod_async import (
    AgcodError,
    ClockSkewError,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    CredentialsError,
    Endpoint,
    InvalidRequestError,
    MalformedResponse,
    Money,
    PostconditionError,
    ResponseError,
    ResponseTimeout,
    ServiceError,
    SignatureError,
    ThrottlingError,
)
from agcod_async.refusals import Verdict, facts_of, refusal, signing_time, unreadable
from agcod_async.wire import HTTPResponse
from tests.support import server as wire
from tests.support.leaks import SENSITIVE
from tests.support.server import ScriptedServer
from tests.support.sessions import NO_RETRY, make_session

VECTORS = Path(__file__).parent / "vectors" / "refusals"
CASES = tomllib.loads((VECTORS / "cases.toml").read_text())["case"]
SIGNED_AT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def name_of(case: dict) -> str:
    via = f" {next(iter(case['headers'].values())).partition(':')[0]}" if "headers" in case else ""
    return f"{case['file']} {case['http_status']}{via}"


async def error_of(case: dict) -> AgcodError:
    """Feed the case to a session through a socket, and return what the call raises."""
    body = (VECTORS / case["file"]).read_bytes()
    step = wire.answer(body, case["http_status"], case.get("headers"))
    async with ScriptedServer(step) as server:
        endpoint = Endpoint.custom(server.url, region="us-east-1")
        wire_format = "xml" if case["file"].endswith(".xml") else "json"
        # The clock is the real one, like the server's Date header.
        async with make_session(
            endpoint=endpoint, wire_format=wire_format, retry=NO_RETRY, clock=lambda: datetime.now(UTC)
        ) as session:
            with pytest.raises(AgcodError) as caught:
                await session.create_gift_card("Acme1X0001", Money("25.00", "USD"))
    return caught.value


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_each_answer_becomes_its_error(case):
    """What a caller does next hangs on class, outcome and retry safety: money is spent by it."""
    error = await error_of(case)
    assert type(error) is getattr(agcod_async, case["error"])
    assert error.outcome == case["outcome"]
    assert error.is_retry_safe is case["retry_safe"]
    assert isinstance(error, ResponseError)
    assert error.http_status == case["http_status"]
    assert error.aws_request_id == "11111111-2222-3333-4444-555555555555"
    assert (error.operation, error.request_id) == ("CreateGiftCard", "Acme1X0001")
    assert error.attempts == 1
    assert getattr(error, "error_code", None) == case.get("code")
    assert getattr(error, "error_type", None) == case.get("type")
    if "message" in case:
        assert error.message == case["message"]
    assert "\n" not in str(error)
    assert "STRING-TO-SIGN" not in str(error) + repr(error)
    assert SENSITIVE.search(str(error) + repr(error) + repr(vars(error))) is None


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_each_error_survives_pickle_and_copy(case):
    """Task queues and process pools carry errors to whoever decides about the money."""
    error = await error_of(case)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.outcome == error.outcome
        fields, twins = dict(vars(error)), dict(vars(twin))
        if isinstance(error, PostconditionError):
            # The claim code must not travel: it stays with the original.
            answer = fields.pop("response")
            assert twins.pop("response") == answer.without_secrets()
            assert twin.response.gc_claim_code is None
        assert twins == fields


def test_every_error_after_an_answer_has_a_case():
    """A class without a wire form that leads to it would be untested, or dead."""
    classes = {
        error
        for error in vars(agcod_async).values()
        if isinstance(error, type) and issubclass(error, ResponseError)
    }
    assert {error.__name__ for error in classes - {ResponseError, ServiceError}} == {
        case["error"] for case in CASES
    }


def test_every_vector_is_used():
    """A file that no case names looks like a test and is none."""
    assert {path.name for path in VECTORS.iterdir()} - {"cases.toml"} == {case["file"] for case in CASES}


@pytest.mark.parametrize("kind", [ConnectFailed, ConnectionLost, ResponseTimeout, ConfigurationError])
def test_errors_without_an_answer_survive_pickle_and_copy(kind):
    """The same queues carry these."""
    error = kind("why", operation="CreateGiftCard", request_id="Acme1X0001")
    error.outcome, error.attempts = "unknown", 3
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(twin), vars(twin), str(twin)) == (kind, vars(error), str(error))


# Details that no single answer shows


def response(status: int = 403, **headers: str) -> HTTPResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPResponse(status=status, headers=named, body=b"")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The request signature we calculated does not match", SignatureError),
        ("The security token included in the request is invalid.", CredentialsError),
    ],
)
def test_a_refused_signature_far_off_in_time_is_a_matter_of_the_clock(text, kind):
    """Gateways refuse stale signatures under several names; a correct clock mends them all."""
    verdict = Verdict.find("", {"message": text}, {})

    def error_at(date: str | None) -> ResponseError:
        headers = {"date": date} if date else {}
        return refusal(verdict, response(**headers), {}, SIGNED_AT)

    skewed = error_at("Sun, 01 Mar 2026 12:20:00 GMT")
    assert isinstance(skewed, ClockSkewError)
    assert skewed.signed_at == SIGNED_AT
    assert skewed.server_date == SIGNED_AT + timedelta(minutes=20)
    assert type(error_at("Sun, 01 Mar 2026 11:39:00 GMT")) is ClockSkewError
    for harmless in ("Sun, 01 Mar 2026 12:14:00 GMT", "yesterday, or so", "", None):
        assert type(error_at(harmless)) is kind


def test_the_errors_name_wins_over_the_roots_name():
    """XML errors come under roots that name the exception, the operation, or nothing."""
    verdict = Verdict.find("ThrottlingException", {"errorType": "InsufficientFunds"}, {})
    assert verdict.error_type == "InsufficientFunds"
    assert Verdict.find("CreateGiftCardResponse", {}, {}).error_type is None


def test_the_header_wins_over_the_type_in_the_body():
    """The body's __type may name the response's shape instead of the error."""
    verdict = Verdict.find("", {"__type": "a.b#Other"}, {"x-amzn-errortype": "a.b#Throttled:http://x/"})
    assert verdict.error_type == "Throttled"


@pytest.mark.parametrize("value", [{"a": 1}, ["F200"], 200, True, "", None])
def test_fields_of_odd_types_are_no_verdict(value):
    """A body that merely looks like an error must not crash the call, nor be read as a refusal."""
    tree = dict.fromkeys(("agcodResponse", "errorCode", "errorType", "status", "__type"), value)
    verdict = Verdict.find("", tree, {})
    assert verdict == Verdict(status=None, error_code=None, error_type=None, text=None, has_message=False)
    assert isinstance(refusal(verdict, response(200), {}, SIGNED_AT), MalformedResponse)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("3", 3.0), ("0", 0.0), ("", None), ("soon", None), ("-1", None), ("٣", None)],
)
def test_retry_after_is_read_where_it_is_a_number(retry_after, seconds):
    """The service asks for a pause in seconds; anything else is no reason to crash."""
    assert facts_of(response(429, retry_after=retry_after))["retry_after"] == seconds
    assert facts_of(response(429))["retry_after"] is None


def test_a_body_without_a_document_is_judged_by_its_status():
    """Proxies in between answer in HTML: 429 was not executed, 5xx may have been, the rest is unreadable."""
    kinds = {429: ThrottlingError, 400: MalformedResponse, 200: MalformedResponse}
    for status, kind in kinds.items():
        assert type(unreadable("why", response(status), {})) is kind


def test_codes_and_signatures_in_a_refusals_text_are_masked():
    """A gateway that quotes the request must not bring its secrets into logs."""
    text = "Bad: AAAA-BBBBBB-CCCC with Signature=" + 64 * "a"
    error = refusal(Verdict.find("", {"message": text}, {}), response(400), {}, SIGNED_AT)
    assert type(error) is InvalidRequestError
    assert SENSITIVE.search(str(error)) is None


def test_the_signing_time_is_read_back():
    """The skew is measured from what was signed, and not from when the answer was read."""
    assert signing_time({"x-amz-date": "20260301T120000Z"}) == SIGNED_AT
