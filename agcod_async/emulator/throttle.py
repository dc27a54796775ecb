"""How the gateway counts requests: three models of the same limit, per operation and overall."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Model = Literal["sliding", "fixed", "bucket"]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    requests: int
    seconds: float = 1.0

    @property
    def period(self) -> int:
        """The period in microseconds."""
        return round(self.seconds * 1_000_000)


DOCUMENTED: Mapping[str, Rate] = {
    "CreateGiftCard": Rate(10),
    "CancelGiftCard": Rate(10),
    "ActivateGiftCard": Rate(10),
    "DeactivateGiftCard": Rate(10),
    "ActivationStatusCheck": Rate(10),
    "GetGiftCardActivityPage": Rate(1),
    "GetAvailableFunds": Rate(1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """
    The limits of one partner, and the model that counts them.

    * ``sliding``: no window of a period, wherever it starts, holds more than the rate.
    * ``fixed``: windows start at whole periods; twice the rate passes across a border.
    * ``bucket``: tokens trickle in at the rate, up to *burst* of them wait.
    """

    model: Model = "sliding"
    overall: Rate | None = Rate(10)
    operations: Mapping[str, Rate] = field(default_factory=lambda: DOCUMENTED)
    burst: int | None = None
    """Size of a bucket; by default the requests of its rate."""

    def meter(self, rate: Rate) -> "Meter":
        """A fresh count for one rate."""
        if self.model == "sliding":
            return SlidingMeter(rate)
        if self.model == "fixed":
            return FixedMeter(rate)
        return BucketMeter(rate, self.burst or rate.requests)


class Meter(Protocol):
    """Counts the grants of one rate; times are whole microseconds."""

    def is_open(self, now: int) -> bool:
        """Whether one more request may pass."""
        ...

    def take(self, now: int) -> None:
        """Count a request that passed."""
        ...


class SlidingMeter:
    """The strict reading: the grants of the last period, one by one."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._grants: deque[int] = deque()

    def is_open(self, now: int) -> bool:
        """Whether one more request may pass."""
        grants = self._grants
        if grants and grants[-1] > now:
            # The clock was set back: what it said before no longer counts.
            grants.clear()
        while grants and grants[0] <= now - self._rate.period:
            grants.popleft()
        return len(grants) < self._rate.requests

    def take(self, now: int) -> None:
        """Count a request that passed."""
        self._grants.append(now)


class FixedMeter:
    """A counter that starts again with every period of the clock."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._window = -1
        self._count = 0

    def is_open(self, now: int) -> bool:
        """Whether one more request may pass."""
        window = now // self._rate.period
        if window != self._window:
            self._window, self._count = window, 0
        return self._count < self._rate.requests

    def take(self, now: int) -> None:  # noqa: ARG002  (is_open has set the time)
        """Count a request that passed."""
        self._count += 1


class BucketMeter:
    """Tokens that trickle in; counted in shares of a period so that integers suffice."""

    def __init__(self, rate: Rate, burst: int) -> None:
        self._rate = rate
        self._full = burst * rate.period
        self._level = self._full
        self._at: int | None = None

    def is_open(self, now: int) -> bool:
        """Whether one more request may pass."""
        elapsed = max(0, now - self._at) if self._at is not None else 0
        self._level = min(self._full, self._level + elapsed * self._rate.requests)
        self._at = now
        return self._level >= self._rate.period

    def take(self, now: int) -> None:  # noqa: ARG002  (is_open has set the time)
        """Count a request that passed."""
        self._level -= self._rate.period


class Meters:
    """The counts of one partner: a request passes all of its rates or counts in none."""

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle
        self._overall = throttle.meter(throttle.overall) if throttle.overall else None
        self._operations = {name: throttle.meter(rate) for name, rate in throttle.operations.items()}

    def admits(self, operation: str, now: datetime) -> bool:
        """Whether the request passes; if so it is counted."""
        at = (now - _EPOCH) // _MICROSECOND
        meters = [meter for meter in (self._overall, self._operations.get(operation)) if meter]
        # Every meter is asked, even after a refusal: asking is how it learns of the time.
        is_open = [meter.is_open(at) for meter in meters]
        if not all(is_open):
            return False
        for meter in meters:
            meter.take(at)
        return True
