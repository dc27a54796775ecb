"""The emulator as its users hold it: a state, a clock, and the ways in."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from email.utils import format_datetime

from agcod_async.emulator import core, server
from agcod_async.emulator.app import GatewayApp
from agcod_async.emulator.clock import Clock, utc_now
from agcod_async.emulator.settings import Settings
from agcod_async.emulator.state import Partner, State
from agcod_async.emulator.throttle import Throttle
from agcod_async.emulator.values import Answer, Request

DEFAULT_PARTNER = Partner(
    "Acme1", keys={"AKIDEXAMPLE": "example-secret-key/DO+NOT+USE"}, funds=Decimal(10_000)
)
_DOCUMENTED_THROTTLE = Throttle()


class Emulator:
    """
    The AGCOD gateway emulated: a model of the public facts, not Amazon.

    Args:
        partners: The accounts; one named Acme1 with 10,000 USD by default.

        clock:
            Gives the aware UTC time; the real one by default. :attr:`clock` can freeze and shift it.

        seed: Decides every id, claim code and chance.

        throttle: The rates and how they are counted; None admits everything.

        settings: The switches for what the public facts leave open.

        body_timeout: Seconds that a client may take to send its request body.
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
        self.state = State(seed=seed, region=region, settings=settings or Settings(), throttle=throttle)
        for partner in partners:
            self.state.add_partner(partner)
        self.body_timeout = body_timeout
        self.app = GatewayApp(self)
        self._first = partners[0].partner_id

    @property
    def partner(self) -> Partner:
        """The first partner, with its funds as they are now."""
        partner = self.state.partners[self._first]
        return replace(partner, funds=self.state.funds[self._first])

    @property
    def max_body(self) -> int:
        """Bytes of a request body that are read."""
        return self.state.settings.max_body

    def handle(self, request: Request) -> Answer:
        """Answer one request at the present time."""
        now = self.clock()
        answer = core.answer(self.state, now, request)
        return replace(answer, headers={**answer.headers, "date": format_datetime(now, usegmt=True)})

    @asynccontextmanager
    async def serve(
        self, *, tls: bool = True, port: int = 0, host: str = "127.0.0.1", allow_remote: bool = False
    ) -> AsyncIterator[server.RunningServer]:
        """
        Listen on loopback inside the running loop; port 0 takes a free one.

        The certificate holds for localhost and 127.0.0.1, and vanishes with the context.

        Raises:
            ValueError: *host* is not loopback and *allow_remote* was not given.
        """
        listener = server.bind(host, port, allow_remote=allow_remote)
        with listener:
            port = listener.getsockname()[1]
            async with (
                server.certified(tls=tls) as (context, ca_file),
                server.listening(self.app, listener, context),
            ):
                url = f"{'https' if tls else 'http'}://localhost:{port}"
                yield server.RunningServer(url, port, ca_file, self._environment(url, ca_file))

    def _environment(self, url: str, ca_file: str | None) -> dict[str, str]:
        partner = self.partner
        environment = {
            "AGCOD_ENDPOINT": url,
            "AGCOD_REGION": self.state.region,
            "AGCOD_PARTNER_ID": partner.partner_id,
            "AGCOD_ACCESS_KEY_ID": partner.access_key_id,
            "AGCOD_SECRET_ACCESS_KEY": partner.secret_access_key,
        }
        return environment | ({"AGCOD_CA_FILE": ca_file} if ca_file else {})
