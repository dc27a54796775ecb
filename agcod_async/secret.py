"""Values that must not be printed, and text cleaned of them."""

from __future__ import annotations

import hmac
import re
from typing import NoReturn, Self, final

_CLAIM_CODE = r"[A-Z0-9]{4}-[A-Z0-9]{6}-[A-Z0-9]{4,5}"
_SENSITIVE = re.compile(
    rf"{_CLAIM_CODE}|(?:Credential|Signature|Authorization)\s*[=:]\s*[^\s,]+",
    re.IGNORECASE,
)
_LONGEST_CODE = 17
_MAX_TEXT = 300


class Secret:
    """
    A string that shows itself only through :meth:`reveal`.

    It has no useful ``str``, ``repr`` or format, and refuses pickling and serialisation.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if type(value) is not str:
            raise TypeError(f"a {type(self).__name__} is a str")
        self._value = value

    def reveal(self) -> str:
        """Return the value itself. Whoever calls this is responsible for where it goes."""
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}('****')"

    def __str__(self) -> str:
        return "****"

    def __format__(self, spec: str) -> str:
        return format("****", spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__getstate__()

    def __getstate__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} refuses pickling: keep the request id, and ask again")


@final
class ClaimCode(Secret):
    """
    The claim code of a gift card: money for whoever reads it.

    Do not store it. Repeating the create with the same id, amount and currency returns it again
    (Incentives API, digital gift cards: "idempotency").
    """

    __slots__ = ()


def looks_like_claim_code(text: str) -> bool:
    """Whether *text* has the form of a claim code."""
    return re.fullmatch(_CLAIM_CODE, text, re.IGNORECASE) is not None


def mask(text: str) -> str:
    """Return *text* with whatever looks like a secret masked."""
    return _SENSITIVE.sub("****", text)


def redact(text: str) -> str:
    """Return the first line of *text*, bounded, with whatever looks like a secret masked."""
    return masked(text.strip().partition("\n")[0], _MAX_TEXT, lines=False)


def masked(text: str, limit: int, *, lines: bool = True) -> str:
    """
    Return *text* with whatever looks like a secret masked, free of control characters, of *limit* characters
    at most; with *lines*, line breaks stay.
    """
    clean = text[: 4 * limit]
    if not clean.isprintable():
        # First of all: what stands between the parts of a secret may hide it.
        clean = "".join(char if char.isprintable() or (lines and char == "\n") else " " for char in clean)
    clean = mask(clean)
    if len(text) > 4 * limit:
        # The end may be half a code, which looks like nothing.
        clean = clean[:-_LONGEST_CODE]
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
