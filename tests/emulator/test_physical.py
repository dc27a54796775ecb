"""Cards of plastic."""

from datetime import timedelta
from decimal import Decimal

import pytest

from agcod_async.emulator import CardRange, Emulator, Settings
from agcod_async.emulator.physical import checksum

from . import foreign

NUMBER = "1400000000000000123"


def _ask(emulator, operation, *args):
    return foreign.ask(emulator, operation, foreign.card_fields(*args))


def _refused(emulator, operation, *args):
    return foreign.refused(emulator, operation, foreign.card_fields(*args))


def _info(status, amount):
    value = None if amount is None else {"amount": amount, "currencyCode": "USD"}
    return {"cardNumber": NUMBER, "cardStatus": status, "expirationDate": None, "value": value}


def test_the_life_of_a_card(emulator):
    """Awaiting, activated, awaiting again; money goes and comes back; every repeat changes nothing."""
    _, checked = _ask(emulator, "ActivationStatusCheck", "any")
    assert checked["cardInfo"] == _info("AwaitingActivation", None)
    for _ in range(2):
        assert _ask(emulator, "ActivateGiftCard", "Acme1a") == (
            200,
            {"activationRequestId": "Acme1a", "cardInfo": _info("Activated", 50.0), "status": "SUCCESS"},
        )
    _, checked = _ask(emulator, "ActivationStatusCheck", "any")
    assert checked == {
        "statusCheckRequestId": "any",
        "cardInfo": _info("Activated", 50.0),
        "status": "SUCCESS",
    }
    assert emulator.partner.funds == 9950
    for _ in range(2):
        _, ended = _ask(emulator, "DeactivateGiftCard", "Acme1a")
        assert ended["cardInfo"] == _info("AwaitingActivation", 50.0)
    assert emulator.partner.funds == 10_000
    # The first outcome's id is spent: the card is not activated once more.
    _, again = _ask(emulator, "ActivateGiftCard", "Acme1a")
    assert again["cardInfo"]["cardStatus"] == "AwaitingActivation"
    assert _ask(emulator, "ActivateGiftCard", "Acme1b")[1]["cardInfo"]["cardStatus"] == "Activated"


def test_an_active_card_refuses_another_request_id(emulator):
    """By the name seen on the wire, not that of the docs."""
    _ask(emulator, "ActivateGiftCard", "Acme1a")
    assert _refused(emulator, "ActivateGiftCard", "Acme1b") == "CardAlreadyActivatedWithDifferentRequestId"


def test_a_request_id_belongs_to_one_card(emulator):
    """Another card with the same id is refused, in both directions."""
    _ask(emulator, "ActivateGiftCard", "Acme1a")
    other = "1400000000000000999"
    assert _refused(emulator, "ActivateGiftCard", "Acme1a", other) == "ActivationRequestIdAlreadyBeenUsed"
    assert _refused(emulator, "DeactivateGiftCard", "Acme1a", other) == "WrongActivationRequestId"
    assert _refused(emulator, "DeactivateGiftCard", "Acme1x") == "NonExistingActivationRequestId"


@pytest.mark.parametrize(
    ("number", "error_type"),
    [("", "InvalidCardNumberInput"), ("14", "CardNumberTooShort"), ("1" * 18 + "²", "CardNumberTooShort")],
)
def test_card_numbers_have_nineteen_digits(emulator, number, error_type):
    """Anything else is refused by each of the three operations."""
    for operation in ("ActivateGiftCard", "DeactivateGiftCard", "ActivationStatusCheck"):
        assert _refused(emulator, operation, "Acme1a", number) == error_type


def test_ranges_and_checksums(clock):
    """Fixed cards have a printed amount, cards outside of the ranges do not exist, checksums are checked."""
    fixed = CardRange(first="14" + "0" * 14, last="14" + "0" * 13 + "9", currency="USD", amount=Decimal(25))
    settings = Settings(card_ranges=(fixed,), card_checksum="mod997")
    emulator = Emulator(clock=clock, throttle=None, settings=settings)
    good = "1400000000000005" + checksum("1400000000000005")
    wrong = good[:16] + f"{(int(good[16:]) + 1) % 1000:03d}"
    stranger = "1500000000000005" + checksum("1500000000000005")
    assert _refused(emulator, "ActivateGiftCard", "Acme1a", wrong, 25) == "CardNumberCheckSumError"
    assert _refused(emulator, "ActivateGiftCard", "Acme1a", stranger, 25) == "CardNotFound"
    assert _refused(emulator, "ActivateGiftCard", "Acme1a", good, 50) == "RequestedDenominationMismatch"
    _, checked = _ask(emulator, "ActivationStatusCheck", "any", good)
    assert checked["cardInfo"]["value"] == {"amount": 25.0, "currencyCode": "USD"}
    assert _ask(emulator, "ActivateGiftCard", "Acme1a", good, 25)[0] == 200


def test_open_ranges_take_any_amount(clock):
    """An open card is worth what is asked for."""
    open_range = CardRange(first="0" * 16, last="9" * 16, currency="USD")
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(card_ranges=(open_range,)))
    assert _ask(emulator, "ActivateGiftCard", "Acme1a", NUMBER, 33)[0] == 200


def test_physical_cards_begin_at_one_dollar(emulator):
    """Their limits are not those of digital cards."""
    assert _refused(emulator, "ActivateGiftCard", "Acme1a", NUMBER, 0.5) == "AmountBelowMinThreshold"


def test_deactivation_can_have_a_window(clock):
    """Whether the service has one is unknown; by default there is none."""
    settings = Settings(deactivation_window=timedelta(minutes=15))
    emulator = Emulator(clock=clock, throttle=None, settings=settings)
    _ask(emulator, "ActivateGiftCard", "Acme1a")
    clock.shift(timedelta(minutes=15, seconds=1))
    assert _refused(emulator, "DeactivateGiftCard", "Acme1a") == "DeactivationNotAllowed"
    assert emulator.state.spent("Acme1") == 50


def test_a_status_check_needs_an_id(emulator):
    """Any, but one."""
    assert _refused(emulator, "ActivationStatusCheck", "") == "InvalidRequestIdInput"
