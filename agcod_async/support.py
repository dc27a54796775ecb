"""What the service's support asks for, with nothing in it that is worth money."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from ._version import __version__
from .masking import MASK, masked_body, masked_headers
from .secret import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .signing import SigningSteps
    from .wire import HTTPResponse

MAX_REPORT = 60_000
"""Characters of a report, as text or as JSON."""

_MAX_FACTS = 40
_MAX_FACT = 300
_MAX_STEP = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """
    The last exchange of a call that failed, masked when it was kept.

    No claim code, secret key or Authorization header was ever in it. The signature does not survive
    pickling: it stays with the process that made it.
    """

    partner_id: str
    endpoint: str
    """The endpoint's name, for example ``na-sandbox``."""

    url: str
    method: str
    request_headers: Mapping[str, str]
    request_body: str
    signed_at: str
    """In UTC, as it was signed, for example ``20240131T120000Z``."""

    access_key_id: str
    """The first and the last four characters."""

    payload_hash: str
    canonical_request: str
    credential_scope: str
    signed_headers: str
    string_to_sign: str
    signature: str | None = field(default=None, compare=False)
    http_status: int | None = None
    """None where no answer came."""

    response_headers: Mapping[str, str] | None = None
    response_body: str | None = None

    @classmethod
    def of(
        cls, steps: SigningSteps, response: HTTPResponse | None, *, partner_id: str, endpoint: str
    ) -> Exchange:
        """Mask what was sent and what came back."""
        signature, request = steps.signature.reveal(), steps.request

        def without(text: str) -> str:
            # A gateway may quote what it was sent.
            return text.replace(signature, MASK)

        exchange = cls(
            partner_id=masked(partner_id, 100, lines=False),
            endpoint=endpoint,
            url=masked(request.origin + request.path, _MAX_FACT, lines=False),
            method=request.method,
            request_headers=masked_headers(request.headers),
            request_body=without(masked_body(request.body)),
            signed_at=steps.string_to_sign.split("\n")[1],
            access_key_id=_abridged(steps.access_key_id),
            payload_hash=steps.payload_hash,
            canonical_request=masked(steps.canonical_request, _MAX_STEP),
            credential_scope=steps.credential_scope,
            signed_headers=steps.signed_headers,
            string_to_sign=steps.string_to_sign,
            signature=signature,
        )
        if response is None:
            return exchange
        headers = masked_headers(response.headers)
        return replace(
            exchange,
            http_status=response.status,
            response_headers={name: without(value) for name, value in headers.items()},
            response_body=without(masked_body(response.body)),
        )

    def __repr__(self) -> str:
        return f"<Exchange {self.method} {self.url}, HTTP {self.http_status}>"

    def __reduce__(self) -> tuple[object, ...]:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return _restored, (values | {"signature": None},)


class Evidence:
    """
    What was last sent and answered in a call that failed: masked when somebody looks, or takes it along.

    Most errors are dealt with and forgotten, and masking costs more than making them.
    """

    __slots__ = ("_exchange", "_make")

    def __init__(self, make: Callable[[], Exchange | None]) -> None:
        self._make: Callable[[], Exchange | None] | None = make
        self._exchange: Exchange | None = None

    @property
    def exchange(self) -> Exchange | None:
        """The masked record, or None where an answer was so odd that none could be made."""
        if self._make is not None:
            try:
                self._exchange = self._make()
            except Exception:  # noqa: BLE001  (an answer of any kind may have come; the error is what counts)
                self._exchange = None
            self._make = None
        return self._exchange

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evidence) and self.exchange == other.exchange

    __hash__ = None  # type: ignore[assignment]  # it is compared by what it holds

    def __repr__(self) -> str:
        return "<Evidence>"

    def __reduce__(self) -> tuple[object, ...]:
        return _kept, (self.exchange,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportReport:
    """
    All that the service's support asks about a call or a reward, ready to be sent: see :meth:`text`.

    Claim codes, secret keys and Authorization headers are masked. The signature is in it, because support
    compares it; it opens nothing after 15 minutes.
    """

    summary: str
    """What happened, in one line."""

    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    """
    What else is known, by label: ids, amounts, outcomes, times. None is left out, times are written in UTC,
    and each text is masked and cut to 300 characters.
    """

    exchange: Exchange | None = None
    """The last exchange, where something was sent by this process."""

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain values."""
        known = {_label(name): _fact(value) for name, value in self.facts.items() if value is not None}
        report: dict[str, object] = {
            "summary": masked(self.summary, 1000, lines=False),
            **_software(),
            "facts": dict(list(known.items())[:_MAX_FACTS]),
        }
        if self.exchange is None:
            return report
        exchange = {each.name: getattr(self.exchange, each.name) for each in fields(self.exchange)}
        return report | {"exchange": {name: value for name, value in exchange.items() if value is not None}}

    def json(self) -> str:
        """Return the report as a JSON document."""
        return msgspec.json.format(msgspec.json.encode(self.as_dict()), indent=2).decode()

    def text(self) -> str:
        """Return the report as text for a mail."""
        return "\n".join(self._lines()) + "\n"

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<SupportReport {masked(self.summary, 100, lines=False)!r}>"

    def _lines(self) -> Iterator[str]:
        report = self.as_dict()
        facts, exchange = report.pop("facts"), report.pop("exchange", None)
        yield from _titled("Support report", report)
        yield from _titled("Facts", facts)
        if isinstance(exchange, dict):
            answer = {name: exchange.pop(name, None) for name in _ANSWER}
            yield from _titled("Request and signature", exchange)
            yield from _titled("Response", answer if self._has_answer() else {"response": "none came"})

    def _has_answer(self) -> bool:
        return self.exchange is not None and self.exchange.http_status is not None


_ANSWER = ("http_status", "response_headers", "response_body")


def _restored(values: dict[str, object]) -> Exchange:
    return Exchange(**values)  # type: ignore[arg-type]  # they are its own


def _kept(exchange: Exchange | None) -> Evidence:
    return Evidence(lambda: exchange)


def _titled(title: str, content: object) -> Iterator[str]:
    assert isinstance(content, dict)
    yield from ("", title, "-" * len(title))
    for name, value in content.items():
        label = str(name).replace("_", " ")
        if isinstance(value, Mapping):
            yield from (f"{label}:", *(f"    {key}: {each}" for key, each in value.items()))
        elif "\n" in str(value):
            yield from (f"{label}:", *(f"    {line}" for line in str(value).split("\n")))
        else:
            yield f"{label}: {value}"


def _abridged(key_id: str) -> str:
    return f"{key_id[:4]}…{key_id[-4:]}" if len(key_id) > 8 else MASK


def _label(name: str) -> str:
    return masked(name, 60, lines=False)


def _fact(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return masked(str(value), _MAX_FACT, lines=False)


@cache
def _software() -> dict[str, object]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"library": f"agcod-async {__version__}", "language": f"{python} on {platform.system()}"}
