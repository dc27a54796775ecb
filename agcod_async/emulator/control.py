"""The control API: another ASGI application, on another port, behind a token."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec

from .app import BodyTooLarge, ClientGone, Receive, Scope, Send, read_body, send_answer
from .faults import Fault, FaultKind
from .state import Key, KeyStatus, Partner
from .values import Answer

if TYPE_CHECKING:
    from .gateway import Emulator

PREFIX = "/_control"
_LARGEST_BODY = 256 * 1024 * 1024
_LARGEST_ORDER = 65_536


class FaultOrder(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /faults: the fields of :class:`Fault`."""

    kind: FaultKind
    operation: str | None = None
    request_id: str = "*"
    nth: int | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 0.0
    status: int = 503


class ClockOrder(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /clock."""

    mode: Literal["real", "frozen", "shifted"]
    at: datetime | None = None
    """When frozen: the moment; now by default."""
    seconds: float = 0.0
    """When shifted: by how much more."""


class KeyOrder(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A key of a partner."""

    secret: str
    status: KeyStatus = "active"

    def __repr__(self) -> str:
        return f"KeyOrder(status={self.status!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # A Struct's own shows every field.
        return [("status", self.status)]


class PartnerOrder(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /partners: opens an account, or changes what is given."""

    partner_id: str
    keys: dict[str, KeyOrder] = {}
    """By access key id; keys that are not named stay as they are."""
    funds: Decimal | msgspec.UnsetType | None = msgspec.UNSET
    """null: never at an end."""
    currency: str | None = None


class KeyStatusOrder(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /keys: what the Portal's page of keys can do to one."""

    access_key_id: str
    status: KeyStatus


class CardOrder(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /claim."""

    creation_request_id: str


class ControlApp:
    """
    Steers a running emulator. Every request needs `Authorization: Bearer <token>`.

    Raises:
        ValueError: No token, or one that can be guessed.
    """

    def __init__(self, emulator: "Emulator", token: str | None) -> None:
        if token is None or len(token) < 16:
            raise ValueError("the control API needs a token of at least 16 characters")
        self._emulator = emulator
        self._token = token
        self._routes: Mapping[tuple[str, str], Callable[[bytes], object]] = {
            ("GET", "/state"): self._show_state,
            ("GET", "/snapshot"): self._show_snapshot,
            ("PUT", "/snapshot"): self._restore,
            ("GET", "/faults"): self._show_faults,
            ("POST", "/faults"): self._arm,
            ("DELETE", "/faults"): self._disarm,
            ("POST", "/clock"): self._set_clock,
            ("POST", "/partners"): self._set_partner,
            ("POST", "/keys"): self._set_key_status,
            ("POST", "/claim"): self._claim,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one order."""
        if not self._is_trusted(scope):
            await send_answer(send, _answer(401, {"error": "a bearer token is needed"}))
            return
        limit = _LARGEST_BODY if scope["path"] == f"{PREFIX}/snapshot" else _LARGEST_ORDER
        try:
            body = await read_body(scope, receive, limit)
        except ClientGone:
            return
        except BodyTooLarge:
            await send_answer(send, _answer(413, {"error": "the body is too large"}))
            return
        await send_answer(send, self._perform(scope["method"], scope["path"], body))

    def _is_trusted(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, b"Bearer " + self._token.encode())

    def _perform(self, method: str, path: str, body: bytes) -> Answer:
        path = path.removeprefix(PREFIX)
        if method == "DELETE" and path.startswith("/faults/"):
            path, body = "/faults", path.removeprefix("/faults/").encode()
        route = self._routes.get((method, path))
        if route is None:
            return _answer(404, {"error": f"nothing is at {method} {PREFIX}{path}"})
        try:
            return _answer(200, route(body))
        except KeyError as missing:
            return _answer(404, {"error": f"unknown: {missing}"})
        except (ValueError, OverflowError) as wrong:
            return _answer(400, {"error": str(wrong)})

    def _show_state(self, _: bytes) -> object:
        emulator, state = self._emulator, self._emulator.state
        return {
            "now": emulator.clock(),
            "is_frozen": emulator.clock.is_frozen,
            "funds": state.funds,
            "spent": {name: state.spent(name) for name in state.partners},
            "cards": len(state.cards),
            "activations": len(state.activations),
            "loads": len(state.loads),
            "activity": len(state.activity),
            "late": len(state.late),
        }

    def _show_snapshot(self, _: bytes) -> object:
        return msgspec.Raw(self._emulator.state.snapshot())

    def _restore(self, body: bytes) -> object:
        self._emulator.state.restore(body)
        return self._show_state(b"")

    def _show_faults(self, _: bytes) -> object:
        faults = self._emulator.faults
        return {"armed": faults.armed, "fired": list(faults.fired)}

    def _arm(self, body: bytes) -> object:
        return {"number": self._emulator.faults.arm(fault_of(body))}

    def _disarm(self, number: bytes) -> object:
        if number:
            self._emulator.faults.disarm(int(number))
        else:
            self._emulator.faults.clear()
        return self._show_faults(b"")

    def _set_clock(self, body: bytes) -> object:
        order, clock = msgspec.json.decode(body, type=ClockOrder), self._emulator.clock
        if order.mode == "frozen":
            clock.freeze(order.at)
        elif order.mode == "shifted":
            clock.shift(timedelta(seconds=order.seconds))
        else:
            clock.reset()
        return {"now": clock()}

    def _set_partner(self, body: bytes) -> object:
        order, state = msgspec.json.decode(body, type=PartnerOrder), self._emulator.state
        known = state.partners.get(order.partner_id) or Partner(order.partner_id)
        keys = {**known.keys, **{name: Key(key.secret, key.status) for name, key in order.keys.items()}}
        state.add_partner(replace(known, keys=keys, currency=order.currency or known.currency))
        state.serial += 1
        if order.funds is not msgspec.UNSET:
            state.funds[order.partner_id] = order.funds
        return {"partner_id": order.partner_id, "funds": state.funds[order.partner_id]}

    def _set_key_status(self, body: bytes) -> object:
        order = msgspec.json.decode(body, type=KeyStatusOrder)
        self._emulator.set_key_status(order.access_key_id, order.status)
        return {"access_key_id": order.access_key_id, "status": order.status}

    def _claim(self, body: bytes) -> object:
        order = msgspec.json.decode(body, type=CardOrder)
        self._emulator.claim(order.creation_request_id)
        return {"creation_request_id": order.creation_request_id}


def fault_of(body: bytes) -> Fault:
    """The rule that a JSON object describes by the fields of :class:`Fault`."""
    return Fault(**msgspec.structs.asdict(msgspec.json.decode(body, type=FaultOrder)))


def _answer(status: int, value: object) -> Answer:
    return Answer(
        status=status, headers={"content-type": "application/json"}, body=msgspec.json.encode(value)
    )
