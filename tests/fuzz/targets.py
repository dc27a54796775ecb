"""
What is fuzzed, and what must hold for every input.

A target takes bytes, and raises only where the package broke a promise: another exception than its own, a
card that was not asked for, text in an error that has no place there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import get_args

import msgspec

from agcod_async import AgcodError, Credentials, Endpoint, Money, codecs, model
from agcod_async.dates import parse_date, parse_http_date
from agcod_async.diagnosis import diagnose, diagnosis_of
from agcod_async.errors import (
    ClockSkewError,
    ConfigurationError,
    CredentialsError,
    ResponseError,
    SignatureError,
)
from agcod_async.money import payable
from agcod_async.protocol import Protocol
from agcod_async.secret import mask, redact
from agcod_async.signer import SigV4Signer, explain
from agcod_async.signing import Cause, Diagnosis
from agcod_async.wire import HTTPRequest, HTTPResponse

CORPUS = Path(__file__).parent / "corpus"
VECTORS = Path(__file__).parents[1] / "vectors"

VALUE = Money("25.00", "USD")
SHAPES: Mapping[model.Operation[model.Shape, model.Response], model.Shape] = {
    model.CREATE_GIFT_CARD: model.CreateGiftCardRequest(
        creation_request_id="Acme1X0001", partner_id="Acme1", value=VALUE
    ),
    model.CANCEL_GIFT_CARD: model.CancelGiftCardRequest(creation_request_id="Acme1X0001", partner_id="Acme1"),
    model.ACTIVATE_GIFT_CARD: model.ActivateGiftCardRequest(
        activation_request_id="Acme1A0001", partner_id="Acme1", card_number="14", value=VALUE
    ),
    model.DEACTIVATE_GIFT_CARD: model.DeactivateGiftCardRequest(
        activation_request_id="Acme1A0001", partner_id="Acme1", card_number="14"
    ),
    model.ACTIVATION_STATUS_CHECK: model.ActivationStatusCheckRequest(
        status_check_request_id="S1", partner_id="Acme1", card_number="14"
    ),
    model.GET_GIFT_CARD_ACTIVITY_PAGE: model.GetGiftCardActivityPageRequest(
        request_id="Acme1R1",
        partner_id="Acme1",
        utc_start_date="2026-03-01T00:00:00",
        utc_end_date="2026-03-02T00:00:00",
        page_index=0,
        page_size=1000,
        show_no_ops=False,
    ),
    model.GET_AVAILABLE_FUNDS: model.GetAvailableFundsRequest(partner_id="Acme1"),
    model.LOAD_AMAZON_BALANCE: model.LoadAmazonBalanceRequest(
        load_balance_request_id="Acme1L0001",
        partner_id="Acme1",
        amount=model.BalanceAmount(currency_code="USD", value="25.00"),
        account=model.Account(id="token", type="1"),
    ),
}
QUESTIONS = tuple(SHAPES.items())
STATUSES = (200, 400, 401, 403, 404, 409, 429, 500, 502, 503)
PROTOCOL = Protocol(Endpoint.NA_SANDBOX, codecs.JSON, "Acme1", "fuzz")
SECRET = "kept/by+nobody/but+us"
STEPS = explain(
    SigV4Signer("us-east-1").sign(
        PROTOCOL.request(*QUESTIONS[0]),
        Credentials("AKIDEXAMPLE", SECRET),
        at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
)
SIGNATURE = SignatureError(error_type="InvalidSignatureException")
KEY = CredentialsError(error_type="UnrecognizedClientException")
SKEW = ClockSkewError(error_type="InvalidSignatureException")
SIGNED = HTTPRequest(
    origin="https://gateway.invalid", path="/X", headers={"x-amz-date": "20260301T120000Z"}, body=b""
)
HEADERS: Mapping[str, str] = {"date": "Sun, 01 Mar 2026 12:20:00 GMT", "x-amzn-requestid": "r-1"}


def answers(data: bytes) -> None:
    """The decoder and the classifier: the first byte chooses the question and the status of the answer."""
    if not data:
        return
    choices = tuple(product(QUESTIONS, STATUSES))
    (operation, shape), status = choices[data[0] % len(choices)]
    response = HTTPResponse(status=status, headers=HEADERS, body=data[1:])
    try:
        answer = PROTOCOL.read(operation, shape, SIGNED, response)
    except ResponseError as error:
        _harmless(error)
    else:
        assert answer.status == "SUCCESS"
        if isinstance(answer, model.CreateGiftCardResponse):
            assert answer.gc_claim_code is not None
            assert answer.card_info is not None
            assert answer.card_info.card_status == "Fulfilled"
            assert answer.card_info.value == VALUE
        assert answer.unknown_fields is not None
        repr(answer)


def header(data: bytes) -> None:
    """Headers of an answer, which say what kind of refusal it is and when it was made."""
    text = data.decode("latin-1")
    response = HTTPResponse(
        status=403,
        headers={"date": text, "x-amzn-errortype": text, "x-amzn-requestid": text, "retry-after": text},
        body=b'{"message":"The request signature we calculated does not match"}',
    )
    operation, shape = QUESTIONS[0]
    try:
        PROTOCOL.read(operation, shape, SIGNED, response)
    except ResponseError as error:
        _harmless(error)


def xml(data: bytes) -> None:
    """The XML guard: no DTD, no entity, no depth comes through, and nothing but UnreadableBody comes out."""
    try:
        name, tree = codecs.XML.parse(data)
    except codecs.UnreadableBody:
        return
    assert b"<!DOCTYPE" not in data.partition(b">")[0]
    assert ":" not in name
    assert _depth(tree) <= codecs.MAX_DEPTH


def json(data: bytes) -> None:
    """Free JSON, as refusals are read; whatever can be parsed can be written and parsed again."""
    try:
        _, tree = codecs.JSON.parse(data)
    except codecs.UnreadableBody:
        return
    assert isinstance(tree, dict)
    assert msgspec.json.decode(msgspec.json.encode(list(tree))) == list(tree)


def moments(data: bytes) -> None:
    """Dates, wherever they turn up: an aware moment, or None."""
    text = data.decode("utf-8", "replace")
    for parse in (parse_date, parse_http_date):
        moment = parse(text)
        assert moment is None or moment.utcoffset() is not None
    moment = parse_date(text)
    assert moment is None or moment.tzinfo is UTC or moment == datetime.fromtimestamp(0, UTC)


def amounts(data: bytes) -> None:
    """Money as text: exact, finite and of one currency, or a ConfigurationError that names what is wrong."""
    amount, _, currency = data.decode("utf-8", "replace").partition("\n")
    try:
        money = Money(amount, currency)
        assert money.amount.is_finite()
        assert Money(f"{money.amount:f}", currency) == money
        exact = payable("value", money)
    except ConfigurationError as error:
        _harmless(error)
    else:
        assert exact == money


def texts(data: bytes) -> None:
    """What goes into a message: one bounded, printable line, and clean of what is cleaned a second time."""
    line = redact(data.decode("utf-8", "replace"))
    assert len(line) <= 300
    assert line.isprintable()
    assert redact(line) == line.strip()


def refusals(data: bytes) -> None:
    """The signature doctor on what somebody pasted: a known cause, and one bounded line without a secret."""
    _sound(diagnose(data.decode("utf-8", "replace")))


def signatures(data: bytes) -> None:
    """The same on an answer to a request of ours, with all that was signed; the first byte: which error."""
    if not data:
        return
    choices = (SIGNATURE, KEY, SKEW)
    error, body = choices[data[0] % len(choices)], data[1:]
    for endpoint in (Endpoint.NA, Endpoint.NA_SANDBOX):
        _sound(diagnosis_of(error, body, STEPS, endpoint, was_accepted=bool(data[0] & 64)))


def words() -> set[str]:
    """Return the names that documents are made of, for the fuzzer to put together."""
    text = b"\n".join(seeds("json")).decode("utf-8", "replace")
    return set(re.findall(r"[A-Za-z][A-Za-z0-9]{2,40}", text))


Target = Callable[[bytes], None]
TARGETS: Mapping[str, Target] = {
    target.__name__: target
    for target in (answers, header, xml, json, moments, amounts, texts, refusals, signatures)
}


def seeds(target: str) -> list[bytes]:
    """Return the inputs that fuzzing of *target* begins with: what was kept, and the vectors of the tests."""
    kept = [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    documents = [
        path.read_bytes() for path in sorted(VECTORS.glob("*/*")) if path.suffix in (".json", ".xml")
    ]
    if target == "answers":
        kept += [bytes([choice]) + document for choice in range(0, 80, 9) for document in documents]
    elif target == "signatures":
        kept += [
            bytes([choice]) + document for choice in range(3) for document in [*documents, *seeds("refusals")]
        ]
    elif target in ("xml", "json", "refusals"):
        kept += documents
    return kept


def _harmless(error: AgcodError) -> None:
    # A message of 300 characters, a code and a type of 100, and what we say ourselves.
    assert len(str(error)) <= 600
    assert str(error).isprintable()
    assert error.outcome in ("refused", "not_sent", "unknown")


def _sound(diagnosis: Diagnosis) -> None:
    assert diagnosis.cause in get_args(Cause)
    assert 0 < len(diagnosis.text) <= 400
    for text in (diagnosis.text, diagnosis.name, diagnosis.ours, diagnosis.theirs):
        if text is not None:
            assert text.isprintable()
            assert len(text) <= 400
            assert mask(text) == text
            assert SECRET not in text
            assert STEPS.signature.reveal() not in text


def _depth(tree: object) -> int:
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return max((_depth(child) + isinstance(tree, dict) for child in children), default=0)
