"""The shapes of requests and responses, and the table of the ten operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

from msgspec import Struct, field
from msgspec.structs import fields, replace

from .dates import parse_date
from .money import Money
from .secret import ClaimCode, looks_like_claim_code, mask

S = TypeVar("S", bound=Struct)


class Shape(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """
    Something the service reads or writes: snake_case here, camelCase on the wire.

    The repr masks what looks like a claim code wherever it stands: a gateway may err about the field, and
    so may who writes an external reference.
    """

    def __repr__(self) -> str:
        return mask(super().__repr__())

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # A Struct's own masks nothing, and rich's tracebacks with locals prefer it to the repr.
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return [(name, mask(value) if isinstance(value, str) else value) for name, value in values.items()]


class Response(Shape, frozen=True, kw_only=True, dict=True):
    """What every response has. Fields unknown to this version are kept, see :attr:`unknown_fields`."""

    status: str | None = None
    """``SUCCESS``: any other status is raised as an error."""

    @property
    def unknown_fields(self) -> Mapping[str, object]:
        """
        The fields of the answer that this version has no name for, under their wire names.

        Text that looks like a claim code, or is called a code, comes as a :class:`ClaimCode`. Empty after
        pickling, and where they cannot be read.
        """
        parse: Callable[[], Mapping[str, object]] = self.__dict__.get("_parse", dict)
        known = {each.encode_name for each in fields(self)}
        return {name: _guarded(name, value, _DEEPEST) for name, value in parse().items() if name not in known}

    def with_document(self, parse: Callable[[], Mapping[str, object]]) -> Self:
        """Remember how to read the whole answer again; a closure, so that no repr shows the bytes."""
        vars(self)["_parse"] = parse
        return self

    def without_secrets(self) -> Self:
        """Return a copy that may be stored: no claim code, nothing that looks like one, no unknown fields."""
        return _storable(self)


def _storable(shape: S) -> S:
    changes: dict[str, object] = {}
    for name in shape.__struct_fields__:
        value = getattr(shape, name)
        if isinstance(value, ClaimCode):
            changes[name] = None
        elif isinstance(value, str) and (masked := mask(value)) != value:
            changes[name] = masked
        elif isinstance(value, Struct):
            changes[name] = _storable(value)
    return replace(shape, **changes)


# Levels of an unknown field that are kept; the service's own have five.
_DEEPEST = 16


def _guarded(name: str, value: object, depth: int) -> object:
    if isinstance(value, str):
        is_code = "code" in name.lower() and name not in ("currencyCode", "errorCode")
        return ClaimCode(value) if is_code or looks_like_claim_code(value.strip()) else value
    if isinstance(value, dict):
        return {key: _guarded(key, each, depth - 1) for key, each in value.items()} if depth else None
    if isinstance(value, list):
        return [_guarded(name, each, depth - 1) for each in value] if depth else None
    return value


class CardInfo(Shape, frozen=True, kw_only=True, gc=False):
    """The state of a card."""

    card_number: str | None = None
    """Physical cards only."""

    card_status: str | None = None
    """``Fulfilled``, ``RefundedToPurchaser``, ``Expired``, ``Activated``, ``AwaitingActivation`` … (open)."""

    expiration_date_text: str | None = field(name="expirationDate", default=None)
    value: Money | None = None

    @property
    def expiration_date(self) -> datetime | None:
        """When the card expires, in UTC; the text as it came is in ``expiration_date_text``."""
        return parse_date(self.expiration_date_text)


# Gift cards


class CreateGiftCardRequest(Shape, frozen=True, kw_only=True):
    """CreateGiftCard (Incentives API, digital gift cards)."""

    creation_request_id: str
    partner_id: str
    value: Money
    program_id: str | None = None
    product_type: str | None = None
    external_reference: str | None = None


class CreateGiftCardResponse(Response, frozen=True, kw_only=True):
    """A live card."""

    creation_request_id: str | None = None
    card_info: CardInfo | None = None
    gc_claim_code: ClaimCode | None = None
    gc_id: str | None = None
    gc_expiration_date_text: str | None = field(name="gcExpirationDate", default=None)

    @property
    def gc_expiration_date(self) -> datetime | None:
        """When the code expires, in UTC; None in countries where codes do not expire."""
        return parse_date(self.gc_expiration_date_text)


class CancelGiftCardRequest(Shape, frozen=True, kw_only=True):
    """CancelGiftCard: unclaimed cards, within 15 minutes of their creation."""

    creation_request_id: str
    partner_id: str
    gc_id: str | None = None


class CancelGiftCardResponse(Response, frozen=True, kw_only=True):
    """The card is cancelled; a repeat says so again."""

    creation_request_id: str | None = None
    gc_id: str | None = None


# Physical cards


class ActivateGiftCardRequest(Shape, frozen=True, kw_only=True):
    """ActivateGiftCard."""

    activation_request_id: str
    partner_id: str
    card_number: str
    value: Money
    program_id: str | None = None
    product_type: str | None = None


class ActivateGiftCardResponse(Response, frozen=True, kw_only=True):
    """The card is active. Its claim code is printed on it."""

    activation_request_id: str | None = None
    card_info: CardInfo | None = None


class DeactivateGiftCardRequest(Shape, frozen=True, kw_only=True):
    """DeactivateGiftCard."""

    activation_request_id: str
    partner_id: str
    card_number: str


class DeactivateGiftCardResponse(Response, frozen=True, kw_only=True):
    """The card awaits activation again."""

    activation_request_id: str | None = None
    card_info: CardInfo | None = None


class ActivationStatusCheckRequest(Shape, frozen=True, kw_only=True):
    """ActivationStatusCheck."""

    status_check_request_id: str
    partner_id: str
    card_number: str


class ActivationStatusCheckResponse(Response, frozen=True, kw_only=True):
    """The card's present state."""

    status_check_request_id: str | None = None
    card_info: CardInfo | None = None


