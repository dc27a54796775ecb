"""What `agcod doctor` looks at, one thing after the other."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from ..clock import utc_now
from ..dates import parse_http_date
from ..endpoints import Endpoint
from ..errors import AgcodError, ClockSkewError, CredentialsError, ServiceError, SignatureError
from ..refusals import CLOCK_WINDOW
from ..retry import RetryPolicy
from ..session import AgcodSession
from ..transport import tls_context
from .exits import CommandError, ExitCode, exit_code_of, fix_for
from .keys import keys_from
from .settings import masked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ..ledger import Total
    from .context import CommandContext

State = Literal["ok", "warning", "failed", "skipped"]

_WORRYING_SKEW = timedelta(seconds=60)
_WORRYING_DAYS = 30
_SLOW_DISK = 0.1
_MAX_HEAD = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found, and what to do about it."""

    check: str
    state: State
    says: str
    fix: str | None = None
    code: ExitCode = ExitCode.OK


class Checkup:
    """
    Looks at everything between the configuration and the money; issues nothing.

    Args:
        context: the command's.
        clock: this machine's time.
        sandbox_of: the sandbox beside a production endpoint, where a refused key is tried.
    """

    def __init__(
        self,
        context: CommandContext,
        *,
        clock: Callable[[], datetime] = utc_now,
        sandbox_of: Callable[[Endpoint], Endpoint | None] | None = None,
    ) -> None:
        self._context = context
        self._clock = clock
        self._sandbox_of = sandbox_of or _sandbox_of
        self._is_reachable = False

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield what is found; a check that builds upon a failed one is skipped."""
        broken = False
        for finding in self._configuration():
            broken = broken or finding.state == "failed"
            yield finding
        async for finding in self._ledger():
            yield finding
        if broken:
            for check in ("network", "clock", "signature", "funds"):
                yield Finding(check=check, state="skipped", says="the configuration comes first")
            return
        async for finding in self._network():
            yield finding
        if not self._is_reachable:
            for check in ("signature", "funds"):
                yield Finding(check=check, state="skipped", says="there is no connection")
            return
        async for finding in self._account():
            yield finding

    # Configuration

    def _configuration(self) -> list[Finding]:
        settings = self._context.settings
        return [
            _tried("partner id", lambda: f"{settings.require('partner_id')} ({self._source('partner_id')})"),
            _tried("endpoint", lambda: f"{self._context.endpoint.identity} ({self._source('endpoint')})"),
            _tried("keys", self._keys),
        ]

    def _source(self, name: str) -> str:
        return self._context.settings.values[name].source

    def _keys(self) -> str:
        return keys_from(self._context.settings, self._context.process.environ).source

    # Network

    async def _network(self) -> AsyncIterator[Finding]:
        endpoint = self._context.endpoint
        parts = urlsplit(endpoint.origin)
        host, port = parts.hostname or "", parts.port or (443 if endpoint.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port)
        except OSError as error:
            reason = f"{host}: {error.strerror or error}"
            fix = "check the name, this machine's DNS, and whether it is on the network"
            yield Finding(check="dns", state="failed", says=reason, fix=fix, code=ExitCode.UNAVAILABLE)
            return
        addresses = len({each[4][0] for each in found})
        are = "1 address" if addresses == 1 else f"{addresses} addresses"
        yield Finding(check="dns", state="ok", says=f"{host} has {are}")
        context = tls_context(endpoint.ca_file) if endpoint.scheme == "https" else None
        try:
            async with asyncio.timeout(self._context.settings.timeout):
                said, date = await _greet(host, port, endpoint.host, context)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            yield _unreachable(error, host, port)
            return
        self._is_reachable = True
        yield Finding(check="tls", state="ok", says=said)
        yield self._clock_finding(date)

    def _clock_finding(self, date: datetime | None) -> Finding:
        if date is None:
            return Finding(check="clock", state="skipped", says="the gateway does not tell its time")
        off = self._clock() - date
        # A Date header has no fractions.
        seconds = int(abs(off).total_seconds())
        says = f"{seconds} s {'ahead of' if off > timedelta(0) else 'behind'} the gateway's"
        if abs(off) < _WORRYING_SKEW:
            return Finding(check="clock", state="ok", says=says)
        fix = "set this machine's clock, by NTP for example"
        if abs(off) < CLOCK_WINDOW:
            return Finding(check="clock", state="warning", says=says, fix=fix)
        return Finding(check="clock", state="failed", says=says, fix=fix, code=ExitCode.USAGE)

    # Ledger

    async def _ledger(self) -> AsyncIterator[Finding]:
        place = self._context.settings.ledger
        if "://" not in place:
            path = self._context.process.folder / place
            loop = asyncio.get_running_loop()
            yield await loop.run_in_executor(None, _disk, path.parent)
            if not self._context.has_ledger:
                yield Finding(check="ledger", state="ok", says=f"{path}: not made yet")
                return
        try:
            totals = await (await self._context.ledger()).summary()
        except (AgcodError, CommandError) as error:
            fix = getattr(error, "fix", None) or "the message says what to do"
            yield Finding(check="ledger", state="failed", says=str(error), fix=fix, code=ExitCode.LEDGER)
            return
        yield _books(masked(place), totals)

    # Account

    async def _account(self) -> AsyncIterator[Finding]:
        session = await self._context.session()
        yield _age(await session.key_days_left())
        try:
            response = await session.get_available_funds()
        except (SignatureError, CredentialsError, ClockSkewError) as error:
            yield await self._refused(error)
            yield Finding(check="funds", state="skipped", says="the signature comes first")
        except AgcodError as error:
            is_answer = isinstance(error, ServiceError)
            says = "accepted" if is_answer else "the gateway gave no verdict"
            yield Finding(check="signature", state="ok" if is_answer else "skipped", says=says)
            fix, code = fix_for(error), exit_code_of(error)
            yield Finding(check="funds", state="failed", says=str(error), fix=fix, code=code)
        else:
            yield Finding(check="signature", state="ok", says="accepted")
            yield Finding(check="funds", state="ok", says=f"{response.available_funds}")

    async def _refused(self, error: ServiceError) -> Finding:
        says = str(error.diagnosis or error)
        fix = fix_for(error)
        sandbox = self._sandbox_of(self._context.endpoint)
        if isinstance(error, CredentialsError) and sandbox is not None and await self._is_at_home(sandbox):
            says = f"this is a key of {sandbox.name}, which takes it: production has keys of its own"
            fix = "set the key pair of production, or choose the sandbox as endpoint"
        return Finding(check="signature", state="failed", says=says, fix=fix, code=ExitCode.USAGE)

    async def _is_at_home(self, sandbox: Endpoint) -> bool:
        """Whether another endpoint takes the key; only the funds are asked for."""
        settings = self._context.settings
        async with AgcodSession(
            settings.require("partner_id"),
            keys_from(settings, self._context.process.environ).provider,
            sandbox,
            timeout=settings.timeout,
            retry=RetryPolicy(max_attempts=1),
        ) as session:
            try:
                await session.get_available_funds()
            except AgcodError:
                return False
        return True


def _age(days_left: int | None) -> Finding:
    if days_left is None:
        says = "unknown: AGCOD_KEY_CREATED tells when the key was made"
        return Finding(check="key age", state="skipped", says=says)
    if days_left > _WORRYING_DAYS:
        return Finding(check="key age", state="ok", says=f"{days_left} days until it is to be replaced")
    fix = "make a second key in the portal, and replace this one with it"
    if days_left > 0:
        says = f"{days_left} days until it is to be replaced"
    else:
        says = f"to be replaced since {-days_left} days"
    return Finding(check="key age", state="warning", says=says, fix=fix)


def _sandbox_of(endpoint: Endpoint) -> Endpoint | None:
    production = {each.host: each.name for each in (Endpoint.NA, Endpoint.EU, Endpoint.FE)}
    name = production.get(endpoint.host)
    return None if name is None else Endpoint.from_name(f"{name}-sandbox")


def _tried(check: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(check=check, state="ok", says=look())
    except CommandError as error:
        return Finding(check=check, state="failed", says=error.message, fix=error.fix, code=error.code)
    except AgcodError as error:
        return Finding(
            check=check, state="failed", says=str(error), fix="`agcod config` shows it", code=ExitCode.USAGE
        )


async def _greet(
    host: str, port: int, authority: str, context: ssl.SSLContext | None
) -> tuple[str, datetime | None]:
    """Connect, ask for the ping page, and return how the connection is secured and the gateway's time."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=_MAX_HEAD)
    try:
        secured = writer.get_extra_info("ssl_object")
        said = "plain HTTP on this machine" if secured is None else _secured(secured)
        writer.write(f"GET /sping HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    finally:
        writer.transport.abort()
    fields = (line.partition(":") for line in head.split("\r\n")[1:])
    dates = [value.strip() for name, _, value in fields if name.lower() == "date"]
    return said, parse_http_date(dates[0] if dates else None)


def _secured(connection: ssl.SSLObject) -> str:
    certificate = connection.getpeercert() or {}
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return f"{connection.version()}, certificate until {datetime.fromtimestamp(ends, UTC):%Y-%m-%d}"


def _unreachable(error: BaseException, host: str, port: int) -> Finding:
    if isinstance(error, ssl.SSLCertVerificationError):
        says, fix = (
            f"the certificate of {host} is not trusted: {error.verify_message}",
            "a proxy that opens TLS needs its certificate in AGCOD_CA_FILE",
        )
    else:
        says = f"{host}:{port}: {type(error).__name__} {getattr(error, 'strerror', None) or ''}".rstrip()
        fix = "check firewall and proxy: port 443 to the service must be open"
    return Finding(check="tls", state="failed", says=says, fix=fix, code=ExitCode.UNAVAILABLE)


def _disk(folder: Path) -> Finding:
    """Write a page to the disk for good, as the ledger does before each request; this blocks."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            seconds = time.perf_counter() - began
    except OSError as error:
        says = f"{folder} cannot be written: {error.strerror}"
        return Finding(check="disk", state="failed", says=says, fix="choose --ledger", code=ExitCode.LEDGER)
    says = f"{seconds * 1000:.1f} ms to write to {folder} for good"
    return _judged(says, is_slow=seconds > _SLOW_DISK)


def _judged(says: str, *, is_slow: bool) -> Finding:
    fix = "each reward waits for the disk twice: take a local one" if is_slow else None
    return Finding(check="disk", state="warning" if is_slow else "ok", says=says, fix=fix)


def _books(place: str, totals: list[Total]) -> Finding:
    counts: dict[str, int] = {}
    for total in totals:
        counts[total.state] = counts.get(total.state, 0) + total.count
    says = f"{place}: " + (", ".join(f"{count} {state}" for state, count in counts.items()) or "no entries")
    if counts.get("abandoned"):
        fix = "abandoned rewards are a case for the service's support"
        return Finding(check="ledger", state="warning", says=says, fix=fix)
    if counts.get("sent") or counts.get("reversing"):
        return Finding(check="ledger", state="warning", says=says, fix="`agcod recover` settles what is open")
    return Finding(check="ledger", state="ok", says=says)
