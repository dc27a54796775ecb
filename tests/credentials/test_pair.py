from __future__ import annotations

import asyncio
import dataclasses
import pickle
import traceback
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agcod_async import ConfigurationError, Credentials, CredentialsUnavailable, ResponseTimeout, Secret
from agcod_async.credentials.pair import credentials_of

UNUSABLE = ["", " ", "has space", "line\nend", "tab\t", "schlüssel", "\x00", None, 5, b"bytes"]


async def test_a_pair_is_its_own_provider():
    """Whoever has no rotation passes the pair itself."""
    pair = Credentials("AKIDEXAMPLE", "example-secret")
    assert await pair.get_credentials() is pair


@pytest.mark.parametrize(
    ("key", "secret"),
    [("AKID EXAMPLE", "canary-key"), ("AKIDEXAMPLE", "canary-key\n"), ("AKIDEXAMPLE", b"canary-key")],
)
def test_what_is_refused_is_in_no_frame(key, secret):
    """A line end too much in the environment, and an error reporter would have the key."""
    with pytest.raises(ConfigurationError) as caught:
        Credentials(key, secret)
    ours = [dict(frame.f_locals) for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    assert {"access_key_id", "secret_access_key"} <= ours[0].keys()
    assert "canary" not in str([{**names, "self": None} for names in ours])


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


CREATED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "days"),
    [
        (CREATED, 180),
        (CREATED + timedelta(seconds=1), 180),
        (CREATED + timedelta(days=149, hours=23), 31),
        (CREATED + timedelta(days=150), 30),
        (CREATED + timedelta(days=179, hours=23), 1),
        (CREATED + timedelta(days=180), 0),
        (CREATED + timedelta(days=181), -1),
        ((CREATED + timedelta(days=10)).astimezone(timezone(timedelta(hours=9))), 170),
        (datetime.max.replace(tzinfo=UTC), (CREATED - datetime.max.replace(tzinfo=UTC)).days + 181),
    ],
)
def test_the_days_that_are_left(now, days):
    """Pairs are to be replaced within 180 days: a job that runs longer than the rest must not begin."""
    assert Credentials("AKIDEXAMPLE", "example-secret", key_created=CREATED).days_left(now) == days


def test_an_unknown_age_says_nothing():
    """Neither that there is time, nor that there is none."""
    assert Credentials("AKIDEXAMPLE", "example-secret").days_left(CREATED) is None


@pytest.mark.parametrize("created", [datetime(2026, 1, 1), "2026-01-01", CREATED.date()])  # noqa: DTZ001
def test_a_time_without_a_zone_is_refused(created):
    """Twelve hours to either side decide between a warning and an error."""
    with pytest.raises(ConfigurationError, match="key_created must be a datetime with a time zone"):
        Credentials("AKIDEXAMPLE", "example-secret", key_created=created)
    with pytest.raises(ConfigurationError, match="now must be a datetime with a time zone"):
        Credentials("AKIDEXAMPLE", "s", key_created=CREATED).days_left(datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_age_does_not_make_another_pair():
    """Whether a refused call is repeated depends on the key and the secret alone."""
    assert Credentials("AKIDEXAMPLE", "s", key_created=CREATED) == Credentials("AKIDEXAMPLE", "s")


@pytest.mark.parametrize(("key", "shown"), [("AKIDEXAMPLE", "****MPLE"), ("AKID1", "****"), ("A", "****")])
def test_a_key_is_told_by_its_end(key, shown):
    """Events say which key they mean, and not the key."""
    assert Credentials(key, "s").masked_id == shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pair_refuses_to_be_pickled(protocol):
    """A pickle is a file, or a message to another machine."""
    with pytest.raises(TypeError, match="pickl"):
        pickle.dumps(Credentials("AKIDEXAMPLE", "example-secret"), protocol)


class Provider:
    """Returns or raises what it is told."""

    def __init__(self, outcome):
        self.outcome = outcome

    async def get_credentials(self):
        password = "vault-password"
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome or password


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (FileNotFoundError(2, "No such file", "canary"), "failed: FileNotFoundError No such file$"),
        (RuntimeError("cannot read canary"), "failed: RuntimeError$"),
        (ResponseTimeout("of the vault"), "failed: ResponseTimeout$"),
        (asyncio.CancelledError(), "failed: CancelledError$"),
        (BaseExceptionGroup("canary", [asyncio.CancelledError()]), "failed: BaseExceptionGroup$"),
        (("AKID", "secret"), "returned tuple, not Credentials"),
    ],
)
async def test_a_provider_that_fails_is_named_and_not_shown(outcome, says):
    """Whatever a provider raises must know its outcome, and its frames may hold what it keeps secret."""
    with pytest.raises(
        (CredentialsUnavailable, ConfigurationError), match=f"^credentials: Provider {says}"
    ) as caught:
        await credentials_of(Provider(outcome))
    assert caught.value.outcome == "not_sent"
    assert caught.value.is_retry_safe == isinstance(outcome, BaseException)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "vault-password" not in shown
    assert "canary" not in str(caught.value)


async def test_a_providers_own_configuration_error_passes():
    """A missing variable is named already."""
    with pytest.raises(ConfigurationError, match=r"^AGCOD_ACCESS_KEY_ID is not set$"):
        await credentials_of(Provider(ConfigurationError("AGCOD_ACCESS_KEY_ID is not set")))


async def test_a_provider_that_is_not_async_is_named():
    """The likeliest slip of whoever writes one, and `TypeError` would not say what to mend."""

    class Vault:
        def get_credentials(self):
            return Credentials("AKIDEXAMPLE", "example-secret")

    with pytest.raises(ConfigurationError, match=r"^credentials: Vault\.get_credentials must be an async"):
        await credentials_of(Vault())


async def test_who_gives_up_on_a_provider_is_not_told_that_it_failed():
    """A deadline or a closing session ends the question; that is no failure of whoever was asked."""

    class Vault:
        async def get_credentials(self):
            await asyncio.sleep(3600)

    question = asyncio.create_task(credentials_of(Vault()))
    await asyncio.sleep(0)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
