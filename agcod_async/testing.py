"""
pytest fixtures for programs that use this library: ``pip install agcod-async[testing]``.

pytest finds them by itself. Nothing leaves the process, and nothing waits: see :func:`agcod_no_wait`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .throttle.none import NoThrottle

if TYPE_CHECKING:
    from .emulator import Emulator
    from .session import AgcodSession

__all__ = ["NoThrottle", "agcod_emulator", "agcod_no_wait", "agcod_session"]


@pytest.fixture
def agcod_no_wait() -> bool:
    """
    Whether throttles and back-off are skipped; true unless overridden.

    Override it in a module or a ``conftest.py`` with a fixture of the same name that returns False, and
    session and emulator keep the account's rates, in real time.
    """
    return True


@pytest.fixture
def agcod_emulator(agcod_no_wait: bool) -> Emulator:
    """The gateway emulated, with one partner, Acme1, and 10,000 USD: a fresh one for each test."""
    from .emulator import Emulator

    return Emulator(throttle=None) if agcod_no_wait else Emulator()


@pytest.fixture
def agcod_session(agcod_emulator: Emulator, agcod_no_wait: bool) -> AgcodSession:
    """
    A session whose every call goes to :func:`agcod_emulator`, without a socket.

    Its clock is the emulator's, so that frozen and shifted time leaves signatures valid.
    """
    from .credentials import Credentials
    from .endpoints import Endpoint
    from .retry import RetryPolicy
    from .session import AgcodSession

    partner = agcod_emulator.partner
    return AgcodSession(
        partner.partner_id,
        Credentials(partner.access_key_id, partner.secret_access_key),
        Endpoint.custom("https://localhost", region=agcod_emulator.state.region),
        http_client=agcod_emulator.http_client(),
        retry=RetryPolicy(base_delay=0, throttled_delay=0) if agcod_no_wait else None,
        throttle=NoThrottle() if agcod_no_wait else None,
        clock=agcod_emulator.clock,
    )
