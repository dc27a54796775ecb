"""The waiting line: two priorities, first come, first served within one."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Priority = Literal["interactive", "bulk"]
"""Interactive calls go first; bulk calls get what they leave, and one slot in ten in any case."""

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


class Line:
    """
    Who waits, and who is next. Every step costs the same with one waiter as with 100,000.

    Operations with a rate of their own wait in lanes, so that they hold nobody else up.
    """

    def __init__(self) -> None:
        self._lanes: dict[Priority, dict[str | None, deque[Waiter]]] = {"interactive": {}, "bulk": {}}
        self._count: dict[Priority, int] = {"interactive": 0, "bulk": 0}
        self._numbers = count()
        self._passed_over = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(self._count.values())

    def ahead(self, priority: Priority) -> int:
        """How many certainly leave before one who joins now."""
        return self._count[priority] if priority == "interactive" else self.waiting

    def join(self, lane: str | None, priority: Priority) -> Waiter:
        """Wait from now on."""
        waiter = Waiter(lane, priority, next(self._numbers))
        self._lanes[priority].setdefault(lane, deque()).append(waiter)
        self._count[priority] += 1
        return waiter

    def is_head(self, waiter: Waiter) -> bool:
        """Whether nobody waits before *waiter* in its lane."""
        return self._head(self._lanes[waiter.priority][waiter.lane]) is waiter

    def leave(self, waiter: Waiter) -> None:
        """Wait no longer, whether the turn came or not."""
        self._count[waiter.priority] -= 1
        waiter.turn.cancel()

    def has(self, lane: str | None) -> bool:
        """Whether somebody waits in *lane*."""
        return lane in self.lanes()

    def lanes(self) -> Iterator[str | None]:
        """The lanes somebody waits in."""
        for lanes in self._lanes.values():
            for lane in lanes:
                if self._head(lanes[lane]):
                    yield lane

    def next(self, is_open: Callable[[str | None], bool]) -> Waiter | None:
        """Take out whose turn it is, among the lanes that are open."""
        order: tuple[Priority, Priority] = ("interactive", "bulk")
        if self._passed_over + 1 >= _BULK_TURN:
            order = ("bulk", "interactive")
        for priority in order:
            if waiter := self._first(priority, is_open):
                self._lanes[priority][waiter.lane].popleft()
                is_passing = priority == "interactive" and self._count["bulk"]
                self._passed_over = self._passed_over + 1 if is_passing else 0
                return waiter
        return None

    def _first(self, priority: Priority, is_open: Callable[[str | None], bool]) -> Waiter | None:
        heads = [
            head
            for lane, queue in self._lanes[priority].items()
            if (head := self._head(queue)) is not None and is_open(lane)
        ]
        return min(heads, key=lambda head: head.number, default=None)

    @staticmethod
    def _head(queue: deque[Waiter]) -> Waiter | None:
        while queue and queue[0].turn.done():
            queue.popleft()
        return queue[0] if queue else None
