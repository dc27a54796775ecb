"""Key pairs, and who provides them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .environment import require_variable
from .errors import AgcodError, ConfigurationError
from .secret import Secret, redact

if TYPE_CHECKING:
    from collections.abc import Mapping


class CredentialsProvider(Protocol):
    """Provides the key pair that the next attempt is signed with; asked before every attempt."""

    async def get_credentials(self) -> Credentials:
        """Return the pair to sign with now."""
        ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    A key pair from the Incentives API portal; a provider of itself.

    Sandbox and production have separate pairs. The secret is masked wherever this is printed.
    """

    access_key_id: str
    secret_access_key: Secret

    def __init__(self, access_key_id: str, secret_access_key: str | Secret) -> None:
        secret = secret_access_key.reveal() if isinstance(secret_access_key, Secret) else secret_access_key
        _require_key("access_key_id", access_key_id)
        _require_key("secret_access_key", secret)
        object.__setattr__(self, "access_key_id", access_key_id)
        object.__setattr__(self, "secret_access_key", Secret(secret))

    async def get_credentials(self) -> Credentials:
        """Return itself: a static pair is its own provider."""
        return self


class EnvironmentCredentials:
    """Reads ``AGCOD_ACCESS_KEY_ID`` and ``AGCOD_SECRET_ACCESS_KEY`` each time it is asked."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    async def get_credentials(self) -> Credentials:
        """Return the pair, or raise a ConfigurationError that names the missing variable."""
        return Credentials(
            require_variable(self._environ, "AGCOD_ACCESS_KEY_ID"),
            require_variable(self._environ, "AGCOD_SECRET_ACCESS_KEY"),
        )


async def credentials_of(provider: CredentialsProvider) -> Credentials:
    """
    Ask *provider* for the pair.

    Raises:
        ConfigurationError: it raised, or returned something else; nothing was sent in this attempt.
    """
    try:
        credentials: object = await provider.get_credentials()
    except AgcodError:
        raise
    except Exception as exc:  # noqa: BLE001  (a provider may fail in any way)
        reason = f"{type(exc).__name__}: {exc}"
    else:
        if isinstance(credentials, Credentials):
            return credentials
        reason = f"it returned {type(credentials).__name__}, not Credentials"
    # Outside of the handler: the provider's frames may hold the secret.
    raise ConfigurationError(redact(f"credentials: the provider failed: {reason}"))


def _require_key(field: str, value: object) -> None:
    if (
        not isinstance(value, str)
        or not value
        or not value.isascii()
        or not value.isprintable()
        or " " in value
    ):
        raise ConfigurationError(
            f"{field} must be the printable text from the portal, with no spaces or line ends"
        )
