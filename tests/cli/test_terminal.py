"""The real command on a real terminal, and what of it anybody could read afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from agcod_async.cli.settings import profile_names
from agcod_async.emulator import Fault, FaultKind
from tests.cli.world import COMMAND, ROOT

REWARD = ("create", "order-1", "25.00", "USD")
CODE = re.compile(r"\b[A-Z0-9]{4}-[A-Z0-9]{6}-[A-Z0-9]{4}\b")

# Each way in which a command can end, without a flag that asks for a code.
LIVES = {
    "success": ([], [*REWARD, "--yes"], 0),
    "confirmed": ([], [*REWARD], 0),
    "refused": ([], ["create", "order-1", "99999.00", "USD", "--yes"], 4),
    "another amount": ([], ["create", "old", "26.00", "USD", "--yes"], 2),
    "garbage": ([Fault(FaultKind.GARBAGE)], [*REWARD, "--yes", "--wait", "1"], 5),
    "a wrong type of answer": ([Fault(FaultKind.WRONG_CONTENT_TYPE, times=1)], [*REWARD, "--yes"], 0),
    "truncated": ([Fault(FaultKind.TRUNCATED)], [*REWARD, "--yes", "--wait", "1"], 5),
    "status": ([], ["status", "old"], 0),
    "activity": ([], ["activity"], 0),
    "config": ([], ["config"], 0),
    "a slip": ([], ["funds", "--no-such-option"], 2),
}


@pytest.mark.parametrize("life", LIVES)
def test_no_secret_is_left_anywhere(cli, emulator, life):
    """Screen, log at its loudest, and every file: no code of a card, no secret key, no signature."""
    cli("create", "old", "25.00", "USD", "--yes")
    faults, arguments, code = LIVES[life]
    for fault in faults:
        emulator.faults.arm(fault)
    ended, screen = cli.on_terminal(*arguments, typed="yes\n", AGCOD_LOG="debug")
    assert ended == code, screen
    codes = {emulator.state.claim_code(card.gc_id) for card in emulator.state.cards.values()}
    planted = {*codes, cli.environ["AGCOD_SECRET_ACCESS_KEY"]}
    traces = [screen.encode(), *(path.read_bytes() for path in cli.folder.rglob("*") if path.is_file())]
    assert not any(secret.encode() in trace for secret in planted for trace in traces)
    assert CODE.search(screen) is None
    assert re.search(r"Signature=[0-9a-f]{64}", screen) is None
    assert "Traceback" not in screen


def test_a_code_only_when_it_is_asked_for(cli, emulator):
    """The scan above finds one where there is one."""
    _, screen = cli.on_terminal(*REWARD, "--reveal", typed="yes\n")
    (card,) = emulator.state.cards.values()
    assert emulator.state.claim_code(card.gc_id) in screen
    assert CODE.search(screen)


def test_a_crash_shows_no_locals(cli):
    """A traceback names the frames, and not what stands in them: keys, codes, requests."""
    script = (
        "import os, sys\n"
        "from agcod_async import AgcodSession, cli\n"
        "async def fail(self):\n"
        "    secret = os.environ['AGCOD_SECRET_ACCESS_KEY']\n"
        "    raise RuntimeError(f'it was {secret}')\n"
        "AgcodSession.get_available_funds = fail\n"
        "sys.exit(cli.main())\n"
    )
    environ = {**cli.environ, "PYTHONPATH": str(ROOT), "AGCOD_LOG": "debug"}
    done = subprocess.run(
        [sys.executable, "-c", script, "funds"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "RuntimeError at\n" in done.stderr
    assert "in get_available_funds" not in done.stderr
    assert "line 5, in fail\n" in done.stderr.rpartition("DEBUG")[2]
    assert cli.environ["AGCOD_SECRET_ACCESS_KEY"] not in done.stderr


def test_a_terminal_gets_text_and_a_pipe_gets_json(cli):
    """The same command, without a flag."""
    facts = {"available": "10000.00", "currency": "USD", "average_daily_spend": "0.00"}
    about = {"partner_id": "Acme1", "endpoint": cli.environ["AGCOD_ENDPOINT"]}
    ended, screen = cli.on_terminal("funds")
    # What comes after the progress, which is wiped out.
    table = dict(line.strip().split("  ", 1) for line in screen.rpartition("\x1b[2K")[2].splitlines())
    shown = {name.replace(" ", "_"): value.strip() for name, value in table.items()}
    assert ended == 0
    assert shown.pop("timestamp").endswith(" UTC")
    assert shown == {**facts, "days_remaining": "-", **about}
    with cli.process("funds") as process:
        out, err = process.communicate(timeout=20)
    record = json.loads(out)
    assert (record.pop("timestamp")[-1], err) == ("Z", "")
    assert record == {**facts, "days_remaining": None, **about}


@pytest.mark.parametrize(
    ("words", "position", "found"),
    [
        ("agcod cr", 1, {"create"}),
        ("agcod funds --prof", 2, {"--profile"}),
        ("agcod create a 5 USD --on-unknown re", 6, {"replace"}),
        ("agcod funds --endpoint eu", 3, {"eu", "eu-sandbox"}),
        ("agcod funds --profile ", 3, {"live", "test"}),
        ("agcod completion z", 2, {"zsh"}),
    ],
)
def test_shell_completion(offline, words, position, found):
    """Commands, options, choices, endpoints and the profiles of the file in this folder."""
    offline.write('[profiles.live]\nendpoint = "eu"\n[profiles.test]\nendpoint = "eu-sandbox"\n')
    environ = {
        "PYTHONPATH": str(ROOT),
        "_AGCOD_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(position),
    }
    done = subprocess.run(
        COMMAND, env=environ, cwd=offline.folder, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == found


def test_profiles_for_a_shell(offline):
    """The names in the file of a folder; none where there is none."""
    assert profile_names(offline.folder) == []
    offline.write('[profiles.live]\nendpoint = "eu"\n[profiles.test]\n')
    assert profile_names(offline.folder) == ["live", "test"]


def test_completion_when_agcod_toml_is_broken(offline):
    """A shell that completes shows no errors."""
    offline.write("profiles = ")
    environ = {
        "PYTHONPATH": str(ROOT),
        "_AGCOD_COMPLETE": "complete_bash",
        "COMP_WORDS": "agcod funds --profile ",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        COMMAND, env=environ, cwd=offline.folder, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_the_completion_script(offline, shell):
    """It calls the command back; bash takes it as it is."""
    script = offline("completion", shell).out
    assert "_AGCOD_COMPLETE" in script
    if shell == "bash":
        subprocess.run(["bash", "-n", "-c", script], check=True, env={"PATH": os.environ["PATH"]})


def test_help_is_quick(tmp_path):
    """Nobody waits for a help page: what a command needs is loaded when it runs."""
    script = "import sys; from agcod_async.cli import main; main(); print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"],
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "agcod_async.cli.app" in loaded
    heavy = {
        "httpx",
        "uvicorn",
        "asyncpg",
        "redis",
        "keyring",
        "trustme",
        "jinja2",
        "rich.table",
        "agcod_async.emulator",
    }
    assert not loaded & heavy
