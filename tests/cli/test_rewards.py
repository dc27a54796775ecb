"""`agcod create` and `agcod cancel`, against a gateway on a socket."""

from __future__ import annotations

import csv
import os
import stat
from contextlib import nullcontext
from decimal import Decimal

import pytest

from agcod_async.cli.context import CommandContext
from agcod_async.cli.exits import CommandError
from agcod_async.cli.output import Output
from agcod_async.cli.process import Process
from agcod_async.emulator import Fault, FaultKind
from tests.cli.world import Stream

CARD = "1" * 19
REWARD = ("create", "order-4711", "25.00", "USD")


def test_a_reward_is_created_once(cli, emulator):
    """A command repeated from the shell's history returns the same card, and spends nothing."""
    first, again = cli(*REWARD, "--yes"), cli(*REWARD, "--yes")
    assert (first.code, again.code) == (0, 0)
    assert first.record["gc_id"] == again.record["gc_id"]
    assert (first.record["state"], first.record["amount"], first.record["currency"]) == (
        "issued",
        "25.00",
        "USD",
    )
    assert emulator.state.funds["Acme1"] == 9975


def test_the_same_reference_for_another_amount_is_refused(cli, emulator):
    """Nothing is sent: the first amount stands."""
    cli(*REWARD, "--yes")
    result = cli("create", "order-4711", "26.00", "USD", "--yes")
    assert (result.code, result.error["error"]) == (2, "ConfigurationError")
    assert emulator.state.funds["Acme1"] == 9975


def test_nobody_there_to_confirm(cli, emulator):
    """In a script the confirmation is a flag, and without it nothing is spent."""
    result = cli(*REWARD)
    assert (result.code, result.error["fix"]) == (2, "add --yes")
    assert emulator.state.funds["Acme1"] == 10_000


@pytest.mark.parametrize(("typed", "code"), [("yes\n", 0), ("no\n", 2), ("", 2), ("25.00\n", 2)])
def test_a_person_confirms(cli, emulator, typed, code):
    """What is about to be spent is shown first, and only a typed `yes` spends it."""
    result = cli(*REWARD, typed=typed)
    assert result.code == code
    assert "order-4711" in result.err
    assert "total: 25.00 USD" in result.err
    assert emulator.state.funds["Acme1"] == (9975 if code == 0 else 10_000)


def test_a_code_is_shown_only_when_asked_for_on_a_terminal(cli, emulator):
    """Without `--reveal` it is nowhere; with it, on the screen of whoever asked."""
    hidden, shown = cli(*REWARD, typed="yes\n"), cli(*REWARD, "--reveal", typed="yes\n")
    code = _code(emulator)
    assert code not in hidden.out + hidden.err
    assert "--reveal shows it" in hidden.err
    assert code in shown.out
    assert code not in shown.err


def test_no_code_goes_into_a_pipe(cli, emulator):
    """Pipes end in logs."""
    result = cli(*REWARD, "--yes", "--reveal")
    assert (result.code, "--codes-to" in result.error["fix"]) == (2, True)
    assert emulator.state.funds["Acme1"] == 10_000


@pytest.mark.reveals("files", because="the user named a file for codes")
def test_codes_go_to_a_file_of_their_own(cli, emulator):
    """Mode 0600, a heading, a line for each card; a second command appends."""
    cli(*REWARD, "--yes", "--codes-to", "codes.csv")
    result = cli("create", "=order", "5", "USD", "--yes", "--codes-to", "codes.csv")
    assert result.code == 0
    path = cli.folder / "codes.csv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, second = csv.DictReader(path.read_text().splitlines())
    assert first["reference"] == "order-4711"
    assert first["claim_code"] == _code(emulator)
    assert (second["reference"], second["amount"]) == ("'=order", "5.00")
    assert first["claim_code"] not in result.out


@pytest.mark.parametrize("bad", ["loose", "folder", "missing folder", "link"])
def test_a_file_that_cannot_keep_codes_is_refused_first(cli, emulator, bad):
    """Before any money moves."""
    path = cli.folder / "codes.csv"
    if bad == "loose":
        path.write_text("")
        path.chmod(0o644)
    elif bad == "folder":
        path.mkdir()
    elif bad == "link":
        (cli.folder / "elsewhere").write_text("")
        path.symlink_to(cli.folder / "elsewhere")
    else:
        path = path / "codes.csv"
    result = cli(*REWARD, "--yes", "--codes-to", str(path))
    assert (result.code, result.error["message"].startswith("--codes-to")) == (2, True)
    assert emulator.state.funds["Acme1"] == 10_000


