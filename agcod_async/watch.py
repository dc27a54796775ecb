"""Tells hooks and the log how each call goes, where anybody wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from .errors import AgcodError, Outcome
from .events import AttemptEnded, AttemptStarted, CallEnded, CallStarted, Hooks, ThrottleWaited

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class Watch:
    """One call as hooks see it; this one, for when there are none, says nothing and costs nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """The call ended."""

    def attempt(self) -> Watch:
        """Return the watch of the next attempt."""
        return self

    def queued(self) -> None:
        """The attempt has a key, and asks the throttle for its turn."""

    def granted(self) -> None:
        """The throttle lets the attempt pass."""

    def answered(self, http_status: int) -> None:
        """An answer to the attempt was read."""


_UNWATCHED = Watch()


def watch(
    hooks: Hooks, operation: str, request_id: str | None, server: str, clock: Callable[[], float]
) -> Watch:
    """Return what tells *hooks* about a call to *server*; *clock* is the loop's."""
    return _CallWatch(hooks, operation, request_id, server, clock) if hooks.are_watched else _UNWATCHED


class _CallWatch(Watch):
    __slots__ = ("attempts", "began", "clock", "hooks", "operation", "request_id", "server")

    def __init__(
        self, hooks: Hooks, operation: str, request_id: str | None, server: str, clock: Callable[[], float]
    ) -> None:
        self.hooks = hooks
        self.operation = operation
        self.request_id = request_id
        self.server = server
        self.clock = clock
        self.began = clock()
        self.attempts = 0

    def __enter__(self) -> Self:
        self.hooks.emit(CallStarted(operation=self.operation, request_id=self.request_id, server=self.server))
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hooks.emit(
            CallEnded(
                operation=self.operation,
                request_id=self.request_id,
                attempts=self.attempts,
                seconds=self.clock() - self.began,
                outcome=self._outcome(exc),
                error=_name(exc),
            )
        )

    def attempt(self) -> Watch:
        return _AttemptWatch(self)

    def _outcome(self, exc: BaseException | None) -> Literal["success"] | Outcome:
        if exc is None:
            return "success"
        if isinstance(exc, AgcodError):
            return exc.outcome
        return "unknown" if self.attempts else "not_sent"


class _AttemptWatch(Watch):
    __slots__ = ("_began", "_call", "_http_status", "_was_started")

    def __init__(self, call: _CallWatch) -> None:
        self._call = call
        self._began = 0.0
        self._http_status: int | None = None
        self._was_started = False

    def queued(self) -> None:
        self._began = self._call.clock()

    def granted(self) -> None:
        call = self._call
        now = call.clock()
        operation, request_id = call.operation, call.request_id
        call.hooks.emit(ThrottleWaited(operation=operation, request_id=request_id, seconds=now - self._began))
        self._began, self._was_started = now, True
        call.attempts += 1
        call.hooks.emit(AttemptStarted(operation=operation, request_id=request_id, attempt=call.attempts))

    def answered(self, http_status: int) -> None:
        self._http_status = http_status

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._was_started:
            return
        call = self._call
        call.hooks.emit(
            AttemptEnded(
                operation=call.operation,
                request_id=call.request_id,
                attempt=call.attempts,
                seconds=call.clock() - self._began,
                http_status=self._http_status,
                error=_name(exc),
            )
        )


def _name(exc: BaseException | None) -> str | None:
    return None if exc is None else type(exc).__name__
