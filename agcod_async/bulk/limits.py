"""What a campaign must not exceed, and when it must stop."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from ..errors import AccountError, AgcodError, CampaignStopped, ConfigurationError
from ..money import Money, payable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..errors import StopReason
    from ..ledger import State
    from ..session import AgcodSession
    from .outlook import Outlook

# Refusals that every further reward would meet as well (Incentives API, "Error codes").
_OF_THE_ACCOUNT = frozenset(
    {
        "IssuanceCapExceeded", "AccountHasProblems", "ActiveContractNotFound", "CustomerAccountBlocked",
        "CustomerSurpassedDailyVelocityLimit", "BlockedCustomer", "UnknownCustomer", "InvalidAwsAccessKeyId",
    }
)  # fmt: skip


class Limits:
    """
    The rules of one run.

    Args:
        max_total: all rewards together, those of earlier runs included, may not be worth more.
        max_failures: refusals of this run after which it ends.
        funds_below: no reward is begun that would leave less.
        check_funds: whether the funds are asked for; never in the sandbox, which always says 0.
        min_key_days: nothing is begun with a key that has fewer days left, where its age is known.

    Raises:
        ConfigurationError: a rule cannot work; the message names it.
    """

    def __init__(
        self,
        session: AgcodSession,
        *,
        max_total: Money | None,
        max_failures: int | None,
        funds_below: Money | None,
        check_funds: bool,
        min_key_days: int | None,
    ) -> None:
        if max_failures is not None and (isinstance(max_failures, bool) or max_failures < 0):
            raise ConfigurationError("max_failures: a whole number from 0 on, or None")
        self._session = session
        self._max_total = None if max_total is None else payable("max_total", max_total)
        self._max_failures = max_failures
        self._floor = funds_below
        self._asks_funds = check_funds and session.endpoint.environment != "sandbox"
        if funds_below is not None and not self._asks_funds:
            raise ConfigurationError("funds_below: the funds are not known: the sandbox never tells them")
        self._min_key_days = min_key_days
        self._key_days: int | None = None
        self._funds: Money | None = None
        self._in_flight = Decimal(0)
        self._spent = Decimal(0)
        """Since the funds were told, at most: what was in flight then may be counted twice."""
        self._failures = 0

    async def check(self, outlook: Outlook) -> Outlook:
        """
        Return *outlook* with the funds in it, if a run may begin.

        Raises:
            CampaignStopped: it may not.
        """
        if self._max_total is not None:
            self._check_total(outlook.total, self._max_total)
        await self.look_again()
        if ending := self._key_is_ending():
            raise ending
        if self._funds is not None:
            self._check_funds(outlook.to_send, self._funds)
        return structs.replace(outlook, funds=self._funds, key_days_left=self._key_days)

    async def look_again(self) -> None:
        """Ask how old the key is, and what is on the account: at most once a second."""
        self._key_days = await self._session.key_days_left()
        if not self._asks_funds:
            return
        spent = self._spent
        told = (await self._session.get_available_funds()).available_funds
        if told is not None:
            self._funds, self._spent = told, self._spent - spent

    @property
    def funds(self) -> Money | None:
        """What will be left, at least, once everything in flight has ended."""
        if self._funds is None:
            return None
        return Money(self._funds.amount - self._spent - self._in_flight, self._funds.currency_code)

    def begin(self, value: Money) -> CampaignStopped | None:
        """Count a reward as begun, or return why it must not be."""
        if ending := self._key_is_ending():
            return ending
        left = self.funds
        if self._floor is not None and left is not None and left.amount - value.amount < self._floor.amount:
            return stopped(
                "funds", f"{left} are left, and the next reward would leave less than {self._floor}"
            )
        self._in_flight += value.amount
        return None

    def end(self, value: Money, state: State) -> None:
        """Count a reward as no longer in flight; what is unknown counts as spent."""
        self._in_flight -= value.amount
        if state not in ("planned", "refused", "reversed"):
            self._spent += value.amount

    def refused(self, refusal: AgcodError) -> CampaignStopped | None:
        """Count a refusal, and return why nothing more must be begun after it, if so."""
        self._failures += 1
        kind = refusal.error_type if isinstance(refusal, AccountError) else None
        if kind == "InsufficientFunds":
            return stopped("funds", "the service says that they are not sufficient: add some, then retry")
        if kind in _OF_THE_ACCOUNT:
            return stopped("account", f"the service refuses it ({kind}): ask Amazon, then retry")
        if self._max_failures is not None and self._failures > self._max_failures:
            name = getattr(refusal, "error_type", None) or type(refusal).__name__
            return stopped("max_failures", f"{self._failures} rewards were refused, the last one as {name}")
        return None

    def _key_is_ending(self) -> CampaignStopped | None:
        least, left = self._min_key_days, self._key_days
        if least is None or left is None or left >= least:
            return None
        return stopped("key", f"it has {left} days left, and {least} are wanted: replace it")

    @staticmethod
    def _check_total(total: Iterable[Money], most: Money) -> None:
        for value in total:
            if value.currency_code != most.currency_code:
                raise stopped("max_total", f"it is in {most.currency_code}, and says nothing of {value}")
            if value.amount > most.amount:
                raise stopped("max_total", f"the rewards are worth {value}, and {most} are allowed")

    def _check_funds(self, to_send: Iterable[Money], funds: Money) -> None:
        floor = Decimal(0) if self._floor is None else self._floor.amount
        if self._floor is not None and self._floor.currency_code != funds.currency_code:
            raise ConfigurationError(f"funds_below: the account's funds are in {funds.currency_code}")
        for value in to_send:
            if value.currency_code != funds.currency_code:
                raise stopped("funds", f"{value} are to be issued, and the account's funds are {funds}")
            if value.amount + floor > funds.amount:
                above = "" if self._floor is None else f" with {self._floor} to be left"
                raise stopped("funds", f"{value} are to be issued{above}, and {funds} are there: add funds")


def stopped(reason: StopReason, text: str) -> CampaignStopped:
    """Return the error of a campaign that must not go on."""
    return CampaignStopped(f"{reason}: {text}", reason=reason)
