"""The Portal: what an account has, spends and did, and its keys."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from agcod_async.escapes import csv_cell
from agcod_async.funds import DAYS, FundsReading
from agcod_async.money import Money, minor_digits

from ..state import Activity, KeyStatus, Partner, as_key
from .values import CSV, Form, Page, Unusable

if TYPE_CHECKING:
    from ..gateway import Emulator

_SHOWN = 100
"""Records on the page; the download has them all."""

_COLUMNS = (
    "time", "type", "status", "failure", "request id", "gcId", "card number", "amount", "currency", "real",
)  # fmt: skip
_KEY_ACTIONS: dict[str, KeyStatus] = {"activate": "active", "deactivate": "inactive", "delete": "deleted"}


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
        """Show an account: the first, unless the field ``partner`` names another."""
        return self._page(self._partner(form), form)

    async def download(self, form: Form) -> Page:
        """Return the activity of the asked time as CSV, ascending by time."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for record in self._activity(self._partner(form), *self._window(form)):
            writer.writerow(map(csv_cell, _row(record)))
        return Page(content_type=CSV, text=file.getvalue(), file_name="activity.csv")

    async def change_key(self, form: Form) -> Page:
        """Make a key, which is the only time that its secret is shown, or change one."""
        partner = self._partner(form)
        action = form.choice("action", ("create", *_KEY_ACTIONS))
        if action == "create":
            access_key_id, secret = self._emulator.create_key(partner.partner_id)
            return self._page(self._partner(form), form, created=(access_key_id, secret))
        access_key_id = form.text("access_key_id")
        if access_key_id not in partner.keys:
            raise Unusable("access_key_id: this account has no such key")
        try:
            self._emulator.set_key_status(access_key_id, _KEY_ACTIONS[action])
        except ValueError as wrong:
            raise Unusable(f"access_key_id: {wrong}") from None
        return _back_to(partner)

    async def set_alerts(self, form: Form) -> Page:
        """Ask to be told, or not to be told any more."""
        partner = self._partner(form)
        self._alerts[partner.partner_id] = Alerts(form.number("balance"), form.number("days"))
        return _back_to(partner)

    def _page(self, partner: Partner, form: Form, created: tuple[str, str] | None = None) -> Page:
        start, end = self._window(form)
        records = self._activity(partner, start, end)
        funds, alerts = self._funds(partner), self._alerts.get(partner.partner_id, Alerts())
        has_end = self._emulator.state.funds[partner.partner_id] is not None
        values = {
            "partner": partner,
            "partners": list(self._emulator.state.partners),
            "funds": funds,
            "has_end": has_end,
            "days": DAYS,
            "alerts": alerts,
            "raised": list(alerts.raised(funds)) if has_end else [],
            "keys": {name: as_key(key).status for name, key in partner.keys.items()},
            "created": created,
            "columns": _COLUMNS,
            "rows": [_row(record) for record in reversed(records[-_SHOWN:])],
            "records": len(records),
            "start": f"{start:%Y-%m-%dT%H:%M}",
            "end": f"{end:%Y-%m-%dT%H:%M}",
        }
        return Page(template="portal.html", values=values)

    def _partner(self, form: Form) -> Partner:
        partners = self._emulator.state.partners
        return partners[form.choice("partner", partners)]

    def _funds(self, partner: Partner) -> FundsReading:
        state, now = self._emulator.state, self._emulator.clock()
        currency = partner.currency
        unit = Decimal((0, (1,), -minor_digits(currency)))
        spent = state.spent(partner.partner_id, now - timedelta(days=DAYS)) / DAYS
        return FundsReading(
            available=Money(state.funds[partner.partner_id] or 0, currency),
            at=now,
            average_daily_spend=Money(spent.quantize(unit), currency),
        )

    def _window(self, form: Form) -> tuple[datetime, datetime]:
        now = self._emulator.clock()
        start, end = form.moment("start") or now - timedelta(days=DAYS), form.moment("end") or now
        return start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)

    def _activity(self, partner: Partner, start: datetime, end: datetime) -> list[Activity]:
        # Times have no seconds here: the minute that is named as the last one is meant whole.
        until = end + timedelta(minutes=1)
        mine = (one for one in self._emulator.state.activity if one.partner_id == partner.partner_id)
        return sorted((one for one in mine if start <= one.at < until), key=lambda one: one.at)


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


def _back_to(partner: Partner) -> Page:
    return Page(location=("/portal", {"partner": partner.partner_id}))
