"""The page about the command line says everything that there is."""

from __future__ import annotations

import re
import tomllib

import pytest
from typer.main import get_command

from agcod_async.cli.app import build
from agcod_async.cli.exits import MEANINGS
from agcod_async.cli.settings import FIELDS, flag_of
from tests.cli.world import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def names(group, path=""):
    """The command lines that there are, those of groups included."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from names(command, f"{path}{name} ")
        else:
            yield path + name


COMMANDS = sorted(names(get_command(build())))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_listed(name):
    """A command that nobody can find is not there."""
    assert f"`agcod {name}`" in PAGE


def test_no_command_is_made_up():
    """What the page calls a command is one."""
    assert set(re.findall(r"`agcod ([a-z]+(?: [a-z]+)?)`", PAGE)) == set(COMMANDS)


@pytest.mark.parametrize("code", MEANINGS, ids=lambda code: code.name)
def test_every_exit_code_is_listed(code):
    """With the meaning that it has, word for word."""
    assert f"| {int(code)} | {MEANINGS[code]} |" in PAGE


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_setting_is_listed(field):
    """With its variable, and its flag where it has one."""
    flag = f"`{flag_of(field.name)}` " if field.has_flag else ""
    assert f"| `{field.name}` | `{field.variable}` | {flag}|" in PAGE


def test_the_example_is_read(offline):
    """As it stands."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert tomllib.loads(example)
    offline.write(example)
    found = {each["setting"]: each["value"] for each in offline("config", "--profile", "live").records}
    assert (found["endpoint"], found["ceiling"]) == ("na", "100.00 USD")


def test_the_recording_is_of_commands_that_there_are():
    """What a reader types after it works; and what everybody says the rewards are worth is one sum."""
    recording = (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")
    typed = re.findall(r"^\$ .*?\bagcod ((?:bulk )?[a-z]+)", recording, re.MULTILINE)
    assert len(typed) > 8
    assert set(typed) <= set(COMMANDS)
    assert recording.count("Killed") == 2
    ledger = re.search(r"^issued +300 +(\S+) +USD$", recording, re.MULTILINE)[1]
    for says in (
        f"\n{ledger}\n",
        f'"{ledger}"',
        f"USD {ledger:>13}  {ledger:>7}        0.00",
        "  300  matched",
    ):
        assert says in recording.replace('\n"', '"'), says
