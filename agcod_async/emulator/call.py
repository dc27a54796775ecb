"""One authenticated call on its way through an operation, and the checks that operations share."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from agcod_async.endpoints import Endpoint

from .fields import Fields
from .refusals import refusal
from .state import Partner, State

Limits = Mapping[str, tuple[Decimal, Decimal]]
LONGEST_REFERENCE = 100
_CURRENCIES = {one.region: one.currencies for one in (Endpoint.NA, Endpoint.EU, Endpoint.FE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who asks what, and when."""

    state: State
    partner: Partner
    now: datetime
    operation: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fields of a SUCCESS, and whether anything changed."""

    fields: dict[str, object]
    is_real: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """An amount of money that passed the checks."""

    amount: Decimal
    currency: str


def operation_id(call: Call, name: str) -> str:
    """The id of an operation that moves money: begins with the partner id, at most 40 characters."""
    request_id, limit = call.fields.text(name), call.state.settings.request_id_limit
    if not request_id:
        raise refusal("InvalidRequestIdInput")
    if len(request_id) > limit:
        raise refusal("RequestIdTooLong", f"Request Id is longer than the maximum of {limit} characters")
    if not request_id.startswith(call.partner.partner_id):
        raise refusal("RequestIdMustStartWithPartnerName")
    return request_id


def free_id(call: Call, name: str) -> str:
    """The id of a question, which needs no partner id in front."""
    request_id = call.fields.text(name)
    if not request_id:
        raise refusal("InvalidRequestIdInput")
    return request_id


def asked_money(call: Call, limits: Limits) -> Asked:
    """The `value` of a card, checked in the order that the recordings suggest: before any id is looked up."""
    value = call.fields.group("value")
    return checked_money(call, value.number("amount"), value.text("currencyCode"), limits)


def checked_money(call: Call, amount: Decimal | None, currency: str, limits: Limits) -> Asked:
    """Refuse amounts and currencies that this partner cannot spend."""
    if amount is None:
        raise refusal("InvalidAmountInput")
    if not currency:
        raise refusal("InvalidCurrencyCodeInput")
    if amount <= 0:
        raise refusal("InvalidAmountValue")
    _check_currency(call, currency)
    _check_decimals(amount, currency)
    low, high = limits.get(currency, (amount, amount))
    if amount < low:
        raise refusal("AmountBelowMinThreshold")
    if amount > high:
        raise refusal("MaxAmountExceeded")
    return Asked(amount, currency)


def _check_currency(call: Call, currency: str) -> None:
    if currency == call.partner.currency:
        return
    is_used = currency in _CURRENCIES.get(call.state.region, ())
    raise refusal("CurrencyCodeMismatch" if is_used else "InvalidCurrencyInMarketplace")


def _check_decimals(amount: Decimal, currency: str) -> None:
    smallest = Decimal(1) if currency == "JPY" else Decimal("0.01")
    if amount % smallest:
        raise refusal("FractionalAmountNotAllowed")


def check_program(call: Call) -> None:
    """Resellers need an approved program id; an external reference has a longest length."""
    program_id = call.fields.text("programId")
    if call.partner.needs_program_id and not program_id:
        raise refusal("ProgramIdNotPresent")
    if program_id and call.partner.programs is not None and program_id not in call.partner.programs:
        raise refusal("InvalidProgramId")
    if len(call.fields.text("externalReference")) > LONGEST_REFERENCE:
        raise refusal("ExternalReferenceTooLong")


def card_info(
    status: str | None, amount: Decimal | None, currency: str | None, card_number: str | None = None
) -> dict[str, object]:
    """The `cardInfo` of an answer."""
    value = None if amount is None else {"currencyCode": currency, "amount": amount}
    return {"value": value, "cardNumber": card_number, "cardStatus": status, "expirationDate": None}
