"""The Scratchpad: compose a call, see every step of its signature, and what the gateway says to it."""

import asyncio
from dataclasses import dataclass, field
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
_ACTIONS = {"compose": None, "sign": None, "send": None}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, as far as it did."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: str = field(default="", repr=False)
    note: str | None = None


class Scratchpad:
    """Signs for one gateway, with the keys of its accounts; their secrets stay where they are."""

    def __init__(self, emulator: "Emulator", gateway_url: str) -> None:
        self._emulator = emulator
        self._gateway_url = gateway_url

    async def show(self, form: Form) -> Page:
        """Show a call that can succeed."""
        return self._page(form, self._sample(form), {"at": "", "reveal": False})

    async def act(self, form: Form) -> Page:
        """Compose another call; or show every step of a signature, and the answer, where it was sent."""
        action = form.choice("do", _ACTIONS)
        shown: dict[str, object] = {"at": form.text("at"), "reveal": form.is_ticked("reveal")}
        if action == "compose":
            return self._page(form, self._sample(form), shown)
        try:
            signed = self._signed(form)
        except ConfigurationError as wrong:
            raise Unusable(str(wrong)) from None
        shown |= {
            "steps": explain(signed),
            "access_key_id": form.text("access_key_id"),
            "signed_headers": form.choice("signed_headers", _SIGNED_HEADERS),
        }
        if action == "send":
            shown["reply"] = await self._send(signed, reveal=form.is_ticked("reveal"))
        return self._page(form, form.area("payload"), shown)

    def _page(self, form: Form, payload: str, shown: dict[str, object]) -> Page:
        partner = self._partner(form)
        # What was deleted is for ever, and signs nothing; what is inactive shows how it is refused.
        keys = {name: status for name, status in partner.key_statuses.items() if status != "deleted"}
        values = {
            "partner": partner,
            "partners": list(self._emulator.state.partners),
            "operations": list(OPERATIONS),
            "operation": form.choice("operation", OPERATIONS),
            "formats": list(_FORMATS),
            "format": form.choice("format", _FORMATS),
            "keys": keys,
            "access_key_id": next((name for name, status in keys.items() if status == "active"), None),
            "header_sets": list(_SIGNED_HEADERS),
            "signed_headers": next(iter(_SIGNED_HEADERS)),
            "payload": payload,
            "gateway_url": self._gateway_url,
            "steps": None,
            "reply": None,
            **shown,
        }
        return Page(template="scratchpad.html", values=values)

    def _partner(self, form: Form) -> Partner:
        return form.pick("partner", self._emulator.state.partners)

    def _sample(self, form: Form) -> str:
        """Return a payload that can succeed."""
        partner, now = self._partner(form), self._emulator.clock()
        operation, codec = form.pick("operation", OPERATIONS), form.pick("format", _FORMATS)
        limit = self._emulator.state.settings.request_id_limit
        request_id = f"{partner.partner_id}scratchpad1"[:limit]
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
        if partner.needs_program_id:
            known["program_id"] = min(partner.programs or {"program1"})
        fields = operation.request.__struct_fields__
        shape = operation.request(**{name: known[name] for name in fields if name in known})
        body = codec.encode(operation.name, shape)
        return (msgspec.json.format(body, indent=2) if codec is codecs.JSON else body).decode()

    def _signed(self, form: Form) -> "HTTPRequest":
        partner, region = self._partner(form), self._emulator.state.region
        payload = form.area("payload").encode()
        if len(payload) > self._emulator.max_body:
            raise Unusable(f"payload: the gateway reads {self._emulator.max_body} bytes at most")
        if not partner.keys:
            raise Unusable("access_key_id: this account has no key; the Portal makes one")
        access_key_id = form.choice("access_key_id", partner.keys)
        pair = Credentials(access_key_id, as_key(partner.keys[access_key_id]).secret)
        endpoint = Endpoint.custom(self._gateway_url, region=region)
        protocol = Protocol(endpoint, form.pick("format", _FORMATS), partner.partner_id, "agcod-scratchpad")
        request = protocol.carrying(form.pick("operation", OPERATIONS), payload)
        signer = SigV4Signer(region, signed_headers=form.pick("signed_headers", _SIGNED_HEADERS))
        return signer.sign(request, pair, at=form.moment("at") or self._emulator.clock())

    async def _send(self, signed: "HTTPRequest", *, reveal: bool) -> Reply:
        """Let the gateway answer, its armed faults included, except for those that strike connections."""
        request = Request(method=signed.method, path=signed.path, headers=signed.headers, body=signed.body)
        delivery = self._emulator.deliver(request)
        await asyncio.sleep(delivery.delay)
        return _reply(delivery, reveal=reveal)


def _reply(delivery: Delivery, *, reveal: bool) -> Reply:
    answer = delivery.answer
    if answer is None:
        text = "The connection was cut. Whether the call was executed is unknown: send the same one again."
        return Reply(note=text)
    body, note = answer.body, None
    if delivery.cut_after is not None:
        body, note = body[: delivery.cut_after], "The connection was cut in the middle of the body."
    elif delivery.drip is not None:
        note = f"A client would have got the body byte by byte, {delivery.drip:g} s apart."
    shown = body.decode(errors="replace") if reveal else masked_body(body)
    return Reply(answer.status, dict(answer.headers), shown, note)


def _wire_date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"
