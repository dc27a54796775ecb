"""The waiting line: two priorities, first come, first served within one."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from itertools import count
from typing import TYPE_CHECKING, Literal

from ..errors import AgcodError, ConfigurationError, ThrottleTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

Priority = Literal["interactive", "bulk"]
"""Interactive calls go first; bulk calls get what these leave, and every tenth slot in any case."""

_BULK_TURN = 10


class Waiter:
    """One call in the line."""

    __slots__ = ("lane", "number", "priority", "turn")

    def __init__(self, lane: str | None, priority: Priority, number: int) -> None:
        self.lane = lane
        """The operation, where it has a rate of its own."""
        self.priority: Priority = priority
        self.number = number
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def has_turn(self) -> bool:
        """Whether its turn came."""
        turn = self.turn
        return turn.done() and not turn.cancelled() and turn.exception() is None

    async def wait(self, max_wait: float | None) -> None:
        """Wait for the turn, but not for longer than *max_wait* seconds."""
        try:
            async with asyncio.timeout(max_wait):
                await self.turn
        except TimeoutError:
            raise ThrottleTimeout(f"no slot within {max_wait} s") from None


class Line:
    """
    Who waits, and who is next. Every step costs the same with one waiter as with 100,000.

    Operations with a rate of their own wait in lanes, so that they hold nobody else up.
    """

    def __init__(self) -> None:
        self._lanes: dict[Priority, dict[str | None, deque[Waiter]]] = {"interactive": {}, "bulk": {}}
        self._count: Counter[tuple[Priority, str | None]] = Counter()
        self._passed_over: Counter[str | None] = Counter()
        self._numbers = count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_closed = False

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not any(self._count.values())

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(self._count.values())

    def ahead(self, lane: str | None, priority: Priority) -> int:
        """How many of its lane certainly leave before one who joins now."""
        bulk = self._count["bulk", lane] if priority == "bulk" else 0
        return self._count["interactive", lane] + bulk

    def join(self, lane: str | None, priority: Priority) -> Waiter:
        """Wait from now on."""
        self.ensure_open()
        waiter = Waiter(lane, priority, next(self._numbers))
        self._lanes[priority].setdefault(lane, deque()).append(waiter)
        self._count[priority, lane] += 1
        return waiter

    def is_head(self, waiter: Waiter) -> bool:
        """Whether nobody waits before *waiter* in its lane."""
        return self._head(waiter.priority, waiter.lane) is waiter

    def leave(self, waiter: Waiter) -> None:
        """Wait no longer, whether the turn came or not."""
        self._count[waiter.priority, waiter.lane] -= 1
        waiter.turn.cancel()

    def dismiss(self, error: Callable[[], AgcodError], lanes: Collection[str | None]) -> None:
        """Give everybody in *lanes* an error, each one of his own, because calls add to it."""
        while waiter := self.next(lanes.__contains__):
            waiter.turn.set_exception(error())
            # Looked at once, so that asyncio does not complain where the call was cancelled meanwhile.
            waiter.turn.exception()

    def ensure_open(self) -> None:
        """Refuse to wait in a line that was closed, or that belongs to another event loop."""
        if self.is_closed:
            raise _closed()
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise ConfigurationError("throttle: it belongs to another event loop: make one per loop")
        self._loop = loop

    def close(self) -> None:
        """Send everybody away, now and in future."""
        self.is_closed = True
        self.dismiss(_closed, {*self.lanes()})

    def has(self, lane: str | None) -> bool:
        """Whether somebody waits in *lane*."""
        return lane in self.lanes()

    def lanes(self) -> Iterator[str | None]:
        """The lanes somebody waits in; one may come twice."""
        for priority, lanes in self._lanes.items():
            yield from (lane for lane in lanes if self._head(priority, lane))

    def next(self, is_open: Callable[[str | None], bool]) -> Waiter | None:
        """Take out whose turn it is, among the lanes that are open."""
        bulk = self._heads("bulk", is_open)
        due = [head for head in bulk if self._passed_over[head.lane] + 1 >= _BULK_TURN]
        heads = due or self._heads("interactive", is_open) or bulk
        if not heads:
            return None
        waiter = min(heads, key=lambda head: head.number)
        if waiter.priority == "interactive":
            self._passed_over.update(head.lane for head in bulk)
        else:
            self._passed_over[waiter.lane] = 0
        return self._lanes[waiter.priority][waiter.lane].popleft()

    def _heads(self, priority: Priority, is_open: Callable[[str | None], bool]) -> list[Waiter]:
        return [
            head
            for lane in self._lanes[priority]
            if (head := self._head(priority, lane)) is not None and is_open(lane)
        ]

    def _head(self, priority: Priority, lane: str | None) -> Waiter | None:
        queue = self._lanes[priority][lane]
        while queue and queue[0].turn.done():
            queue.popleft()
        return queue[0] if queue else None


def _closed() -> ConfigurationError:
    return ConfigurationError("this throttle is closed: make a new one")
