"""
Rotation under load: a key is replaced, deactivated and deleted while rewards go on at the full rate.

The books decide: every call ends in its card, and each card was charged once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agcod_async import (
    AgcodSession,
    ConnectionLost,
    CredentialsError,
    Endpoint,
    Event,
    FileCredentials,
    KeyRefreshed,
    KeyRefreshFailed,
    KeyRejected,
    Money,
    RetryPolicy,
    RetryScheduled,
)
from agcod_async.emulator import Emulator, Fault, FaultKind, Partner
from agcod_async.testing import NoThrottle
from agcod_async.wire import HTTPRequest, HTTPResponse
from tests.support.optional import require
from tests.support.sessions import START
from tests.support.virtual_time import VirtualTimeLoop

from .providers import NEW, OLD
from .test_file import document

pytestmark = pytest.mark.reveals("files", because="the key pair is in the file that it is read from")

CALLS = 2000
FUNDS = Decimal(10_000)


class InlineLoop(VirtualTimeLoop):
    """A virtual loop that reads files on the spot: its clock would not wait for a thread."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as exc:  # noqa: BLE001  (whatever it is, the caller is to have it)
            future.set_exception(exc)
        return future


inline_time = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"loop_factory": InlineLoop})], ids=["virtual-time"]
)


@dataclass
class Portal:
    """The owner of the account: the file that programs read, and the page of keys."""

    emulator: Emulator
    path: Path

    def create(self) -> None:
        """A second key beside the first: both are good."""
        partner = self.emulator.state.partners["Acme1"]
        keys = {**partner.keys, NEW.access_key_id: NEW.secret_access_key.reveal()}
        self.emulator.state.add_partner(replace(partner, keys=keys))

    def publish(self) -> None:
        """The new pair for all programs, in one breath."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(document(NEW))
        fresh.chmod(0o600)
        fresh.replace(self.path)

    def publish_in_part(self) -> None:
        """A writer that is interrupted in the middle of the file itself."""
        self.path.write_text(document(NEW)[:-20])

    def publish_a_slip(self) -> None:
        """The new key with a letter of the secret missing."""
        self.path.write_text(document(NEW).replace("-new", "-nw"))

    def deactivate(self) -> None:
        self.emulator.set_key_status(OLD.access_key_id, "inactive")

    def delete(self) -> None:
        self.emulator.set_key_status(OLD.access_key_id, "deleted")


@dataclass
class Books:
    """What came of the calls, and what was said meanwhile."""

    cards: list[str | None] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def told(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    @property
    def refused(self) -> int:
        """Requests that were refused for their key or its secret, and repeated."""
        kinds = ("CredentialsError", "SignatureError")
        return sum(isinstance(event, RetryScheduled) and event.error in kinds for event in self.events)

    def check(self, emulator: Emulator) -> None:
        """Nothing failed, nothing is lost, nothing was charged twice."""
        assert self.failures == []
        assert len(self.cards) == len(set(self.cards)) == CALLS
        cards = emulator.state.cards
        assert Counter(card.gc_id for card in cards.values()) == Counter(self.cards)
        assert emulator.state.spent("Acme1") == CALLS
        assert emulator.state.funds["Acme1"] == FUNDS - CALLS


async def issue(session: AgcodSession, books: Books, tasks: int, steps: dict[int, Callable[[], Any]]) -> None:
    """Make all calls, many at a time; before the call of a number in *steps* something happens."""
    numbers = iter(range(CALLS))

    async def worker() -> None:
        for number in numbers:
            if number in steps:
                steps[number]()
            try:
                card = await session.create_gift_card(f"Acme1R{number:05}", Money("1.00", "USD"))
            except Exception as exc:  # noqa: BLE001  (counted, so that the test says how many)
                books.failures.append(exc)
            else:
                books.cards.append(card.gc_id)

    await asyncio.gather(*(worker() for _ in range(tasks)))


def gateway(**options: Any) -> Emulator:
    pair = {OLD.access_key_id: OLD.secret_access_key.reveal()}
    return Emulator([Partner("Acme1", keys=pair, funds=FUNDS)], seed=7, **options)


@pytest.fixture
def path(tmp_path):
    """The file that every program of the partner reads."""
    path = tmp_path / "key.json"
    path.write_text(document(OLD))
    path.chmod(0o600)
    return path


class Far:
    """The emulator, 0.4 s away in each direction: a few requests are under way at any time."""

    def __init__(self, emulator: Emulator) -> None:
        self._client = emulator.http_client()

    async def send(self, request: HTTPRequest, /) -> HTTPResponse:
        await asyncio.sleep(0.4)
        url = request.origin + request.path
        try:
            answer = await self._client.post(url, content=request.body, headers=dict(request.headers))
        except Exception as exc:
            raise ConnectionLost("the emulator cut the connection") from exc
        await asyncio.sleep(0.4)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return HTTPResponse(status=answer.status_code, headers=headers, body=answer.content)

    async def aclose(self) -> None:
        await self._client.aclose()


@asynccontextmanager
async def rotating(path: Path, books: Books) -> AsyncIterator[tuple[AgcodSession, Portal]]:
    """A session in virtual time at the account's full rate, which the gateway enforces."""
    loop = asyncio.get_running_loop()
    emulator = gateway(clock=lambda: START + timedelta(seconds=loop.time()))
    emulator.faults.arm(Fault(FaultKind.DROP_AFTER, probability=0.01))
    transport = Far(emulator)
    async with AgcodSession(
        "Acme1",
        FileCredentials(path),
        Endpoint.custom("https://localhost", region="us-east-1"),
        transport=transport,
        hooks=[books.events.append],
        retry=RetryPolicy(base_delay=0.5),
        clock=emulator.clock,
    ) as session:
        yield session, Portal(emulator, path)
    await transport.aclose()


