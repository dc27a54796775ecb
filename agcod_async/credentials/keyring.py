"""Key pairs in the system's keyring; needs ``agcod-async[keyring]``."""

from __future__ import annotations

import shlex

import keyring
from keyring.errors import KeyringError

from ..errors import AgcodError, ConfigurationError, CredentialsUnavailable
from .document import pair_in
from .function import OneAtATime, checked_age
from .pair import Credentials


class KeyringCredentials:
    """
    Reads a pair from an entry of the keyring: JSON with ``access_key_id`` and ``secret_access_key``.

    One entry holds both halves, so that they change together: ``keyring set agcod Acme1 < key.json``.

    Args:
        service: the entry's service.
        username: the entry's user name; the partner id, by custom.
        max_age: seconds for which a session uses a pair before it asks again.
    """

    def __init__(self, service: str, username: str, *, max_age: float = 60.0) -> None:
        self.service = service
        self.username = username
        self.max_age = checked_age(max_age)
        self._in_executor = OneAtATime(self.load)

    async def get_credentials(self) -> Credentials:
        """Return what :meth:`load` returns, which runs in the loop's executor."""
        return await self._in_executor()

    def load(self) -> Credentials:
        """
        Return the pair in the entry, now; this blocks, and the system may ask its user.

        Raises:
            ConfigurationError: there is no such entry.
            CredentialsUnavailable: the keyring is locked or missing, or there is no pair in the entry.
        """
        found = self._read()
        # What goes wrong is raised here, where no local holds the secret.
        if isinstance(found, AgcodError):
            raise found
        return found

    def _read(self) -> Credentials | AgcodError:
        entry = f"credentials: keyring entry {self.service} {self.username}"
        try:
            text = keyring.get_password(self.service, self.username)
        except KeyringError as exc:
            return CredentialsUnavailable(f"{entry}: {type(exc).__name__}")
        if text is None:
            fix = shlex.join(["keyring", "set", self.service, self.username])
            return ConfigurationError(f"{entry}: there is none; `{fix} < key.json` makes one")
        found = pair_in(text.encode())
        return CredentialsUnavailable(f"{entry}: {found}") if isinstance(found, str) else found

    def __repr__(self) -> str:
        return f"KeyringCredentials({self.service!r}, {self.username!r})"
