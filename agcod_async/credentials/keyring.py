"""Key pairs in the system's keyring; needs ``agcod-async[keyring]``."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import AgcodError, ConfigurationError, CredentialsUnavailable
from .function import OneAtATime, checked_age
from .pair import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

_HALVES = ("access_key_id", "secret_access_key")


class KeyringCredentials:
    """
    Reads a pair from a service of the keyring: its entries ``access_key_id`` and ``secret_access_key``.

    ``keyring set agcod access_key_id`` makes the first. An entry ``key_created``, an ISO date and time with a
    time zone, is optional.

    Args:
        service: the name of the service; sandbox and production need one each.
        max_age: seconds for which a session uses a pair before it asks again.

    Raises:
        ModuleNotFoundError: the extra is not installed.
    """

    def __init__(self, service: str, *, max_age: float = 60.0) -> None:
        import keyring

        self.service = service
        self.max_age = checked_age(max_age)
        self._get: Callable[[str, str], str | None] = keyring.get_password
        self._in_thread = OneAtATime(self.load)

    async def get_credentials(self) -> Credentials:
        """Return what :meth:`load` returns, which runs in a thread."""
        return await self._in_thread()

    def load(self) -> Credentials:
        """
        Return the pair in the keyring, now; this blocks, and the system may ask its user.

        Raises:
            ConfigurationError: an entry is missing, or none that could work.
            CredentialsUnavailable: the keyring is locked, or there is none.
        """
        found = self._read()
        # What goes wrong is raised here, where no local holds the secret.
        if isinstance(found, AgcodError):
            raise found
        return found

    def _read(self) -> Credentials | AgcodError:
        try:
            key, secret = (self._get(self.service, name) for name in _HALVES)
            created = self._get(self.service, "key_created")
            # An entry is set after the other: the id again tells whether both are of one pair.
            is_one_pair = self._get(self.service, "access_key_id") == key
        except Exception as exc:  # noqa: BLE001  (backends raise what they like)
            return CredentialsUnavailable(f"credentials: keyring {self.service!r}: {type(exc).__name__}")
        for name, value in zip(_HALVES, (key, secret), strict=True):
            if value is None:
                fix = shlex.join(["keyring", "set", self.service, name])
                return ConfigurationError(f"credentials: keyring has no {name} in {self.service!r}: {fix}")
        if not is_one_pair:
            return CredentialsUnavailable(f"credentials: keyring {self.service!r}: it is being changed")
        return _made(str(key), str(secret), created)

    def __repr__(self) -> str:
        return f"KeyringCredentials({self.service!r})"


def _made(key: str, secret: str, created: str | None) -> Credentials | AgcodError:
    try:
        moment = None if created is None else datetime.fromisoformat(created)
        return Credentials(key, secret, key_created=moment)
    except ValueError as wrong:
        reason = wrong.message if isinstance(wrong, ConfigurationError) else "key_created is no ISO date"
        return ConfigurationError(f"credentials: keyring: {reason}")
