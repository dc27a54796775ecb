"""Configuration from environment variables."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .endpoints import Endpoint
from .errors import ConfigurationError
from .events import LOGGER

if TYPE_CHECKING:
    from collections.abc import Iterator


class Variables(Mapping[str, str]):
    """
    The variables of *environ*, as they are whenever somebody looks.

    The repr shows no value: what is missing or misspelt is raised from frames that hold the environment,
    the secret key in it, and error reporters send the locals of frames.
    """

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)

    def __repr__(self) -> str:
        return f"<{len(self)} variables>"


def require_variable(environ: Mapping[str, str], name: str) -> str:
    """Return the value of the variable *name*, which must be set and not be empty."""
    value = environ.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"environment variable {name} is not set")
    return value


def endpoint_from(environ: Mapping[str, str]) -> Endpoint:
    """Return the endpoint that ``AGCOD_ENDPOINT`` names, or describes as a URL."""
    name = require_variable(environ, "AGCOD_ENDPOINT")
    if "://" not in name:
        return Endpoint.from_name(name)
    return Endpoint.custom(
        name, region=require_variable(environ, "AGCOD_REGION"), ca_file=environ.get("AGCOD_CA_FILE") or None
    )


def configure_log(environ: Mapping[str, str]) -> None:
    """Print this package's log to stderr from the level that ``AGCOD_LOG`` names."""
    level = environ.get("AGCOD_LOG", "").upper()
    if not level:
        return
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ConfigurationError(f"AGCOD_LOG: {level!r} is none of debug, info, warning, error")
    LOGGER.setLevel(level)
    if not any(type(handler) is logging.StreamHandler for handler in LOGGER.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        LOGGER.addHandler(handler)
