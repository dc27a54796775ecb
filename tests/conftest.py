"""Fixtures for all tests."""

from __future__ import annotations

import pytest

from tests.support.virtual_time import VirtualTimeLoop


@pytest.fixture
def anyio_backend():
    """Every async test runs on asyncio."""
    return "asyncio"


@pytest.fixture
def virtual_time():
    """Override ``anyio_backend`` with this in a module whose tests wait: nothing does."""
    return ("asyncio", {"loop_factory": VirtualTimeLoop})
