"""The way into the command line, with and without the extra."""

from __future__ import annotations

import sys

import pytest

from agcod_async import __version__, cli
from tests.support.optional import require


def test_without_the_extra(monkeypatch, capsys):
    """One line that says what to install, and no traceback."""
    monkeypatch.setattr(cli, "_LIBRARIES", ("a_library_that_is_not_there",))
    assert cli.main() == 2
    assert "pip install 'agcod-async[cli]'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "--json"]])
def test_with_the_extra(monkeypatch, capsys, arguments):
    """It reads the command line of the process."""
    require("typer"), require("rich")
    monkeypatch.setattr(sys, "argv", ["agcod", *arguments])
    assert cli.main() == 0
    assert __version__ in capsys.readouterr().out
