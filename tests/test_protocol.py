"""The protocol: requests that may leave, and answers held against what was asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agcod_async import (
    AgcodError,
    ConfigurationError,
    Endpoint,
    MalformedResponse,
    Money,
    PostconditionError,
    codecs,
    model,
)
from agcod_async.protocol import Protocol
from tests.support.server import CLAIM_CODE
from tests.support.sessions import CREATED, FUNDS, response

USD = Money("25.00", "USD")
CREATE = model.CreateGiftCardRequest(creation_request_id="Acme1X0001", partner_id="Acme1", value=USD)
ACTIVATE = model.ActivateGiftCardRequest(
    activation_request_id="Acme1A0001", partner_id="Acme1", card_number="14", value=USD
)
DEACTIVATE = model.DeactivateGiftCardRequest(
    activation_request_id="Acme1A0001", partner_id="Acme1", card_number="14"
)
CANCEL = model.CancelGiftCardRequest(creation_request_id="Acme1X0001", partner_id="Acme1")
CHECK = model.ActivationStatusCheckRequest(status_check_request_id="S1", partner_id="Acme1", card_number="14")
ASK_FUNDS = model.GetAvailableFundsRequest(partner_id="Acme1")


def make_protocol(endpoint: Endpoint = Endpoint.NA_SANDBOX) -> Protocol:
    return Protocol(endpoint, codecs.JSON, "Acme1", "agent")


def read(operation: model.Operation[Any, Any], shape: model.Shape, answer: dict | bytes) -> Any:
    """Read *answer* to *shape*, as a session does."""
    protocol = make_protocol()
    request = protocol.request(operation, shape)
    signed = request.__class__(
        origin=request.origin,
        path=request.path,
        headers={**request.headers, "x-amz-date": "20260301T120000Z"},
        body=request.body,
    )
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return protocol.read(operation, shape, signed, response(body))


def card(status: str | None = "Activated", amount: float | None = 25.0) -> dict:
    value = None if amount is None else {"amount": amount, "currencyCode": "USD"}
    return {"cardNumber": "14", "cardStatus": status, "value": value}


# Requests


def test_a_request_is_encoded_once_with_the_headers_of_its_operation():
    """Every attempt sends these bytes: encoded again, they could differ from what was signed."""
    request = make_protocol().request(model.CREATE_GIFT_CARD, CREATE)
    assert request.body == (
        b'{"creationRequestId":"Acme1X0001","partnerId":"Acme1","value":{"amount":25.00,"currencyCode":"USD"}}'
    )
    assert request.headers["user-agent"] == "agent"
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("operation", "shape"),
    [
        (model.CREATE_GIFT_CARD, model.CreateGiftCardRequest),
        (model.ACTIVATE_GIFT_CARD, model.ActivateGiftCardRequest),
        (model.CANCEL_GIFT_CARD, model.CancelGiftCardRequest),
        (model.DEACTIVATE_GIFT_CARD, model.DeactivateGiftCardRequest),
    ],
)
def test_an_id_of_another_partner_is_refused(operation, shape):
    """The service refuses it anyway, after the caller has stored an intent that can never succeed."""
    fields = {
        "creation_request_id": "Other1",
        "activation_request_id": "Other1",
        "partner_id": "Acme1",
        "card_number": "14",
        "value": USD,
    }
    known = {name: value for name, value in fields.items() if name in shape.__struct_fields__}
    with pytest.raises(ConfigurationError, match="_request_id: 'Other1' must begin with the partner id"):
        make_protocol().request(operation, shape(**known))


def test_free_ids_need_no_prefix():
    """Status checks and activity pages take any id."""
    assert b'"S1"' in make_protocol().request(model.ACTIVATION_STATUS_CHECK, CHECK).body


def test_mock_ids_are_for_the_sandbox():
    """F2003 is an order for a planned error there, and a mistake where money is spent."""
    shape = model.CreateGiftCardRequest(creation_request_id="F2003", partner_id="Acme1", value=USD)
    assert b'"F2003"' in make_protocol().request(model.CREATE_GIFT_CARD, shape).body
    custom = Endpoint.custom("https://localhost:1", region="us-east-1")
    assert b'"F2003"' in make_protocol(custom).request(model.CREATE_GIFT_CARD, shape).body
    with pytest.raises(ConfigurationError, match="mock id"):
        make_protocol(Endpoint.NA).request(model.CREATE_GIFT_CARD, shape)


def test_bad_input_is_refused_before_it_is_encoded():
    """What the service could only refuse never becomes a request."""
    shape = model.CancelGiftCardRequest(creation_request_id="Acme1" + 36 * "0", partner_id="Acme1")
    with pytest.raises(ConfigurationError, match="creation_request_id: 41 characters"):
        make_protocol().request(model.CANCEL_GIFT_CARD, shape)


# Answers that are what was asked for


def test_a_card_is_read_and_knows_its_unknown_fields():
    """Fields of a newer service are not lost, and an unfamiliar claim code in them stays masked."""
    answer = read(model.CREATE_GIFT_CARD, CREATE, CREATED)
    assert answer.card_info.value == USD
    assert answer.unknown_fields == {}
    newer = json.loads(CREATED) | {"secondCode": "BBBB-CCCCCC-DDDD", "note": "x"}
    fields = read(model.CREATE_GIFT_CARD, CREATE, newer).unknown_fields
    assert fields["note"] == "x"
    assert fields["secondCode"].reveal() == "BBBB-CCCCCC-DDDD"
    assert "BBBB-CCCCCC-DDDD" not in repr(fields)


def test_the_documents_spelling_of_status_is_read():
    """Prose says statusCode, the wire says status: either SUCCESS is one."""
    answer = json.loads(FUNDS)
    answer["statusCode"] = answer.pop("status")
    assert read(model.GET_AVAILABLE_FUNDS, ASK_FUNDS, answer).status == "SUCCESS"
    answer["statusCode"] = 200
    with pytest.raises(MalformedResponse):
        read(model.GET_AVAILABLE_FUNDS, ASK_FUNDS, answer)


def test_an_answer_in_the_other_format_is_read():
    """Gateways do not always answer in the format asked for."""
    body = (
        b"<GetAvailableFunds><availableFunds><amount>0</amount><currencyCode>USD</currencyCode>"
        b"</availableFunds><status>SUCCESS</status></GetAvailableFunds>"
    )
    assert read(model.GET_AVAILABLE_FUNDS, ASK_FUNDS, body).available_funds == Money(0, "USD")


def test_mock_successes_need_no_echo():
    """The sandbox's F0000 answers with placeholders; other mocks echo no id."""
    shape = model.CreateGiftCardRequest(creation_request_id="F0000", partner_id="Acme1", value=USD)
    answer = json.loads(CREATED) | {"creationRequestId": None}
    assert read(model.CREATE_GIFT_CARD, shape, answer).gc_id == "A0B1C2D3E4F5G6"


