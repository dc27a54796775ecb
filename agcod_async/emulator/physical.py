"""ActivateGiftCard, DeactivateGiftCard and ActivationStatusCheck: cards of plastic."""

from decimal import Decimal

import msgspec

from .call import (
    Asked,
    Call,
    Outcome,
    asked_money,
    card_info,
    check_program,
    free_id,
    operation_id,
)
from .refusals import refusal
from .settings import CardRange
from .state import Activation

_DIGITS = 19


def activate_gift_card(call: Call) -> Outcome:
    """Make a card worth its amount, once per request id."""
    request_id = operation_id(call, "activationRequestId")
    card_number, known = _card(call)
    check_program(call)
    asked = asked_money(call, call.state.settings.physical_limits)
    if known is not None and known.amount not in {None, asked.amount}:
        raise refusal("RequestedDenominationMismatch")
    activation = call.state.activations.get(request_id)
    is_new = activation is None
    if activation is None:
        activation = _activated(call, request_id, card_number, asked)
    if activation.card_number != card_number or activation.partner_id != call.partner.partner_id:
        raise refusal("ActivationRequestIdAlreadyBeenUsed")
    return Outcome(_answer("activationRequestId", request_id, activation), is_real=is_new)


def _activated(call: Call, request_id: str, card_number: str, asked: Asked) -> Activation:
    state = call.state
    if card_number in state.active_cards:
        raise refusal("CardAlreadyActivatedWithDifferentRequestId")
    state.charge(call.partner.partner_id, asked.amount)
    activation = Activation(
        activation_request_id=request_id,
        partner_id=call.partner.partner_id,
        card_number=card_number,
        amount=asked.amount,
        currency=asked.currency,
        activated_at=call.now,
    )
    state.activations[request_id] = activation
    state.active_cards[card_number] = request_id
    return activation


def deactivate_gift_card(call: Call) -> Outcome:
    """Undo an activation; repeats succeed."""
    request_id = operation_id(call, "activationRequestId")
    card_number, _ = _card(call)
    activation = call.state.activations.get(request_id)
    if activation is None:
        raise refusal("NonExistingActivationRequestId")
    if activation.card_number != card_number or activation.partner_id != call.partner.partner_id:
        raise refusal("WrongActivationRequestId")
    is_real = activation.is_live
    if is_real:
        activation = _deactivated(call, activation)
    return Outcome(_answer("activationRequestId", request_id, activation), is_real=is_real)


def _deactivated(call: Call, activation: Activation) -> Activation:
    state, window = call.state, call.state.settings.deactivation_window
    if window is not None and call.now - activation.activated_at > window:
        raise refusal("DeactivationNotAllowed")
    ended = msgspec.structs.replace(activation, is_live=False)
    state.activations[activation.activation_request_id] = ended
    del state.active_cards[activation.card_number]
    state.refund(activation.partner_id, activation.amount)
    return ended


def activation_status_check(call: Call) -> Outcome:
    """What state a card is in."""
    request_id = free_id(call, "statusCheckRequestId")
    card_number, known = _card(call)
    active = call.state.active_cards.get(card_number)
    if active is not None:
        activation = call.state.activations[active]
        return Outcome(_answer("statusCheckRequestId", request_id, activation), is_real=False)
    printed = known.amount if known else None
    info = card_info("AwaitingActivation", printed, known.currency if known else None, card_number)
    fields: dict[str, object] = {"cardInfo": info, "statusCheckRequestId": request_id, "status": "SUCCESS"}
    return Outcome(fields, is_real=False)


def _answer(id_name: str, request_id: str, activation: Activation) -> dict[str, object]:
    status = "Activated" if activation.is_live else "AwaitingActivation"
    info = card_info(status, activation.amount, activation.currency, activation.card_number)
    return {"cardInfo": info, id_name: request_id, "status": "SUCCESS"}


def _card(call: Call) -> tuple[str, CardRange | None]:
    """The number of the card, checked, and the range that it is from."""
    card_number, settings = call.fields.text("cardNumber"), call.state.settings
    if not card_number:
        raise refusal("InvalidCardNumberInput")
    if len(card_number) != _DIGITS or not (card_number.isascii() and card_number.isdigit()):
        raise refusal("CardNumberTooShort")
    if settings.card_checksum == "mod997" and checksum(card_number[:16]) != card_number[16:]:
        raise refusal("CardNumberCheckSumError")
    known = next((one for one in settings.card_ranges if one.holds(card_number)), None)
    if settings.card_ranges and known is None:
        raise refusal("CardNotFound")
    return card_number, known


def checksum(number: str) -> str:
    """The three digits that this emulator, not Amazon, puts behind a 16-digit number."""
    return f"{int(Decimal(number) % 997):03d}"
