"""`agcod demo`, `agcod emulator`, and `python -m agcod_async`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from agcod_async import __main__ as module, demo
from agcod_async.cli import emulation


def test_the_demo_tells_its_story(offline):
    """Twenty rewards, no code, and books that add up."""
    result = offline("demo", terminal=True)
    assert result.code == 0
    assert result.out.count("Fulfilled") == result.out.count("****") == 20
    assert "616.99 spent, 616.99 expected" in result.out


def test_the_demo_reads_a_file(offline):
    """The same columns as a campaign."""
    offline.write("reference,amount,currency\na,1.00,USD\nb,2.00,USD\n", "two.csv")
    assert [each["amount"] for each in offline("demo", "two.csv").records] == ["1.00", "2.00"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("reference,amount\na,1\n", "no column 'currency'"),
        ("reference,amount,currency\na,ten,USD\n", "not a plain number"),
        ("reference,amount,currency\na,1,USD\n", "two rewards or more"),
    ],
)
def test_the_demo_refuses_a_bad_file(offline, text, says):
    """Before anything is served."""
    if text is not None:
        offline.write(text, "bad.csv")
    result = offline("demo", "bad.csv")
    assert (result.code, says in result.error["message"]) == (2, True)


def test_books_that_do_not_add_up(offline, monkeypatch):
    """The demo would not tell a story that is not true."""
    tell = demo.tell

    async def lie(rewards, show):
        told = await tell(rewards, show)
        return demo.Told(**{**vars(told), "problems": ["money is missing"]})

    monkeypatch.setattr(demo, "tell", lie)
    offline.write("reference,amount,currency\na,1.00,USD\nb,2.00,USD\n", "two.csv")
    result = offline("demo", "two.csv", terminal=True)
    assert (result.code, "NOT RIGHT: money is missing" in result.err) == (3, True)


def test_without_the_emulators_extra(offline, monkeypatch):
    """One line that says what to install."""
    monkeypatch.setattr(emulation, "_LIBRARIES", ("a_library_that_is_not_there",))
    for name in ("demo", "emulator"):
        result = offline(name)
        assert (result.code, result.error["fix"]) == (2, "pip install 'agcod-async[emulator]'")


def test_the_emulators_own_command_line(offline, capsys):
    """Its options are handed over, and what it refuses ends in its exit code."""
    assert offline("emulator", "--host", "0.0.0.0", "--port", "0").code == 2
    assert offline("emulator", "--help").code == 0
    assert "agcod emulator" in capsys.readouterr().out
    assert offline("emulator", "--no-such-option").code == 2


def test_serving_until_ctrl_c(offline):
    """A process of its own prints how to reach it, as JSON for programs, and ends cleanly."""
    with offline.process("emulator", "--port", "0", "--plain", "--json") as process:
        environment = json.loads(process.stdout.readline())
        funds = offline.with_environ(**environment)("funds")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert funds.record["available"] == "10000.00"


def test_the_package_is_the_command(monkeypatch):
    """`python -m agcod_async`, in this process, where coverage can see it."""
    path = Path(module.__file__)
    code = compile(path.read_text(), path, "exec")
    monkeypatch.setattr(sys, "argv", ["agcod", "--version"])
    with pytest.raises(SystemExit) as caught:
        exec(code, {"__name__": "__main__", "__package__": "agcod_async"})
    assert caught.value.code == 0
