"""Physical cards and balances: `activate`, `deactivate`, `load`, `void`, `validate`, `status`."""

from __future__ import annotations

import pytest

CARD = "1234567890123456789"
ACTIVATE = ("activate", "till-1", CARD, "25.00", "USD")
LOAD = ("load", "payout-1", "amzn1.account.AB12", "5.00", "USD", "--account-type", "2")


def _funds(emulator):
    return emulator.state.funds["Acme1"]


def test_a_card_is_activated_once_and_deactivated(cli, emulator):
    """Repeating the command charges nothing; taking it back refunds."""
    assert [cli(*ACTIVATE, "--yes").code for _ in range(2)] == [0, 0]
    assert _funds(emulator) == 9975
    assert cli("status", "--card", CARD).record["card_status"] == "Activated"
    assert cli("deactivate", "till-1", "--yes").record["state"] == "reversed"
    assert _funds(emulator) == 10_000


def test_a_balance_is_loaded_once_and_voided(cli, emulator):
    """The same for a customer's balance."""
    source = ("--source-id", "shop-1", "--institution-id", "chain", "--source-details", "till 7")
    assert [cli(*LOAD, *source, "--yes").code for _ in range(2)] == [0, 0]
    assert _funds(emulator) == 9995
    assert cli("void", "payout-1", "--yes").record["state"] == "reversed"
    assert _funds(emulator) == 10_000


def test_a_source_needs_an_id(cli):
    """Details of nothing are a slip."""
    result = cli(*LOAD, "--source-details", "till 7", "--yes")
    assert (result.code, result.error["fix"]) == (2, "add --source-id")


def test_validation_loads_nothing(cli, emulator):
    """It only asks."""
    record = cli("validate", *LOAD[2:]).record
    assert record["status"] == "SUCCESS"
    assert record["request_id"].startswith("Acme1")
    assert _funds(emulator) == 10_000


@pytest.mark.parametrize(
    ("made", "undone", "fix"),
    [
        (ACTIVATE, ("cancel", "till-1"), "agcod deactivate till-1"),
        (LOAD, ("deactivate", "payout-1"), "agcod void payout-1"),
        (("create", "order-1", "5", "USD"), ("void", "order-1"), "agcod cancel order-1"),
    ],
)
def test_the_wrong_way_back_names_the_right_one(cli, made, undone, fix):
    """A slip in the command must not undo something else."""
    cli(*made, "--yes")
    result = cli(*undone, "--yes")
    assert (result.code, result.error["fix"]) == (2, fix)


def test_where_a_reward_stands(cli):
    """The ledger answers, for one reference and in sums; nothing is sent."""
    cli("create", "order-1", "5", "USD", "--yes")
    cli("create", "order-2", "7", "USD", "--yes")
    offline = cli.with_environ(AGCOD_ENDPOINT=None, AGCOD_PARTNER_ID=None)
    record = offline("status", "order-1").record
    assert (record["state"], record["amount"], record["attempts"]) == ("issued", "5.00", 1)
    assert record["endpoint"] == cli.environ["AGCOD_ENDPOINT"]
    assert [(each["state"], each["count"], each["amount"]) for each in offline("status").records] == [
        ("issued", 2, "12.00")
    ]


def test_a_reference_that_nobody_knows(cli):
    """The message names the ledger that was asked."""
    cli("create", "order-2", "5", "USD", "--yes")
    result = cli("status", "order-1")
    assert (result.code, "rewards.db" in result.error["message"]) == (2, True)


def test_one_question_at_a_time(cli):
    """A reference is the ledger's, a card the service's."""
    assert cli("status", "order-1", "--card", CARD).code == 2


def test_a_card_without_news(cli, emulator):
    """What the service leaves out is shown as missing."""
    record = cli("status", "--card", CARD).record
    assert record["card_number"] == CARD
