"""What is wrong with rewards: all of it is counted, and the first thousand lines are kept."""

from __future__ import annotations

from ..errors import InvalidRewards, Problem

KEPT = 1000
"""Problems that are told in full."""

_SHOWN = 3


class Problems:
    """Collects them, within bounds."""

    def __init__(self) -> None:
        self.first: list[Problem] = []
        self.count = 0

    def note(self, line: int, column: str | None, reason: str) -> None:
        """Add one."""
        self.count += 1
        if len(self.first) < KEPT:
            self.first.append(Problem(line, column, reason))

    def take(self, others: Problems) -> None:
        """Add those that were noted elsewhere."""
        self.first += others.first[: KEPT - len(self.first)]
        self.count += others.count

    def check(self, name: str) -> None:
        """
        Go on only if there is none.

        Raises:
            InvalidRewards: there are; it has them all.
        """
        if not self.count:
            return
        problems = tuple(sorted(self.first, key=lambda problem: problem.line))
        some = "; ".join(str(problem) for problem in problems[:_SHOWN])
        more = f"; and {self.count - _SHOWN} more" if self.count > _SHOWN else ""
        raise InvalidRewards(f"{name}: nothing was sent: {some}{more}", problems=problems, count=self.count)
