"""Virtual time, and processes that can be killed or frozen before any step of theirs."""

from __future__ import annotations

import asyncio
import gc
from asyncio import events
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from multiprocessing import get_context
from typing import Any

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPINNING = 20_000
"""Steps without any time passing: more than a universe has use for."""

SWEEP = 100_000
"""Steps whose garbage fits into memory with ease."""

ENDLESS = 2_000_000
"""Steps of a whole universe."""


class Machine:
    """The time of a universe. What happens is one event after the other, in an order that never varies."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self.processes: list[Process] = []
        self._ready: deque[Step] = deque()
        self._timers: list[tuple[float, int, Step]] = []
        self._number = 0
        self._wall = (0.0, START)

    def at(self, when: float, run: Callable[..., object], *args: object) -> None:
        """Let something happen that no process can stop."""
        self.push(when, Step(None, run, args, None))

    def wall_clock(self) -> datetime:
        at, wall = self._wall
        if at != self.now:
            wall = START + timedelta(seconds=self.now)
            self._wall = (self.now, wall)
        return wall

    def push(self, when: float, step: Step) -> None:
        self._number += 1
        heappush(self._timers, (when, self._number, step))

    def forget(self) -> None:
        """Take back whatever was to happen."""
        self._ready.clear()
        self._timers.clear()

    def run(self, is_over: Callable[[], bool], *, limit: float) -> bool:
        """
        Let time pass until something holds, which is asked whenever it has passed; False when it never did.

        Raises:
            Spinning: processes are busy without end, and time stands still.
        """
        try:
            while not is_over():
                if self.now > limit or not self._advance():
                    return is_over()
                self._settle()
                if self.steps > ENDLESS:
                    raise Spinning(f"{ENDLESS} steps, and no end")
        finally:
            events._set_running_loop(None)
        return True

    def _advance(self) -> bool:
        """Come to the next timer, unless something is to be done at once; False when nothing is left."""
        timers = self._timers
        while timers and not self._ready:
            when, _, step = heappop(timers)
            if step.is_cancelled:
                continue
            if when > self.now:
                self.now = when
            self._ready.append(step)
        return bool(self._ready)

    def _settle(self) -> None:
        """Run what is to be done at once, and what follows from it, until only time can bring more."""
        ready, last, running = self._ready, self.steps + SPINNING, None
        while ready:
            step = ready.popleft()
            process = step.process
            if process is None:
                step.callback(*step.args)
                continue
            if step.is_cancelled or not process.is_alive:
                continue
            if process.frozen_until > self.now:
                self.push(process.frozen_until, step)
                continue
            if process.dies_now():
                continue
            self.steps += 1
            if process is not running:
                events._set_running_loop(process)
                running = process
            try:
                step.context.run(step.callback, *step.args)  # type: ignore[union-attr]
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:  # noqa: BLE001  (as an event loop does)
                process.call_exception_handler({"message": "a callback failed", "exception": exc})
            if self.steps > last:
                raise Spinning(f"{process.name}: {SPINNING} steps at one moment; the last: {step.callback!r}")

    def end(self) -> None:
        """Free what killed processes hold: their `finally` blocks run now, when nothing counts any more."""
        for process in self.processes:
            process.is_alive = False
            for task in process.tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    with suppress(BaseException):
                        task.get_coro().close()  # type: ignore[union-attr]
            process.tasks.clear()
        self.forget()


@contextmanager
def swept_late() -> Iterator[Callable[[int], None]]:
    """
    Look for garbage between universes only, because each of them is garbage as a whole.

    What it gives is to be told after each universe how many steps there have been so far.
    """
    swept = 0

    def sweep(steps: int) -> None:
        nonlocal swept
        if steps - swept > SWEEP:
            swept = steps
            gc.collect()

    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield sweep
    finally:
        gc.enable()
        gc.unfreeze()


def workers(jobs: int) -> ProcessPoolExecutor:
    """
    Return that many processes, each with an interpreter of its own.

    A fork would go on writing whatever is logged into the memory of a test run that nobody reads.
    """
    return ProcessPoolExecutor(jobs, get_context("spawn"))


class Spinning(Exception):
    """Processes are busy without end."""


class Step:
    """A callback that is to run; as much of a handle as asyncio asks for."""

    __slots__ = ("args", "callback", "context", "is_cancelled", "process")

    def __init__(
        self,
        process: Process | None,
        callback: Callable[..., object],
        args: tuple[object, ...],
        context: Context | None,
    ) -> None:
        self.process = process
        self.callback = callback
        self.args = args
        self.context = context
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled


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
        self._lifetime = float("inf") if lifetime is None else lifetime
        self._skew = timedelta(seconds=skew)
        self._ready = machine._ready
        machine.processes.append(self)

    def clock(self) -> datetime:
        """The wall clock, as this machine's is set."""
        return self.machine.wall_clock() + self._skew

    def dies_now(self) -> bool:
        """Count a step that is about to run; at the end of its life it does not."""
        if self.steps >= self._lifetime:
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
        step = Step(self, callback, args, context or copy_context())
        self._ready.append(step)
        return step

    call_soon_threadsafe = call_soon

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self.machine.now + max(delay, 1e-9), callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        step = Step(self, callback, args, context or copy_context())
        self.machine.push(when, step)
        return step

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None):
        task = asyncio.Task(coro, loop=self, name=name or "", context=context)
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
