"""Slots reserved in Redis or Valkey: the account's rate, shared by processes and machines."""

from __future__ import annotations

import asyncio
import hashlib
from importlib import resources
from typing import Any, NamedTuple, TypeVar

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ConnectionError,  # noqa: A004
    NoScriptError,
    RedisError,
    ResponseError,
)

from ..errors import ConfigurationError
from .pace import CUT, LEAST, PAUSE, STEP, STEP_EVERY

C = TypeVar("C", Redis, RedisCluster)

PATIENCE = 0.25
"""Seconds that the store has for an answer; the throttle cannot wait longer for a slot than it saves."""

PROBE_EVERY = 0.5
"""Seconds between two attempts to find the store again."""

_NOTICE = PROBE_EVERY + PATIENCE + 0.15
"""Seconds from the first process that finds the store again until all have found it."""

_OLDEST_REDIS = 5


class StoreLost(Exception):
    """The store did not answer, or not with what was asked for."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error
        """The name of the error's class."""


class Reservation(NamedTuple):
    """A slot, and how fast the fleet goes at present."""

    delay: float
    factor: float
    lane_factor: float


class Store:
    """
    The store's two questions, each one round trip on the store's own clock.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``.
        account: whose budget it is; all keys have it as their hash tag, so that a cluster can hold many.
    """

    def __init__(self, url: str, account: str) -> None:
        self._url = url
        self._redis: Redis | RedisCluster = self._client(Redis)
        self._prefix = f"{{agcod:{account}}}"
        self._reserve = _Script("reserve.lua")
        self._refused = _Script("refused.lua")
        self._resume = _Script("resume.lua")
        self.round_trips = 0

    async def check(self) -> None:
        """
        Make sure that the store can be used at all.

        Raises:
            ConfigurationError: it cannot be reached, refuses the password, or is too old.
        """
        try:
            async with asyncio.timeout(2 * PATIENCE):
                info: dict[str, Any] = await self._redis.info("server")
        except (AuthenticationError, AuthorizationError):
            raise _unusable("the store refuses the user or password") from None
        except ResponseError as exc:
            # Its text may quote the command that was refused, which may have been the password's.
            raise _unusable(f"the store refuses to tell its version ({type(exc).__name__})") from None
        except (RedisError, OSError, TimeoutError) as exc:
            raise _unusable(f"the store cannot be reached ({type(exc).__name__})") from None
        version = str(info.get("redis_version", "0"))
        if int(version.partition(".")[0]) < _OLDEST_REDIS:
            raise _unusable(f"Redis {version} is too old; Redis {_OLDEST_REDIS} or Valkey is needed")
        if info.get("redis_mode") == "cluster":
            await self._redis.aclose()
            self._redis = self._client(RedisCluster)

    async def resume(self, quiet: float) -> float:
        """Return the seconds until all processes use the store again, *quiet* ones before included."""
        keys = [self._key("resume"), self._key("pace")]
        # Processes that fail closed have done nothing meanwhile that the others must wait for.
        after = _NOTICE + quiet if quiet else 0.0
        return int(await self._run(self._resume, keys, (_micro(after),))) / 1e6

    async def reserve(
        self, lane: str | None, spacing: float, lane_spacing: float, not_before: float
    ) -> Reservation:
        """Take the next slot of the account and, with a *lane*, of that operation."""
        keys = [self._key("slots"), self._key("pace"), self._key(f"lane:{lane}")]
        arguments = (
            _micro(spacing),
            _micro(lane_spacing),
            lane or "",
            _micro(STEP),
            _micro(STEP_EVERY),
            _micro(not_before),
        )
        delay, factor, lane_factor = await self._run(self._reserve, keys, arguments)
        return Reservation(delay / 1e6, factor / 1e6, lane_factor / 1e6)

    async def refused(self, scope: str) -> float:
        """Slow the fleet down; return what is left of the scope's rate."""
        arguments = (scope, _micro(CUT), _micro(LEAST), _micro(PAUSE))
        return int(await self._run(self._refused, [self._key("pace")], arguments)) / 1e6

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _client(self, kind: type[C]) -> C:
        try:
            return kind.from_url(
                self._url,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            # Its text may quote a part of the URL, and so of the password.
            raise _unusable("not a URL such as redis://user:password@host:6379/0") from None

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    async def _run(self, script: _Script, keys: list[str], arguments: tuple[int | str, ...]) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):
                try:
                    return await self._evaluate(script, *keys, *arguments, keys=len(keys))
                except ConnectionError:
                    # Once more, for a connection that was dropped while it was idle.
                    return await self._evaluate(script, *keys, *arguments, keys=len(keys))
        except Exception as exc:
            raise StoreLost(type(exc).__name__) from exc

    async def _evaluate(self, script: _Script, *arguments: int | str, keys: int) -> Any:
        self.round_trips += 1
        try:
            return await self._redis.evalsha(script.sha, keys, *arguments)
        except NoScriptError:
            # The first time, and after a restart or a flush of the store's scripts.
            self.round_trips += 1
            return await self._redis.eval(script.source, keys, *arguments)


class _Script:
    """A script of this package, and its name in the store."""

    def __init__(self, name: str) -> None:
        self.source = resources.files("agcod_async.throttle").joinpath(name).read_text(encoding="utf-8")
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


def _micro(value: float) -> int:
    return round(value * 1e6)


def _unusable(reason: str) -> ConfigurationError:
    return ConfigurationError(f"AGCOD_THROTTLE_URL: {reason}")
