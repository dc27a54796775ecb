"""What a campaign must not exceed, and when it must stop."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from ..errors import AccountError, AgcodError, CampaignStopped, ConfigurationError
from ..money import Money, payable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ..errors import StopReason
    from ..ledger import State
    from ..session import AgcodSession
    from .survey import Outlook

# Refusals that every further reward would meet as well (Incentives API, "Error codes").
_OF_THE_ACCOUNT = frozenset(
    {
        "IssuanceCapExceeded", "AccountHasProblems", "ActiveContractNotFound", "CustomerAccountBlocked",
        "CustomerSurpassedDailyVelocityLimit", "BlockedCustomer", "UnknownCustomer", "InvalidAwsAccessKeyId",
    }
)  # fmt: skip

_KEY = "it has expired, or is about to: rotate it"


class Limits:
    """
    The rules of one run.

    Args:
        max_total: all rewards together, those of earlier runs included, may not be worth more.
        max_failures: refusals of this run after which it ends.
        funds_below: no reward is begun that would leave less.
        check_funds: whether the funds are asked for; never in the sandbox, which always says 0.
        key_expires_at: nothing is begun from then on.

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
        key_expires_at: datetime | None,
    ) -> None:
        if max_failures is not None and (isinstance(max_failures, bool) or max_failures < 0):
            raise ConfigurationError("max_failures: a whole number from 0 on, or None")
        if key_expires_at is not None and key_expires_at.tzinfo is None:
            raise ConfigurationError("key_expires_at: a time zone is needed")
        self._session = session
        self._max_total = None if max_total is None else payable("max_total", max_total)
        self._max_failures = max_failures
        self._floor = funds_below
        self._asks_funds = check_funds and session.endpoint.environment != "sandbox"
        if funds_below is not None and not self._asks_funds:
            raise ConfigurationError("funds_below: the funds are not known: the sandbox never tells them")
        self._key_expires_at = key_expires_at
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
        if self._key_has_expired():
            raise stopped("key", _KEY)
        if not self._asks_funds:
            return outlook
        await self.ask_funds()
        if self._funds is not None:
            self._check_funds(outlook.to_send, self._funds)
        return structs.replace(outlook, funds=self._funds)

    async def ask_funds(self) -> None:
        """Ask what is there; at most once a second."""
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
        if self._key_has_expired():
            return stopped("key", _KEY)
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

    def _key_has_expired(self) -> bool:
        return self._key_expires_at is not None and self._session.clock() >= self._key_expires_at

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
