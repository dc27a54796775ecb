"""Key pairs in the environment, or where it says that they are."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

from ..environment import Variables, require_variable
from ..errors import ConfigurationError
from .file import FileCredentials, ProfileCredentials
from .keyring import KeyringCredentials
from .pair import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .pair import CredentialsProvider

_PAIR = ("AGCOD_ACCESS_KEY_ID", "AGCOD_SECRET_ACCESS_KEY")
_FILE = ("AGCOD_CREDENTIALS_FILE", "AGCOD_PROFILE")
_KEYRING = ("AGCOD_KEYRING",)


class EnvironmentCredentials:
    """
    Reads ``AGCOD_ACCESS_KEY_ID`` and ``AGCOD_SECRET_ACCESS_KEY`` each time it is asked: once a second.

    ``AGCOD_KEY_CREATED``, an ISO date and time with a time zone, is optional.
    """

    max_age = 1.0

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = Variables(os.environ if environ is None else environ)

    async def get_credentials(self) -> Credentials:
        """Return the pair, or raise a ConfigurationError that names the missing variable."""
        return self.load()

    def load(self) -> Credentials:
        """Return the pair; this does not block."""
        return Credentials(
            *(require_variable(self._environ, name) for name in _PAIR), key_created=self._key_created()
        )

    def _key_created(self) -> datetime | None:
        text = self._environ.get("AGCOD_KEY_CREATED", "").strip()
        try:
            moment = datetime.fromisoformat(text) if text else None
        except ValueError:
            moment = None
        if text and (moment is None or moment.tzinfo is None):
            raise ConfigurationError(
                "environment variable AGCOD_KEY_CREATED needs a time zone: 2026-01-31T12:00:00Z"
            )
        return moment


def credentials_from(environ: Mapping[str, str]) -> CredentialsProvider:
    """
    Return the provider that the environment names.

    ``AGCOD_CREDENTIALS_FILE`` is a JSON or TOML file. With ``AGCOD_PROFILE`` it is a file of profiles, by
    default the one of the AWS tools. ``AGCOD_KEYRING`` is a service of the system's keyring. Without any of
    them the pair stands in the environment itself.

    Raises:
        ConfigurationError: there is more than one answer, or none; known at start-up, by looking.
        CredentialsUnavailable: there is no pair in the place that is named.
    """
    environ = Variables(environ)
    given = [[name for name in names if environ.get(name, "").strip()] for names in (_PAIR, _FILE, _KEYRING)]
    places = [names[0] for names in given if names]
    if len(places) > 1:
        raise ConfigurationError(f"{' and '.join(places)} are both set: leave one of them")
    provider: EnvironmentCredentials | FileCredentials | KeyringCredentials = EnvironmentCredentials(environ)
    path = environ.get("AGCOD_CREDENTIALS_FILE", "").strip()
    if profile := environ.get("AGCOD_PROFILE", "").strip():
        provider = ProfileCredentials(profile, path or environ.get("AWS_SHARED_CREDENTIALS_FILE") or None)
    elif path:
        provider = FileCredentials(path)
    elif service := environ.get("AGCOD_KEYRING", "").strip():
        provider = _keyring(service)
    provider.load()
    return provider


def _keyring(service: str) -> KeyringCredentials:
    try:
        return KeyringCredentials(service)
    except ModuleNotFoundError:
        raise ConfigurationError("AGCOD_KEYRING: needs agcod-async[keyring]") from None
