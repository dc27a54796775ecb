"""What goes into the emulated gateway and what comes out: plain frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

OPERATION_NAMES = (
    "ActivateGiftCard",
    "ActivationStatusCheck",
    "CancelGiftCard",
    "CreateGiftCard",
    "DeactivateGiftCard",
    "GetAvailableFunds",
    "GetGiftCardActivityPage",
    "LoadAmazonBalance",
    "ValidateAccountForAmazonBalanceLoad",
    "VoidAmazonBalanceLoad",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request as it arrived."""

    method: str
    path: str
    """As sent, percent-encoding included."""
    query: str = ""
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case; repeated headers are joined by commas."""
    body: bytes = field(repr=False)

    @property
    def operation(self) -> str | None:
        """The operation that the path names, or None."""
        name = self.path[1:]
        return name if name in OPERATION_NAMES else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP response, before anything on its way goes wrong."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
