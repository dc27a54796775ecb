"""CreateGiftCard and CancelGiftCard."""

import re
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from agcod_async.emulator import Emulator, Partner, Settings

from . import foreign


def _create(emulator, *args, **more):
    return foreign.ask(emulator, "CreateGiftCard", foreign.create_fields(*args, **more))


def test_a_card_is_sold(emulator):
    """The answer has every field of the documented shape, and the money for it is gone."""
    status, card = _create(emulator, "Acme1a")
    assert status == 200
    assert re.fullmatch(r"[2-9A-Z]{4}-[2-9A-Z]{6}-[2-9A-Z]{4}", card.pop("gcClaimCode"))
    assert re.fullmatch(r"A[2-9A-Z]{13}", card.pop("gcId"))
    assert card == {
        "cardInfo": {
            "cardNumber": None,
            "cardStatus": "Fulfilled",
            "expirationDate": None,
            "value": {"amount": 25.5, "currencyCode": "USD"},
        },
        "creationRequestId": "Acme1a",
        "gcExpirationDate": None,
        "status": "SUCCESS",
    }
    assert emulator.partner.funds == Decimal("9974.5")


def test_the_same_id_is_the_same_card_for_ever(emulator, clock):
    """A repeat is no new transaction: same code, and nothing is charged."""
    first = _create(emulator, "Acme1a")
    clock.shift(timedelta(days=54))
    assert _create(emulator, "Acme1a") == first
    assert emulator.state.spent("Acme1") == Decimal("25.5")
    assert emulator.state.cards["Acme1a"].is_live


def test_the_same_id_with_another_amount_is_the_original_card(emulator):
    """Recorded: SUCCESS, with the amount of the first; a client has to compare."""
    _create(emulator, "Acme1a", 1)
    _, card = _create(emulator, "Acme1a", 1.5)
    assert card["cardInfo"]["value"] == {"amount": 1.0, "currencyCode": "USD"}


def test_the_same_id_with_another_amount_can_be_refused(clock):
    """What today's service says is unknown, so the stricter reading is a switch."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(mismatched_repeat="refused"))
    _create(emulator, "Acme1a", 1)
    assert _create(emulator, "Acme1a", 1)[0] == 200
    fields = foreign.create_fields("Acme1a", 1.5)
    assert foreign.refused(emulator, "CreateGiftCard", fields) == "OperationNotPermitted"


def test_a_cancelled_id_answers_success_with_a_dead_card(emulator):
    """Recorded twice: SUCCESS and a claim code, but RefundedToPurchaser."""
    _, first = _create(emulator, "Acme1a")
    foreign.ask(emulator, "CancelGiftCard", foreign.cancel_fields("Acme1a"))
    status, again = _create(emulator, "Acme1a")
    assert status == 200
    assert again["cardInfo"]["cardStatus"] == "RefundedToPurchaser"
    assert again["gcClaimCode"] == first["gcClaimCode"]
    assert emulator.partner.funds == 10_000


def test_cancel_within_the_window_only(emulator, clock):
    """Fifteen minutes after creation are inside, a second more is too late, and the card lives."""
    for name in ("Acme1a", "Acme1b"):
        _create(emulator, name)
    clock.shift(timedelta(minutes=15))
    status, answer = foreign.ask(emulator, "CancelGiftCard", foreign.cancel_fields("Acme1a"))
    card = emulator.state.cards["Acme1a"]
    assert (status, answer) == (
        200,
        {"creationRequestId": "Acme1a", "gcId": card.gc_id, "status": "SUCCESS"},
    )
    clock.shift(timedelta(seconds=1))
    late = foreign.refused(emulator, "CancelGiftCard", foreign.cancel_fields("Acme1b"))
    assert late == "CancelRequestArrivedAfterTimeLimit"
    assert emulator.state.cards["Acme1b"].is_live
    # The repeat of a cancel that went through succeeds whenever it comes.
    assert foreign.ask(emulator, "CancelGiftCard", foreign.cancel_fields("Acme1a")) == (200, answer)
    assert emulator.state.spent("Acme1") == Decimal("25.5") == 10_000 - emulator.partner.funds


def test_cancel_needs_the_right_card(emulator):
    """An unknown id, and an id with the gcId of another card, are not permitted; the right pair is."""
    _, card = _create(emulator, "Acme1a")
    for fields in (foreign.cancel_fields("Acme1zzz"), foreign.cancel_fields("Acme1a", gcId="A0")):
        assert foreign.refused(emulator, "CancelGiftCard", fields) == "OperationNotPermitted"
    assert emulator.state.buried == set()
    fields = foreign.cancel_fields("Acme1a", gcId=card["gcId"])
    assert foreign.ask(emulator, "CancelGiftCard", fields)[0] == 200


def test_a_claimed_card_cannot_be_cancelled(emulator):
    """Somebody has spent it."""
    _create(emulator, "Acme1a")
    emulator.claim("Acme1a")
    fields = foreign.cancel_fields("Acme1a")
    assert foreign.refused(emulator, "CancelGiftCard", fields) == "OperationNotPermitted"


def test_an_expired_card_says_so(clock):
    """Ten years on, where cards expire at all."""
    emulator = Emulator([Partner("Acme1", keys={"A": "s"}, currency="EUR")], clock=clock, throttle=None)
    _, card = _create(emulator, "Acme1a", 5, "EUR")
    assert card["gcExpirationDate"] == "Sun Mar 02 22:59:59 UTC 2036"
    clock.shift(timedelta(days=3700))
    _, card = _create(emulator, "Acme1a", 5, "EUR")
    assert card["cardInfo"]["cardStatus"] == "Expired"


def test_a_cancel_that_overtakes_its_create_can_be_remembered(clock):
    """With the switch, the create that arrives later is dead on arrival and costs nothing."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(cancel_of_unknown="remembered"))
    fields = foreign.cancel_fields("Acme1a")
    assert foreign.refused(emulator, "CancelGiftCard", fields) == "OperationNotPermitted"
    _, card = _create(emulator, "Acme1a")
    assert card["cardInfo"]["cardStatus"] == "RefundedToPurchaser"
    assert emulator.partner.funds == 10_000


