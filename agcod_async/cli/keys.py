"""Where the key pair comes from: never from a flag, and never from agcod.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..credentials import EnvironmentCredentials
from .exits import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..credentials import CredentialsProvider

PAIR = ("AGCOD_ACCESS_KEY_ID", "AGCOD_SECRET_ACCESS_KEY")


def provider_from(environ: Mapping[str, str]) -> CredentialsProvider:
    """
    Return the provider of the key pair.

    Raises:
        CommandError: there is none; the fix names the places.
    """
    missing = [name for name in PAIR if not environ.get(name, "").strip()]
    if missing:
        raise CommandError(f"{missing[0]} is not set", fix=f"set {PAIR[0]} and {PAIR[1]}")
    return EnvironmentCredentials(environ)


def key_records(environ: Mapping[str, str]) -> list[dict[str, str | None]]:
    """Return rows about the pair for `agcod config`, without its secret half."""
    return [
        {
            "setting": name.removeprefix("AGCOD_").lower(),
            "value": "****" if environ.get(name) else None,
            "source": f"environment {name}" if environ.get(name) else "not set",
        }
        for name in PAIR
    ]
