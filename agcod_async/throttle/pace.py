"""How much of a rate is used: cut by a refusal, regained by steps."""

from __future__ import annotations

from collections import deque

PAUSE = 1.0
"""Seconds in which nobody passes after a refusal."""

CUT = 0.7
"""What a refusal leaves of the rate."""

STEP = 0.05
"""The part of the full rate that each clean STEP_EVERY seconds give back."""

STEP_EVERY = 10.0
LEAST = 0.1
"""The part of the full rate that no series of refusals goes below."""

WIDEST_MARGIN = 0.25


class Pace:
    """
    The feedback of one limit.

    Times are seconds of the event loop.

    Args:
        margin: seconds by which the limit's window is widened against network jitter.
    """

    def __init__(self, margin: float) -> None:
        self.factor = 1.0
        self.margin = self._least_margin = margin
        self.paused_until = float("-inf")
        self._changed = float("-inf")
        self._latencies: deque[float] = deque(maxlen=64)

    def refused(self, now: float) -> bool:
        """
        The service refused: pause, slow down, and allow for the jitter that was measured.

        Returns:
            Whether anything changed: refusals of what left before the pause say nothing new.
        """
        if now < self.paused_until:
            return False
        self.paused_until = now + PAUSE
        self.factor = max(LEAST, self.factor * CUT)
        self.widen()
        self._changed = now
        return True

    def accepted(self, now: float, latency: float) -> bool:
        """
        The service answered *latency* seconds after the request left.

        Returns:
            Whether a step of the rate was regained.
        """
        self.measured(latency)
        if self.factor == 1.0 or now - self._changed < STEP_EVERY:
            return False
        self.factor = min(1.0, self.factor + STEP)
        if self.factor == 1.0:
            self.relax()
        self._changed = now
        return True

    def measured(self, latency: float) -> None:
        """An answer took *latency* seconds."""
        self._latencies.append(latency)

    def widen(self) -> None:
        """
        Allow for the jitter that was measured.

        Answers differ in time for other reasons too, so jitter counts only once a refusal blames it.
        """
        jitter = max(self._latencies, default=0.0) - min(self._latencies, default=0.0)
        self.margin = min(max(self.margin, jitter), max(WIDEST_MARGIN, self._least_margin))

    def relax(self) -> None:
        """Go back to the margin of the beginning."""
        self.margin = self._least_margin
