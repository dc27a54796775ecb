"""Which column means what, and what a row of them must hold."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import structs

from ..checks import MAX_REFERENCE, UNWRITABLE, check_shape
from ..endpoints import Endpoint
from ..errors import ConfigurationError
from ..ledger import Intent
from ..money import Money, payable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import TypeAlias

    from .problems import Problems

    Cells: TypeAlias = Sequence[str | None]
    """One for each of :data:`FIELDS`."""

FIELDS = ("reference", "amount", "currency", "program_id", "product_type", "external_reference")
AMOUNT = FIELDS.index("amount")
_REQUIRED = FIELDS[:3]

# Letters and digits of a name, so that order_id, "Order ID" and orderId are one. A request id is no
# reference: the id that is made from it would be another one, and the service would issue again.
_ALIASES = {
    **dict.fromkeys(("reference", "ref", "order", "orderid", "ordernumber", "orderreference", "rewardid"), 0),
    **dict.fromkeys(("amount", "value"), AMOUNT),
    **dict.fromkeys(("currency", "currencycode"), 2),
    **dict.fromkeys(("programid", "programmeid", "program"), 3),
    **dict.fromkeys(("producttype", "product"), 4),
    **dict.fromkeys(("externalreference", "externalref"), 5),
}

_ANY = Intent(reference="any", value=Money(1, "USD"))
_KNOWN_AMOUNTS = 10_000
_SHOWN = 40

KNOWN_CURRENCIES = frozenset[str]().union(
    *(endpoint.currencies for endpoint in (Endpoint.NA, Endpoint.EU, Endpoint.FE))
)
"""The currencies of every marketplace that is known."""


@lru_cache(maxsize=256)
def field_of(name: str) -> int | None:
    """Return the place in :data:`FIELDS` of a column, however its name is written."""
    return _ALIASES.get(re.sub(r"[\W_]", "", name.lower()))


def shown(text: object) -> str:
    """Return *text* for a message."""
    full = repr(text)
    return full if len(full) <= _SHOWN else f"{full[:_SHOWN]}…"


def unknown_column(name: str) -> str:
    """Return what is wrong with a name that means nothing."""
    return f"column {shown(name)} is not known: rename it to one of {', '.join(FIELDS)}, or ignore it"


def places_of(names: Sequence[str], ignored: Collection[str]) -> list[int | None]:
    """
    Return where each of :data:`FIELDS` is among the columns called *names*.

    Raises:
        ConfigurationError: a column is missing, unknown, or there twice; the message names it.
    """
    places: list[int | None] = [None] * len(FIELDS)
    if all(field_of(name) is None for name in names):
        raise ConfigurationError("a header is needed, such as reference,amount,currency")
    for place, name in enumerate(names):
        if name in ignored:
            continue
        field = field_of(name)
        if field is None:
            raise ConfigurationError(unknown_column(name))
        if (other := places[field]) is not None:
            both = f"{shown(names[other])} and {shown(name)}"
            raise ConfigurationError(f"columns {both} both mean {FIELDS[field]}: ignore one of them")
        places[field] = place
    missing = [name for name, place in zip(_REQUIRED, places, strict=False) if place is None]
    if missing:
        raise ConfigurationError(f"no column {' and no column '.join(missing)} in the header")
    return places


class Rows:
    """
    Turns cells into intents.

    Args:
        currencies: those that are taken.
        problems: where everything that is wrong is noted.
    """

    def __init__(self, currencies: Collection[str], problems: Problems) -> None:
        self._currencies = currencies
        self._problems = problems
        self._values: dict[tuple[str | None, str | None], Money] = {}

    def intent(self, line: int, cells: Cells) -> Intent | None:
        """Return the intent of a row, or None if it is bad."""
        reference, amount, currency, program_id, product_type, external_reference = cells
        value = self._values.get((amount, currency)) or self._value(amount, currency)
        if value is None or not reference or _wrong_reference(reference):
            self._note(line, cells)
            return None
        if not (program_id or product_type or external_reference):
            return Intent(reference=reference, value=value)
        intent = Intent(
            reference=reference,
            value=value,
            program_id=program_id or None,
            product_type=product_type or None,
            external_reference=external_reference or None,
        )
        try:
            check_shape(intent)
        except ConfigurationError:
            self._note(line, cells)
            return None
        return intent

    def _note(self, line: int, cells: Cells) -> None:
        """Note everything that is wrong with a row, and not only the first."""
        reference, amount, currency, *rest = (text or "" for text in cells)
        wrong_currency = self._wrong_currency(currency)
        found = {
            "reference": _wrong_reference(reference),
            "amount": _wrong_amount(amount, "USD" if wrong_currency else currency),
            "currency": wrong_currency,
            **{name: _wrong_text(name, text) for name, text in zip(FIELDS[3:], rest, strict=True)},
        }
        for name, reason in found.items():
            if reason:
                self._problems.note(line, name, reason)

    def _value(self, amount: str | None, currency: str | None) -> Money | None:
        if not amount or not currency or self._wrong_currency(currency) or _wrong_amount(amount, currency):
            return None
        if len(self._values) >= _KNOWN_AMOUNTS:
            self._values.clear()
        value = self._values[amount, currency] = payable("amount", Money(amount, currency))
        return value

    def _wrong_currency(self, currency: str) -> str | None:
        if not currency:
            return "it is missing"
        if currency.upper() in self._currencies and currency not in self._currencies:
            return f"{shown(currency)} is written {currency.upper()}"
        if currency not in self._currencies:
            return f"{shown(currency)} is none of {', '.join(sorted(self._currencies))}"
        return None


def _wrong_reference(reference: str) -> str | None:
    if not reference:
        return "it is missing"
    if len(reference) > MAX_REFERENCE:
        return f"{len(reference)} characters, and at most {MAX_REFERENCE} are allowed"
    if UNWRITABLE.search(reference):
        return "control characters and line ends are not allowed"
    if reference.strip() != reference:
        return f"{shown(reference)} begins or ends with a space: without it, it would be another reward"
    return None


def _wrong_amount(amount: str, currency: str) -> str | None:
    if not amount:
        return "it is missing"
    try:
        payable("amount", Money(amount, currency))
    except ConfigurationError as wrong:
        if "plain number" in wrong.message:
            return f"{shown(amount)} is not a plain number such as 25.00"
        return wrong.message.removeprefix("amount: ").removeprefix("amount ")
    return None


def _wrong_text(name: str, text: str) -> str | None:
    try:
        check_shape(structs.replace(_ANY, **{name: text or None}))
    except ConfigurationError as wrong:
        return wrong.message.removeprefix(f"{name}: ")
    return None
