"""Slots reserved in Redis or Valkey: the account's rate, shared by processes and machines."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, NoScriptError, RedisError, ResponseError

from ..errors import ConfigurationError
from .pace import CUT, LEAST, PAUSE, STEP, STEP_EVERY

PATIENCE = 0.25
"""Seconds that the store has for an answer; the throttle cannot wait longer for a slot than it saves."""

PROBE_EVERY = 0.5
"""Seconds between two attempts to find the store again."""

RESUME_AFTER = 2 * PROBE_EVERY + PATIENCE
"""Seconds from the first process that finds the store again until all use it again."""

OLDEST_REDIS = 5

StoreErrors = (RedisError, OSError, TimeoutError)


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
        try:
            self._redis: Redis = Redis.from_url(
                url,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
                retry=Retry(NoBackoff(), 0),
                health_check_interval=0,
            )
        except ValueError as exc:
            raise ConfigurationError(f"AGCOD_THROTTLE_URL: not a Redis URL: {exc}") from None
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
            raise ConfigurationError("AGCOD_THROTTLE_URL: the store refuses the user or password") from None
        except ResponseError as exc:
            raise ConfigurationError(f"AGCOD_THROTTLE_URL: the store refuses: {_first_word(exc)}") from None
        except StoreErrors as exc:
            raise ConfigurationError(
                f"AGCOD_THROTTLE_URL: the store cannot be reached ({type(exc).__name__})"
            ) from None
        version = str(info.get("redis_version", "0"))
        if int(version.partition(".")[0]) < OLDEST_REDIS:
            raise ConfigurationError(
                f"AGCOD_THROTTLE_URL: Redis {version} is too old; Redis {OLDEST_REDIS} or Valkey is needed"
            )

    async def resume(self) -> float:
        """Return the seconds until all processes use the store again, if it answers."""
        keys = [self._key("resume"), self._key("pace")]
        return int(await self._run(self._resume, keys, (_micro(RESUME_AFTER),))) / 1e6

    async def reserve(self, lane: str | None, interval: float, lane_interval: float) -> Reservation:
        """Take the next slot of the account and, with a *lane*, of that operation."""
        keys = [self._key("slots"), self._key("pace"), self._key(f"lane:{lane}")]
        arguments = (
            _micro(interval),
            _micro(lane_interval),
            lane or "",
            _micro(STEP),
            _micro(STEP_EVERY),
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

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    async def _run(self, script: _Script, keys: list[str], arguments: tuple[int | str, ...]) -> Any:
        self.round_trips += 1
        async with asyncio.timeout(PATIENCE):
            if script.sha is not None:
                try:
                    return await self._redis.evalsha(script.sha, len(keys), *keys, *arguments)
                except NoScriptError:
                    # The store was restarted, or its script cache flushed.
                    pass
            script.sha = str(await self._redis.script_load(script.source))
            return await self._redis.evalsha(script.sha, len(keys), *keys, *arguments)


class _Script:
    """A script of this package, and its name in the store once it is there."""

    def __init__(self, name: str) -> None:
        self.source = resources.files("agcod_async.throttle").joinpath(name).read_text(encoding="utf-8")
        self.sha: str | None = None


def _micro(value: float) -> int:
    return round(value * 1e6)


def _first_word(exc: Exception) -> str:
    return str(exc).partition(" ")[0]
