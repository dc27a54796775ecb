"""The emulator as its users hold it: a state, a clock, faults, and the ways in."""

import tempfile
from bisect import insort
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from . import core
from .app import GatewayApp
from .clock import Clock, utc_now
from .delivery import Delivery, page, spoiled
from .faults import Fault, FaultKind, FaultPlan
from .refusals import refusal
from .settings import Settings
from .state import KeyStatus, Late, Partner, State, as_key
from .throttle import Throttle
from .values import Answer, Request

if TYPE_CHECKING:
    from .transport import HTTPX2Transport, HTTPXClient, HTTPXTransport

DEFAULT_PARTNER = Partner("Acme1", keys={"AKIDEXAMPLE": "example-secret-key/DO+NOT+USE"})
_DOCUMENTED_THROTTLE = Throttle()


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A gateway that listens, and what a client needs to find and trust it."""

    url: str
    port: int
    ca_file: str | None
    environment: Mapping[str, str] = field(repr=False)
    control_url: str | None = None
    pages_url: str | None = None


class Emulator:
    """
    The AGCOD gateway emulated: a model of the public facts, not Amazon.

    Args:
        partners: The accounts; one named Acme1 with 10,000 USD by default.

        clock:
            Gives the aware UTC time; the real one by default. :attr:`clock` can freeze and shift it. While
            it stands still the throttle sees one and the same second, and is better None.

        seed: Decides every id, claim code and chance.

        throttle: The rates and how they are counted; None admits everything.

        settings: The switches for what the public facts leave open.

        body_timeout: Seconds that a client may take to send its request.
    """

    def __init__(
        self,
        partners: Sequence[Partner] = (DEFAULT_PARTNER,),
        *,
        clock: Callable[[], datetime] = utc_now,
        seed: int = 0,
        region: str = "us-east-1",
        throttle: Throttle | None = _DOCUMENTED_THROTTLE,
        settings: Settings | None = None,
        body_timeout: float = 10.0,
    ) -> None:
        if not partners:
            raise ValueError("an emulator needs a partner")
        self.clock = clock if isinstance(clock, Clock) else Clock(clock)
        self.faults = FaultPlan(seed)
        self.body_timeout = body_timeout
        self.app = GatewayApp(self)
        self._state = State(seed=seed, region=region, settings=settings or Settings(), throttle=throttle)
        self._first = partners[0].partner_id
        for partner in partners:
            self._state.add_partner(partner)

    @property
    def state(self) -> State:
        """The state as it is now: what was to arrive late by now has arrived."""
        self._settle(self.clock())
        return self._state

    @property
    def partner(self) -> Partner:
        """The first partner, with its funds as they are now."""
        state = self.state
        return replace(state.partners[self._first], funds=state.funds[self._first])

    @property
    def max_body(self) -> int:
        """Bytes of a request body that are read."""
        return self._state.settings.max_body

    def handle(self, request: Request) -> Answer:
        """Answer one request at the present time, no faults included."""
        now = self.clock()
        self._settle(now)
        return _dated(core.answer(self._state, now, request), now)

    def deliver(self, request: Request) -> Delivery:
        """Answer one request as the armed faults will have it."""
        fault = self.faults.strike_request(request.operation, lambda: core.request_id(self._state, request))
        if fault is None:
            return Delivery(answer=self.handle(request))
        now = self.clock()
        self._settle(now)
        delivery = self._undone(fault, request, now) or self._done(fault, request, now)
        answer = delivery.answer
        return delivery if answer is None else replace(delivery, answer=_dated(answer, now))

    def set_key_status(self, access_key_id: str, status: KeyStatus) -> None:
        """Activate, deactivate or delete a key, as its owner would in the Portal. KeyError: nobody's."""
        state = self.state
        partner = state.partners[state.owners[access_key_id]]
        key = as_key(partner.keys[access_key_id])
        if key.status == "deleted":
            raise ValueError(f"{access_key_id} was deleted, and that is for ever")
        state.serial += 1
        state.add_partner(replace(partner, keys={**partner.keys, access_key_id: replace(key, status=status)}))

    def create_key(self, partner_id: str) -> tuple[str, str]:
        """Give a partner one more key, and return its id and its secret. KeyError: no such partner."""
        state = self.state
        partner = state.partners[partner_id]
        state.serial += 1
        access_key_id, secret = state.key(state.serial)
        while access_key_id in state.owners:
            # The books were put back, and what has a key has kept it.
            state.serial += 1
            access_key_id, secret = state.key(state.serial)
        state.add_partner(replace(partner, keys={**partner.keys, access_key_id: secret}))
        return access_key_id, secret

    def claim(self, creation_request_id: str) -> None:
        """Redeem a card, as its receiver would; it cannot be cancelled any more."""
        cards = self.state.cards
        self._state.serial += 1
        cards[creation_request_id] = msgspec.structs.replace(cards[creation_request_id], is_claimed=True)

    def transport(self) -> "HTTPXTransport":
        """A transport for `httpx.AsyncClient(transport=…)`: no socket, the faults as httpx's own errors."""
        from .transport import httpx_transport

        return httpx_transport(self)

    def httpx2_transport(self) -> "HTTPX2Transport":
        """The same for `httpx2.AsyncClient`."""
        from .transport import httpx2_transport

        return httpx2_transport(self)

    def http_client(self) -> "HTTPXClient":
        """An `httpx.AsyncClient` over :meth:`transport`; there is nothing in it to close."""
        from .transport import httpx_client

        return httpx_client(self)

    @asynccontextmanager
    async def serve(
        self,
        *,
        tls: bool = True,
        port: int = 0,
        host: str = "127.0.0.1",
        allow_remote: bool = False,
        control_port: int | None = None,
        control_token: str | None = None,
        pages_port: int | None = None,
    ) -> AsyncGenerator[RunningServer]:
        """
        Listen on loopback inside the running loop; port 0 takes a free one.

        The certificate holds for localhost and the loopback addresses, and vanishes with the context.
        A *control_port* also serves the control API, which needs a *control_token*; a *pages_port* the
        Scratchpad and the Portal, over plain HTTP and for this machine only.

        Raises:
            ValueError: *host* is not loopback and *allow_remote* was not given, or a token is missing.
        """
        from .certificates import Authority
        from .control import PREFIX, ControlApp
        from .server import Listener, bind

        control = None if control_port is None else ControlApp(self, control_token)
        async with AsyncExitStack() as stack:
            contexts, ca_file = None, None
            if tls:
                authority, folder = Authority(), tempfile.TemporaryDirectory(prefix="agcod-emulator-")
                ca_file = authority.write_ca(Path(stack.enter_context(folder)))
                contexts = (authority.context(), authority.expired_context())
            listener = partial(Listener, contexts=contexts, first_request_timeout=self.body_timeout)
            address = bind(host, port, allow_remote=allow_remote)
            gateway = await stack.enter_async_context(listener(self.app, address, faults=self.faults))
            control_url = None
            if control is not None:
                address = bind(host, control_port or 0, allow_remote=allow_remote)
                panel = await stack.enter_async_context(listener(control, address, faults=FaultPlan(0)))
                control_url = _url(tls=tls, port=panel.port) + PREFIX
            url = _url(tls=tls, port=gateway.port)
            pages_url = None
            if pages_port is not None:
                from .pages import PagesApp

                address, app = bind("127.0.0.1", pages_port), PagesApp(self, url)
                plain = Listener(
                    app,
                    address,
                    contexts=None,
                    faults=FaultPlan(0),
                    first_request_timeout=self.body_timeout,
                )
                pages = await stack.enter_async_context(plain)
                pages_url = _url(tls=False, port=pages.port)
            environment = self._environment(url, ca_file)
            yield RunningServer(url, gateway.port, ca_file, environment, control_url, pages_url)

    def _environment(self, url: str, ca_file: str | None) -> dict[str, str]:
        partner = self.partner
        environment = {
            "AGCOD_ENDPOINT": url,
            "AGCOD_REGION": self._state.region,
            "AGCOD_PARTNER_ID": partner.partner_id,
            "AGCOD_ACCESS_KEY_ID": partner.access_key_id,
            "AGCOD_SECRET_ACCESS_KEY": partner.secret_access_key,
        }
        return environment | ({"AGCOD_CA_FILE": ca_file} if ca_file else {})

    def _settle(self, now: datetime) -> None:
        """Let the requests arrive that are due, each at its own time."""
        late = self._state.late
        while late and late[0].due <= now:
            one = late.pop(0)
            core.answer(self._state, one.due, one.request)

    def _arrive_late(self, request: Request, at: datetime) -> None:
        insort(self._state.late, Late(at, request), key=lambda one: one.due)

    def _undone(self, fault: Fault, request: Request, now: datetime) -> Delivery | None:
        """The faults that strike before the work is done, or None."""
        match fault.kind:
            case FaultKind.DROP_BEFORE:
                return Delivery(answer=None)
            case FaultKind.DELIVER_LATE:
                self._arrive_late(request, now + timedelta(seconds=fault.seconds))
                return Delivery(answer=None)
            case FaultKind.RESEND_BEFORE:
                return Delivery(answer=self._resend(request))
            case FaultKind.FAULT_BEFORE:
                return Delivery(answer=page(fault.status))
            case FaultKind.THROTTLE_STORM:
                return Delivery(answer=core.refuse(self._state, request, core.throttled(self._state)))
            case _:
                return None

    def _done(self, fault: Fault, request: Request, now: datetime) -> Delivery:
        """The faults that strike once the work is done."""
        answer = _dated(core.answer(self._state, now, request), now)
        match fault.kind:
            case FaultKind.RESEND_AFTER:
                return Delivery(answer=self._resend(request))
            case FaultKind.FAULT_AFTER:
                return Delivery(answer=page(fault.status))
            case FaultKind.DUPLICATE:
                self._arrive_late(request, now + timedelta(seconds=fault.seconds))
                self._settle(now)
                return Delivery(answer=answer)
            case _:
                return spoiled(fault, answer, now)

    def _resend(self, request: Request) -> Answer:
        return core.refuse(self._state, request, refusal("SystemTemporarilyUnavailable"))


def _dated(answer: Answer, now: datetime) -> Answer:
    return replace(answer, headers={"date": format_datetime(now, usegmt=True), **answer.headers})


def _url(*, tls: bool, port: int) -> str:
    return f"{'https' if tls else 'http'}://localhost:{port}"
