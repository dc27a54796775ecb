from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agcod_async import (
    AgcodSession,
    ConfigurationError,
    Credentials,
    CredentialsUnavailable,
    EnvironmentCredentials,
    FileCredentials,
    ProfileCredentials,
)
from agcod_async.credentials import credentials_from
from tests.support.sessions import FUNDS, OpenThrottle, response
from tests.support.transports import ScriptedTransport

pytestmark = pytest.mark.reveals("files", because="the key pair is in the file that it is read from")

PAIR = {"AGCOD_ACCESS_KEY_ID": "AKIDEXAMPLE", "AGCOD_SECRET_ACCESS_KEY": "example-secret"}
PLACE = {"AGCOD_PARTNER_ID": "Acme1", "AGCOD_ENDPOINT": "na-sandbox"}
DOCUMENT = '{"access_key_id": "AKIDFILE", "secret_access_key": "file-secret"}'
PROFILES = """[default]
aws_access_key_id = AKIDOTHER
aws_secret_access_key = other-secret

[agcod]
aws_access_key_id = AKIDPROFILE
aws_secret_access_key = profile-secret
"""


async def test_the_environment_is_asked_each_time():
    """A rotated key is used from the next attempt on, with no restart."""
    environ = {"AGCOD_ACCESS_KEY_ID": "AKIDOLD", "AGCOD_SECRET_ACCESS_KEY": "old-secret"}
    provider = EnvironmentCredentials(environ)
    assert await provider.get_credentials() == Credentials("AKIDOLD", "old-secret")
    environ |= {"AGCOD_ACCESS_KEY_ID": "AKIDNEW", "AGCOD_SECRET_ACCESS_KEY": "new-secret"}
    assert await provider.get_credentials() == Credentials("AKIDNEW", "new-secret")


async def test_the_process_environment_is_the_default(monkeypatch):
    """Without an argument the variables of this process count."""
    monkeypatch.setenv("AGCOD_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AGCOD_SECRET_ACCESS_KEY", "example-secret")
    assert await EnvironmentCredentials().get_credentials() == Credentials("AKIDEXAMPLE", "example-secret")


@pytest.mark.parametrize("missing", ["AGCOD_ACCESS_KEY_ID", "AGCOD_SECRET_ACCESS_KEY"])
async def test_a_missing_variable_is_named(missing):
    """The message says which one to set."""
    environ = {"AGCOD_ACCESS_KEY_ID": "AKIDEXAMPLE", "AGCOD_SECRET_ACCESS_KEY": "example-secret"}
    del environ[missing]
    with pytest.raises(ConfigurationError, match=f"environment variable {missing} is not set"):
        await EnvironmentCredentials(environ).get_credentials()


@pytest.fixture
def key_file(tmp_path):
    """A file with a pair, for its owner alone."""
    path = tmp_path / "key.json"
    path.write_text(DOCUMENT)
    path.chmod(0o600)
    return path


@pytest.fixture
def profiles(tmp_path):
    """A file of profiles, for its owner alone."""
    path = tmp_path / "credentials"
    path.write_text(PROFILES)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00Z", " 2026-01-31T13:00:00+01:00\n"])
async def test_the_environment_may_know_the_age(text):
    """A container that is told it warns in time."""
    pair = await EnvironmentCredentials({**PAIR, "AGCOD_KEY_CREATED": text}).get_credentials()
    assert pair.key_created == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-01-31", "yesterday", "2026-01-31T12:00:00"])
async def test_an_age_that_cannot_be_read_is_refused(text):
    """A warning that never comes would be worse than none."""
    with pytest.raises(ConfigurationError, match="AGCOD_KEY_CREATED needs a time zone"):
        await EnvironmentCredentials({**PAIR, "AGCOD_KEY_CREATED": text}).get_credentials()


async def test_a_session_finds_its_file(key_file):
    """One variable, and the secret never stands in the environment, which children inherit."""
    transport = ScriptedTransport(response(FUNDS))
    environ = {**PLACE, "AGCOD_CREDENTIALS_FILE": str(key_file)}
    async with AgcodSession.from_env(environ, transport=transport, throttle=OpenThrottle()) as session:
        await session.get_available_funds()
    assert "Credential=AKIDFILE/" in transport.requests[0].headers["authorization"]


def test_the_variables_name_one_provider(key_file, profiles, monkeypatch):
    """A file, a profile in it, or a profile where the AWS tools keep theirs."""
    plain = credentials_from({"AGCOD_CREDENTIALS_FILE": str(key_file)})
    assert isinstance(plain, FileCredentials)
    assert plain.path == key_file
    variables = [
        {"AGCOD_CREDENTIALS_FILE": str(profiles)},
        {"AWS_SHARED_CREDENTIALS_FILE": str(profiles)},
        {"AGCOD_CREDENTIALS_FILE": str(profiles), "AWS_SHARED_CREDENTIALS_FILE": "elsewhere"},
    ]
    for more in variables:
        provider = credentials_from({"AGCOD_PROFILE": "agcod", **more})
        assert isinstance(provider, ProfileCredentials)
        assert provider.load() == Credentials("AKIDPROFILE", "profile-secret")
    home = profiles.parent / "home"
    (home / ".aws").mkdir(parents=True)
    profiles.rename(home / ".aws" / "credentials")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    provider = credentials_from({"AGCOD_PROFILE": "agcod"})
    assert isinstance(provider, ProfileCredentials)
    assert provider.path == Path(home / ".aws" / "credentials")


@pytest.mark.parametrize("one", PAIR)
@pytest.mark.parametrize("other", ["AGCOD_CREDENTIALS_FILE", "AGCOD_PROFILE", "AGCOD_KEYRING"])
def test_two_answers_are_one_too_many(one, other):
    """Whichever won, somebody would rotate the other one and wonder."""
    with pytest.raises(ConfigurationError, match=f"{one} and {other} are both set: leave one"):
        credentials_from({one: "x", other: "y"})


def test_a_file_without_a_pair_is_known_at_start_up(tmp_path, key_file):
    """A deployment without its key fails when it starts, not at the first reward."""
    with pytest.raises(CredentialsUnavailable, match=r"nowhere\.json: No such file"):
        AgcodSession.from_env({**PLACE, "AGCOD_CREDENTIALS_FILE": str(tmp_path / "nowhere.json")})
    key_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        AgcodSession.from_env({**PLACE, "AGCOD_CREDENTIALS_FILE": str(key_file)})
