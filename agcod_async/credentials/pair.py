"""A key pair, how old it is, and the one question to whoever provides it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from inspect import isawaitable
from typing import ClassVar, Protocol

from ..errors import ConfigurationError, CredentialsUnavailable
from ..secret import Secret

MAX_KEY_AGE = timedelta(days=180)
"""After so long at the latest a pair is to be replaced (Incentives API portal, key management)."""

_DAY = timedelta(days=1)


class CredentialsProvider(Protocol):
    """
    Provides the key pair that attempts are signed with.

    A session asks it before each attempt, or, where it has an attribute ``max_age``, only when the pair in
    hand is older than so many seconds; and at once when the gateway refuses that pair.
    """

    async def get_credentials(self) -> Credentials:
        """Return the pair to sign with now."""
        ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    A key pair from the Incentives API portal; a provider of itself.

    Sandbox and production have separate pairs. The secret is masked wherever this is printed. With
    *key_created*, an aware datetime, sessions tell in time that the pair has to be replaced.
    """

    max_age: ClassVar[float] = math.inf

    access_key_id: str
    secret_access_key: Secret
    key_created: datetime | None = field(default=None, compare=False)

    def __init__(
        self,
        access_key_id: str,
        secret_access_key: str | Secret,
        *,
        key_created: datetime | None = None,
    ) -> None:
        # Masked first of all: what is wrong with the rest is raised from this frame.
        secret_access_key = _hidden(secret_access_key)
        _require("access_key_id", is_fit=_is_key(access_key_id))
        _require("secret_access_key", is_fit=_is_key(secret_access_key.reveal()))
        if key_created is not None and (not isinstance(key_created, datetime) or key_created.tzinfo is None):
            raise ConfigurationError("key_created must be a datetime with a time zone")
        object.__setattr__(self, "access_key_id", access_key_id)
        object.__setattr__(self, "secret_access_key", secret_access_key)
        object.__setattr__(self, "key_created", key_created)

    @property
    def masked_id(self) -> str:
        """The end of the access key id: enough to tell two keys apart."""
        shown = self.access_key_id[-4:] if len(self.access_key_id) >= 8 else ""
        return f"****{shown}"

    def days_left(self, now: datetime) -> int | None:
        """Return the days until the pair has to be replaced, begun ones included; None: age unknown."""
        if self.key_created is None:
            return None
        if now.tzinfo is None:
            raise ConfigurationError("now must be a datetime with a time zone")
        return -((now - self.key_created - MAX_KEY_AGE) // _DAY)

    async def get_credentials(self) -> Credentials:
        """Return itself: a static pair is its own provider."""
        return self


async def credentials_of(provider: CredentialsProvider) -> Credentials:
    """
    Ask *provider* for the pair.

    Raises:
        CredentialsUnavailable: it failed; nothing was sent in this attempt.
        ConfigurationError: it says so itself, or it returned something else.
    """
    name = type(provider).__name__
    try:
        question: object = provider.get_credentials()
        if not isawaitable(question):
            raise ConfigurationError(f"credentials: {name}.get_credentials must be an async function")
        credentials: object = await question
    except (ConfigurationError, CredentialsUnavailable):
        raise
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        assert task is not None  # or nothing could have been cancelled
        if task.cancelling():
            raise
        # Something inside of the provider was cancelled, and nobody gave up on it.
        reason = type(exc).__name__
    except (Exception, BaseExceptionGroup) as exc:  # noqa: BLE001  (a provider may fail in any way)
        # By name only: its text may quote what it could not read.
        reason = " ".join(filter(None, (type(exc).__name__, getattr(exc, "strerror", None))))
    else:
        if isinstance(credentials, Credentials):
            return credentials
        raise ConfigurationError(
            f"credentials: {name} returned {type(credentials).__name__}, not Credentials"
        )
    # Outside of the handler: the provider's frames may hold the secret.
    raise CredentialsUnavailable(f"credentials: {name} failed: {reason}")


def _hidden(value: str | Secret) -> Secret:
    if isinstance(value, Secret):
        return Secret(value.reveal())
    # What is no text is no key either.
    return Secret(str(value) if isinstance(value, str) else "")


def _is_key(value: object) -> bool:
    if not isinstance(value, str) or not value:
        return False
    return value.isascii() and value.isprintable() and " " not in value


def _require(name: str, *, is_fit: bool) -> None:
    if not is_fit:
        raise ConfigurationError(
            f"{name} must be the printable text from the portal, with no spaces or line ends"
        )
