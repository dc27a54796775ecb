"""A campaign: many rewards, each issued once, however often it is run."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Self

from ..errors import AgcodError, CampaignStopped, ConfigurationError, LedgerError
from ..issuer import Issuer
from .limits import Limits, stopped
from .run import Run, issue
from .source import source_of
from .survey import Standing, Survey

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from types import TracebackType

    from ..issuer import OnUnknown
    from ..ledger import Intent, Ledger
    from ..money import Money
    from ..receipts import IssuedGiftCard, Receipt
    from ..session import AgcodSession
    from .outlook import Outlook
    from .progress import Progress
    from .source import Rewards

# What a campaign has planned and not begun is nobody else's to issue: recovery leaves it alone.
_NOT_DUE = 10 * 365 * 86400.0


class Campaign:
    """
    Issues many rewards at the account's full rate, behind interactive calls.

    ``async with`` reads all rewards, checks them, the funds and the limits, and plans what is new in the
    ledger. Iterating issues, and gives a receipt for each reward as this run is done with it: those that an
    earlier run settled are not repeated. Leaving the block ends it: what is in flight is waited for, and
    everything else is as it was. Running it again, after whatever end, continues.

    The references are what makes a campaign, and one ledger may hold many. Of a large file the ledger also
    keeps a note that says how far it is, so that an unchanged one goes on within seconds. What a campaign
    has planned and not begun is left alone by :meth:`Issuer.recover`.

    Args:
        session: where requests go.
        ledger: an open ledger.
        rewards: the path of a CSV, TSV or JSON lines file, a :class:`RewardFile`, or a collection of intents.
        max_total: all rewards together, those of earlier runs included, may not be worth more.
        max_failures: refusals of this run after which it ends; None for any number.
        funds_below: no reward is begun that would leave less than this on the account.
        check_funds: whether the funds must cover all that is to be sent. Never asked in the sandbox.
        min_key_days: nothing is begun with a key that has fewer days left, where its age is known.
        ceiling: no single reward may be worth more.
        retry_refused: whether to try again what was refused in earlier runs.
        on_unknown: the policy for what stays unknown, see :class:`Issuer`.
        budget: seconds for each reward to be settled; then its receipt says how it stands.
        in_flight: how many rewards are under way at once.

    Raises:
        InvalidRewards: something is wrong with the rewards; nothing was sent, and all lines are named.
        CampaignStopped: a limit; :attr:`CampaignStopped.reason` says which. While iterating: at its end.
        AgcodError: while iterating: what would strike every reward, such as a wrong key, or the ledger.
    """

    def __init__(
        self,
        session: AgcodSession,
        ledger: Ledger,
        rewards: Rewards,
        *,
        max_total: Money | None = None,
        max_failures: int | None = 100,
        funds_below: Money | None = None,
        check_funds: bool = True,
        min_key_days: int | None = None,
        ceiling: Money | None = None,
        retry_refused: bool = False,
        on_unknown: OnUnknown = "complete",
        budget: float = 600.0,
        in_flight: int = 20,
    ) -> None:
        if in_flight < 1 or not budget > 0:
            raise ConfigurationError("in_flight and budget: at least 1, and seconds greater than 0")
        self._issuer = Issuer(
            session.with_options(priority="bulk"), ledger, on_unknown=on_unknown, ceiling=ceiling
        )
        self._ledger = ledger
        self._limits = Limits(
            session,
            max_total=max_total,
            max_failures=max_failures,
            funds_below=funds_below,
            check_funds=check_funds,
            min_key_days=min_key_days,
        )
        self._survey = Survey(
            source_of(rewards),
            ledger,
            self._issuer.payer,
            session.endpoint.currencies,
            retry_refused=retry_refused,
            ceiling=ceiling,
        )
        self._budget = budget
        self._in_flight = in_flight
        self._run: Run | None = None
        self.outlook: Outlook | None = None
        """What :meth:`check` has found."""

    async def check(self, *, in_full: bool = True) -> Outlook:
        """
        Read and check everything, send nothing, write nothing: a dry run.

        A campaign that is entered afterwards goes by it, and reads the rewards no second time.

        Args:
            in_full:
                False takes a large file that is byte for byte what an earlier run has checked and planned
                as that run left it, which takes a moment. Where somebody else has settled some of its
                rewards since, the counts tell so only when their turn comes.

        Raises:
            InvalidRewards, CampaignStopped: as above.
        """
        outlook = await self._survey.look(in_full=in_full)
        try:
            self.outlook = await self._limits.check(outlook)
        except CampaignStopped:
            if not self._survey.is_remembered:
                raise
            # What others have issued since needs no funds any more.
            self.outlook = await self._limits.check(await self._survey.look(in_full=True))
        return self.outlook

    @property
    def progress(self) -> Progress:
        """How far it is."""
        if self._run is None:
            raise ConfigurationError("campaign: enter it first, with 'async with'")
        return self._run.progress(self._survey.outlook, self._limits.funds)

    def stop(self) -> None:
        """Begin nothing more; what is in flight still comes, and then CampaignStopped."""
        if self._run is not None:
            self._run.stop(stopped("asked", "it was stopped on demand"))

    async def standings(self) -> AsyncGenerator[Standing, None]:
        """Return every reward beside its entry, in their order, without asking the service."""
        if not self._survey.is_done:
            await self._survey.look(in_full=True)
        async with aclosing(self._survey.standings()) as standings:
            async for standing in standings:
                yield standing

    async def cards(
        self, wanted: Callable[[Intent], bool] = lambda _: True
    ) -> AsyncGenerator[tuple[Standing, IssuedGiftCard | AgcodError], None]:
        """
        Return every issued card with its code, which the service is asked for anew, in the order of lines.

        A card that cannot be had now, or was refunded meanwhile, comes as the error that says so.
        """
        fetching: deque[tuple[Standing, asyncio.Task[IssuedGiftCard | AgcodError]]] = deque()
        try:
            async with aclosing(self.standings()) as standings:
                async for standing in standings:
                    entry = standing.entry
                    if entry is None or entry.state != "issued" or not wanted(standing.intent):
                        continue
                    fetching.append((standing, asyncio.create_task(self._card(standing.intent))))
                    if len(fetching) >= self._in_flight:
                        first, card = fetching.popleft()
                        yield first, await card
            while fetching:
                first, card = fetching.popleft()
                yield first, await card
        finally:
            for _, card in fetching:
                card.cancel()
            await self._issuer.finish(within=0.0)

    async def _card(self, intent: Intent) -> IssuedGiftCard | AgcodError:
        try:
            return await issue(self._issuer, intent, self._budget)
        except LedgerError:
            raise
        except AgcodError as error:
            return error

    async def __aenter__(self) -> Self:
        if self._run is not None:
            raise ConfigurationError("campaign: it was run already; make a new one to run it again")
        if self.outlook is None:
            await self.check(in_full=False)
        await self._plan()
        self._run = Run(
            self._issuer, self._survey, self._limits, budget=self._budget, in_flight=self._in_flight
        )
        return self

    async def _plan(self) -> None:
        async with aclosing(self._survey.new_rewards()) as chunks:
            async for intents in chunks:
                await self._ledger.plan(intents, payer=self._issuer.payer, due_in=_NOT_DUE)
        await self._survey.planned()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._run is not None
        await self._run.aclose(is_urgent=isinstance(exc, asyncio.CancelledError))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Receipt:
        if self._run is None:
            raise ConfigurationError("campaign: enter it first, with 'async with'")
        return await self._run.next()
