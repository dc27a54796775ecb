"""Loads of somebody's balance."""

from datetime import timedelta

import pytest

from agcod_async.emulator import Emulator, Settings

from . import foreign

LOAD, VOID, VALIDATE = "LoadAmazonBalance", "VoidAmazonBalanceLoad", "ValidateAccountForAmazonBalanceLoad"


def _ask(emulator, operation, *args):
    return foreign.ask(emulator, operation, foreign.load_fields(*args))


def _refused(emulator, operation, *args):
    return foreign.refused(emulator, operation, foreign.load_fields(*args))


def test_load_void_and_their_repeats(emulator):
    """Money goes once and comes back once; quoted and bare amounts are the same."""
    answer = {
        "amount": {"currencyCode": "USD", "value": 50.0},
        "loadBalanceRequestId": "Acme1a",
        "status": "SUCCESS",
    }
    assert _ask(emulator, VALIDATE, "Acme1a") == (200, answer)
    assert emulator.partner.funds == 10_000
    for amount in ("50", 50, "50.00"):
        assert _ask(emulator, LOAD, "Acme1a", amount) == (200, answer)
        assert emulator.partner.funds == 9950
    for _ in range(2):
        assert _ask(emulator, VOID, "Acme1a") == (200, answer)
        assert emulator.partner.funds == 10_000


def test_a_void_must_be_that_of_the_load(emulator):
    """Another amount, another account and an unknown load are refused, as the test scripts say."""
    _ask(emulator, LOAD, "Acme1a")
    assert _refused(emulator, VOID, "Acme1a", "51") == "OperationNotPermitted"
    assert _refused(emulator, VOID, "Acme1a", "50", "amz1.account.2") == "OperationNotPermitted"
    assert _refused(emulator, VOID, "Acme1b") == "OperationNotPermitted"
    assert _refused(emulator, LOAD, "Acme1a", "50", "amz1.account.2") == "OperationNotPermitted"
    assert emulator.state.loads["Acme1a"].is_live


def test_a_voided_load_is_over(emulator):
    """By default its repeat is refused, because a SUCCESS could not say that nothing is there."""
    _ask(emulator, LOAD, "Acme1a")
    _ask(emulator, VOID, "Acme1a")
    assert _refused(emulator, LOAD, "Acme1a") == "OperationNotPermitted"


def test_a_voided_load_may_still_answer_success(clock):
    """The other reading, by a switch; it charges nothing."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(load_after_void="success"))
    _ask(emulator, LOAD, "Acme1a")
    _ask(emulator, VOID, "Acme1a")
    assert _ask(emulator, LOAD, "Acme1a")[0] == 200
    assert emulator.partner.funds == 10_000


def test_the_barcode_of_a_voided_load_is_dead(emulator):
    """New loads and validations with it fail; the repeat of the void does not."""
    barcode = ("50", "123456789012345678901234567", "1")
    _ask(emulator, LOAD, "Acme1a", *barcode)
    _ask(emulator, VOID, "Acme1a", *barcode)
    assert _refused(emulator, LOAD, "Acme1b", *barcode) == "OperationNotPermitted"
    assert _refused(emulator, VALIDATE, "Acme1b", *barcode) == "OperationNotPermitted"
    assert _ask(emulator, VOID, "Acme1a", *barcode)[0] == 200


@pytest.mark.parametrize(
    ("account", "kind", "status"),
    [("2065550100", "3", 200), ("12065550100", "3", 400), ("", "2", 400), ("blocked", "2", 400)],
)
def test_accounts_are_checked(clock, account, kind, status):
    """US phone numbers have ten digits; no account and a blocked one are refused."""
    settings = Settings(invalid_accounts=frozenset({"blocked"}))
    emulator = Emulator(clock=clock, throttle=None, settings=settings)
    assert _ask(emulator, VALIDATE, "Acme1a", "50", account, kind)[0] == status
    assert _ask(emulator, LOAD, "Acme1a", "50", account, kind)[0] == status


def test_the_unit_of_value_is_a_switch(clock):
    """One example of the docs counts cents."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(load_unit="minor"))
    _, answer = _ask(emulator, LOAD, "Acme1a", "4000")
    assert answer["amount"] == {"currencyCode": "USD", "value": 4000.0}
    assert emulator.partner.funds == 9960


def test_voiding_can_have_a_window(clock):
    """Whether the service has one is unknown; by default there is none."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(void_window=timedelta(minutes=15)))
    _ask(emulator, LOAD, "Acme1a")
    clock.shift(timedelta(minutes=16))
    assert _refused(emulator, VOID, "Acme1a") == "CancelRequestArrivedAfterTimeLimit"
    assert emulator.state.spent("Acme1") == 50


def test_amounts_of_loads_are_checked(emulator):
    """Missing, and over the limit."""
    assert _refused(emulator, LOAD, "Acme1a", "2001") == "MaxAmountExceeded"
    fields = foreign.load_fields("Acme1a") | {"amount": {"currencyCode": "USD"}}
    assert foreign.refused(emulator, LOAD, fields) == "InvalidAmountInput"
