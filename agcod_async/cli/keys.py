"""Where the key pair comes from: never from a flag, and never from agcod.toml itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..credentials import credentials_from
from ..credentials.keyring import KeyringCredentials
from ..errors import AgcodError
from .exits import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..credentials import CredentialsProvider
    from .output import Record
    from .settings import Settings

PAIR = ("AGCOD_ACCESS_KEY_ID", "AGCOD_SECRET_ACCESS_KEY")
_FILES = {"credentials_file": "AGCOD_CREDENTIALS_FILE", "credentials_profile": "AGCOD_PROFILE"}
_PLACES = (
    f"set {PAIR[0]} and {PAIR[1]}, or name a file of mode 0600 with AGCOD_CREDENTIALS_FILE "
    "(credentials_file in agcod.toml), or a service of the keyring with AGCOD_KEYRING (keyring)"
)


@dataclass(frozen=True, slots=True)
class Keys:
    """A provider of the key pair, and where it looks."""

    provider: CredentialsProvider
    source: str


def keys_from(settings: Settings, environ: Mapping[str, str]) -> Keys:
    """
    Return where the key pair is: in the environment, in a file, or in the keyring.

    Raises:
        CommandError: nowhere, or in two places; the fix names them.
        ConfigurationError: others may read the file.
        CredentialsUnavailable: there is no pair in it.
    """
    if any(environ.get(name, "").strip() for name in PAIR):
        return Keys(credentials_from(environ), f"environment {PAIR[0]}")
    places = [name for name in ("credentials_file", "keyring") if settings.get(name)]
    if len(places) == 2:
        raise CommandError(
            "credentials_file and keyring are both set", fix="`agcod config` shows where: leave one"
        )
    if settings.get("keyring"):
        setting = settings.values["keyring"]
        return Keys(_keyring(setting.value), f"keyring {setting.value!r} ({setting.source})")
    named = [name for name in _FILES if settings.get(name)]
    if not named:
        raise CommandError("there is no key pair", fix=_PLACES)
    place = {_FILES[name]: settings.require(name) for name in named}
    source = ", ".join(f"{settings.get(name)} ({name}, {settings.values[name].source})" for name in named)
    shared = "AWS_SHARED_CREDENTIALS_FILE"
    return Keys(credentials_from({**place, shared: environ.get(shared, "")}), source)


async def key_records(settings: Settings, environ: Mapping[str, str]) -> list[Record]:
    """Return what `agcod config` shows of the pair: the end of its id, nothing of its secret, its place."""
    try:
        keys = keys_from(settings, environ)
        pair = await keys.provider.get_credentials()
    except (AgcodError, CommandError) as error:
        shown: dict[str, str | None] = {"access_key_id": None, "secret_access_key": None}
        source = f"not usable: {error}"
    else:
        shown = {"access_key_id": f"****{pair.access_key_id[-4:]}", "secret_access_key": "****"}
        source = keys.source
    return [{"setting": name, "value": value, "source": source} for name, value in shown.items()]


def _keyring(service: str) -> CredentialsProvider:
    try:
        return KeyringCredentials(service)
    except ModuleNotFoundError:
        raise CommandError(
            "keyring is set, and the package is missing", fix="pip install 'agcod-async[keyring]'"
        ) from None
