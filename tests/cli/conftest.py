"""Fixtures of the command line's tests."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

_NEEDED = ("typer", "rich", "uvicorn", "trustme", "jinja2")
# Without the extras there is nothing to test here; tests/test_cli.py has what is left.
collect_ignore_glob = [] if all(map(find_spec, _NEEDED)) else ["test_*.py"]


@pytest.fixture
def emulator():
    """A fresh gateway: partner Acme1, 10,000 USD, no rate."""
    from agcod_async.emulator import Emulator

    return Emulator(throttle=None)


@pytest.fixture
def offline(tmp_path):
    """The command line, in an empty folder, with an empty environment."""
    from .world import Cli

    return Cli(tmp_path)


@pytest.fixture
def cli(tmp_path, emulator):
    """The command line, configured for the emulator."""
    from .world import Cli, serving

    with serving(emulator) as environment:
        yield Cli(tmp_path, environment)
