"""The Portal: what an account has, spends and did, and its keys."""

import asyncio
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from agcod_async.escapes import csv_cell, printable
from agcod_async.funds import DAYS, FundsReading, daily_average
from agcod_async.money import Money

from ..state import Activity, KeyStatus, Partner
from .values import CSV, Form, Page, Unusable

if TYPE_CHECKING:
    from ..gateway import Emulator

_SHOWN = 100
"""Records on the page; the download has them all."""
_LONGEST_CELL = 100
_MINUTE = timedelta(minutes=1)

_COLUMNS = (
    "time", "type", "status", "failure", "request id", "gcId", "card number", "amount", "currency", "real",
)  # fmt: skip
_KEY_ACTIONS: dict[str, KeyStatus | None] = {
    "create": None, "activate": "active", "deactivate": "inactive", "delete": "deleted",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alerts:
    """When the owner of an account wants to be told; None: never."""

    balance: Decimal | None = None
    """Below this amount, in the account's currency."""
    days: Decimal | None = None
    """Below so many days at the average spend."""

    def raised(self, funds: FundsReading) -> Iterator[str]:
        """Say what is too low."""
        if self.balance is not None and funds.available.amount < self.balance:
            yield f"The balance is below {self.balance} {funds.available.currency_code}."
        days = funds.days_remaining
        if self.days is not None and days is not None and days < self.days:
            yield f"The balance will last for {days} days, which is less than {self.days}."


class Portal:
    """The pages of the emulator's accounts. What alerts were asked for is kept as long as this is."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator
        self._alerts: dict[str, Alerts] = {}

    async def show(self, form: Form) -> Page:
        """Show an account, and what it did in the last days or the time that is asked for."""
        return self._page(self._partner(form), form)

    async def download(self, form: Form) -> Page:
        """Return the activity of that time as CSV, ascending by time."""
        records = self._activity(self._partner(form), form)
        text = await asyncio.get_running_loop().run_in_executor(None, _as_csv, records)
        return Page(content_type=CSV, text=text, file_name="activity.csv")

    async def change_key(self, form: Form) -> Page:
        """Make a key, which is the only time that its secret is shown, or change one."""
        partner = self._partner(form)
        status = form.pick("action", _KEY_ACTIONS)
        if status is None:
            created = self._emulator.create_key(partner.partner_id)
            return self._page(self._partner(form), Form({}, is_query=True), created)
        access_key_id = form.text("access_key_id")
        if access_key_id not in partner.keys:
            raise Unusable("access_key_id: this account has no such key")
        if partner.key_statuses[access_key_id] == "deleted":
            raise Unusable(f"access_key_id: {access_key_id} was deleted, and that is for ever")
        self._emulator.set_key_status(access_key_id, status)
        return _back_to(partner)

    async def set_alerts(self, form: Form) -> Page:
        """Ask to be told, or not to be told any more."""
        partner = self._partner(form)
        self._alerts[partner.partner_id] = Alerts(form.number("balance"), form.number("days"))
        return _back_to(partner)

    def _page(self, partner: Partner, form: Form, created: tuple[str, str] | None = None) -> Page:
        records = self._activity(partner, form)
        state, alerts = self._emulator.state, self._alerts.get(partner.partner_id, Alerts())
        funds, has_end = self._funds(partner), state.funds[partner.partner_id] is not None
        values = {
            "partner": partner,
            "partners": list(state.partners),
            "funds": funds,
            "has_end": has_end,
            "days": DAYS,
            "alerts": alerts,
            "raised": list(alerts.raised(funds)) if has_end else [],
            "created": created,
            "columns": _COLUMNS,
            "rows": [[*map(_shown, _row(record))] for record in reversed(records[-_SHOWN:])],
            "records": len(records),
            # Left empty where nothing was asked for, so that the page does not stand still at its own time.
            "start": form.text("start"),
            "end": form.text("end"),
        }
        return Page(template="portal.html", values=values)

    def _partner(self, form: Form) -> Partner:
        return form.pick("partner", self._emulator.state.partners)

    def _funds(self, partner: Partner) -> FundsReading:
        state, now = self._emulator.state, self._emulator.clock()
        spent = state.spent(partner.partner_id, now - timedelta(days=DAYS), now)
        return FundsReading(
            available=Money(state.funds[partner.partner_id] or 0, partner.currency),
            at=now,
            average_daily_spend=daily_average(Money(spent, partner.currency)),
        )

    def _activity(self, partner: Partner, form: Form) -> list[Activity]:
        now = self._emulator.clock()
        start, end = form.moment("start") or now - timedelta(days=DAYS), form.moment("end") or now
        if start > end:
            raise Unusable("start: it is after the end")
        # A browser's times have no seconds: the minute that is named as the last one is meant whole.
        until = end.replace(second=0, microsecond=0) + _MINUTE
        mine = (one for one in self._emulator.state.activity if one.partner_id == partner.partner_id)
        return sorted((one for one in mine if start <= one.at < until), key=lambda one: one.at)


def _as_csv(records: Sequence[Activity]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(map(csv_cell, _row(record)) for record in records)
    return file.getvalue()


def _row(record: Activity) -> list[str]:
    return [
        f"{record.at:%Y-%m-%dT%H:%M:%SZ}",
        record.kind,
        "Failed" if record.failure_code else "Success",
        record.failure_code or "",
        record.request_id,
        record.gc_id or "",
        record.card_number or "",
        "" if record.amount is None else str(record.amount),
        record.currency or "",
        "yes" if record.is_real else "no",
    ]


def _shown(cell: str) -> str:
    text = printable(cell[: _LONGEST_CELL + 1])
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def _back_to(partner: Partner) -> Page:
    return Page(location=("/portal", {"partner": partner.partner_id}))
