from __future__ import annotations

import dataclasses
import traceback

import pytest

from agcod_async import ConfigurationError, Credentials, EnvironmentCredentials, Secret
from agcod_async.credentials import credentials_of

UNUSABLE = ["", " ", "has space", "line\nend", "tab\t", "schlüssel", "\x00", None, 5, b"bytes"]


async def test_a_pair_is_its_own_provider():
    """Whoever has no rotation passes the pair itself."""
    pair = Credentials("AKIDEXAMPLE", "example-secret")
    assert await pair.get_credentials() is pair


@pytest.mark.parametrize("secret", ["example-secret", Secret("example-secret")])
def test_the_secret_is_masked_from_the_start(secret):
    """Text or Secret in, Secret held."""
    pair = Credentials("AKIDEXAMPLE", secret)
    assert pair.access_key_id == "AKIDEXAMPLE"
    assert pair.secret_access_key == Secret("example-secret")
    assert "example-secret" not in f"{pair!r} {dataclasses.asdict(pair)}"


@pytest.mark.parametrize("value", UNUSABLE)
def test_an_unusable_key_id_is_refused(value):
    """A key id with a line end would break the header it is sent in."""
    with pytest.raises(ConfigurationError, match="access_key_id must be the printable text from the portal"):
        Credentials(value, "example-secret")


@pytest.mark.parametrize("value", UNUSABLE)
def test_an_unusable_secret_is_refused_and_not_repeated(value):
    """A copied line end, or an unset variable, is told at once and not as a refused signature later."""
    with pytest.raises(
        ConfigurationError, match=r"^secret_access_key must be the printable text from the portal"
    ):
        Credentials("AKIDEXAMPLE", value)


def test_a_pair_is_a_value():
    """Rotation makes a new pair; a request being signed keeps its own."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Credentials("AKIDEXAMPLE", "example-secret").access_key_id = "other"


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


class Provider:
    """Returns or raises what it is told."""

    def __init__(self, outcome):
        self.outcome = outcome

    async def get_credentials(self):
        password = "vault-password"
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome or password


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (OSError("no such file"), "OSError: no such file"),
        (RuntimeError("Signature=abcdef"), "RuntimeError: [*]{4}"),
        (("AKID", "secret"), "it returned tuple, not Credentials"),
    ],
)
async def test_a_provider_that_fails_is_named_and_not_shown(outcome, says):
    """Whatever a provider raises must know its outcome, and its frames may hold what it keeps secret."""
    with pytest.raises(ConfigurationError, match=f"credentials: the provider failed: {says}") as caught:
        await credentials_of(Provider(outcome))
    assert caught.value.outcome == "not_sent"
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "vault-password" not in shown


async def test_a_providers_own_configuration_error_passes():
    """A missing variable is named already."""
    with pytest.raises(ConfigurationError, match=r"^AGCOD_ACCESS_KEY_ID is not set$"):
        await credentials_of(Provider(ConfigurationError("AGCOD_ACCESS_KEY_ID is not set")))
