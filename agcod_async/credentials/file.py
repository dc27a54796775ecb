"""Key pairs in files, read anew whenever they are asked for."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AgcodError, ConfigurationError, CredentialsUnavailable
from .document import pair_in, profile_in
from .function import OneAtATime, checked_age

if TYPE_CHECKING:
    from .pair import Credentials

_LARGEST = 65_536
_IS_POSIX = os.name == "posix"


class FileCredentials:
    """
    Reads a pair from a JSON or TOML file with ``access_key_id`` and ``secret_access_key``.

    ``key_created`` (a date and time with a time zone) is optional. The file is read afresh each time, and not
    only when its size or its time have changed: whatever replaces it, in whichever way, is noticed.

    Args:
        path: the file, of mode 0600.
        max_age: seconds for which a session uses a pair before it looks at the file again.
        check_mode: False where the mode is not yours to choose, as that of a secret that Kubernetes mounts.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, max_age: float = 1.0, check_mode: bool = True
    ) -> None:
        self.path = Path(path)
        self.max_age = checked_age(max_age)
        self._check_mode = check_mode
        self._in_thread = OneAtATime(self.load)

    async def get_credentials(self) -> Credentials:
        """Return what :meth:`load` returns, which runs in a thread."""
        return await self._in_thread()

    def load(self) -> Credentials:
        """
        Return the pair in the file, now; this blocks.

        Raises:
            ConfigurationError: others may read the file, or it is none.
            CredentialsUnavailable: it is missing, empty, half written or damaged.
        """
        found = self._read()
        # What goes wrong is raised here, where no local holds the secret.
        if isinstance(found, AgcodError):
            raise found
        return found

    def _read(self) -> Credentials | AgcodError:
        try:
            # Not to wait for the other end of a pipe.
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            try:
                mode = os.fstat(descriptor).st_mode
                problem = self._problem_of(mode)
                data = b"" if problem else os.read(descriptor, _LARGEST + 1)
            finally:
                os.close(descriptor)
        except OSError as exc:
            return CredentialsUnavailable(f"credentials: {self.path}: {exc.strerror}")
        if problem:
            return ConfigurationError(f"credentials: {self.path}: {problem}")
        found = "too large for a key pair" if len(data) > _LARGEST else self._parse(data)
        if isinstance(found, str):
            return CredentialsUnavailable(f"credentials: {self.path}: {found}")
        return found

    def _problem_of(self, mode: int) -> str | None:
        if not stat.S_ISREG(mode):
            return "no regular file"
        if self._check_mode and _IS_POSIX and mode & 0o077:
            return f"others have access (mode {mode & 0o777:04o}): chmod 600 {shlex.quote(str(self.path))}"
        return None

    def _parse(self, data: bytes) -> Credentials | str:
        return pair_in(data)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


class ProfileCredentials(FileCredentials):
    """
    Reads a pair from a file of profiles as the AWS tools keep it.

    The profile has ``aws_access_key_id``, ``aws_secret_access_key`` and, if one likes, ``agcod_key_created``.
    The file ends in a line end: what a writer has not finished is not used.

    Args:
        profile: the name of the section.
        path: the file, of mode 0600; by default ``~/.aws/credentials``.
        max_age: seconds for which a session uses a pair before it looks at the file again.
        check_mode: False where the mode is not yours to choose.
    """

    def __init__(
        self,
        profile: str,
        path: str | os.PathLike[str] | None = None,
        *,
        max_age: float = 1.0,
        check_mode: bool = True,
    ) -> None:
        where = Path("~/.aws/credentials").expanduser() if path is None else path
        super().__init__(where, max_age=max_age, check_mode=check_mode)
        self.profile = profile

    def _parse(self, data: bytes) -> Credentials | str:
        return profile_in(data, self.profile)

    def __repr__(self) -> str:
        return f"ProfileCredentials({self.profile!r}, {str(self.path)!r})"
