"""`agcod bulk`, against a gateway on a socket."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import stat
import threading
from contextlib import closing, contextmanager

import pytest

from agcod_async.emulator import Fault, FaultKind

HEADER = "reference,amount,currency\n"


@pytest.fixture
def rewards(tmp_path):
    """A function that writes a file of rewards."""

    def write(count=5, *, amount="10.00", more="", name="rewards.csv"):
        rows = "".join(f"order-{number:04},{amount},USD\n" for number in range(count))
        (tmp_path / name).write_text(HEADER + rows + more, encoding="utf-8")
        return name

    return write


def spent(emulator):
    return emulator.state.spent("Acme1")


def codes_of(emulator):
    return [emulator.state.claim_code(card.gc_id) for card in emulator.state.cards.values()]


def table(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_a_campaign_is_issued_once(cli, emulator, rewards):
    """A second run finds nothing to do, and needs no confirmation for it."""
    first = cli("bulk", "run", rewards(), "--yes", "--max-total", "50.00 USD")
    assert first.code == 0, first.err
    *receipts, summary = first.records
    assert [receipt["state"] for receipt in receipts] == ["issued"] * 5
    assert (summary["issued"], summary["issued_now"], summary["funds"]) == (5, "50.00 USD", "9950.00 USD")
    again = cli("bulk", "run", rewards())
    assert (again.code, again.record["issued"], again.record["issued_now"]) == (0, 5, "nothing")
    assert spent(emulator) == 50


def test_a_dry_run_sends_and_plans_nothing(cli, emulator, rewards):
    """It tells what would be done, and leaves nothing behind: no file for codes, and no ledger."""
    result = cli(
        "bulk", "run", rewards(more="order-0000,10.00,USD\n"), "--dry-run", "--codes-to", "codes.csv"
    )
    assert result.code == 0
    assert result.record == {
        "file": "rewards.csv", "rewards": 5, "rewards_new": 5, "repeated_lines": 1, "worth": "50.00 USD",
        "to_issue": "50.00 USD", "funds": "10000.00 USD", "key_days_left": None,
    }  # fmt: skip
    assert [path.name for path in cli.folder.iterdir()] == ["rewards.csv"]
    assert spent(emulator) == 0


def test_a_person_confirms_the_sum(cli, emulator, rewards):
    """What it is about is shown first, and only a typed `yes` spends it."""
    refused = cli("bulk", "run", rewards(), typed="no\n")
    assert refused.code == 2
    for text in ("rewards: 5", "funds: 10000.00 USD", "total: 50.00 USD", "Type 'yes' to go on"):
        assert text in refused.err
    assert spent(emulator) == 0
    confirmed = cli("bulk", "run", "rewards.csv", typed="yes\n")
    assert confirmed.code == 0
    assert spent(emulator) == 50
    assert cli("bulk", "run", rewards(6)).error["fix"] == "add --yes"


def test_production_is_behind_its_gate(cli, rewards):
    """As for every command that spends."""
    live = cli.with_environ(AGCOD_ENDPOINT="na", AGCOD_REGION=None, AGCOD_CA_FILE=None)
    result = live("bulk", "run", rewards(), "--yes")
    assert result.code == 2
    assert "--production" in result.error["fix"]


def test_all_bad_lines_are_shown(cli, emulator, rewards):
    """One row each for programs, one line each for people, and nothing is sent."""
    name = rewards(2, more="order-2,1e3,USD\norder-0001,11.00,USD\n,1.00,USD\n")
    result = cli("bulk", "run", name, "--yes")
    assert result.code == 2
    assert [(row["line"], row["column"]) for row in result.records] == [
        (4, "amount"), (5, "reference"), (6, "reference"),
    ]  # fmt: skip
    assert result.error["error"] == "InvalidRewards"
    shown = cli("bulk", "status", name, terminal=True)
    assert shown.code == 2
    assert shown.err.splitlines() == [
        "line 4: amount: '1e3' is not a plain number such as 25.00",
        "line 5: reference: line 3 gives 'order-0001' other values: which?",
        "line 6: reference: it is missing",
        "agcod: nothing was sent: these 3 problems were found in the whole file",
        "  fix: mend the file, and repeat the command",
    ]
    many = rewards(0, more="".join(f"order-{number},x,USD\n" for number in range(1200)), name="many.csv")
    assert "… and 200 more" in cli("bulk", "run", many, terminal=True).err
    assert spent(emulator) == 0


def test_names_and_formats_are_the_users(cli, emulator):
    """A TSV called .txt, with a column that is nobody's business here."""
    cli.write("Order ID\tvalue\tcurrencyCode\temail\norder-1\t5\tUSD\ta@example.org\n", "export.txt")
    result = cli("bulk", "run", "export.txt", "--yes", "--format", "tsv", "--ignore", "email, name")
    assert result.code == 0
    assert spent(emulator) == 5
    assert (
        cli("bulk", "run", "export.txt", "--yes").error["message"].startswith("format: say what export.txt")
    )


