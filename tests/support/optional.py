"""Packages that the `minimal` environment has not."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest


def require(name: str) -> ModuleType:
    """Return the module, or skip the test; with AGCOD_TEST_REQUIRE=1 a missing module is a failure."""
    try:
        return importlib.import_module(name)
    except ImportError:
        if os.environ.get("AGCOD_TEST_REQUIRE") == "1":
            pytest.fail(f"{name} is not installed, and AGCOD_TEST_REQUIRE=1 demands it")
        pytest.skip(f"{name} is not installed: run `tox run -e py311`")
