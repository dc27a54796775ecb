"""Virtual time, and processes that can be killed or frozen before any step of theirs."""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Machine:
    """The time of a universe. What happens is one event after the other, in an order that never varies."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self.processes: list[Process] = []
        self._ready: deque[tuple[Process | None, Any]] = deque()
        self._timers: list[tuple[float, int, Process | None, Any]] = []
        self._number = 0

    def at(self, when: float, run: Callable[[], object], process: Process | None = None) -> None:
        """Let something happen that no process can stop."""
        self._push(when, process, _Plain(run))

    def wall_clock(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def ready(self, process: Process, handle: asyncio.Handle) -> None:
        self._ready.append((process, handle))

    def _push(self, when: float, process: Process | None, handle: Any) -> None:
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, process, handle))

    push = _push

    def step(self) -> bool:
        """Run one callback; False when nothing is left to happen."""
        if self._ready:
            process, handle = self._ready.popleft()
        elif self._timers:
            when, _, process, handle = heapq.heappop(self._timers)
            if process is None or not handle.cancelled():
                self.now = max(self.now, when)
        else:
            return False
        if process is None:
            handle._run()
        elif process.is_alive and not handle.cancelled():
            self._run(process, handle)
        return True

    def _run(self, process: Process, handle: Any) -> None:
        if process.frozen_until > self.now:
            self._push(process.frozen_until, process, handle)
            return
        if process.dies_now():
            return
        self.steps += 1
        events._set_running_loop(process)
        try:
            handle._run()
        finally:
            events._set_running_loop(None)

    def run(self, is_over: Callable[[], bool], *, limit: float, max_steps: int = 400_000) -> bool:
        """Let time pass until something holds; False when it never did."""
        steps = 0
        while not is_over():
            steps += 1
            if self.now > limit or steps > max_steps or not self.step():
                return is_over()
        return True

    def end(self) -> None:
        """Free what killed processes hold: their `finally` blocks run now, when nothing counts any more."""
        for process in self.processes:
            process.is_alive = False
            for task in process.tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with suppress(BaseException):
                    task.get_coro().close()  # type: ignore[union-attr]


class _Plain:
    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run

    def cancelled(self) -> bool:
        return False


class Process(asyncio.AbstractEventLoop):
    """An operating system's process, and the event loop in it: no selector, no threads."""

    def __init__(
        self, machine: Machine, name: str, *, lifetime: int | None = None, skew: float = 0.0
    ) -> None:
        self.machine = machine
        self.name = name
        self.is_alive = True
        self.frozen_until = 0.0
        self.tasks: list[asyncio.Task[Any]] = []
        self.steps = 0
        self.freezes: dict[int, float] = {}
        self.complaints: list[dict[str, Any]] = []
        self.on_death: list[Callable[[], object]] = []
        self._lifetime = lifetime
        self._skew = timedelta(seconds=skew)
        machine.processes.append(self)

    def clock(self) -> datetime:
        """The wall clock, as this machine's is set."""
        return self.machine.wall_clock() + self._skew

    def dies_now(self) -> bool:
        """Count a step that is about to run; at the end of its life it does not."""
        if self._lifetime is not None and self.steps >= self._lifetime:
            self.kill()
            return True
        self.steps += 1
        if self.steps in self.freezes:
            self.frozen_until = self.machine.now + self.freezes[self.steps]
        return False

    def kill(self) -> None:
        self.is_alive = False
        for run in self.on_death:
            run()

    # The parts of an event loop that asyncio's tasks, futures and timers need.

    def time(self) -> float:
        return self.machine.now

    def call_soon(self, callback, *args, context=None):
        handle = asyncio.Handle(callback, args, self, context)
        self.machine.ready(self, handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self.machine.now + max(delay, 1e-9), callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self.machine.push(when, self, handle)
        return handle

    def _timer_handle_cancelled(self, handle):
        pass

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None):
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        # Held, because a task that is collected runs its `finally` blocks.
        self.tasks.append(task)
        return task

    def run_in_executor(self, executor, func, *args):
        """Done at once; but the process can be killed before it learns of it."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as exc:  # noqa: BLE001  (whoever waits gets it)
            future.set_exception(exc)
        return future

    def call_exception_handler(self, context):
        if self.is_alive:
            self.complaints.append(context)

    def get_debug(self):
        return False

    def is_running(self):
        return True

    def is_closed(self):
        return False
