"""The checks that operations share."""

import pytest

from agcod_async.emulator import Emulator, Partner, Settings

from . import foreign


def _refused(emulator, *args, **more):
    return foreign.refused(emulator, "CreateGiftCard", foreign.create_fields(*args, **more))


@pytest.mark.parametrize(
    ("fields", "error_type"),
    [
        (foreign.create_fields(""), "InvalidRequestIdInput"),
        (foreign.create_fields("Acme1" + "x" * 36), "RequestIdTooLong"),
        (foreign.create_fields("Other1"), "RequestIdMustStartWithPartnerName"),
        (foreign.create_fields("Acme1a", 0), "InvalidAmountValue"),
        (foreign.create_fields("Acme1a", -1), "InvalidAmountValue"),
        (foreign.create_fields("Acme1a", 0.14), "AmountBelowMinThreshold"),
        (foreign.create_fields("Acme1a", 2000.01), "MaxAmountExceeded"),
        (foreign.create_fields("Acme1a", 1.005), "FractionalAmountNotAllowed"),
        (foreign.create_fields("Acme1a", 1, ""), "InvalidCurrencyCodeInput"),
        (foreign.create_fields("Acme1a", 1, "CAD"), "CurrencyCodeMismatch"),
        (foreign.create_fields("Acme1a", 1, "EUR"), "InvalidCurrencyInMarketplace"),
        (foreign.create_fields("Acme1a") | {"value": None}, "InvalidAmountInput"),
        (foreign.create_fields("Acme1a") | {"value": {"amount": 1}}, "InvalidCurrencyCodeInput"),
        (foreign.create_fields("Acme1a", externalReference="é" * 101), "ExternalReferenceTooLong"),
        (foreign.create_fields("Acme1a") | {"partnerId": None}, "InvalidPartnerIdInput"),
        (foreign.create_fields("Acme1a") | {"partnerId": "Amzn1"}, "UnknownCustomer"),
        (b"", "InvalidRequestInput"),
    ],
)
def test_bad_input_has_the_name_that_the_service_gives_it(emulator, fields, error_type):
    """Each refusal is coded, and none of them moves money."""
    assert foreign.refused(emulator, "CreateGiftCard", fields) == error_type
    assert emulator.partner.funds == 10_000
    assert not emulator.state.cards


def test_the_borders_are_allowed(emulator):
    """Forty characters, the smallest and the largest amount, a hundred characters of reference."""
    allowed = (
        foreign.create_fields("Acme1" + "x" * 35, externalReference="é" * 100),
        foreign.create_fields("Acme1", 0.15, programId=None),
        foreign.create_fields("Acme1-!=&*}%_", 2000.00),
    )
    for fields in allowed:
        assert foreign.ask(emulator, "CreateGiftCard", fields)[0] == 200


def test_the_amount_is_checked_before_the_id(emulator):
    """Recorded: a known id with a bad amount is a bad amount."""
    foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))
    assert _refused(emulator, "Acme1a", -5) == "InvalidAmountValue"


def test_yen_have_no_minor_unit(clock):
    """Whole amounts pass; a card in yen has 16 digits for a gcId, and ends with the Japanese day."""
    partner = Partner("Acme1", keys={"A": "s"}, currency="JPY")
    emulator = Emulator([partner], clock=clock, throttle=None, region="us-west-2")
    assert _refused(emulator, "Acme1a", 500.5, "JPY") == "FractionalAmountNotAllowed"
    _, card = foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1a", 500, "JPY"))
    assert len(card["gcId"]) == 16
    assert card["gcId"].isdigit()
    assert card["gcExpirationDate"] == "Sun Mar 02 14:59:59 UTC 2036"


def test_the_old_limit_of_request_ids_is_a_switch(clock):
    """Nineteen characters in 2014; the text names the maximum."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(request_id_limit=19))
    status, answer = foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1" + "x" * 15))
    assert (status, answer["errorType"]) == (400, "RequestIdTooLong")
    assert "19" in answer["message"]


def test_resellers_need_an_approved_program(clock):
    """Missing, unknown and approved program ids."""
    partner = Partner("Acme1", keys={"A": "s"}, needs_program_id=True, programs=frozenset({"P1"}))
    emulator = Emulator([partner], clock=clock, throttle=None)
    assert _refused(emulator, "Acme1a") == "ProgramIdNotPresent"
    assert _refused(emulator, "Acme1a", programId="P2") == "InvalidProgramId"
    fields = foreign.create_fields("Acme1a", programId="P1")
    assert foreign.ask(emulator, "CreateGiftCard", fields)[0] == 200


@pytest.mark.parametrize("problem", ["CustomerAccountBlocked", "SomethingNew"])
def test_an_account_can_have_a_problem(clock, problem):
    """Every call of it is refused for that, by whatever name: the list of names is open."""
    emulator = Emulator([Partner("Acme1", keys={"A": "s"}, problem=problem)], clock=clock, throttle=None)
    assert _refused(emulator, "Acme1a") == problem
    assert foreign.refused(emulator, "GetAvailableFunds", {"partnerId": "Acme1"}) == problem