def test_refusals_are_told_and_tried_again_on_request_only(cli, emulator, rewards):
    """The others are issued; exit code 4 says that somebody must look."""
    name = rewards(3, more="big,2500.00,USD\n")
    first = cli("bulk", "run", name, "--yes", terminal=True)
    assert first.code == 4
    assert "big: refused, MaxAmountExceeded" in first.err
    assert cli("bulk", "run", name, "--yes").record["refused"] == 1
    retried = cli("bulk", "retry", name, "--yes")
    assert (retried.code, retried.records[0]["reference"]) == (4, "big")
    assert spent(emulator) == 30


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--max-total", "49.99 USD"), 7, "max_total: the rewards are worth 50.00 USD"),
        (("--max-total", "lots"), 2, "--max-total 'lots' is not an amount such as '5000.00 USD'"),
        (("--max-total", "5"), 2, "--max-total '5' is not an amount"),
        (("--funds-below", "9960.00 USD"), 7, "with 9960.00 USD to be left"),
        (("--max-failures", "-1"), 2, "--max-failures"),
    ],
)
def test_a_limit_stops_it_before_it_begins(cli, emulator, rewards, options, code, says):
    """Nothing is sent, and the exit code tells a limit from a mistake."""
    result = cli("bulk", "run", rewards(), "--yes", *options)
    assert (result.code, says in result.error["message"]) == (code, True), result.err
    assert spent(emulator) == 0


def test_a_ceiling_of_the_settings_holds_for_campaigns(cli, emulator, rewards):
    """It is there against mistakes, and files have the most of them."""
    result = cli.with_environ(AGCOD_CEILING="9.99 USD")("bulk", "run", rewards(), "--yes")
    assert (result.code, len(result.records)) == (2, 5)
    assert spent(emulator) == 0


def test_too_many_refusals_stop_it(cli, emulator, rewards):
    """What it has done is told, and then why it has stopped."""
    name = rewards(60, amount="2500.00")
    result = cli("bulk", "run", name, "--yes", "--no-funds", "--max-failures", "2", "--results", "out.csv")
    assert result.code == 7
    assert "max_failures: 3 rewards were refused" in result.error["message"]
    assert result.records[-1]["refused"] >= 3
    states = [row["state"] for row in table(cli.folder / "out.csv")]
    assert states.count("refused") == result.records[-1]["refused"]
    assert states.count("planned") == 60 - states.count("refused")


def test_what_is_unknown_is_told(cli, emulator, rewards):
    """Exit code 5: run it again."""
    emulator.faults.arm(Fault(FaultKind.RESEND_AFTER, operation="CreateGiftCard"))
    result = cli("bulk", "run", rewards(1), "--yes", "--wait", "1", "--no-funds")
    assert (result.code, result.records[-1]["unknown"]) == (5, 1)
    assert cli("bulk", "status", "rewards.csv").code == 5
    emulator.faults.clear()
    assert cli("bulk", "run", "rewards.csv", "--yes").code == 0
    assert spent(emulator) == 10


def test_a_result_file_has_a_row_for_each_reward(cli, rewards):
    """In the order of the file, with what a spreadsheet would compute made harmless, and without codes."""
    name = rewards(2, more='"=HYPERLINK(""x"")",5.00,USD\n@x,5,USD\nbig,2500,USD\n')
    result = cli("bulk", "run", name, "--yes", "--results", "out.csv")
    assert result.code == 4
    rows = table(cli.folder / "out.csv")
    assert [row["reference"] for row in rows] == [
        "order-0000", "order-0001", "'=HYPERLINK(\"x\")", "'@x", "big",
    ]  # fmt: skip
    assert [row["line"] for row in rows] == ["2", "3", "4", "5", "6"]
    assert rows[0]["state"] == "issued"
    assert rows[0]["gc_id"]
    assert (rows[4]["state"], rows[4]["error"], rows[4]["gc_id"]) == ("refused", "MaxAmountExceeded", "")
    assert [path.name for path in cli.folder.iterdir() if "out.csv" in path.name] == ["out.csv"]
    missing = cli("bulk", "run", name, "--yes", "--results", "nowhere/out.csv")
    assert (
        missing.error["message"] == f"--results {cli.folder / 'nowhere/out.csv'}: No such file or directory"
    )


