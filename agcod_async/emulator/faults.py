"""What can be told to go wrong, by rule or once, reproducibly."""

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

_REMEMBERED = 1_000


class FaultKind(StrEnum):
    """A way in which a call goes wrong. *Commit* is the moment at which the gateway has done the work."""

    REFUSE_CONNECTION = "refuse_connection"
    """Nobody listens. Counted or by chance: the connection is reset before its TLS handshake."""

    EXPIRED_CERTIFICATE = "expired_certificate"
    """The certificate ended yesterday."""

    DROP_BEFORE = "drop_before"
    """The connection is cut; nothing was done."""

    DROP_AFTER = "drop_after"
    """The work is done; the connection is cut in place of an answer."""

    DELAY = "delay"
    """The work is done; the answer comes `seconds` later."""

    DELIVER_LATE = "deliver_late"
    """The connection is cut, and the work is done `seconds` later, when nobody waits for it any more."""

    DUPLICATE = "duplicate"
    """The request arrives twice: at once, and again `seconds` later."""

    RESEND_BEFORE = "resend_before"
    """F400 RESEND; nothing was done."""

    RESEND_AFTER = "resend_after"
    """F400 RESEND; the work is done."""

    FAULT_BEFORE = "fault_before"
    """HTTP `status` with a page for people; nothing was done."""

    FAULT_AFTER = "fault_after"
    """HTTP `status` with a page for people; the work is done."""

    GARBAGE = "garbage"
    """The work is done; the body is noise."""

    TRUNCATED = "truncated"
    """The work is done; the connection is cut in the middle of the body."""

    BAD_UTF8 = "bad_utf8"
    """The work is done; the body is not UTF-8."""

    DEEP_NESTING = "deep_nesting"
    """The work is done; the body is nested 100,000 levels deep."""

    GZIP_BOMB = "gzip_bomb"
    """The work is done; the body is 32 KiB of gzip that become 32 MiB."""

    WRONG_CONTENT_TYPE = "wrong_content_type"
    """The work is done; the right body is called text/html."""

    SLOW_DRIP = "slow_drip"
    """The work is done; the body comes byte by byte, `seconds` apart."""

    THROTTLE_STORM = "throttle_storm"
    """ThrottlingException, whatever the rate; nothing was done."""

    SKEWED_DATE = "skewed_date"
    """The Date header is `seconds` ahead."""


CONNECTION_FAULTS = frozenset({FaultKind.REFUSE_CONNECTION, FaultKind.EXPIRED_CERTIFICATE})


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A rule: which calls go wrong, how often, and how.

    Args:
        operation: Only this operation; None means all.

        request_id: Only ids that match this shell-style pattern.

        nth: Only the nth of the calls that match, counted from 1.

        probability: The share of the calls that match; which ones, the seed decides.

        times: Ends after so many; None goes on until disarmed.

        seconds: For the kinds that take a time.

        status: For the faults of HTTP.

    Raises:
        ValueError: The rule could never fire, or asks a connection for what only a request has.
    """

    kind: FaultKind
    operation: str | None = None
    request_id: str = "*"
    nth: int | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 0.0
    status: int = 503

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))
        if not 0 < self.probability <= 1:
            raise ValueError(f"probability must be over 0 and at most 1, not {self.probability}")
        if any(count is not None and count < 1 for count in (self.nth, self.times)):
            raise ValueError("nth and times count from 1")
        if not 500 <= self.status <= 599:
            raise ValueError(f"status must be one of 5xx, not {self.status}")
        if self.kind in CONNECTION_FAULTS and (self.operation or self.request_id != "*"):
            raise ValueError(
                f"{self.kind} strikes connections, which have no operation and no request id yet"
            )

    @property
    def is_outage(self) -> bool:
        """Whether nobody is to listen at all while this is armed."""
        is_always = self.nth is None and self.times is None and self.probability == 1
        return self.kind is FaultKind.REFUSE_CONNECTION and is_always


@dataclass(frozen=True, slots=True)
class Fired:
    """A fault that struck."""

    kind: FaultKind
    operation: str | None
    request_id: str | None


@dataclass(slots=True)
class _Armed:
    number: int
    fault: Fault
    matched: int = 0
    fired: int = 0


class FaultPlan:
    """The armed faults. The first that fires wins; the same seed and calls give the same faults."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0
        self._armed: dict[int, _Armed] = {}
        self._watchers: list[Callable[[], None]] = []
        self.fired: deque[Fired] = deque(maxlen=_REMEMBERED)
        """What struck lately, oldest first."""

    @property
    def armed(self) -> dict[int, Fault]:
        """The armed rules by number."""
        return {number: armed.fault for number, armed in self._armed.items()}

    @property
    def is_outage(self) -> bool:
        """Whether nobody is to listen."""
        return any(armed.fault.is_outage for armed in self._armed.values())

    @property
    def has_connection_faults(self) -> bool:
        """Whether new connections may be struck."""
        return any(armed.fault.kind in CONNECTION_FAULTS for armed in self._armed.values())

    def arm(self, fault: Fault) -> int:
        """Let a rule take effect; the number disarms it."""
        self._count += 1
        self._armed[self._count] = _Armed(self._count, fault)
        self._changed()
        return self._count

    def once(
        self, kind: FaultKind | str, *, operation: str | None = None, seconds: float = 0.0, status: int = 503
    ) -> int:
        """Let the next call, or the next of one operation, go wrong."""
        return self.arm(Fault(FaultKind(kind), operation, seconds=seconds, status=status, times=1))

    def disarm(self, number: int) -> None:
        """End a rule; one that has ended already is no error."""
        if self._armed.pop(number, None):
            self._changed()

    def clear(self) -> None:
        """End every rule."""
        self._armed.clear()
        self._changed()

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call *watcher* after every change; returns what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def strike_request(self, operation: str | None, request_id: Callable[[], str]) -> Fault | None:
        """The fault that this request meets, if any. The id is asked for only if a rule wants to know."""
        if operation is None or not self._armed:
            return None
        found = request_id()
        return self._strike(
            lambda fault: (
                fault.kind not in CONNECTION_FAULTS
                and fault.operation in {None, operation}
                and fnmatchcase(found, fault.request_id)
            ),
            operation,
            found,
        )

    def strike_connection(self) -> Fault | None:
        """The fault that this connection meets, if any."""
        return self._strike(lambda fault: fault.kind in CONNECTION_FAULTS, None, None)

    def _strike(
        self, matches: Callable[[Fault], bool], operation: str | None, request_id: str | None
    ) -> Fault | None:
        for armed in list(self._armed.values()):
            if matches(armed.fault) and self._fires(armed):
                self.fired.append(Fired(armed.fault.kind, operation, request_id))
                return armed.fault
        return None

    def _fires(self, armed: _Armed) -> bool:
        armed.matched += 1
        fault = armed.fault
        if fault.nth not in {None, armed.matched} or self._chance(armed) >= fault.probability:
            return False
        armed.fired += 1
        if armed.fired == fault.times or fault.nth is not None:
            self.disarm(armed.number)
        return True

    def _chance(self, armed: _Armed) -> float:
        """A number from 0 to 1 that depends on nothing but the seed, the rule and the count."""
        digest = hashlib.sha256(f"{self._seed}/{armed.number}/{armed.matched}".encode()).digest()
        return int.from_bytes(digest[:7]) / 256**7

    def _changed(self) -> None:
        for watcher in list(self._watchers):
            watcher()
