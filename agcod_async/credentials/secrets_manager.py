"""Key pairs in AWS Secrets Manager; needs ``agcod-async[aws]``."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from boto3.session import Session  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import (  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
    BotoCoreError,
    ClientError,
)

from ..errors import AgcodError, CredentialsUnavailable
from .document import pair_in
from .function import OneAtATime, checked_age
from .pair import Credentials

if TYPE_CHECKING:
    from collections.abc import Generator

# One repeat, so that an answer or a failure comes within a session's six seconds.
_CONFIG = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"})


class SecretsManagerCredentials:
    """
    Reads a pair from a secret: JSON or TOML with ``access_key_id`` and ``secret_access_key``.

    AWS itself is asked with whatever credentials boto3 finds. Where the secret does not say ``key_created``,
    the day on which its present version was stored counts.

    Args:
        secret_id: name or ARN of the secret.
        region_name: by default the one that boto3 finds.
        endpoint_url: of a VPC endpoint, for example.
        max_age: seconds for which a session uses a pair before it asks again.
    """

    def __init__(
        self,
        secret_id: str,
        *,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        max_age: float = 300.0,
    ) -> None:
        self.secret_id = secret_id
        self.max_age = checked_age(max_age)
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._client: Any = None
        self._in_thread = OneAtATime(self.load)

    async def get_credentials(self) -> Credentials:
        """Return what :meth:`load` returns, which runs in a thread."""
        return await self._in_thread()

    def load(self) -> Credentials:
        """
        Return the pair in the secret, now; this blocks.

        Raises:
            CredentialsUnavailable: Secrets Manager refuses or does not answer, or there is no pair in it.
        """
        found = self._read()
        # What goes wrong is raised here, where no local holds the secret.
        if isinstance(found, AgcodError):
            raise found
        return found

    def _read(self) -> Credentials | AgcodError:
        try:
            if self._client is None:
                self._client = Session(region_name=self._region_name).client(
                    "secretsmanager", endpoint_url=self._endpoint_url, config=_CONFIG
                )
            with _unlogged_answers():
                answer = self._client.get_secret_value(SecretId=self.secret_id)
        except ClientError as exc:
            return self._failure(exc.response["Error"]["Code"])
        except BotoCoreError as exc:
            return self._failure(type(exc).__name__)
        text: str | None = answer.get("SecretString")
        found = pair_in(answer.get("SecretBinary", b"") if text is None else text.encode())
        if isinstance(found, str):
            return self._failure(found)
        created = found.key_created or answer.get("CreatedDate")
        return Credentials(found.access_key_id, found.secret_access_key, key_created=created)

    def _failure(self, reason: str) -> AgcodError:
        return CredentialsUnavailable(f"credentials: secret {self.secret_id}: {reason}")

    def __repr__(self) -> str:
        return f"SecretsManagerCredentials({self.secret_id!r})"


@contextmanager
def _unlogged_answers() -> Generator[None]:
    """Keep botocore from logging, at DEBUG, what it reads in this thread: the secret."""
    logger, thread = logging.getLogger("botocore.parsers"), threading.get_ident()

    def is_of_others(_: logging.LogRecord) -> bool:
        return threading.get_ident() != thread

    logger.addFilter(is_of_others)
    try:
        yield
    finally:
        logger.removeFilter(is_of_others)