def test_an_old_result_file_stays_until_there_is_a_new_one(cli, rewards):
    """Half a file would be taken for all of it."""
    cli.write("old", "out.csv")
    assert cli("bulk", "run", rewards(1, more=",,USD\n"), "--yes", "--results", "out.csv").code == 2
    assert (cli.folder / "out.csv").read_text() == "old"
    assert sorted(path.name for path in cli.folder.iterdir() if "out" in path.name) == ["out.csv"]


@pytest.mark.reveals("files", because="the user named a file for codes")
def test_codes_are_asked_for_again_and_written_once(cli, emulator, rewards):
    """A second run appends only what is not there yet; a line that a crash has cut off is mended."""
    assert cli("bulk", "run", rewards(3), "--yes", "--codes-to", "codes.csv").code == 0
    path = cli.folder / "codes.csv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [row["reference"] for row in table(path)] == ["order-0000", "order-0001", "order-0002"]
    assert sorted(row["claim_code"] for row in table(path)) == sorted(codes_of(emulator))
    path.write_bytes(path.read_bytes()[:-12])
    assert cli("bulk", "run", rewards(5), "--yes", "--codes-to", "codes.csv").code == 0
    assert [row["reference"] for row in table(path)] == [f"order-{number:04}" for number in range(5)]
    assert sorted(row["claim_code"] for row in table(path)) == sorted(codes_of(emulator))
    assert spent(emulator) == 50


@pytest.mark.reveals("files", because="the user named a file for codes")
def test_a_code_that_cannot_be_had_is_named(cli, emulator, rewards):
    """The gateway does not answer for one of them: the others are written, and a repeat gets the last."""
    cli("bulk", "run", rewards(3), "--yes")
    missing = next(iter(emulator.state.cards))
    fault = emulator.faults.arm(Fault(FaultKind.FAULT_BEFORE, request_id=missing))
    result = cli("bulk", "run", "rewards.csv", "--codes-to", "codes.csv", "--wait", "0.5", terminal=True)
    assert ": no code: " in result.err
    assert len(table(cli.folder / "codes.csv")) == 2
    emulator.faults.disarm(fault)
    cli("bulk", "run", "rewards.csv", "--codes-to", "codes.csv")
    assert sorted(row["claim_code"] for row in table(cli.folder / "codes.csv")) == sorted(codes_of(emulator))
    assert spent(emulator) == 30


def test_a_file_that_others_may_read_gets_no_codes(cli, emulator, rewards):
    """Known before anything is spent."""
    cli.write("", "codes.csv").chmod(0o644)
    result = cli("bulk", "run", rewards(), "--yes", "--codes-to", "codes.csv")
    assert (result.code, "chmod 600" in result.error["fix"]) == (2, True)
    assert spent(emulator) == 0


def test_status_and_report_ask_nobody(cli, emulator, rewards):
    """From the file and the ledger alone, also while the network is away."""
    cli("bulk", "run", rewards(2, more="big,2500.00,USD\n"), "--yes")
    emulator.faults.arm(Fault(FaultKind.REFUSE_CONNECTION))
    rewards(3, more="big,2500.00,USD\n")
    status = cli("bulk", "status", "rewards.csv")
    assert status.code == 5
    assert [(row["state"], row["count"], row["amount"]) for row in status.records] == [
        ("issued", 2, "20.00"), ("new", 1, "10.00"), ("refused", 1, "2500.00"),
    ]  # fmt: skip
    report = cli("bulk", "report", "rewards.csv")
    assert [row["state"] for row in report.records] == ["issued", "issued", "new", "refused"]
    assert [
        row["reference"] for row in cli("bulk", "report", "rewards.csv", "--only", "refused").records
    ] == ["big"]
    assert "refused" in cli("bulk", "report", "rewards.csv", terminal=True).out
    written = cli("bulk", "report", "rewards.csv", "--results", "out.csv", terminal=True)
    assert (written.out, len(table(cli.folder / "out.csv"))) == ("", 4)
    rewards(2)
    assert cli("bulk", "status", "rewards.csv").code == 0
    rewards(2, more="big,2500.00,USD\n")
    assert cli("bulk", "status", "rewards.csv").code == 4


