"""What every command works with: its settings, and a session, a ledger and an issuer on demand."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Self

from ..environment import configure_log
from .exits import CommandError, ExitCode
from .keys import keys_from
from .settings import Settings, load, spends_real_money

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ..endpoints import Endpoint
    from ..events import Event
    from ..issuer import Issuer, OnUnknown
    from ..ledger import Ledger
    from ..session import AgcodSession
    from .output import Output, Record
    from .process import Process

GRACE = 15.0
"""Seconds that what is in flight has to end after the first Ctrl-C: more than one attempt may take."""


class CommandContext:
    """
    One run of a command. What it opens, it closes in the end.

    Args:
        process: streams, environment and folder.
        output: where results and notes go.
        flags: the shared options by their names; None where one was not given.
    """

    def __init__(self, process: Process, output: Output, flags: Mapping[str, str | bool | None]) -> None:
        self.process = process
        self.output = output
        self.stopping = asyncio.Event()
        """Set by the first Ctrl-C: finish what is in flight, and begin nothing new."""
        self.patience = GRACE
        """Seconds that what is in flight may take when the command ends; 0 when it is to stop at once."""
        self.tells_retries = True
        """Whether a person is told of every attempt that is repeated."""
        self._flags = flags
        self._stack = AsyncExitStack()
        self._settings: Settings | None = None
        self._session: AgcodSession | None = None
        self._ledger: Ledger | None = None

    @property
    def settings(self) -> Settings:
        """What flags, environment and agcod.toml say, read when it is first asked for."""
        if self._settings is None:
            texts = {name: flag for name, flag in self._flags.items() if not isinstance(flag, bool)}
            self._settings = load(texts, self.process.environ, self.process.folder)
        return self._settings

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint; production only with ``--production``."""
        return self.settings.guarded_endpoint(production=bool(self._flags.get("production")))

    async def session(self) -> AgcodSession:
        """Return the session of this run."""
        if self._session is None:
            from ..session import AgcodSession
            from ..throttle import throttle_from

            settings, environ = self.settings, self.process.environ
            configure_log(environ)
            endpoint, partner_id = self.endpoint, settings.require("partner_id")
            keys = keys_from(settings, environ)
            throttle = throttle_from(environ, partner_id, endpoint, ())
            if throttle is not None:
                self._stack.push_async_callback(throttle.aclose)
            session = AgcodSession(
                partner_id,
                keys.provider,
                endpoint,
                wire_format=settings.wire_format,
                timeout=settings.timeout,
                throttle=throttle,
                hooks=[self._tell],
                user_agent_suffix="agcod-cli",
            )
            self._session = await self._stack.enter_async_context(session)
        return self._session

    @property
    def has_ledger(self) -> bool:
        """Whether the ledger's file is there; a database is asked for no sooner than it is needed."""
        place = self.settings.ledger
        return "://" in place or (self.process.folder / place).exists()

    async def ledger(self, *, is_made: bool = False) -> Ledger:
        """
        Return the ledger of this run: a SQLite file, or PostgreSQL where it is a URL.

        Args:
            is_made: whether a file that is not there is made: for commands that issue.

        Raises:
            CommandError:
                there is no such file. An empty ledger in its place would say that nobody was paid.
        """
        if not (is_made or self.has_ledger):
            raise CommandError(
                f"ledger {self.settings.ledger}: there is no such file",
                fix="give --ledger FILE, or set AGCOD_LEDGER; the first command that issues makes it",
                code=ExitCode.LEDGER,
            )
        if self._ledger is None:
            self._ledger = await self._stack.enter_async_context(_ledger_at(self.settings.ledger, self))
        return self._ledger

    async def issuer(
        self, *, on_unknown: OnUnknown = "complete", budget: float = 60.0, makes_ledger: bool = False
    ) -> Issuer:
        """Return an issuer over :meth:`session` and :meth:`ledger`."""
        from ..issuer import Issuer

        session, ledger = await self.session(), await self.ledger(is_made=makes_ledger)
        issuer = Issuer(session, ledger, on_unknown=on_unknown, budget=budget, ceiling=self.settings.ceiling)
        # Before session and ledger are closed, what is in flight gets its answer.
        self._stack.push_async_callback(lambda: issuer.finish(within=self.patience))
        return issuer

    async def stopped_within(self, seconds: float) -> bool:
        """Wait for *seconds*, or until the first Ctrl-C, and return whether that came."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
        return self.stopping.is_set()

    def confirm(self, what: str, facts: Record, *, total: str) -> None:
        """
        Show what is about to be spent, and go on only if a person or ``--yes`` says so.

        On production the total itself has to be typed; elsewhere ``yes`` will do. This blocks the loop:
        nothing is under way while a person decides.

        Args:
            what: such as "Create a gift card".
            facts: what it amounts to, endpoint and partner included by this method.
            total: such as "25.00 USD".

        Raises:
            CommandError: it was declined, or there is nobody to ask.
        """
        endpoint = self.endpoint
        self.output.note(f"{what} at {endpoint.identity} as {self.settings.require('partner_id')}:")
        for name, cell in facts.items():
            if cell is not None:
                self.output.note(f"  {name.replace('_', ' ')}: {cell}")
        self.output.note(f"  total: {total}")
        if self._flags.get("yes"):
            return
        stdin, stderr = self.process.stdin, self.process.stderr
        if self.output.is_json or not (stdin.isatty() and stderr.isatty()):
            raise CommandError("this spends money, and nobody is here to confirm it", fix="add --yes")
        wanted = total if spends_real_money(endpoint) else "yes"
        try:
            with _interruptible():
                typed = self.output.ask(f"Type {wanted!r} to go on:", stdin)
        except KeyboardInterrupt:
            raise CommandError("stopped: nothing was sent", code=ExitCode.INTERRUPTED) from None
        if typed != wanted:
            raise CommandError("not confirmed: nothing was sent", fix=f"type {wanted!r}, or add --yes")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _tell(self, event: Event) -> None:
        from ..events import RetryScheduled

        if isinstance(event, RetryScheduled) and self.tells_retries:
            self.output.note(
                f"{event.operation}: {event.error}, attempt {event.attempt + 1} in {event.delay:.1f} s"
            )


def _ledger_at(place: str, context: CommandContext) -> AbstractAsyncContextManager[Ledger]:
    if "://" not in place:
        from ..ledger import SQLiteLedger

        return SQLiteLedger(context.process.folder / place)
    if not place.startswith(("postgresql://", "postgres://")):
        raise CommandError(f"ledger {place.partition('://')[0]}://…: a file or a postgresql:// URL is needed")
    try:
        from ..ledger import PostgresLedger
    except ModuleNotFoundError:
        raise CommandError(
            "a ledger in PostgreSQL needs asyncpg", fix="pip install 'agcod-async[postgres]'"
        ) from None
    return PostgresLedger(place)


@contextmanager
def _interruptible() -> Generator[None]:
    """Let Ctrl-C end a prompt: the loop cannot while it is blocked."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [(number, signal.signal(number, signal.default_int_handler)) for number in numbers]
    # Through this the loop would hear of it, too.
    wakeup = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before:
            signal.signal(number, handler)
