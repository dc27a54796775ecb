"""A gateway, a session, a ledger and an issuer in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random

from agcod_async import AgcodSession, Credentials, Endpoint, RetryPolicy
from agcod_async.emulator import Emulator, Settings
from agcod_async.issuer import Issuer
from agcod_async.ledger import MemoryLedger, Payer
from tests.simulation.universe import NoThrottle

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class World:
    """Everything that an issuer needs, and the other side of it."""

    def __init__(
        self,
        *,
        ledger=None,
        retry: RetryPolicy | None = None,
        settings: Settings | None = None,
        wire_format="json",
        **options,
    ):
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.clock = lambda: START + timedelta(seconds=loop.time() - began)
        self.emulator = Emulator(clock=self.clock, throttle=None, settings=settings)
        self.faults = self.emulator.faults
        self.ledger = MemoryLedger(clock=self.clock) if ledger is None else ledger
        self.wire_format = wire_format
        self.retry = retry or RetryPolicy(max_attempts=1)
        self.issuer = self.new_issuer(**options)

    def new_issuer(self, **options) -> Issuer:
        """As after a restart: nothing is left but the ledger and the gateway."""
        partner = self.emulator.partner
        self.session = AgcodSession(
            partner.partner_id,
            Credentials(partner.access_key_id, partner.secret_access_key),
            Endpoint.custom("https://localhost", region="us-east-1"),
            http_client=self.emulator.http_client(),
            wire_format=self.wire_format,
            retry=self.retry,
            throttle=NoThrottle(),
            clock=self.clock,
            rng=Random(7),
        )
        self.issuer = Issuer(self.session, self.ledger, **options)
        return self.issuer

    def sign_with(self, pair: Credentials) -> Credentials:
        """Give the session another key, and return the one that it had."""
        keys = self.session._keys
        before, keys._pair = keys._pair, pair
        return before

    @property
    def now(self) -> float:
        """Seconds since the world began."""
        return (self.clock() - START).total_seconds()

    @property
    def payer(self) -> Payer:
        return self.issuer.payer

    @property
    def live_cards(self) -> list:
        return [card for card in self.emulator.state.cards.values() if card.is_live]

    @property
    def drives(self) -> list:
        """The tasks of the present issuer."""
        return [drive.task for drive in self.issuer._drives.values()]

    async def entry(self, reference: str):
        return await self.ledger.get(reference)


@asynccontextmanager
async def world(**options):
    """A world for one test; the tasks it leaves are waited for."""
    made = World(**options)
    yield made
    await asyncio.gather(*made.drives, return_exceptions=True)
