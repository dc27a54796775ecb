"""CreateGiftCard and CancelGiftCard: digital cards."""

import msgspec

from .call import (
    Asked,
    Call,
    Outcome,
    asked_money,
    card_info,
    check_program,
    operation_id,
)
from .expiry import expires_at
from .formats import java_date
from .refusals import refusal
from .state import Card


def create_gift_card(call: Call) -> Outcome:
    """Sell a card, or return the one that the same id bought before, whatever has become of it."""
    request_id = operation_id(call, "creationRequestId")
    check_program(call)
    asked = asked_money(call, call.state.settings.amount_limits)
    card = call.state.cards.get(request_id)
    if card is None:
        return Outcome(_created(call, _new_card(call, request_id, asked)))
    if card.partner_id != call.partner.partner_id:
        raise refusal("OperationNotPermitted")
    if call.state.settings.mismatched_repeat == "refused" and asked != Asked(card.amount, card.currency):
        raise refusal("OperationNotPermitted")
    return Outcome(_created(call, card), is_real=False)


def _new_card(call: Call, request_id: str, asked: Asked) -> Card:
    state, partner_id = call.state, call.partner.partner_id
    is_buried = request_id in state.buried
    if not is_buried:
        state.charge(partner_id, asked.amount)
    card = Card(
        creation_request_id=request_id,
        partner_id=partner_id,
        gc_id=state.gc_id(request_id, asked.currency),
        amount=asked.amount,
        currency=asked.currency,
        created_at=call.now,
        expires_at=expires_at(call.now, asked.currency),
        is_cancelled=is_buried,
    )
    state.cards[request_id] = card
    return card


def _created(call: Call, card: Card) -> dict[str, object]:
    return {
        "gcClaimCode": call.state.claim_code(card.gc_id),
        "cardInfo": card_info(card.status(call.now), card.amount, card.currency),
        "gcId": card.gc_id,
        "creationRequestId": card.creation_request_id,
        "gcExpirationDate": java_date(card.expires_at) if card.expires_at else None,
        "status": "SUCCESS",
    }


def cancel_gift_card(call: Call) -> Outcome:
    """Take a card back while that is allowed; repeats of a successful cancel succeed for ever, by default."""
    request_id = operation_id(call, "creationRequestId")
    card = _cancellable(call, request_id)
    fields: dict[str, object] = {"creationRequestId": request_id, "gcId": card.gc_id, "status": "SUCCESS"}
    settings = call.state.settings
    is_late = call.now - card.created_at > settings.cancel_window
    if card.is_cancelled and not (is_late and settings.late_cancel_repeat == "refused"):
        return Outcome(fields, is_real=False)
    if card.is_claimed or card.status(call.now) == "Expired":
        raise refusal(settings.claimed_card_error)
    if is_late:
        raise refusal("CancelRequestArrivedAfterTimeLimit")
    call.state.cards[request_id] = msgspec.structs.replace(card, is_cancelled=True)
    call.state.refund(card.partner_id, card.amount)
    return Outcome(fields)


def _cancellable(call: Call, request_id: str) -> Card:
    card, gc_id = call.state.cards.get(request_id), call.fields.text("gcId")
    if card is None and call.state.settings.cancel_of_unknown == "remembered":
        call.state.buried.add(request_id)
    if card is None or card.partner_id != call.partner.partner_id or (gc_id and gc_id != card.gc_id):
        raise refusal("OperationNotPermitted")
    return card
