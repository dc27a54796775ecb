"""What holds for every command, whoever added it."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from typer.main import get_command

from agcod_async.cli.app import build
from tests.cli.world import COMMAND, ROOT

TOP = sorted(get_command(build()).commands)
GROUP = get_command(build()).commands["bulk"]
COMMANDS = [name for name in TOP if name != "bulk"] + [f"bulk {name}" for name in sorted(GROUP.commands)]

CARD = "1234567890123456789"
ACCOUNT = ("amzn1.account.AB12", "5.00", "USD", "--account-type", "2")

# Of each command: what has to happen before, and a command line that succeeds.
CASES = {
    "create": ([], ["order-1", "25.00", "USD", "--yes"]),
    "cancel": ([["create", "order-1", "25.00", "USD", "--yes"]], ["order-1", "--yes"]),
    "activate": ([], ["till-1", CARD, "25.00", "USD", "--yes"]),
    "deactivate": ([["activate", "till-1", CARD, "25.00", "USD", "--yes"]], ["till-1", "--yes"]),
    "load": ([], ["payout-1", *ACCOUNT, "--yes"]),
    "void": ([["load", "payout-1", *ACCOUNT, "--yes"]], ["payout-1", "--yes"]),
    "validate": ([], [*ACCOUNT]),
    "status": ([["create", "order-1", "25.00", "USD", "--yes"]], ["order-1"]),
    "recover": ([["create", "order-1", "25.00", "USD", "--yes"]], ["--yes"]),
    "funds": ([], []),
    "activity": ([["create", "order-1", "25.00", "USD", "--yes"]], []),
    "reconcile": ([["create", "order-1", "25.00", "USD", "--yes"]], []),
    "sign": ([], ["GetAvailableFunds"]),
    "doctor": ([["create", "order-1", "25.00", "USD", "--yes"]], []),
    "config": ([], []),
    "demo": ([], []),
    "bulk run": ([], ["rewards.csv", "--yes"]),
    "bulk retry": ([], ["rewards.csv", "--yes"]),
    "bulk status": ([["bulk run", "rewards.csv", "--yes"]], ["rewards.csv"]),
    "bulk report": ([["bulk run", "rewards.csv", "--yes"]], ["rewards.csv"]),
}
# `emulator` serves until it is told to stop: see test_emulation.py. A shell reads what `completion` prints.
ELSEWHERE = {"emulator", "completion"}


def test_every_command_is_tried():
    """A new command needs a case here, or it could print anything."""
    assert set(CASES) | ELSEWHERE == set(COMMANDS)


@pytest.mark.parametrize("name", CASES)
def test_json_lines(cli, name):
    """With --json every line of the result is an object, also on a terminal, and nothing else is said."""
    before, arguments = CASES[name]
    cli.write("reference,amount,currency\norder-1,25.00,USD\n", "rewards.csv")
    for command, *line in before:
        assert cli(*command.split(), *line).code == 0
    result = cli(*name.split(), *arguments, "--json", terminal=True)
    assert (result.code, result.err) == (0, "")
    assert all(isinstance(record, dict) and record for record in result.records)
    if name not in ("recover", "reconcile"):
        # There may be nothing to recover, and nothing is old enough to be reconciled.
        assert result.records


@pytest.mark.parametrize("name", CASES)
def test_tables(cli, name):
    """On a terminal the same is text: no JSON, no escape that the service sent, no code."""
    before, arguments = CASES[name]
    cli.write("reference,amount,currency\norder-1,25.00,USD\n", "rewards.csv")
    for command, *line in before:
        assert cli(*command.split(), *line).code == 0
    result = cli(*name.split(), *arguments, terminal=True)
    assert result.code == 0
    assert not result.out.startswith("{")
    assert re.search(r"\b[A-Z0-9]{4}-[A-Z0-9]{6}-[A-Z0-9]{4}\b", result.out + result.err) is None


@pytest.mark.parametrize("name", COMMANDS)
def test_errors_are_json_too(offline, name):
    """Whatever goes wrong, a program reads one object with the same fields."""
    if name == "emulator":
        pytest.skip("it has a command line of its own")
    result = offline(*name.split(), "--no-such-option")
    assert result.code == 2
    assert result.error.keys() >= {"error", "outcome", "message", "request_id", "fix", "exit_code"}
    assert (result.error["exit_code"], name in result.error["fix"]) == (2, True)


@pytest.mark.parametrize("name", [None, "bulk", *COMMANDS])
def test_help_is_one_screen(name, tmp_path):
    """At most 40 lines of 100 columns, with an example."""
    arguments = name.split() if name else []
    shown = subprocess.run(
        [*COMMAND, *arguments, "--help"],
        env={"PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(shown) <= 40
    assert max(map(len, shown)) <= 100
    assert any("xample" in line for line in shown) or name in (None, "bulk")


def test_no_summary_is_cut(tmp_path):
    """Whoever looks for a command in a terminal of 80 columns reads whole sentences."""
    for arguments in ([], ["bulk"]):
        shown = subprocess.run(
            [*COMMAND, *arguments, "--help"],
            env={"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "..." not in shown.partition("Commands:")[2]


def test_help_is_what_nothing_shows(offline):
    """`agcod` alone is a question."""
    alone = offline(terminal=True)
    assert alone.code == 0
    assert all(name in alone.out for name in TOP)


def test_the_version(offline):
    """On a terminal, and for programs; before the command or after it."""
    assert offline("--version", terminal=True).out.startswith("version")
    assert json.loads(offline("--version", "--json", terminal=True).out).keys() == {"version"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["creat"], "Did you mean 'create'?"),
        (["create", "order-1"], "AMOUNT"),
        (["funds", "--endpont", "eu"], "--endpoint"),
        (["create", "order-1", "5", "USD", "--on-unknown", "pray"], "pray"),
        (["activity", "--days", "many"], "--days"),
    ],
)
def test_a_slip_is_explained(offline, arguments, says):
    """The message names what is wrong, and the fix where to read on."""
    result = offline(*arguments)
    assert result.code == 2
    assert says in result.error["message"]
    assert "--help" in result.error["fix"]


def test_on_a_terminal_an_error_is_two_lines(offline):
    """What is wrong, and what to do."""
    result = offline("funds", terminal=True)
    assert result.out == ""
    first, second = result.err.splitlines()
    assert first == "agcod: endpoint is not set: na-sandbox, eu, … or the URL of an emulator"
    assert second.startswith("  fix: give --endpoint")
