"""Which column means what, and what a row of them must hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..checks import MAX_REFERENCE, UNWRITABLE, check_shape
from ..endpoints import Endpoint
from ..errors import ConfigurationError, Problem
from ..ledger import Intent
from ..money import Money, payable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

FIELDS = ("reference", "amount", "currency", "program_id", "product_type", "external_reference")
REQUIRED = FIELDS[:3]

# Letters and digits of a name, so that order_id, "Order ID" and orderId are one. A request id is no
# reference: the id that is made from it would be another one, and the service would issue again.
_ALIASES = {
    **dict.fromkeys(("reference", "ref", "order", "orderid", "ordernumber", "orderreference", "rewardid"), 0),
    **dict.fromkeys(("amount", "value"), 1),
    **dict.fromkeys(("currency", "currencycode"), 2),
    **dict.fromkeys(("programid", "programmeid", "program"), 3),
    **dict.fromkeys(("producttype", "product"), 4),
    **dict.fromkeys(("externalreference", "externalref"), 5),
}

_KNOWN_AMOUNTS = 10_000
_SHOWN = 40

KNOWN_CURRENCIES = frozenset[str]().union(
    *(endpoint.currencies for endpoint in (Endpoint.NA, Endpoint.EU, Endpoint.FE))
)
"""The currencies of every marketplace that is known."""


def field_of(name: str) -> int | None:
    """Return the place in :data:`FIELDS` of a column's name, however it is written."""
    return _ALIASES.get(re.sub(r"[\W_]", "", name.lower()))


def shown(text: object) -> str:
    """Return *text* for a message."""
    full = repr(text)
    return full if len(full) <= _SHOWN else f"{full[:_SHOWN]}…"


class Columns:
    """
    The columns of one file.

    Args:
        names: of the header, in its order.
        ignored: names of columns that mean nothing here.

    Raises:
        ConfigurationError: a column is missing, unknown, or there twice; the message names it.
    """

    def __init__(self, names: Sequence[str], ignored: Collection[str]) -> None:
        self.names = tuple(names)
        places: dict[int, int] = {}
        for place, name in enumerate(names):
            field = field_of(name)
            if name in ignored:
                continue
            if field is None:
                raise ConfigurationError(
                    f"column {shown(name)} is not known: rename it to one of {', '.join(FIELDS)}, or ignore it"
                )
            if field in places:
                both = f"{shown(names[places[field]])} and {shown(name)}"
                raise ConfigurationError(f"columns {both} both mean {FIELDS[field]}: ignore one of them")
            places[field] = place
        missing = [name for field, name in enumerate(REQUIRED) if field not in places]
        if missing:
            raise ConfigurationError(f"no column {' and no column '.join(missing)} in the header")
        self.places = tuple(places.get(field) for field in range(len(FIELDS)))

    def pick(self, cells: Sequence[str]) -> list[str | None]:
        """Return the cells in the order of :data:`FIELDS`."""
        return [None if place is None else cells[place] for place in self.places]


class Rows:
    """
    Turns cells into intents.

    Args:
        currencies: those that are taken.
    """

    def __init__(self, currencies: Collection[str]) -> None:
        self._currencies = currencies
        self._values: dict[tuple[str, str], Money] = {}

    def intent(self, cells: Iterable[str | None]) -> Intent | None:
        """Return the intent of *cells*, which are in the order of :data:`FIELDS`; None if one is bad."""
        reference, amount, currency, program_id, product_type, external_reference = cells
        value = self._values.get((amount or "", currency or ""))
        if value is None:
            value = self._value(amount or "", currency or "")
        if value is None or _wrong_reference(reference or ""):
            return None
        intent = Intent(
            reference=reference or "",
            value=value,
            program_id=program_id or None,
            product_type=product_type or None,
            external_reference=external_reference or None,
        )
        if program_id or product_type or external_reference:
            try:
                check_shape(intent)
            except ConfigurationError:
                return None
        return intent

    def problems(self, line: int, cells: Sequence[str | None]) -> list[Problem]:
        """Return everything that is wrong with cells that gave no intent."""
        reference, amount, currency, *rest = cells
        found: list[Problem] = []
        if reason := _wrong_reference(reference or ""):
            found.append(Problem(line, "reference", reason))
        if reason := self._wrong_currency(currency or ""):
            found.append(Problem(line, "currency", reason))
        if reason := _wrong_amount(amount or "", "USD" if reason else currency or ""):
            found.append(Problem(line, "amount", reason))
        for field, text in zip(FIELDS[3:], rest, strict=True):
            try:
                check_shape(Intent(reference="any", value=Money(1, "USD"), **{field: text or None}))
            except ConfigurationError as wrong:
                found.append(Problem(line, field, wrong.message.partition(": ")[2]))
        return found

    def _value(self, amount: str, currency: str) -> Money | None:
        if self._wrong_currency(currency) or _wrong_amount(amount, currency):
            return None
        if len(self._values) >= _KNOWN_AMOUNTS:
            self._values.clear()
        value = self._values[amount, currency] = payable("amount", Money(amount, currency))
        return value

    def _wrong_currency(self, currency: str) -> str | None:
        if currency in self._currencies:
            return None
        if not currency:
            return "it is empty"
        return f"{shown(currency)} is not a known currency here: {', '.join(sorted(self._currencies))}"


def _wrong_reference(reference: str) -> str | None:
    if not reference:
        return "it is empty"
    if len(reference) > MAX_REFERENCE:
        return f"{len(reference)} characters, and at most {MAX_REFERENCE} are allowed"
    if UNWRITABLE.search(reference):
        return "control characters and line ends are not allowed"
    if reference.strip() != reference:
        return f"{shown(reference)} begins or ends with a space: the same without it would be another reward"
    return None


def _wrong_amount(amount: str, currency: str) -> str | None:
    if not amount:
        return "it is empty"
    try:
        payable("amount", Money(amount, currency))
    except ConfigurationError as wrong:
        if "plain number" in wrong.message:
            return f"{shown(amount)} is not a plain number such as 25.00"
        return wrong.message.removeprefix("amount: ").removeprefix("amount ")
    return None
