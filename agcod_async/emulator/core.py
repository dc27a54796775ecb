"""The gateway itself: state, time and request in, answer out. It reads no clock and does no I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from . import activity, balances, cards, formats, physical, signature
from .call import Call, Outcome, card_info
from .fields import Fields
from .refusals import (
    MOCK_SUCCESS,
    MOCKS,
    GatewayRefusal,
    Refusal,
    mock_refusal,
    refusal,
)
from .state import Partner, State
from .values import Answer, Request

_NAMESPACE = "http://internal.amazon.com/coral/com.amazonaws.agcod/"


@dataclass(frozen=True, slots=True)
class Operation:
    """What does the work, where its request has its id, and what its response consists of."""

    run: Callable[[Call], Outcome]
    id_field: str
    response: tuple[str, ...]


_CARD = ("cardInfo", "creationRequestId", "gcClaimCode", "gcExpirationDate", "gcId")
_ACTIVATION = ("activationRequestId", "cardInfo")
_BALANCE = ("amount", "loadBalanceRequestId")
_PAGE = ("cardActivityList", "pageIndex", "requestId", "totalNumberOfTransactionsInRequestedTimeFrame")

OPERATIONS: Mapping[str, Operation] = {
    "CreateGiftCard": Operation(cards.create_gift_card, "creationRequestId", _CARD),
    "CancelGiftCard": Operation(cards.cancel_gift_card, "creationRequestId", ("creationRequestId", "gcId")),
    "ActivateGiftCard": Operation(physical.activate_gift_card, "activationRequestId", _ACTIVATION),
    "DeactivateGiftCard": Operation(physical.deactivate_gift_card, "activationRequestId", _ACTIVATION),
    "ActivationStatusCheck": Operation(
        physical.activation_status_check, "statusCheckRequestId", ("cardInfo", "statusCheckRequestId")
    ),
    "GetAvailableFunds": Operation(
        activity.get_available_funds, "partnerId", ("availableFunds", "timestamp")
    ),
    "GetGiftCardActivityPage": Operation(activity.get_gift_card_activity_page, "requestId", _PAGE),
    "LoadAmazonBalance": Operation(balances.load_amazon_balance, "loadBalanceRequestId", _BALANCE),
    "VoidAmazonBalanceLoad": Operation(balances.void_amazon_balance_load, "loadBalanceRequestId", _BALANCE),
    "ValidateAccountForAmazonBalanceLoad": Operation(
        balances.validate_account, "loadBalanceRequestId", _BALANCE
    ),
}


def answer(state: State, now: datetime, request: Request) -> Answer:
    """
    Answer one request, and change *state* accordingly.

    The same state, time and request always give the same answer and the same new state.
    """
    form = formats.answer_format(request.headers)
    if request.operation is None and (request.method, request.path) == ("GET", "/sping"):
        return _answer(state, 200, b"healthy\n", "text/plain")
    try:
        fields, root = _answered(state, now, request)
    except (Refusal, GatewayRefusal) as refused:
        return refuse(state, request, refused)
    return _answer(state, 200, formats.render(fields, root, form), f"application/{form}")


def refuse(state: State, request: Request, refused: Refusal | GatewayRefusal) -> Answer:
    """Write a refusal in the format that the request asks for."""
    form = formats.answer_format(request.headers)
    if isinstance(refused, Refusal):
        return _coded(state, refused, request, form)
    return _refused(state, refused, form)


def request_id(state: State, request: Request) -> str:
    """The id that an unchecked request carries, or ''; faults strike before anything is checked."""
    operation = OPERATIONS.get(request.operation or "")
    form = formats.request_format(request.headers, state.settings)
    try:
        fields = Fields(formats.parse(request.body, form), is_typed=form == "json")
        return fields.text(operation.id_field) if operation else ""
    except GatewayRefusal:
        return ""


def throttled(state: State) -> GatewayRefusal:
    """What a request over the rate is answered."""
    return GatewayRefusal("ThrottlingException", "Rate exceeded", state.settings.throttled_status)


def _answered(state: State, now: datetime, request: Request) -> tuple[dict[str, object], str]:
    partner = _authenticated(state, now, request)
    name = request.operation
    if name is None or request.method != "POST":
        raise GatewayRefusal("UnknownOperationException", None, 404)
    if not state.admits(partner.partner_id, name, now):
        raise throttled(state)
    form = formats.request_format(request.headers, state.settings)
    if not request.body:
        raise refusal("InvalidRequestInput")
    fields = Fields(formats.parse(request.body, form), is_typed=form == "json")
    call = Call(state=state, partner=partner, now=now, operation=name, fields=fields)
    root = state.settings.funds_xml_root if name == "GetAvailableFunds" else f"{name}Response"
    return _performed(call), root


def _authenticated(state: State, now: datetime, request: Request) -> Partner:
    key = signature.verify(request, now, state.region, state.secrets, state.settings.clock_skew)
    return state.partners[state.owners[key]]


def _performed(call: Call) -> dict[str, object]:
    operation = OPERATIONS[call.operation]
    if (mock_id := _mock_id(call, operation)) == MOCK_SUCCESS:
        return _mock_success(call, operation)
    if mock_id:
        raise mock_refusal(mock_id)
    try:
        _check_partner(call)
        outcome = operation.run(call)
    except Refusal as refused:
        activity.record(call, refused)
        raise
    activity.record(call, outcome)
    return outcome.fields


def _check_partner(call: Call) -> None:
    partner_id = call.fields.text("partnerId")
    if not partner_id:
        raise refusal("InvalidPartnerIdInput")
    if partner_id != call.partner.partner_id:
        raise refusal("UnknownCustomer")
    if call.partner.problem:
        raise refusal(call.partner.problem)


def _mock_id(call: Call, operation: Operation) -> str | None:
    if not call.state.settings.mock_errors:
        return None
    asked = (call.fields.text(operation.id_field), call.fields.group("account").text("id"))
    return next((one for one in asked if one in MOCKS or one == MOCK_SUCCESS), None)


def _mock_success(call: Call, operation: Operation) -> dict[str, object]:
    value = call.fields.group("value")
    amount, currency = value.number("amount"), value.text("currencyCode") or None
    number = call.fields.text("cardNumber") or None
    funds = {"currencyCode": call.partner.currency, "amount": Decimal(0)}
    placeholders: dict[str, object] = {
        "gcClaimCode": "MOCK-PLACEH-CODE",
        "gcId": "A0MOCKPLACEHOL",
        "cardInfo": card_info("Activated" if number else "Fulfilled", amount, currency, number),
        "availableFunds": funds,
        "timestamp": f"{call.now:%Y%m%dT%H%M%SZ}",
        "amount": dict(call.fields.group("amount").values) or None,
        "cardActivityList": [],
        "pageIndex": 0,
        "totalNumberOfTransactionsInRequestedTimeFrame": 0,
        operation.id_field: MOCK_SUCCESS,
    }
    return {name: placeholders.get(name) for name in operation.response} | {"status": "SUCCESS"}


def _coded(state: State, refused: Refusal, request: Request, form: formats.Format) -> Answer:
    name = request.operation or ""
    status: dict[str, object] = {"__type": f"{name}Response:{_NAMESPACE}", "status": refused.status}
    fields: dict[str, object] = {
        "agcodResponse": {**dict.fromkeys(OPERATIONS[name].response), **status},
        "errorCode": refused.code,
        "errorType": refused.error_type,
        "message" if form == "json" else "Message": refused.message,
    }
    body = formats.render(fields, state.settings.xml_error_root, form)
    return _answer(state, state.settings.error_status.get(refused.code, 400), body, f"application/{form}")


def _refused(state: State, refused: GatewayRefusal, form: formats.Format) -> Answer:
    settings = state.settings
    is_denial = refused.status == 403
    # Recorded: `message` for the throttle and the like, `Message` for what could not be read.
    key = "Message" if form == "xml" or refused.name == "SerializationException" else "message"
    fields: dict[str, object] = {key: refused.message}
    headers: dict[str, str] = {}
    if form == "json" and is_denial and settings.json_exception_name == "__type":
        fields["__type"] = refused.name
    if settings.json_exception_name == "header":
        headers["x-amzn-errortype"] = refused.name
    status = settings.denied_status if is_denial else refused.status
    return _answer(state, status, formats.render(fields, refused.name, form), f"application/{form}", headers)


def _answer(
    state: State, status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> Answer:
    fixed = {"x-amzn-requestid": state.next_id(), "content-type": content_type}
    return Answer(status=status, headers={**fixed, **(headers or {})}, body=body)
