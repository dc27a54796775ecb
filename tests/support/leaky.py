"""
Tests that each let a secret out through one channel, and two that let out none they should not.

Not collected with the others: ``tests/test_canary.py`` runs them, and each must fail.
"""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys

import pytest

from agcod_async import (
    AgcodSession,
    CallEnded,
    CallStarted,
    ConfigurationError,
    Credentials,
    Endpoint,
    KeyRefreshFailed,
)
from agcod_async.environment import configure_log
from agcod_async.events import Hooks
from agcod_async.signer import SigV4Signer
from agcod_async.wire import HTTPRequest
from tests.support.leaks import derived_key
from tests.support.optional import require
from tests.support.server import CLAIM_CODE
from tests.support.sessions import START

SECRET = "kept/by+nobody/but+us"
LOGGER = logging.getLogger("somebody")


@pytest.fixture
def signed():
    """A request, signed with a secret that only this test knows."""
    names = ("accept", "content-type", "host", "x-amz-target")
    request = HTTPRequest(origin="https://localhost", path="/X", headers=dict.fromkeys(names, "x"), body=b"")
    return SigV4Signer("us-east-1").sign(request, Credentials("AKIDEXAMPLE", SECRET), at=START)


class Shy:
    """Shows more to rich than to its repr, as structs of msgspec do."""

    def __rich_repr__(self):
        yield SECRET


def test_log():
    LOGGER.debug("card %s", CLAIM_CODE)


def test_log_of_a_secret_key(signed):
    LOGGER.info("key %s", SECRET)


def test_log_of_a_signature_alone(signed):
    LOGGER.info(signed.headers["authorization"][-64:])


def test_log_of_a_derived_key(signed):
    LOGGER.info(derived_key(SECRET, f"{START:%Y%m%d}", "us-east-1", "AGCODService", "aws4_request").hex())


def test_events():
    Hooks(()).emit(KeyRefreshFailed(key="****", error=CLAIM_CODE))


def test_telemetry(canary):
    require("opentelemetry.sdk")
    started = CallStarted(operation=CLAIM_CODE, request_id=None, server="localhost")
    ended = CallEnded(
        operation="X", request_id=None, attempts=0, seconds=0.0, outcome="success", error=CLAIM_CODE
    )
    for event in (started, ended):
        canary.telemetry.take(event)


def test_output(signed):
    print(SECRET)


def test_output_that_the_test_asked_for(signed, capfd):
    print(SECRET, file=sys.stderr)
    capfd.readouterr()


def test_output_of_another_process():
    subprocess.run([sys.executable, "-c", f"print('{CLAIM_CODE}')"], capture_output=True, check=True)


def test_exceptions():
    with pytest.raises(ConfigurationError):
        configure_log({"AGCOD_LOG": CLAIM_CODE})


def test_exceptions_show_locals(signed):
    with pytest.raises(ConfigurationError):
        AgcodSession("Acme1", SECRET, Endpoint.NA_SANDBOX)


def test_exceptions_as_rich_shows_them(signed):
    require("rich")
    with pytest.raises(ConfigurationError):
        AgcodSession("Acme1", Shy(), Endpoint.NA_SANDBOX)


def test_exceptions_that_are_logged():
    try:
        AgcodSession("Acme1", CLAIM_CODE, Endpoint.NA_SANDBOX)
    except ConfigurationError:
        LOGGER.exception("it failed")


def test_pickles(signed):
    pickle.dumps({"key": SECRET})


def test_files(tmp_path):
    (tmp_path / "rewards.db-wal").write_bytes(b"\0\xff" + CLAIM_CODE.encode())


async def test_files_of_a_database(postgres_dsn):
    connection = await require("asyncpg").connect(postgres_dsn)
    await connection.execute(f"CREATE TABLE rewards AS SELECT '{CLAIM_CODE}' AS note")
    await connection.close()


@pytest.mark.reveals("files", because="it is about what is printed")
def test_output_though_files_may(tmp_path):
    (tmp_path / "codes.csv").write_text(CLAIM_CODE)
    print(CLAIM_CODE)


@pytest.mark.reveals("files", because="the user named a file for codes")
def test_nothing_that_was_not_said(tmp_path):
    (tmp_path / "codes.csv").write_text(CLAIM_CODE)


def test_nothing(signed, tmp_path, capfd):
    LOGGER.debug("%s", signed)
    print(signed)
    capfd.readouterr()
    (tmp_path / "x").write_text("x")
    with pytest.raises(ZeroDivisionError):
        1 / 0  # noqa: B018
