from __future__ import annotations

import inspect
import subprocess
import sys
import types

import pytest

import agcod_async


def test_the_promise_is_sorted_and_without_doubles():
    """Readers look names up in it."""
    assert agcod_async.__all__ == sorted(set(agcod_async.__all__))


def test_the_promise_is_complete():
    """What can be imported is promised, and what is promised can be imported."""
    assert all(hasattr(agcod_async, name) for name in agcod_async.__all__)
    found = {
        name
        for name, value in vars(agcod_async).items()
        if not isinstance(value, types.ModuleType) and (not name.startswith("_") or name == "__version__")
    }
    assert found - {"TYPE_CHECKING"} == set(agcod_async.__all__)


def test_a_name_that_is_not_promised_is_missing():
    """A misspelt import says so, although some names are looked up late."""
    with pytest.raises(AttributeError, match="has no attribute 'Issuers'"):
        agcod_async.Issuers  # noqa: B018


def test_the_issuer_waits_until_it_is_asked_for():
    """Whoever only calls the service does not pay for the ledger's import."""
    code = "import sys, agcod_async as a; early = 'agcod_async.issuer' in sys.modules; a.Issuer; print(early)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_public_class_says_what_it_is():
    """The documentation is made of these sentences."""
    for name in agcod_async.__all__:
        value = getattr(agcod_async, name)
        if inspect.isclass(value):
            assert value.__doc__, name
            assert not value.__doc__.startswith(f"{name}("), f"{name} has only the docstring of a dataclass"


def test_the_version_is_the_distributions():
    """One place says it, and packaging reads it."""
    major, minor, patch = agcod_async.__version__.split(".")
    assert (major + minor + patch).isdigit()