@inline_time
async def test_rotation_by_the_book(path):
    """Both keys live while the new one is spread: not one request is refused."""
    books = Books()
    async with rotating(path, books) as (session, portal):
        # Fifty calls are five seconds: what was signed with the old key has been answered by then.
        steps = {500: portal.create, 700: portal.publish, 750: portal.deactivate, 1200: portal.delete}
        await issue(session, books, 20, steps)
        books.check(portal.emulator)
    assert asyncio.get_running_loop().time() < CALLS / 9
    assert (books.refused, books.told(KeyRefreshed), books.told(KeyRejected)) == (0, 1, 0)


@inline_time
async def test_a_hasty_rotation(path):
    """Deactivated in the same moment: what is under way is refused, and goes on with the new key."""
    books = Books()
    async with rotating(path, books) as (session, portal):

        def swap() -> None:
            portal.publish()
            portal.deactivate()

        await issue(session, books, 20, {500: portal.create, 700: swap, 701: portal.delete})
        books.check(portal.emulator)
    assert 1 <= books.refused <= 15
    assert (books.told(KeyRefreshed), books.told(KeyRejected)) == (1, 0)


@inline_time
async def test_a_rotation_with_every_slip(path):
    """The file half written, a secret with a typing error, a key that the gateway does not know yet."""
    books = Books()
    async with rotating(path, books) as (session, portal):
        steps = {
            200: portal.publish_in_part,
            400: portal.publish_a_slip,
            600: portal.publish,
            800: portal.create,
            # More than a minute later, when what was refused is tried again.
            1700: portal.deactivate,
            1701: portal.delete,
        }
        await issue(session, books, 20, steps)
        books.check(portal.emulator)
    assert books.told(KeyRefreshFailed) == 1
    assert books.told(KeyRejected) >= 2
    assert books.refused >= 2


@inline_time
async def test_a_key_that_ends_without_another(path):
    """The wrong order: refusals are told as refusals, until there is a key; the money is never in doubt."""
    books = Books()
    async with rotating(path, books) as (session, portal):
        await issue(session, books, 20, {500: portal.delete, 600: portal.create, 601: portal.publish})
        cards = portal.emulator.state.cards
    refused = [error for error in books.failures if isinstance(error, CredentialsError)]
    assert len(refused) == len(books.failures) > 50
    assert len(books.cards) + len(refused) == CALLS
    unknown = {error.request_id for error in refused if error.outcome == "unknown"}
    assert set(cards) - unknown == {f"Acme1R{n:05}" for n in range(CALLS)} - {e.request_id for e in refused}


@pytest.mark.once
@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "by rename"])
async def test_rotation_over_a_real_socket(path, in_place):
    """TLS, a file on disk, threads that read it, and no throttle: several hundred calls a second."""
    require("uvicorn")
    require("trustme")
    books, emulator = Books(), gateway(throttle=None)
    portal = Portal(emulator, path)

    def swap() -> None:
        if in_place:
            path.write_text(document(NEW))
        else:
            portal.publish()
        portal.deactivate()

    async with emulator.serve() as server:
        endpoint = Endpoint.custom(server.url, region="us-east-1", ca_file=server.ca_file)
        async with AgcodSession(
            "Acme1",
            FileCredentials(path),
            endpoint,
            hooks=[books.events.append],
            throttle=NoThrottle(),
            timeout=60.0,
        ) as session:
            await issue(session, books, 50, {400: portal.create, 900: swap, 1400: portal.delete})
    books.check(emulator)
    assert books.refused >= 1
    assert (books.told(KeyRefreshed), books.told(KeyRejected)) == (1, 0)
