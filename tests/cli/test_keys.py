"""Where the key pair comes from, and what is refused."""

from __future__ import annotations

import json
import sys

import pytest

from tests.support.optional import require

pytestmark = pytest.mark.reveals("files", because="the key pair is in the file that it is read from")

PAIR = ("AGCOD_ACCESS_KEY_ID", "AGCOD_SECRET_ACCESS_KEY")


@pytest.fixture
def keyless(cli):
    """Configured for the emulator, but for the keys, which are left in a file."""
    path = cli.folder / "key.json"
    path.touch(mode=0o600)
    names = {"access_key_id": PAIR[0], "secret_access_key": PAIR[1]}
    path.write_text(json.dumps({name: cli.environ[variable] for name, variable in names.items()}))
    return cli.with_environ(**dict.fromkeys(PAIR))


def shown(cli):
    rows = {each["setting"]: each for each in cli("config").records}
    return rows["access_key_id"]["value"], rows["secret_access_key"]["value"], rows["access_key_id"]["source"]


def test_from_the_environment(cli):
    """The end of the id tells pairs apart; of the secret nothing is shown."""
    assert shown(cli) == ("****MPLE", "****", "environment AGCOD_ACCESS_KEY_ID")


@pytest.mark.parametrize("by", ["file", "environment"])
def test_from_a_file(keyless, by):
    """Named in agcod.toml, or in the environment."""
    if by == "file":
        keyless.write('credentials_file = "key.json"')
    else:
        keyless = keyless.with_environ(AGCOD_CREDENTIALS_FILE=str(keyless.folder / "key.json"))
    assert keyless("funds").code == 0
    value, secret, source = shown(keyless)
    assert (value, secret, "key.json" in source) == ("****MPLE", "****", True)


def test_the_environment_goes_before_a_file(cli):
    """Like every setting."""
    cli.write('credentials_file = "nowhere.json"')
    assert cli("funds").code == 0


def test_a_file_that_others_may_read(keyless):
    """The message has the command that mends it."""
    (keyless.folder / "key.json").chmod(0o640)
    keyless.write('credentials_file = "key.json"')
    result = keyless("funds")
    assert (result.code, "chmod 600" in result.error["message"]) == (2, True)
    assert "not usable" in shown(keyless)[2]


def test_a_file_without_a_pair(keyless):
    """Half written, or no pair at all: mend it, exit code 2."""
    (keyless.folder / "key.json").write_text("{}")
    keyless.write('credentials_file = "key.json"')
    assert keyless("funds").code == 2


def test_from_a_profile_of_the_aws_tools(keyless, cli):
    """For those who keep their keys there."""
    path = keyless.folder / "credentials"
    path.touch(mode=0o600)
    path.write_text(
        f"[rewards]\naws_access_key_id = {cli.environ[PAIR[0]]}\n"
        f"aws_secret_access_key = {cli.environ[PAIR[1]]}\n"
    )
    keyless.write('credentials_profile = "rewards"')
    keyless = keyless.with_environ(AWS_SHARED_CREDENTIALS_FILE=str(path))
    assert keyless("funds").code == 0
    assert shown(keyless)[2] == "rewards (credentials_profile, agcod.toml)"


def test_nowhere(keyless):
    """The fix names every place."""
    result = keyless("funds")
    assert result.code == 2
    assert all(place in result.error["fix"] for place in (*PAIR, "credentials_file", "keyring"))


def test_in_two_places(keyless):
    """Nobody can tell which is meant."""
    keyless.write('credentials_file = "key.json"\nkeyring = "agcod"')
    result = keyless("funds")
    assert (result.code, "both set" in result.error["message"]) == (2, True)


@pytest.fixture
def keyring():
    """A keyring in memory, in place of the system's."""
    keyring = require("keyring")
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1

        def __init__(self):
            super().__init__()
            self.kept = {}

        def get_password(self, service, username):
            return self.kept.get((service, username))

        def set_password(self, service, username, password):
            self.kept[service, username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    yield keyring
    keyring.set_keyring(before)


def test_from_the_keyring(keyless, cli, keyring):
    """Under the service that agcod.toml names."""
    keyless.write('keyring = "agcod-emulator"')
    missing = keyless("funds")
    assert missing.code == 2
    assert "keyring set agcod-emulator access_key_id" in missing.error["message"]
    keyring.set_password("agcod-emulator", "access_key_id", cli.environ[PAIR[0]])
    keyring.set_password("agcod-emulator", "secret_access_key", cli.environ[PAIR[1]])
    assert keyless("funds").code == 0
    assert shown(keyless)[2] == "keyring 'agcod-emulator' (agcod.toml)"


def test_without_the_keyrings_package(keyless, monkeypatch):
    """One line that says what to install."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    keyless.write('keyring = "agcod"')
    result = keyless("funds")
    assert (result.code, result.error["fix"]) == (2, "pip install 'agcod-async[keyring]'")
