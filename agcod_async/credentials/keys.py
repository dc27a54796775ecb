"""The pair that a session signs with: fresh, replaced when it is refused, kept when its source fails."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from ..errors import AgcodError, ConfigurationError, CredentialsUnavailable
from ..events import KeyAgeing, KeyOverdue, KeyRefreshed, KeyRefreshFailed, KeyRejected
from .function import checked_age
from .pair import Credentials, credentials_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ..events import Hooks
    from .pair import CredentialsProvider

WARN_DAYS = 30
"""Whoever has no more days left to replace a pair is told so: from its 150th day on."""

_PATIENCE = 0.25
"""Seconds that a call waits for a newer pair than the one it has."""
_PAUSE = 1.0
"""Seconds after an answer that brought nothing, at least."""
_LONGEST_PAUSE = 30.0
_PROBATION = 60.0
"""Seconds until a pair that was refused is tried again: the gateway may take a while to know a new key."""
_DAY = 86_400.0


class Keys:
    """
    Asks the provider for all calls of a session together, one question at a time.

    Who has a pair hardly waits for a newer one, and who has none waits no longer than *timeout*. All
    times are the loop's.

    Args:
        provider: who is asked.
        timeout: seconds for one answer.
        hooks: told of changes, of failures, and of a pair's age.
        clock: the time against which that age is held.
    """

    def __init__(
        self,
        provider: CredentialsProvider,
        *,
        timeout: float,
        hooks: Hooks,
        clock: Callable[[], datetime],
    ) -> None:
        if not (isinstance(timeout, int | float) and timeout > 0):
            raise ConfigurationError("credentials_timeout: seconds greater than 0 are needed")
        self._provider = provider
        self._max_age = checked_age(getattr(provider, "max_age", 0.0))
        self._timeout = timeout
        self._hooks = hooks
        self._clock = clock
        # A pair that is its own provider has nothing new to say, ever.
        self._pair = provider if isinstance(provider, Credentials) else None
        self._due = 0.0
        self._is_asked = self._pair is None
        self._question: asyncio.Task[None] | None = None
        self._asked_at = 0.0
        self._error: tuple[type[AgcodError], str] = (CredentialsUnavailable, "")
        self._failure_told = ""
        self._fruitless_until = 0.0
        self._proven: Credentials | None = None
        self._accepted_ids: set[str] = set()
        self._rejected: tuple[Credentials, float] | None = None
        self._age_told: dict[str, float] = {}

    async def freshen(self) -> None:
        """
        Have a fresh pair, or the last one for as long as its source is slow or fails.

        Raises:
            CredentialsUnavailable: there never was one, and the provider hangs or fails.
            ConfigurationError: the same, for a reason that only a person can mend.
        """
        if not self._is_asked or (now := asyncio.get_running_loop().time()) < self._due:
            return
        question = self._ask(now)
        if self._pair is None:
            await asyncio.wait({question}, timeout=self._timeout)
            if self._pair is None:
                kind, message = self._error
                raise kind(message)
        elif (left := self._asked_at + _PATIENCE - now) > 0:
            await asyncio.wait({question}, timeout=left)

    def current(self) -> Credentials:
        """Return the newest pair that is known, without waiting."""
        if self._is_asked and (now := asyncio.get_running_loop().time()) >= self._due + _PAUSE:
            # This call stood in line for long; those behind it shall not be signed with an old pair.
            self._ask(now)
        pair = self._pair
        assert pair is not None  # freshen() came first
        if pair.key_created is not None:
            self._tell_age(pair)
        return pair

    def accepted(self, pair: Credentials) -> None:
        """The gateway took a request that was signed with *pair*."""
        if pair is not self._proven:
            self._proven = pair
            self._accepted_ids.add(pair.access_key_id)

    def was_accepted(self, access_key_id: str) -> bool:
        """Whether the gateway ever took a request that was signed with this key."""
        return access_key_id in self._accepted_ids

    async def replace(self, refused: Credentials) -> None:
        """
        The gateway refused *refused*: have another pair, if there is one. Never raises.

        Many calls are refused together, and some late: who finds the pair replaced already asks nobody. The
        others get an answer that is younger than their refusal, one for all of them, at most one a second.
        """
        if self._pair == refused and self._question is not None:
            # Its answer may be older than the refusal, and is not the last word.
            await asyncio.wait({self._question}, timeout=self._timeout)
        if self._pair == refused and self._is_asked:
            await asyncio.sleep(self._fruitless_until - asyncio.get_running_loop().time())
        if self._pair != refused or not self._is_asked:
            return
        # With this one gone, any other is worth a try.
        self._rejected = None
        if self._proven == refused:
            self._proven = None
        await asyncio.wait({self._ask(asyncio.get_running_loop().time())}, timeout=self._timeout)
        if self._pair == refused:
            self._fruitless_until = asyncio.get_running_loop().time() + _PAUSE
            self._go_back(refused)

    def has_other_than(self, refused: Credentials) -> bool:
        """Whether a repeat would be signed with another pair."""
        return self._pair != refused

    async def aclose(self) -> None:
        """Ask nobody any more."""
        self._is_asked = False
        if self._question is not None and not self._question.done():
            self._question.cancel()
            await asyncio.wait({self._question}, timeout=_PAUSE)

    # Asking

    def _ask(self, now: float) -> asyncio.Task[None]:
        """Join the question under way, or begin one."""
        if self._question is None or self._question.done():
            name = type(self._provider).__name__
            self._error = (
                CredentialsUnavailable,
                f"credentials: {name} gave none within {self._timeout:g} s",
            )
            self._asked_at = now
            self._question = asyncio.get_running_loop().create_task(self._answer())
        return self._question

    async def _answer(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                pair = await credentials_of(self._provider)
        except TimeoutError:
            self._keep()
        except (ConfigurationError, CredentialsUnavailable) as error:
            # Not the error itself: it belongs to one call, and this is the answer to many.
            is_for_a_person = isinstance(error, ConfigurationError)
            self._error = (ConfigurationError if is_for_a_person else CredentialsUnavailable, error.message)
            self._keep()
        else:
            self._take(pair)

    def _take(self, pair: Credentials) -> None:
        now = asyncio.get_running_loop().time()
        self._due, self._failure_told = now + self._max_age, ""
        if self._rejected is not None and self._rejected[0] == pair and now < self._rejected[1]:
            return
        before, self._pair = self._pair, pair
        if before is not None and before != pair:
            self._hooks.emit(KeyRefreshed(key=pair.masked_id, previous=before.masked_id))

    def _keep(self) -> None:
        """Stay with the last good pair, and ask again soon."""
        if self._pair is None:
            return
        pause = min(max(self._max_age, _PAUSE), _LONGEST_PAUSE)
        self._due = asyncio.get_running_loop().time() + pause
        message = self._error[1]
        if message != self._failure_told:
            self._failure_told = message
            self._hooks.emit(KeyRefreshFailed(key=self._pair.masked_id, error=message))

    def _go_back(self, refused: Credentials) -> None:
        """A new pair that does not work: go on with the one that did, and try the new one again later."""
        proven = self._proven
        if proven is None:
            return
        self._pair = proven
        self._rejected = (refused, asyncio.get_running_loop().time() + _PROBATION)
        self._hooks.emit(KeyRejected(key=refused.masked_id, used=proven.masked_id))

    def _tell_age(self, pair: Credentials) -> None:
        """Once a day, and for each key."""
        now = asyncio.get_running_loop().time()
        if now < self._age_told.get(pair.access_key_id, -math.inf):
            return
        self._age_told[pair.access_key_id] = now + _DAY
        days_left = pair.days_left(self._clock())
        if days_left is None or days_left > WARN_DAYS:
            return
        kind = KeyOverdue if days_left <= 0 else KeyAgeing
        self._hooks.emit(kind(key=pair.masked_id, days_left=days_left))