def test_codes_do_not_go_to_a_device(cli):
    """What is written there is gone, or read by somebody."""
    result = cli(*REWARD, "--yes", "--codes-to", "/dev/null")
    assert "no regular file" in result.error["message"]


@pytest.mark.reveals("files", because="the user named a file for codes")
def test_a_disk_that_is_full(cli, emulator, monkeypatch):
    """The card is issued and its code is not lost: the same command with another file writes it down."""
    real = os.fsync

    def fsync(descriptor):
        if emulator.state.cards:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        result = cli(*REWARD, "--yes", "--codes-to", "codes.csv")
    assert (result.code, result.error["outcome"]) == (5, "unknown")
    assert "No space left" in result.error["message"]
    assert _code(emulator) not in result.err
    assert cli(*REWARD, "--yes", "--codes-to", "other.csv").code == 0
    assert _code(emulator) in (cli.folder / "other.csv").read_text()
    assert emulator.state.funds["Acme1"] == 9975


@pytest.mark.parametrize(("typed", "goes_on"), [("25.00 USD\n", True), ("yes\n", False), ("25.00\n", False)])
def test_on_production_the_total_is_typed(offline, typed, goes_on):
    """A habit of typing yes must not spend real money. (Nothing is sent here: there is no command.)"""
    flags = {"endpoint": "na", "partner_id": "Acme1", "production": True, "yes": False}
    streams = [Stream(text, is_terminal=True) for text in (typed, "", "")]
    process = Process(
        stdin=streams[0], stdout=streams[1], stderr=streams[2], environ={}, folder=offline.folder
    )
    context = CommandContext(process, Output(streams[1], streams[2], as_json=False), flags)
    with nullcontext() if goes_on else pytest.raises(CommandError, match="not confirmed"):
        context.confirm("Create a gift card", {"reference": "a"}, total="25.00 USD")
    assert "Create a gift card at na as Acme1:" in streams[2].getvalue()


def test_a_refusal_says_what_to_do(cli, emulator):
    """Exit code 4: nothing was issued."""
    emulator.state.funds["Acme1"] = Decimal(1)
    result = cli(*REWARD, "--yes")
    assert (result.code, result.error["error_type"]) == (4, "InsufficientFunds")
    assert (result.error["outcome"], "add funds" in result.error["fix"]) == ("refused", True)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("create", (), ()), ("activate", (CARD,), ()), ("load", ("amzn1.account.A",), ("--account-type", "2"))],
)
def test_what_was_typed_wrong_is_told_in_its_words(cli, emulator, name, before, after):
    """A reference with a space at its end would be another reward; an amount is told as it was typed."""

    def wrong(reference, amount):
        result = cli(name, reference, *before, amount, "USD", *after, "--yes")
        assert result.code == 2
        return result.error["message"]

    assert "without it, it would be another reward" in wrong("order-1 ", "5.00")
    assert "without it, it would be another reward" in wrong(" order-1", "5.00")
    assert wrong("order-1", "1e3") == "AMOUNT '1e3' is not a plain number such as 25.00"
    assert "too fine" in wrong("order-1", "0.001")
    assert emulator.state.spent("Acme1") == 0


def test_an_open_outcome_is_not_an_error_of_the_reward(cli, emulator):
    """Exit code 5, however far it came in its time, and the same command goes on where it stood."""
    emulator.faults.arm(Fault(FaultKind.RESEND_AFTER))
    result = cli(*REWARD, "--yes", "--wait", "0.5")
    assert (result.code, result.error["reference"]) == (5, "order-4711")
    assert result.error["request_id"] == cli("status", "order-4711").record["request_id"]
    emulator.faults.clear()
    assert cli(*REWARD, "--yes").code == 0
    assert result.error["request_id"] == _id(emulator)
    assert emulator.state.funds["Acme1"] == 9975


def test_cancelling_a_reward(cli, emulator):
    """The money is back, and the reference is used up."""
    cli(*REWARD, "--yes")
    result = cli("cancel", "order-4711", "--yes")
    assert (result.code, result.record["state"]) == (0, "reversed")
    assert emulator.state.funds["Acme1"] == 10_000
    assert cli(*REWARD, "--yes").code == 4


def test_cancelling_what_nobody_knows(cli):
    """The ledger knows what was issued with it, and nothing else."""
    cli("create", "order-1", "5.00", "USD", "--yes")
    result = cli("cancel", "order-4711", "--yes")
    assert (result.code, "not in the ledger" in result.error["message"]) == (2, True)


def _id(emulator):
    return next(iter(emulator.state.cards))


def _code(emulator):
    return emulator.state.claim_code(emulator.state.cards[_id(emulator)].gc_id)