def test_operations_without_an_echo_in_the_documents_may_go_without():
    """A cancel or a load without an echoed id is still that cancel: nothing contradicts it."""
    assert read(model.CANCEL_GIFT_CARD, CANCEL, {"status": "SUCCESS"}).gc_id is None


def test_amounts_compare_by_value():
    """25, 25.0 and 25.00 are the same money."""
    activated = {"activationRequestId": "Acme1A0001", "cardInfo": card(amount=25), "status": "SUCCESS"}
    assert read(model.ACTIVATE_GIFT_CARD, ACTIVATE, activated).card_info.value == USD


# SUCCESS that is not what was asked for (creates are fed over a socket in test_refusals.py)


@pytest.mark.parametrize(
    ("operation", "shape", "answer", "reason"),
    [
        (model.ACTIVATE_GIFT_CARD, ACTIVATE, {"cardInfo": card("AwaitingActivation")}, "not Activated"),
        (model.ACTIVATE_GIFT_CARD, ACTIVATE, {"cardInfo": card(amount=10.0)}, "the id was used before"),
        (model.DEACTIVATE_GIFT_CARD, DEACTIVATE, {"cardInfo": card()}, "the card is still active"),
    ],
)
def test_another_card_than_asked_for_is_refused(operation, shape, answer, reason):
    """SUCCESS alone does not mean that the customer holds what was paid for."""
    with pytest.raises(PostconditionError, match=reason) as caught:
        read(operation, shape, {"activationRequestId": "Acme1A0001", "status": "SUCCESS", **answer})
    assert caught.value.outcome == "refused"
    assert caught.value.response.card_info.card_number == "14"


