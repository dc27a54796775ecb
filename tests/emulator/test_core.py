"""From request to answer: formats, error bodies, mock errors, throttling, snapshots."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from agcod_async.emulator import Emulator, Partner, Rate, Settings, State, Throttle, core
from agcod_async.emulator.refusals import MOCKS

from . import foreign

NAMESPACE = "http://internal.amazon.com/coral/com.amazonaws.agcod/"
REQUESTS = {
    "CreateGiftCard": (foreign.create_fields("F0000"), "creationRequestId"),
    "CancelGiftCard": (foreign.cancel_fields("F0000"), "creationRequestId"),
    "ActivateGiftCard": (foreign.card_fields("F0000"), "activationRequestId"),
    "DeactivateGiftCard": (foreign.card_fields("F0000"), "activationRequestId"),
    "ActivationStatusCheck": (foreign.card_fields("F0000"), "statusCheckRequestId"),
    "GetAvailableFunds": ({"partnerId": "F0000"}, "partnerId"),
    "GetGiftCardActivityPage": (foreign.page_fields(requestId="F0000"), "requestId"),
    "LoadAmazonBalance": (foreign.load_fields("F0000"), "loadBalanceRequestId"),
    "VoidAmazonBalanceLoad": (foreign.load_fields("F0000"), "loadBalanceRequestId"),
    "ValidateAccountForAmazonBalanceLoad": (foreign.load_fields("F0000"), "loadBalanceRequestId"),
}
XML_CREATE = (
    b"<CreateGiftCardRequest><partnerId>Acme1</partnerId><creationRequestId>Acme1x</creationRequestId>"
    b"<value><currencyCode>USD</currencyCode><amount>20.00</amount></value></CreateGiftCardRequest>"
)


def _answer(emulator, operation, fields, **options):
    return emulator.handle(foreign.request(emulator, operation, fields, **options))


@pytest.mark.parametrize("operation", REQUESTS)
@pytest.mark.parametrize("mock_id", MOCKS)
def test_every_mock_id_works_on_every_operation(emulator, operation, mock_id):
    """The body is exact: nulls for the response fields, __type, code, type, text; nothing happens."""
    fields, id_field = REQUESTS[operation]
    answer = _answer(emulator, operation, fields | {id_field: mock_id})
    body = json.loads(answer.body)
    code, error_type = MOCKS[mock_id]
    assert answer.status == 400
    assert set(body) == {"agcodResponse", "errorCode", "errorType", "message"}
    assert (body["errorCode"], body["errorType"]) == (code, error_type)
    response = body["agcodResponse"]
    assert response.pop("__type") == f"{operation}Response:{NAMESPACE}"
    assert response.pop("status") == ("RESEND" if code == "F400" else "FAILURE")
    assert set(response.values()) == {None}
    assert emulator.partner.funds == 10_000
    assert not emulator.state.activity


@pytest.mark.parametrize("operation", REQUESTS)
def test_f0000_is_a_mock_success_everywhere(emulator, operation):
    """Placeholders, no expiry, amount and currency echoed; nothing happens."""
    fields, _ = REQUESTS[operation]
    status, body = foreign.ask(emulator, operation, fields)
    assert (status, body["status"]) == (200, "SUCCESS")
    if operation == "CreateGiftCard":
        assert body["cardInfo"]["value"] == {"amount": 25.5, "currencyCode": "USD"}
        assert body["gcExpirationDate"] is None
    assert not emulator.state.cards


def test_the_account_id_can_be_the_mock_id(emulator):
    """For balance loads the docs say: request id or account id."""
    fields = foreign.load_fields("Acme1a", "5", "F3003")
    assert foreign.refused(emulator, "LoadAmazonBalance", fields) == "InsufficientFunds"


def test_production_has_no_mock_ids(clock):
    """There they are ids like any other, with a wrong beginning."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(mock_errors=False))
    fields = foreign.create_fields("F2003")
    assert foreign.refused(emulator, "CreateGiftCard", fields) == "RequestIdMustStartWithPartnerName"


@pytest.mark.parametrize("accept", [foreign.JSON, foreign.XML, "*/*", "charset=UTF-8", ""])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (foreign.JSON, json.dumps(foreign.create_fields("Acme1x", 20)).encode()),
        (foreign.XML, XML_CREATE),
        ("charset=UTF-8", XML_CREATE),
        ("application/x-www-form-urlencoded", XML_CREATE),
    ],
)
def test_both_formats_are_chosen_separately(emulator, accept, content_type, body):
    """content-type says how to read the request, accept how to write the answer; */* means XML."""
    answer = _answer(emulator, "CreateGiftCard", body, accept=accept, content_type=content_type)
    assert answer.status == 200
    if accept == foreign.JSON:
        assert answer.headers["content-type"] == foreign.JSON
        assert answer.body.endswith(b"}\n")
        assert b'"amount":20.0,' in answer.body
        assert list(json.loads(answer.body)) == sorted(json.loads(answer.body))
    else:
        assert answer.headers["content-type"] == foreign.XML
        root = ET.fromstring(answer.body)
        assert root.tag == "CreateGiftCardResponse"
        assert root.findtext("cardInfo/value/amount") == "20.0"
        assert root.find("gcExpirationDate") is None
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-amzn-requestid"])


