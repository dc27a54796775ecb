"""`agcod recover`: what was left open is finished, and the exit code says whether it is."""

from __future__ import annotations

import sqlite3

import pytest

from agcod_async.emulator import Fault, FaultKind


def leave_open(cli, emulator, *references):
    """Let rewards end without an answer."""
    emulator.faults.arm(Fault(FaultKind.RESEND_AFTER))
    for reference in references:
        assert cli("create", reference, "25.00", "USD", "--yes", "--wait", "0.01").code == 5
    emulator.faults.clear()


def due_now(cli, **columns):
    """Let time pass in the ledger: what is open is due."""
    changes = ", ".join(f"{name} = {value}" for name, value in {"due_at": 1, **columns}.items())
    with sqlite3.connect(cli.folder / "rewards.db") as ledger:
        ledger.execute(f"UPDATE entries SET {changes}, lease_until = NULL WHERE state = 'sent'")
    ledger.close()


def test_nothing_open(cli):
    """Nothing to confirm, nothing to do."""
    cli("create", "order-1", "5.00", "USD", "--yes")
    result = cli("recover", terminal=True)
    assert (result.code, result.err) == (0, "Nothing is open.\n")


def test_what_is_due_takes_a_step(cli, emulator):
    """A card that was charged without an answer is found, and charged once."""
    leave_open(cli, emulator, "a", "b")
    due_now(cli)
    result = cli("recover", "--yes")
    assert (result.code, [each["state"] for each in result.records]) == (0, ["issued", "issued"])
    assert emulator.state.funds["Acme1"] == 9950


def test_what_is_not_due_stays_open(cli, emulator):
    """Exit code 5, until a later run or --watch finishes it."""
    leave_open(cli, emulator, "a")
    due_now(cli)
    emulator.faults.arm(Fault(FaultKind.RESEND_AFTER))
    result = cli("recover", "--yes", terminal=True, typed="")
    assert result.code == 5
    assert "Still open: 1, 25.00 USD" in result.err


def test_watching_until_nothing_is_open(cli, emulator):
    """Round after round, with pauses, and then it ends by itself."""
    leave_open(cli, emulator, "a")
    result = cli("recover", "--watch", "--every", "0.2", "--yes")
    assert result.code == 0
    assert result.records[-1]["state"] == "issued"
    assert emulator.state.funds["Acme1"] == 9975


def test_a_case_for_a_person(cli, emulator):
    """After 24 hours it is given up, with an exit code of its own, here and for who asks again."""
    leave_open(cli, emulator, "a")
    due_now(cli, unknown_since=1)
    emulator.faults.arm(Fault(FaultKind.RESEND_AFTER))
    result = cli("recover", "--yes")
    assert (result.code, result.record["state"]) == (9, "abandoned")
    again = cli("create", "a", "25.00", "USD", "--yes")
    assert (again.code, again.error["error"]) == (9, "RewardAbandoned")
    assert "support" in again.error["fix"]


def test_it_spends_so_it_asks(cli, emulator):
    """The sums of all currencies come first."""
    leave_open(cli, emulator, "a")
    result = cli("recover", typed="no\n")
    assert (result.code, "total: 25.00 USD" in result.err) == (2, True)


@pytest.mark.parametrize("every", ["0", "-1", "nan"])
def test_a_pause_that_is_none(offline, every):
    """It would ask the ledger without rest."""
    assert offline("recover", "--every", every).code == 2