@pytest.mark.parametrize(
    ("operation", "shape", "field"),
    [
        (model.CREATE_GIFT_CARD, CREATE, "creationRequestId"),
        (model.CANCEL_GIFT_CARD, CANCEL, "creationRequestId"),
        (model.ACTIVATE_GIFT_CARD, ACTIVATE, "activationRequestId"),
        (model.DEACTIVATE_GIFT_CARD, DEACTIVATE, "activationRequestId"),
        (model.ACTIVATION_STATUS_CHECK, CHECK, "statusCheckRequestId"),
    ],
)
def test_an_answer_about_another_id_proves_nothing(operation, shape, field):
    """Answers mixed up on the way: what became of the request asked about is unknown."""
    with pytest.raises(PostconditionError, match="the answer is about Other") as caught:
        read(operation, shape, {"status": "SUCCESS", field: "Other", "cardInfo": card()})
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize(
    ("operation", "shape", "answer", "missing"),
    [
        (
            model.ACTIVATE_GIFT_CARD,
            ACTIVATE,
            {"cardInfo": card()},
            "activationRequestId|activation_request_id",
        ),
        (model.ACTIVATE_GIFT_CARD, ACTIVATE, {"activationRequestId": "Acme1A0001"}, "cardInfo"),
        (model.ACTIVATION_STATUS_CHECK, CHECK, {"statusCheckRequestId": "S1"}, "cardInfo"),
        (model.GET_AVAILABLE_FUNDS, ASK_FUNDS, {}, "availableFunds"),
    ],
)
def test_a_success_that_lacks_what_was_asked_for_is_unreadable(operation, shape, answer, missing):
    """None where a balance or a card should be would crash the caller far from here."""
    with pytest.raises(MalformedResponse, match=missing) as caught:
        read(operation, shape, {"status": "SUCCESS", **answer})
    assert caught.value.outcome == "unknown"


@pytest.mark.reveals("exceptions", because="frames hold the text of a field that should hold no code")
@pytest.mark.parametrize("field", [b"Acme1X0001", b"Fulfilled", b"USD"])
def test_a_code_in_the_wrong_field_is_masked_in_the_message(field):
    """Messages go into logs, whatever a broken gateway wrote where an id or a currency should be."""
    with pytest.raises(PostconditionError) as caught:
        read(model.CREATE_GIFT_CARD, CREATE, CREATED.replace(field, b"BBBB-CCCCCC-DDDD"))
    assert "BBBB" not in str(caught.value) + repr(caught.value)
    assert "****" in str(caught.value)


def test_a_deactivation_may_come_without_its_card():
    """Nothing in the answer contradicts that the card is inactive."""
    answer = {"activationRequestId": "Acme1A0001", "status": "SUCCESS"}
    assert read(model.DEACTIVATE_GIFT_CARD, DEACTIVATE, answer).card_info is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"<a", b"\xff", b"[]", b"{}", b'{"status":"SUCCESS","cardInfo":3}']
)
def test_no_answer_raises_anything_but_our_errors(body):
    """Whatever a broken gateway sends, the caller sees an error with an outcome."""
    with pytest.raises(AgcodError) as caught:
        read(model.CREATE_GIFT_CARD, CREATE, body)
    assert caught.value.outcome == "unknown"