def test_attempts_that_are_repeated_are_nobodys_business(cli, emulator, rewards):
    """Among many rewards some always are: the terminal keeps its bar and what went wrong for good."""
    emulator.faults.arm(Fault(FaultKind.FAULT_AFTER, operation="CreateGiftCard", nth=1))
    result = cli("bulk", "run", rewards(3), "--yes", terminal=True)
    assert (result.code, emulator.faults.fired != []) == (0, True)
    assert "attempt" not in result.err
    assert "None" not in result.err


def test_a_state_that_is_none_is_a_typing_error(cli, rewards):
    """An empty report would say that there is nothing of the kind."""
    result = cli("bulk", "report", rewards(1), "--only", "isued")
    assert (result.code, "'issued'" in result.error["message"]) == (2, True)


def test_a_long_report_is_a_file(cli, rewards):
    """Nobody reads two thousand lines on a screen."""
    cli("create", "another", "5.00", "USD", "--yes")
    result = cli("bulk", "report", rewards(2_345), terminal=True)
    assert "1345 more: --results FILE writes them all." in result.err
    assert len(result.out.splitlines()) == 1001
    assert len(cli("bulk", "report", "rewards.csv").records) == 2_345


def test_ctrl_c_ends_it_cleanly(cli, emulator, rewards):
    """What is in flight ends, the rest stays planned, and the exit code says so."""
    process = cli.process(
        "bulk", "run", rewards(500), "--yes", "--results", "out.csv", "--codes-to", "codes.csv"
    )
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == ""
    summary = json.loads(out.splitlines()[-1])
    assert 5 <= summary["issued"] < 60
    assert spent(emulator) == 10 * summary["issued"]
    assert sum(row["state"] == "issued" for row in table(cli.folder / "out.csv")) == summary["issued"]
    assert cli("bulk", "status", "rewards.csv").code == 5


@contextmanager
def ctrl_c_after(seconds):
    """Press it once, while a command runs in this process."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    yield
    timer.join()


@pytest.mark.reveals("files", because="the user named a file for codes")
def test_ctrl_c_while_codes_are_asked_for(cli, emulator, rewards):
    """What is written is written, and repeating the command continues."""
    with ctrl_c_after(1.5):
        first = cli("bulk", "run", rewards(40), "--yes", "--codes-to", "codes.csv")
    assert first.code == 130
    assert first.records[-1]["not_sent"] == 40 - first.records[-1]["issued"] > 0
    assert table(cli.folder / "codes.csv") == []
    assert cli("bulk", "run", "rewards.csv", "--yes").code == 0
    with ctrl_c_after(2.0):
        second = cli("bulk", "run", "rewards.csv", "--codes-to", "codes.csv")
    assert second.code == 130
    assert 0 < len(table(cli.folder / "codes.csv")) < 40
    assert cli("bulk", "run", "rewards.csv", "--codes-to", "codes.csv").code == 0
    assert len(table(cli.folder / "codes.csv")) == 40
    assert spent(emulator) == 400


def test_what_was_given_up_is_a_case_for_a_person(cli, emulator, rewards):
    """It has an exit code of its own, as everywhere."""
    cli("bulk", "run", rewards(1), "--yes")
    with closing(sqlite3.connect(cli.folder / "rewards.db")) as ledger, ledger:
        ledger.execute("UPDATE entries SET state = 'abandoned'")
    assert cli("bulk", "status", "rewards.csv").code == 9


@pytest.mark.reveals("files", because="the user named a file for codes")
def test_no_code_is_shown_on_a_terminal(cli, emulator, rewards):
    """The whole screen of a real run, its progress included, has none; neither have ledger and results."""
    code, screen = cli.on_terminal(
        "bulk", "run", rewards(12), "--results", "out.csv", typed="yes\n", AGCOD_LOG="debug"
    )
    assert code == 0, screen
    codes = codes_of(emulator)
    assert len(codes) == 12
    assert "Issuing" in screen or "issued" in screen
    files = b"".join(path.read_bytes() for path in cli.folder.iterdir() if path.is_file())
    for each in codes:
        assert each not in screen
        assert each.encode() not in files
    code, screen = cli.on_terminal("bulk", "run", "rewards.csv", "--codes-to", "codes.csv")
    assert code == 0
    written = (cli.folder / "codes.csv").read_text()
    for each in codes:
        assert each not in screen
        assert each in written