def test_funds_end(clock):
    """InsufficientFunds leaves the funds as they are; what still fits is sold."""
    emulator = Emulator([Partner("Acme1", keys={"A": "s"}, funds=Decimal(30))], clock=clock, throttle=None)
    assert _create(emulator, "Acme1a", 20)[0] == 200
    assert foreign.refused(emulator, "CreateGiftCard", foreign.create_fields("Acme1b", 20)) == (
        "InsufficientFunds"
    )
    assert emulator.partner.funds == 10
    assert _create(emulator, "Acme1c", 10)[0] == 200


def test_sandbox_funds_never_end(clock):
    """The real sandbox has no balance: it always sells, and always shows 0."""
    emulator = Emulator([Partner("Acme1", keys={"A": "s"}, funds=None)], clock=clock, throttle=None)
    assert _create(emulator, "Acme1a", 2000)[0] == 200
    assert foreign.ask(emulator, "CancelGiftCard", foreign.cancel_fields("Acme1a"))[0] == 200
    _, funds = foreign.ask(emulator, "GetAvailableFunds", {"partnerId": "Acme1"})
    assert funds["availableFunds"] == {"amount": 0.0, "currencyCode": "USD"}


def test_one_partner_cannot_touch_the_card_of_another(clock):
    """Even where one partner id is the beginning of the other."""
    partners = [Partner("Acme1", keys={"A": "s"}), Partner("Acme", keys={"B": "t"})]
    emulator = Emulator(partners, clock=clock, throttle=None)
    _create(emulator, "Acme1a")
    fields = foreign.create_fields("Acme1a") | {"partnerId": "Acme"}
    for operation in ("CreateGiftCard", "CancelGiftCard"):
        assert foreign.refused(emulator, operation, fields, key=("B", "t")) == "OperationNotPermitted"


@pytest.mark.parametrize("operation", ["create", "cancel"])
def test_cards_are_frozen_values(emulator, operation):
    """What an assertion looked at does not change under it."""
    _create(emulator, "Acme1a")
    before = emulator.state.cards["Acme1a"]
    foreign.ask(emulator, "CancelGiftCard", foreign.cancel_fields("Acme1a"))
    assert before.is_live
    with pytest.raises(AttributeError):
        before.amount = Decimal(1)
    assert msgspec.structs.replace(before, is_cancelled=True) == emulator.state.cards["Acme1a"]
