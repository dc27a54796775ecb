"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
import ssl
from dataclasses import dataclass

import pytest

from tests.support.canary import (
    canary,
    pytest_collection_finish,
    pytest_configure,
    pytest_runtest_makereport,
)
from tests.support.optional import require
from tests.support.postgres import postgres_dsn, postgres_server
from tests.support.virtual_time import VirtualTimeLoop

__all__ = [
    "canary",
    "postgres_dsn",
    "postgres_server",
    "pytest_collection_finish",
    "pytest_configure",
    "pytest_runtest_makereport",
]


@pytest.fixture(scope="session", autouse=True)
def measure_no_children():
    """Measured is who runs the tests, not what they start: the simulation would take twice as long."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture(scope="session", autouse=True)
def end_on_ctrl_c():
    """A shell that runs the tests in the background has them ignore Ctrl-C, and so all that they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend():
    """Every async test runs on asyncio."""
    return "asyncio"


@pytest.fixture
def virtual_time():
    """Override ``anyio_backend`` with this in a module whose tests wait: nothing does."""
    return ("asyncio", {"loop_factory": VirtualTimeLoop})


@dataclass(frozen=True)
class TLS:
    """Both sides of TLS on loopback, with a certificate made on the spot."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    ca_file: str


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    """A certificate for localhost that the client's side trusts."""
    trustme = require("trustme")
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    ca_file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return TLS(server, client, str(ca_file))
