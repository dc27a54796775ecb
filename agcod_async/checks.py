"""Bad input, caught before anything is sent: each message names the field and the fix."""

from __future__ import annotations

import re
from functools import cache, partial
from typing import TYPE_CHECKING

from msgspec.structs import fields

from .errors import ConfigurationError
from .model import Account, TransactionSource
from .secret import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

MAX_ID = 40
"""Characters of a request id (Incentives API, digital gift cards)."""

MAX_REFERENCE = 255
"""Characters of a caller's own reference, which only ever reaches the service as a hash."""

MAX_PAGE = 1000
"""Records on a page of activity."""

# What XML and PostgreSQL cannot carry, and what has no place in an id or a reference.
UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_MOCK_ID = re.compile(r"F[0-9]{4}")


def is_mock_id(request_id: str | None) -> bool:
    """Whether the sandbox takes *request_id* as an order for a planned answer, such as ``F2003``."""
    return request_id is not None and _MOCK_ID.fullmatch(request_id) is not None


def check_partner_id(partner_id: object) -> None:
    """Refuse a partner id that cannot begin a request id."""
    if not (isinstance(partner_id, str) and partner_id.isascii() and partner_id.isalnum()):
        raise ConfigurationError(
            "partner_id: the letters and digits that the service gave you, such as 'Acme1'"
        )


def check_endpoint(identity: object) -> None:
    """Refuse what cannot name an endpoint."""
    _text("endpoint", identity, MAX_REFERENCE)


def check_prefix(field: str, request_id: str, partner_id: str, *, mock_ids: bool) -> None:
    """Refuse an id that does not begin with the partner id, mock ids excepted where they mean something."""
    if request_id.startswith(partner_id):
        return
    shown = redact(request_id)
    if not is_mock_id(request_id):
        raise ConfigurationError(f"{field}: {shown!r} must begin with the partner id {partner_id!r}")
    if not mock_ids:
        raise ConfigurationError(f"{field}: {shown!r} is a mock id, which only the sandbox knows")


def check_reference(reference: object) -> None:
    """Refuse a reference that no ledger can hold."""
    _text("reference", reference, MAX_REFERENCE)


def check_shape(shape: Struct) -> None:
    """Refuse a request that the service could only refuse."""
    for field, check, is_optional in _checks_of(type(shape)):
        value = getattr(shape, field)
        if value is not None or not is_optional:
            check(field, value)


@cache
def _checks_of(shape: type[Struct]) -> tuple[tuple[str, Callable[[str, object], None], bool], ...]:
    return tuple(
        (field.name, _CHECKS[field.name], field.default is None)
        for field in fields(shape)
        if field.name in _CHECKS
    )


def _text(field: str, value: object, longest: int) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{field}: text is needed, got {value!r}")
    if len(value) > longest:
        raise ConfigurationError(f"{field}: {len(value)} characters, and at most {longest} are allowed")
    if UNWRITABLE.search(value):
        raise ConfigurationError(f"{field}: control characters and line ends are not allowed")


def _integer(field: str, value: object, lowest: int, highest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ConfigurationError(
            f"{field}: a whole number from {lowest} to {highest} is needed, got {value!r}"
        )


def _flag(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{field}: True or False is needed, got {value!r}")


def _nested(field: str, value: object, kind: type[Struct]) -> None:
    if not isinstance(value, kind):
        raise ConfigurationError(f"{field}: expected {kind.__name__}, got {type(value).__name__}")
    check_shape(value)


_CHECKS: dict[str, Callable[[str, object], None]] = {
    "reference": partial(_text, longest=MAX_REFERENCE),
    "creation_request_id": partial(_text, longest=MAX_ID),
    "activation_request_id": partial(_text, longest=MAX_ID),
    "load_balance_request_id": partial(_text, longest=MAX_ID),
    "status_check_request_id": partial(_text, longest=MAX_ID),
    "request_id": partial(_text, longest=MAX_ID),
    "card_number": partial(_text, longest=40),
    "gc_id": partial(_text, longest=100),
    "program_id": partial(_text, longest=100),
    "product_type": partial(_text, longest=50),
    "external_reference": partial(_text, longest=100),
    "page_index": partial(_integer, lowest=0, highest=2**31 - 1),
    "page_size": partial(_integer, lowest=1, highest=MAX_PAGE),
    "show_no_ops": _flag,
    "account": partial(_nested, kind=Account),
    "id": partial(_text, longest=200),
    "type": partial(_text, longest=20),
    "transaction_source": partial(_nested, kind=TransactionSource),
    "source_id": partial(_text, longest=40),
    "institution_id": partial(_text, longest=40),
    "source_details": partial(_text, longest=200),
}