def test_unknown_fields_that_cannot_be_read_spoil_nothing():
    """A new field with broken text in it must not turn a card that was paid for into an error."""
    answer = CREATED.rstrip()[:-1] + b', "newField": "\xff"}'
    read_card = read(model.CREATE_GIFT_CARD, CREATE, answer)
    assert read_card.gc_id
    assert read_card.unknown_fields == {}


@pytest.mark.parametrize("status", ["Claimed", "Processing", "Redeemed"])
def test_a_status_nobody_knows_is_not_called_refused(status):
    """The set of statuses is open: a live card under a new name must not be booked as not issued."""
    with pytest.raises(PostconditionError) as caught:
        read(model.CREATE_GIFT_CARD, CREATE, CREATED.replace(b"Fulfilled", status.encode()))
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize(
    ("operation", "shape", "answer", "field"),
    [
        (model.ACTIVATE_GIFT_CARD, ACTIVATE, {"activationRequestId": "Acme1A0001"}, "card_number"),
        (model.DEACTIVATE_GIFT_CARD, DEACTIVATE, {"activationRequestId": "Acme1A0001"}, "card_number"),
        (model.ACTIVATION_STATUS_CHECK, CHECK, {"statusCheckRequestId": "S1"}, "card_number"),
        (
            model.CANCEL_GIFT_CARD,
            model.CancelGiftCardRequest(creation_request_id="Acme1X0001", partner_id="Acme1", gc_id="A1"),
            {"creationRequestId": "Acme1X0001", "gcId": "A2"},
            "gc_id",
        ),
    ],
)
def test_an_answer_about_another_card_proves_nothing(operation, shape, answer, field):
    """Money was put on, or taken from, a card that nobody named."""
    other = {"cardNumber": "99", "cardStatus": "Activated", "value": {"amount": 25.0, "currencyCode": "USD"}}
    with pytest.raises(PostconditionError, match=f"another {field}") as caught:
        read(operation, shape, {**answer, "status": "SUCCESS", "cardInfo": other})
    assert caught.value.outcome == "unknown"


def answered(status: int, body: dict) -> AgcodError:
    request = make_protocol().request(model.CREATE_GIFT_CARD, CREATE)
    signed = request.__class__(
        origin=request.origin,
        path=request.path,
        headers={**request.headers, "x-amz-date": "20260301T120000Z"},
        body=request.body,
    )
    with pytest.raises(AgcodError) as caught:
        make_protocol().read(
            model.CREATE_GIFT_CARD, CREATE, signed, response(json.dumps(body).encode(), status)
        )
    return caught.value


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"message": "dependency throttled after commit"}),
        (503, {"message": "the dependency said accessdenied"}),
        (500, {"message": "Signature expired in a service downstream"}),
        (400, {"errorCode": "F100", "errorType": "ThrottlingDependency", "message": ""}),
        (400, {"errorCode": "F500", "errorType": "AccessDeniedByDependency", "message": ""}),
        (400, {"agcodResponse": {"status": "RESEND"}, "status": "FAILURE", "errorCode": "F300"}),
        (408, {"message": "Request Timeout"}),
        (409, {"message": "in progress"}),
        (425, {"message": "Too Early"}),
        (499, {"message": "client closed request"}),
    ],
)
def test_what_may_have_been_executed_is_never_called_refused(status, body):
    """Words in a failure are no verdict: booking "not issued" on them would lose a charge."""
    assert answered(status, body).outcome == "unknown"


def test_names_and_codes_of_an_error_are_cleaned_and_bounded():
    """They go into the message, and with it into logs: no code, no signature, no line ends, no megabytes."""
    error = answered(
        400,
        {"errorCode": "F200" + 3 * "x" * 10**6, "errorType": f"{CLAIM_CODE}\nSignature=abc", "message": "no"},
    )
    assert CLAIM_CODE not in str(error)
    assert "abc" not in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 500