@pytest.mark.parametrize(("reading", "status"), [("refused", 400), ("accepted", 200)])
def test_a_charset_beside_json_is_a_risk(clock, reading, status):
    """The docs demand the bare type; the lenient reading is a switch."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(json_charset=reading))
    fields, header = foreign.create_fields("Acme1x"), "application/json; charset=utf-8"
    assert _answer(emulator, "CreateGiftCard", fields, content_type=header).status == status


def test_a_coded_error_in_xml(emulator):
    """Message with a capital M, and the same fields as in JSON."""
    answer = _answer(emulator, "CreateGiftCard", foreign.create_fields("F4000"), accept=foreign.XML)
    root = ET.fromstring(answer.body)
    assert root.tag == "AGCODServiceException"
    assert root.findtext("agcodResponse/status") == "RESEND"
    assert [root.findtext(name) for name in ("errorCode", "errorType", "Message")] == [
        "F400",
        "SystemTemporarilyUnavailable",
        "System Temporarily Unavailable",
    ]


def test_gateway_bodies(emulator):
    """No code and no agcodResponse: a bare Message, null for wrong types, a text for what is no object."""
    wrong = {"amount": None, "currencyCode": "USD"}
    for value in (wrong, wrong | {"amount": "1"}, wrong | {"amount": True}, 5):
        answer = _answer(emulator, "CreateGiftCard", foreign.create_fields("Acme1a") | {"value": value})
        assert (answer.status, answer.body) == (400, b'{"Message":null}\n')
    for value, name in (("x", "String"), (1, "Number"), (True, "Boolean"), ([], "List"), (None, "List")):
        answer = _answer(emulator, "CreateGiftCard", json.dumps(value).encode())
        assert f"{name} is not an expected Json type" in json.loads(answer.body)["Message"]
        assert answer.status == 400


def test_a_signature_mismatch_in_xml(emulator):
    """The exception's name is the root, and the text echoes what the gateway computed."""
    request = foreign.request(emulator, "CreateGiftCard", XML_CREATE, accept=foreign.XML)
    answer = emulator.handle(replace(request, body=b"<x/>"))
    root = ET.fromstring(answer.body)
    assert (answer.status, root.tag) == (403, "InvalidSignatureException")
    assert "The Canonical String for this request should have been" in root.findtext("Message")


@pytest.mark.parametrize(
    ("where", "body_has_it", "header"),
    [("__type", True, None), ("header", False, "InvalidSignatureException"), ("none", False, None)],
)
def test_where_json_names_the_exception_is_a_switch(clock, where, body_has_it, header):
    """Unrecorded: in the body, in a header, or nowhere."""
    emulator = Emulator(clock=clock, settings=Settings(json_exception_name=where, denied_status=401))
    request = foreign.request(emulator, "GetAvailableFunds", {"partnerId": "Acme1"})
    answer = emulator.handle(replace(request, body=b"{}"))
    assert answer.status == 401
    assert ("__type" in json.loads(answer.body)) is body_has_it
    assert answer.headers.get("x-amzn-errortype") == header


def test_over_the_rate_in_both_formats(clock):
    """One key `message` in JSON, root and Message in XML; the throttled request does nothing."""
    emulator = Emulator(
        clock=clock, throttle=Throttle(overall=Rate(1)), settings=Settings(throttled_status=429)
    )
    assert foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))[0] == 200
    throttled = foreign.create_fields("Acme1b")
    answer = _answer(emulator, "CreateGiftCard", throttled)
    assert (answer.status, answer.body) == (429, b'{"message":"Rate exceeded"}\n')
    answer = _answer(emulator, "CreateGiftCard", throttled, accept="*/*")
    xml = b"<ThrottlingException><Message>Rate exceeded</Message></ThrottlingException>"
    assert answer.body == xml
    assert list(emulator.state.cards) == ["Acme1a"]
    clock.shift(timedelta(seconds=1))
    assert foreign.ask(emulator, "CreateGiftCard", throttled)[0] == 200


def test_a_bad_signature_takes_nothing_from_the_rate(clock):
    """Whoever cannot sign cannot use up somebody's budget."""
    emulator = Emulator(clock=clock, throttle=Throttle(overall=Rate(1)))
    request = foreign.request(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))
    for _ in range(5):
        assert emulator.handle(replace(request, body=b"{}")).status == 403
    assert emulator.handle(request).status == 200


