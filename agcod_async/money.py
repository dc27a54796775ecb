"""Amounts of money: a Decimal and a currency."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import TYPE_CHECKING

import msgspec

from .errors import ConfigurationError

_DIGITS = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND"), 0),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
}
# Decimal reads more: exponents, underscores, the digits of every script.
_PLAIN = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_CEILING = Decimal(10) ** 12
_UNITS = [Decimal((0, (1,), -digits)) for digits in range(4)]
# The caller's context may be too coarse for money.
_CONTEXT = Context(prec=28)


def minor_digits(currency_code: str) -> int:
    """How many digits *currency_code* has after the decimal point (ISO 4217): JPY 0, most 2."""
    return _DIGITS.get(currency_code, 2)


# gc=False, here and in the shapes that come by the thousand: they hold nothing that could refer back to them.
class Money(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """
    An amount in a currency: ``Money("25.00", "USD")``.

    The amount is in major units (25 is twenty-five dollars, 500 is five hundred yen) and may be given
    as str, int or Decimal. A float is refused, because 0.1 is not a float.

    Raises:
        ConfigurationError: the amount is a float, not a number, or not finite.
    """

    amount: Decimal

    currency_code: str
    """ISO 4217, for example ``USD``. An open set: the service adds countries."""

    if TYPE_CHECKING:

        def __init__(self, amount: Decimal | int | str, currency_code: str) -> None: ...

    def __post_init__(self) -> None:
        amount = self.amount
        if type(amount) is not Decimal:
            amount = _decimal(amount)
            msgspec.structs.force_setattr(self, "amount", amount)
        if not amount.is_finite():
            raise ConfigurationError("amount is not a finite number: give one such as Money('25.00', 'USD')")

    def __str__(self) -> str:
        rounded = _rounded(self.amount, minor_digits(self.currency_code))
        return f"{rounded if rounded == self.amount else self.amount} {self.currency_code}"


def payable(field: str, value: object) -> Money:
    """
    Return *value* in the form the wire wants: all minor digits, no exponent.

    Raises:
        ConfigurationError:
            not a Money, zero, negative, finer than the currency's smallest unit, or not in a currency
            that looks like ISO 4217; the message names *field*.
    """
    if not isinstance(value, Money):
        raise ConfigurationError(
            f"{field}: expected Money, such as Money('25.00', 'USD'), got {type(value).__name__}"
        )
    code: object = value.currency_code
    if not (
        isinstance(code, str) and len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()
    ):
        raise ConfigurationError(
            f"{field}: currency {_short(repr(code))} is not an ISO 4217 code such as 'USD'"
        )
    if not 0 < value.amount < _CEILING:
        raise ConfigurationError(
            f"{field}: amount {_short(value.amount)} must be greater than 0 and below 10^12"
        )
    digits = minor_digits(code)
    exact = _rounded(value.amount, digits)
    if exact != value.amount:
        unit = f"at most {digits} decimals" if digits else "no decimals"
        raise ConfigurationError(f"{field}: amount {_short(value.amount)} is too fine: {code} has {unit}")
    is_exact = type(value) is Money and exact.same_quantum(value.amount)
    return value if is_exact else Money(exact, code)


def _rounded(amount: Decimal, digits: int) -> Decimal:
    if not -_CEILING < amount < _CEILING:
        return amount
    return amount.quantize(_UNITS[digits], context=_CONTEXT)


def _short(value: object) -> str:
    """Return what a message shows of a value that somebody may have got very wrong."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _decimal(amount: object) -> Decimal:
    if isinstance(amount, bool | float) or not isinstance(amount, int | str | Decimal):
        raise ConfigurationError(
            f"amount is a {type(amount).__name__}: give str, int or Decimal, such as Money('25.00', 'USD')"
        )
    if isinstance(amount, str) and not _PLAIN.fullmatch(amount):
        raise ConfigurationError("amount is not a plain number: give one such as Money('25.00', 'USD')")
    return Decimal(amount)
