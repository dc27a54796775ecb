"""The Scratchpad: compose a call, see every step of its signature, and what the gateway says to it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from agcod_async import codecs
from agcod_async.credentials import Credentials
from agcod_async.endpoints import Endpoint
from agcod_async.errors import ConfigurationError
from agcod_async.masking import masked_body
from agcod_async.model import OPERATIONS, Account, BalanceAmount
from agcod_async.money import Money
from agcod_async.protocol import Protocol
from agcod_async.signer import SigV4Signer, explain

from ..delivery import Delivery
from ..state import Partner, as_key
from ..values import Request
from .values import Form, Page, Unusable

if TYPE_CHECKING:
    from agcod_async.wire import HTTPRequest

    from ..gateway import Emulator

_FORMATS: dict[str, codecs.Codec] = {"json": codecs.JSON, "xml": codecs.XML}
_SIGNED_HEADERS = {
    "as a session signs": ("accept", "content-type", "host", "x-amz-target"),
    # The service's own Scratchpad leaves content-type out.
    "as the service's Scratchpad signs": ("accept", "host", "x-amz-target"),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, as far as it did."""

    status: int | None
    headers: dict[str, str]
    body: str
    note: str | None = None


class Scratchpad:
    """Signs for one gateway, with the keys of its accounts; their secrets stay where they are."""

    def __init__(self, emulator: "Emulator", gateway_url: str) -> None:
        self._emulator = emulator
        self._gateway_url = gateway_url

    async def compose(self, form: Form) -> Page:
        """Show the form, filled in so that the call can succeed."""
        return self._page(form, self._sample(form), {})

    async def sign(self, form: Form) -> Page:
        """Show every step of the signature; and the answer, where the call was sent."""
        try:
            signed = self._signed(form)
            result: dict[str, object] = {"steps": explain(signed)}
        except ConfigurationError as wrong:
            raise Unusable(str(wrong)) from None
        if form.text("do") == "send":
            result["reply"] = await self._send(signed, reveal=form.text("reveal") == "yes")
        return self._page(form, form.area("payload"), result)

    def _page(self, form: Form, payload: str, result: dict[str, object]) -> Page:
        partner = self._partner(form)
        values = {
            "partner": partner,
            "partners": list(self._emulator.state.partners),
            "operations": list(OPERATIONS),
            "operation": form.choice("operation", OPERATIONS),
            "formats": list(_FORMATS),
            "format": form.choice("format", _FORMATS),
            "keys": {name: as_key(key).status for name, key in partner.keys.items()},
            "access_key_id": form.text("access_key_id"),
            "header_sets": list(_SIGNED_HEADERS),
            "signed_headers": form.choice("signed_headers", _SIGNED_HEADERS),
            "at": form.text("at"),
            "reveal": form.text("reveal") == "yes",
            "payload": payload,
            "gateway_url": self._gateway_url,
            "steps": None,
            "reply": None,
            **result,
        }
        return Page(template="scratchpad.html", values=values)

    def _partner(self, form: Form) -> Partner:
        partners = self._emulator.state.partners
        return partners[form.choice("partner", partners)]

    def _sample(self, form: Form) -> str:
        """Return a payload that can succeed."""
        partner, now = self._partner(form), self._emulator.clock()
        operation = OPERATIONS[form.choice("operation", OPERATIONS)]
        codec = _FORMATS[form.choice("format", _FORMATS)]
        request_id = f"{partner.partner_id}scratchpad1"
        known = {
            "partner_id": partner.partner_id,
            "creation_request_id": request_id,
            "activation_request_id": request_id,
            "status_check_request_id": request_id,
            "load_balance_request_id": request_id,
            "request_id": request_id,
            "value": Money(25, partner.currency),
            "amount": BalanceAmount(currency_code=partner.currency, value="25"),
            "account": Account(id="customer@example.com", type="2"),
            "card_number": "6000000000000000001",
            "utc_start_date": _wire_date(now - timedelta(days=1)),
            "utc_end_date": _wire_date(now + timedelta(days=1)),
        }
        fields = operation.request.__struct_fields__
        shape = operation.request(**{name: known[name] for name in fields if name in known})
        body = codec.encode(operation.name, shape)
        return (msgspec.json.format(body, indent=2) if codec is codecs.JSON else body).decode()

    def _signed(self, form: Form) -> "HTTPRequest":
        partner = self._partner(form)
        if not partner.keys:
            raise Unusable("access_key_id: this account has no key; the Portal makes one")
        access_key_id = form.choice("access_key_id", partner.keys)
        region = self._emulator.state.region
        endpoint = Endpoint.custom(self._gateway_url, region=region)
        codec = _FORMATS[form.choice("format", _FORMATS)]
        request = Protocol(endpoint, codec, partner.partner_id, "agcod-scratchpad").carrying(
            OPERATIONS[form.choice("operation", OPERATIONS)], form.area("payload").encode()
        )
        names = _SIGNED_HEADERS[form.choice("signed_headers", _SIGNED_HEADERS)]
        at = form.moment("at") or self._emulator.clock()
        pair = Credentials(access_key_id, as_key(partner.keys[access_key_id]).secret)
        return SigV4Signer(region, signed_headers=names).sign(request, pair, at=at)

    async def _send(self, signed: "HTTPRequest", *, reveal: bool) -> Reply:
        """Let the gateway answer, its armed faults included."""
        request = Request(method=signed.method, path=signed.path, headers=signed.headers, body=signed.body)
        delivery = self._emulator.deliver(request)
        await asyncio.sleep(delivery.delay)
        return _reply(delivery, reveal=reveal)


def _reply(delivery: Delivery, *, reveal: bool) -> Reply:
    answer = delivery.answer
    if answer is None:
        text = "The connection was cut. Whether the call was executed is unknown: send the same one again."
        return Reply(None, {}, "", text)
    body, note = answer.body, None
    if delivery.cut_after is not None:
        body, note = body[: delivery.cut_after], "The connection was cut in the middle of the body."
    shown = body.decode(errors="replace") if reveal else masked_body(body)
    return Reply(answer.status, dict(answer.headers), shown, note)


def _wire_date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"