def test_rates_are_per_partner(clock):
    """One account's calls leave those of another alone."""
    partners = [Partner("Acme1", keys={"A": "s"}), Partner("Amzn1", keys={"B": "t"})]
    emulator = Emulator(partners, clock=clock)
    for name, key in (("Acme1", ("A", "s")), ("Amzn1", ("B", "t"))):
        assert _answer(emulator, "GetAvailableFunds", {"partnerId": name}, key=key).status == 200
        assert _answer(emulator, "GetAvailableFunds", {"partnerId": name}, key=key).status == 400


@pytest.mark.parametrize("path", ["/GetGiftCardBalance", "/DesactivateGiftCard", "/", "/CreateGiftCard/"])
def test_there_are_ten_operations(emulator, path):
    """A well-signed request to another path finds nothing."""
    request = foreign.request(emulator, path[1:], {"partnerId": "Acme1"})
    assert emulator.handle(request).status == 404


def test_the_ping_needs_no_signature(emulator):
    """As two clients use it."""
    request = foreign.request(emulator, "sping", b"")
    assert emulator.handle(replace(request, method="GET", headers={})).status == 200


def test_statuses_of_codes_are_a_switch(clock):
    """Those of F100, F400 and F500 are unrecorded."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(error_status={"F500": 500}))
    assert _answer(emulator, "CreateGiftCard", foreign.create_fields("F5000")).status == 500


def test_the_date_header_is_the_gateways_time(emulator):
    """Clients learn their clock skew from it."""
    answer = _answer(emulator, "GetAvailableFunds", {"partnerId": "Acme1"})
    assert answer.headers["date"] == "Mon, 02 Mar 2026 12:00:00 GMT"


def _story(emulator, clock):
    asked = (
        ("CreateGiftCard", foreign.create_fields("Acme1a")),
        ("CreateGiftCard", foreign.create_fields("Acme1b", 7)),
        ("CancelGiftCard", foreign.cancel_fields("Acme1b")),
        ("ActivateGiftCard", foreign.card_fields("Acme1c")),
        ("LoadAmazonBalance", foreign.load_fields("Acme1d")),
        ("GetGiftCardActivityPage", foreign.page_fields(showNoOps=True)),
    )
    for operation, fields in asked:
        clock.shift(timedelta(seconds=2))
        yield _answer(emulator, operation, fields)


def test_the_same_seed_time_and_requests_give_the_same_answers(clock):
    """Byte for byte, request ids and claim codes included; another seed gives others."""
    stories = []
    for seed in (1, 1, 2):
        clock.freeze(clock().replace(minute=0, second=0))
        stories.append(list(_story(Emulator(clock=clock, seed=seed), clock)))
    assert stories[0] == stories[1]
    assert stories[0] != stories[2]


def test_snapshot_and_restore(emulator, clock):
    """Everything but secrets and claim codes comes back, into a fresh process too."""
    answers = list(_story(emulator, clock))
    code = json.loads(answers[0].body)["gcClaimCode"]
    snapshot = emulator.state.snapshot()
    assert code.encode() not in snapshot
    assert emulator.partner.secret_access_key.encode() not in snapshot
    later = Emulator(clock=clock, throttle=None)
    later.state.restore(snapshot)
    assert later.state.snapshot() == snapshot
    assert later.partner.funds == emulator.partner.funds == Decimal("9874.5")
    _, again = foreign.ask(later, "CreateGiftCard", foreign.create_fields("Acme1a"))
    assert again["gcClaimCode"] == code


def test_a_restored_state_knows_partners_that_are_new(clock):
    """A partner added since then starts with its own funds."""
    old = Emulator([Partner("Acme1", keys={"A": "s"})], clock=clock).state.snapshot()
    emulator = Emulator([Partner("Amzn1", keys={"B": "t"}, funds=Decimal(5))], clock=clock)
    emulator.state.restore(old)
    assert emulator.partner.funds == 5


def test_the_core_is_a_function_of_state_time_and_request(emulator, clock):
    """It needs neither the emulator around it nor a clock."""
    state = State(partners={}, seed=3)
    state.add_partner(emulator.partner)
    request = foreign.request(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))
    first = core.answer(state, clock(), request)
    assert first.status == 200
    assert state.cards["Acme1a"].created_at == clock()


def test_the_id_of_an_unreadable_request_is_empty(emulator):
    """Faults strike before anything is checked, so they have to live with anything."""
    for body in (b"{", b'{"creationRequestId": 7}'):
        request = foreign.request(emulator, "CreateGiftCard", body)
        assert core.request_id(emulator.state, request) == ""
    known = foreign.request(emulator, "CancelGiftCard", foreign.cancel_fields("Acme1a"))
    assert core.request_id(emulator.state, known) == "Acme1a"
    assert core.request_id(emulator.state, replace(known, path="/nothing")) == ""


def test_an_emulator_needs_a_partner():
    """Nobody could ask it anything."""
    with pytest.raises(ValueError, match="partner"):
        Emulator([])
