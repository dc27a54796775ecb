from __future__ import annotations

import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

from agcod_async import ConfigurationError, CredentialsUnavailable
from agcod_async.credentials import credentials_from

pytest.importorskip("keyring", reason="pip install agcod-async[keyring]")

import keyring
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from agcod_async.credentials.keyring import KeyringCredentials
from tests.support.leaks import SENSITIVE

from .providers import NEW, OLD


class Memory(KeyringBackend):
    """A keyring without a disk, which may be locked, or be written while it is read."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, str] = {}
        self.during: Any = lambda _name: None

    def put(self, pair: Any) -> None:
        self.kept["access_key_id"] = pair.access_key_id
        self.kept["secret_access_key"] = pair.secret_access_key.reveal()

    def get_password(self, service: str, username: str) -> str | None:
        assert service == "agcod"
        found = self.kept.get(username)
        self.during(username)
        return found

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture
def memory():
    """The keyring of this process, for one test."""
    before = keyring.get_keyring()
    memory = Memory()
    memory.put(OLD)
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


async def test_a_pair_is_read_anew(memory):
    """A laptop's user changes it with one program, and the others go on with it."""
    provider = KeyringCredentials("agcod")
    assert await provider.get_credentials() == OLD
    memory.put(NEW)
    memory.kept["key_created"] = "2026-01-31T12:00:00Z"
    pair = await provider.get_credentials()
    assert (pair, pair.key_created) == (NEW, datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert repr(provider) == "KeyringCredentials('agcod')"


def test_the_environment_may_name_it(memory):
    """And a pair that is not in it is known at start-up."""
    provider = credentials_from({"AGCOD_KEYRING": "agcod"})
    assert isinstance(provider, KeyringCredentials)
    memory.kept.clear()
    with pytest.raises(ConfigurationError, match="keyring set agcod access_key_id"):
        credentials_from({"AGCOD_KEYRING": "agcod"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"access_key_id": None}, "has no access_key_id in 'agcod': keyring set agcod access_key_id"),
        ({"secret_access_key": None}, "has no secret_access_key in 'agcod': keyring set agcod secret_"),
        ({"secret_access_key": "canary-secret-key two"}, "secret_access_key must be the printable text"),
        ({"key_created": "yesterday"}, "key_created is no ISO date"),
        ({"key_created": "2026-01-31"}, "key_created must be a datetime with a time zone"),
    ],
)
def test_entries_that_cannot_work(memory, change, says):
    """The entry is named, with the command that sets it, and its content is not repeated."""
    memory.kept = {name: value for name, value in (memory.kept | change).items() if value is not None}
    with pytest.raises(ConfigurationError, match=says) as caught:
        KeyringCredentials("agcod").load()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    assert not any(SENSITIVE.search(line) for line in shown if "change" not in line)


def test_a_keyring_that_is_locked(memory):
    """It may be opened a moment later."""

    def fail(_: str) -> None:
        raise KeyringLocked("canary-secret-key")

    memory.during = fail
    with pytest.raises(CredentialsUnavailable, match=r"keyring 'agcod': KeyringLocked$"):
        KeyringCredentials("agcod").load()


def test_two_halves_of_two_pairs_are_none(memory):
    """The entries are set one after the other: a new secret under the old id would be refused."""

    def replace(name: str) -> None:
        if name == "access_key_id":
            memory.put(NEW)

    memory.during = replace
    with pytest.raises(CredentialsUnavailable, match="it is being changed"):
        KeyringCredentials("agcod").load()
    assert KeyringCredentials("agcod").load() == NEW


def test_without_the_package(monkeypatch):
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigurationError, match=r"AGCOD_KEYRING: needs agcod-async\[keyring\]"):
        credentials_from({"AGCOD_KEYRING": "agcod"})