# Account


class GetGiftCardActivityPageRequest(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """GetGiftCardActivityPage."""

    request_id: str
    partner_id: str
    utc_start_date: str
    utc_end_date: str
    page_index: int = 0
    page_size: int = 1000
    show_no_ops: bool = False


class CardActivity(Shape, frozen=True, kw_only=True, gc=False):
    """One line of the account's activity."""

    activity_status: str | None = None
    """``Success`` or ``Failed``."""

    activity_time_text: str | None = field(name="activityTime", default=None)
    activity_type: str | None = None
    """``GCCreation``, ``GCCancellation`` … (open)."""

    card_number: str | None = None
    card_value: Money | None = None
    """The amount *asked for in that call*: a repeat with another amount is listed with its own."""

    failure_code: str | None = None
    """The errorType of a failed call."""

    gc_id: str | None = None
    is_real_op: bool | None = None
    """False for failed calls and repeats: sum only what is real."""

    partner_id: str | None = None
    request_id: str | None = None
    """The creation (activation, …) id of the recorded call."""

    @property
    def activity_time(self) -> datetime | None:
        """When it happened, in UTC; the text as it came is in ``activity_time_text``."""
        return parse_date(self.activity_time_text)


class GetGiftCardActivityPageResponse(Response, frozen=True, kw_only=True):
    """One page of the account's activity, ascending by time."""

    card_activity_list: list[CardActivity] | None = None
    page_index: int | None = None
    request_id: str | None = None
    total_number_of_transactions_in_requested_time_frame: int | None = None


class GetAvailableFundsRequest(Shape, frozen=True, kw_only=True):
    """GetAvailableFunds."""

    partner_id: str


class GetAvailableFundsResponse(Response, frozen=True, kw_only=True):
    """What can still be spent. Always zero in the sandbox."""

    available_funds: Money | None = None
    timestamp_text: str | None = field(name="timestamp", default=None)

    @property
    def timestamp(self) -> datetime | None:
        """When the funds were read, in UTC."""
        return parse_date(self.timestamp_text)


# Balance loads


class Account(Shape, frozen=True, kw_only=True):
    """Whose balance is loaded: Login with Amazon type ``"2"``, a barcode type ``"1"``."""

    id: str
    type: str


class TransactionSource(Shape, frozen=True, kw_only=True):
    """Where the load was paid: ids of up to 40 characters, details of up to 200."""

    source_id: str
    institution_id: str | None = None
    source_details: str | None = None


class BalanceAmount(Shape, frozen=True, kw_only=True):
    """
    An amount as balance loads write it: text under ``value``, as in the service's own example.

    Whether the programme counts in major or minor units is not settled by public sources: ask the
    service before real money moves.
    """

    currency_code: str
    value: str


class LoadAmazonBalanceRequest(Shape, frozen=True, kw_only=True):
    """LoadAmazonBalance (Login and Receive, Amazon Cash)."""

    load_balance_request_id: str
    partner_id: str
    amount: BalanceAmount
    account: Account
    transaction_source: TransactionSource | None = None


class VoidAmazonBalanceLoadRequest(LoadAmazonBalanceRequest, frozen=True, kw_only=True):
    """VoidAmazonBalanceLoad: everything as in the load."""


class ValidateAccountForAmazonBalanceLoadRequest(LoadAmazonBalanceRequest, frozen=True, kw_only=True):
    """ValidateAccountForAmazonBalanceLoad (Amazon Cash): asks, loads nothing."""


class BalanceLoadResponse(Response, frozen=True, kw_only=True):
    """
    The answer of the three balance operations.

    Its further fields are not publicly documented: find them in :attr:`unknown_fields`.
    """

    load_balance_request_id: str | None = None


I = TypeVar("I", bound=Shape, covariant=True)  # noqa: E741  (I and O: what goes in, what comes out)
O = TypeVar("O", bound=Response, covariant=True)  # noqa: E741  (as above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[I, O]):
    """One row of the table."""

    name: str
    request: type[I]
    response: type[O]
    id_field: str | None = None
    """The request's field that identifies it: repeated on every attempt, echoed by the answer."""

    has_prefixed_id: bool = False
    """Whether the id must begin with the partner id."""

    rate_limited: bool = False
    """Whether the operation has a limit of its own (1/s) besides the account's 10/s."""

    reverse: str | None = None
    """The operation that undoes it, with the same id (Incentives API, "RESEND")."""

    @property
    def path(self) -> str:
        """The path of its URL."""
        return f"/{self.name}"

    @property
    def target(self) -> str:
        """The value of its ``x-amz-target`` header."""
        return f"com.amazonaws.agcod.AGCODService.{self.name}"


CREATE_GIFT_CARD = Operation(
    name="CreateGiftCard",
    request=CreateGiftCardRequest,
    response=CreateGiftCardResponse,
    id_field="creation_request_id",
    has_prefixed_id=True,
    reverse="CancelGiftCard",
)
CANCEL_GIFT_CARD = Operation(
    name="CancelGiftCard",
    request=CancelGiftCardRequest,
    response=CancelGiftCardResponse,
    id_field="creation_request_id",
    has_prefixed_id=True,
)
ACTIVATE_GIFT_CARD = Operation(
    name="ActivateGiftCard",
    request=ActivateGiftCardRequest,
    response=ActivateGiftCardResponse,
    id_field="activation_request_id",
    has_prefixed_id=True,
    reverse="DeactivateGiftCard",
)
DEACTIVATE_GIFT_CARD = Operation(
    name="DeactivateGiftCard",
    request=DeactivateGiftCardRequest,
    response=DeactivateGiftCardResponse,
    id_field="activation_request_id",
    has_prefixed_id=True,
)
ACTIVATION_STATUS_CHECK = Operation(
    name="ActivationStatusCheck",
    request=ActivationStatusCheckRequest,
    response=ActivationStatusCheckResponse,
    id_field="status_check_request_id",
)
GET_GIFT_CARD_ACTIVITY_PAGE = Operation(
    name="GetGiftCardActivityPage",
    request=GetGiftCardActivityPageRequest,
    response=GetGiftCardActivityPageResponse,
    id_field="request_id",
    rate_limited=True,
)
GET_AVAILABLE_FUNDS = Operation(
    name="GetAvailableFunds",
    request=GetAvailableFundsRequest,
    response=GetAvailableFundsResponse,
    rate_limited=True,
)
LOAD_AMAZON_BALANCE = Operation(
    name="LoadAmazonBalance",
    request=LoadAmazonBalanceRequest,
    response=BalanceLoadResponse,
    id_field="load_balance_request_id",
    has_prefixed_id=True,
    reverse="VoidAmazonBalanceLoad",
)
VOID_AMAZON_BALANCE_LOAD = Operation(
    name="VoidAmazonBalanceLoad",
    request=VoidAmazonBalanceLoadRequest,
    response=BalanceLoadResponse,
    id_field="load_balance_request_id",
    has_prefixed_id=True,
)
VALIDATE_ACCOUNT_FOR_AMAZON_BALANCE_LOAD = Operation(
    name="ValidateAccountForAmazonBalanceLoad",
    request=ValidateAccountForAmazonBalanceLoadRequest,
    response=BalanceLoadResponse,
    id_field="load_balance_request_id",
    has_prefixed_id=True,
)

OPERATIONS: Mapping[str, Operation[Any, Any]] = {
    operation.name: operation
    for operation in (
        CREATE_GIFT_CARD,
        CANCEL_GIFT_CARD,
        ACTIVATE_GIFT_CARD,
        DEACTIVATE_GIFT_CARD,
        ACTIVATION_STATUS_CHECK,
        GET_GIFT_CARD_ACTIVITY_PAGE,
        GET_AVAILABLE_FUNDS,
        LOAD_AMAZON_BALANCE,
        VOID_AMAZON_BALANCE_LOAD,
        VALIDATE_ACCOUNT_FOR_AMAZON_BALANCE_LOAD,
    )
}
