"""Reading the fields of a request, typed as JSON types them or as text from XML."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import cast

from .refusals import wrong_type

# Far above any amount there is, far below what arithmetic on huge exponents would cost.
_LARGEST_EXPONENT = 15
_SMALLEST_EXPONENT = -15


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an object of the request. What is absent, null or empty reads as ''."""

    values: Mapping[str, object]
    is_typed: bool
    """JSON has types to be right or wrong; in XML everything is text."""

    def text(self, name: str) -> str:
        """A text."""
        value = self.values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise wrong_type()
        return value

    def group(self, name: str) -> "Fields":
        """A nested object."""
        value = self.values.get(name)
        if value is None or (value == "" and not self.is_typed):
            value = {}
        if not isinstance(value, Mapping):
            raise wrong_type()
        return Fields(cast("Mapping[str, object]", value), self.is_typed)

    def number(self, name: str, *, may_be_quoted: bool = False) -> Decimal | None:
        """A number, or None if it is absent. A null is a wrong type, as recorded."""
        if name not in self.values:
            return None
        value = self.values[name]
        if isinstance(value, str) and (may_be_quoted or not self.is_typed):
            value = _decimal(value)
        if not isinstance(value, Decimal) or not value.is_finite():
            raise wrong_type()
        exponent = value.as_tuple().exponent
        if value.adjusted() > _LARGEST_EXPONENT or cast("int", exponent) < _SMALLEST_EXPONENT:
            raise wrong_type()
        return value

    def integer(self, name: str, default: int) -> int:
        """A whole number."""
        value = self.number(name)
        if value is None:
            return default
        if value != value.to_integral_value():
            raise wrong_type()
        return int(value)

    def flag(self, name: str) -> bool:
        """A boolean; absent means false."""
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        if self.is_typed or value not in {"true", "false"}:
            raise wrong_type()
        return value == "true"


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        return None
