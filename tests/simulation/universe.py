"""
One universe: rewards, processes, faults, all decided by a seed, and the books that must balance in the end.

Assumed, because no client could hold otherwise: the ledger's disk does not lie; a request that was refused
with a clean answer has no copy under way that is taken later; the gateway keeps to its signature window.
"""

from __future__ import annotations

import asyncio
import re
import warnings
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, Literal

from agcod_async import Account, AgcodSession, Credentials, Endpoint, Money, RetryPolicy
from agcod_async.emulator import Emulator, Settings
from agcod_async.emulator.gateway import DEFAULT_PARTNER
from agcod_async.errors import AgcodError, LedgerError, OutcomePending, RewardUndone, UndoTooLate
from agcod_async.issuer import Issuer
from agcod_async.ledger import Entry, Intent, Payer
from agcod_async.ledger.request_ids import request_id

from .machine import Machine, Process, Spinning
from .network import FAULTS, FORWARD, OUTAGES, Network, SimulatedTransport, Weather
from .stores import MemoryStore, SQLiteStore

DAY = 86_400.0
_CREDENTIALS = Credentials(DEFAULT_PARTNER.access_key_id, DEFAULT_PARTNER.secret_access_key)
_ENDPOINT = Endpoint.custom("https://localhost", region="us-east-1")
_PAYER = Payer(partner_id="Acme1", endpoint=_ENDPOINT.identity)
_POLICIES = ("complete", "complete", "replace", "undo")
_FUNDS = Decimal(100_000)
_CODE = re.compile(rb"(?=([A-Z0-9]{4}-[A-Z0-9]{6}-[A-Z0-9]{4}))")
CROWDS = 0.25
"""The part of universes in which hundreds of rewards are under way at once; the others are few and harsh."""


@dataclass(frozen=True)
class Bounds:
    """What shrinking takes away from a universe."""

    rewards: int = 999
    faults: int = 9999
    kills: int = 99
    freezes: int = 99


@dataclass
class HandedOut:
    """A card that a caller was given."""

    began: int
    gc_id: str | None
    code: str | None


@dataclass
class Reward:
    """Something a customer is to get, and what is known outside of all processes about it."""

    reference: str
    kind: Literal["create", "activate", "load"]
    value: Money
    number: int
    undo_at: float | None = None
    handed_out: list[HandedOut] = field(default_factory=list)
    undo_began: int | None = None
    undone: int | None = None
    too_late: bool = False
    refusals: list[int] = field(default_factory=list)
    """Steps at which a caller was told that nothing was issued."""
    _ids: list[str] = field(default_factory=list)

    @property
    def intent(self) -> Intent:
        return Intent(
            reference=self.reference,
            kind=self.kind,
            value=self.value,
            card_number=self.card_number if self.kind == "activate" else None,
            account=self.account if self.kind == "load" else None,
        )

    def ids(self, sent: Container[str]) -> list[str]:
        """The request ids of its generations, until after the last that was *sent*."""
        ids = self._ids
        while len(ids) < 2 or ids[-1] in sent or ids[-2] in sent:
            ids.append(request_id("Acme1", self.reference, len(ids) + 1))
        return ids

    @property
    def card_number(self) -> str:
        return f"{6_000_000_000_000_000_000 + self.number}"

    @property
    def account(self) -> Account:
        return Account(id=f"55500{self.number:05d}", type="3")


@dataclass
class Tally:
    """What happened."""

    universes: int = 0
    issuances: int = 0
    requests: int = 0
    kills: int = 0
    freezes: int = 0
    steps: int = 0
    virtual_days: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        for name in ("universes", "issuances", "requests", "kills", "freezes", "steps", "virtual_days"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults.update(other.faults)
        self.states.update(other.states)


class Wrong(Exception):
    """The books do not balance, or something happened that must not."""


class NoThrottle:
    """Rates are another test's business."""

    waiting = 0
    rate = 1e9
    next_slot = 0.0

    async def acquire(self, operation, /, *, priority="interactive", max_wait=None):
        pass

    def accepted(self, operation, /, seconds):
        pass

    def refused(self, operation, /):
        pass

    async def aclose(self):
        pass


class Universe:
    """Everything that one seed decides."""

    def __init__(self, seed: int, bounds: Bounds | None = None, *, crowds: float = CROWDS) -> None:
        self.seed = seed
        self.bounds = bounds or Bounds()
        rng = self._rng("setup")
        self.machine = Machine()
        settings = Settings(cancel_of_unknown=rng.choice(("forgotten", "remembered")))
        self.emulator = Emulator(
            [DEFAULT_PARTNER], clock=self.machine.wall_clock, throttle=None, settings=settings, seed=seed
        )
        self.state = self.emulator._state
        self.horizon = rng.choice((120.0, 120.0, 120.0, 1800.0, 1800.0, 7200.0, 30 * 3600.0, 5 * DAY))
        self.is_crowd = self._rng("crowd").random() < crowds
        if self.is_crowd:
            self.horizon = min(self.horizon, 1800.0)
        self.store = SQLiteStore() if rng.random() < 0.08 else MemoryStore()
        self.rewards = self._rewards(self._rng("rewards"))
        weather = self._weather(self._rng("weather"))
        self.network = Network(self.machine, self.emulator, weather, self._rng("network"))
        self.network.on_sent = self._check_noted
        self._references: dict[str, str] = {}
        self.state.funds["Acme1"] = _FUNDS if rng.random() < 0.85 else Decimal(rng.randrange(60))
        self.extra_funds = _FUNDS - self.state.funds["Acme1"]
        if self.extra_funds:
            self.machine.at(rng.uniform(1, self.horizon / 2), self._top_up)
        self._plan_tides(self._rng("tides"))
        self.issuer_policy = rng.choice(_POLICIES)
        self.policies: tuple[Any, ...] = _POLICIES
        self.wrong: list[str] = []
        self.kills = self.freezes = 0
        self.entries: list[Entry] = []
        self.history: list[Entry] = []
        self.is_calm = False
        self.is_over = False
        names = ("A", "B") if rng.random() < 0.4 else ("A",)
        for name in names:
            self._plan_process(name, self._rng(f"process {name}"))

    def _rng(self, purpose: str) -> Random:
        return Random(f"{self.seed}/{purpose}")

    def _rewards(self, rng: Random) -> list[Reward]:
        most = (1, 2, 4, 8, 20, 40) if self.horizon < 1000 else (1, 2, 3, 4, 6)
        count = rng.randrange(100, 400) if self.is_crowd else rng.choice(most)
        rewards: list[Reward] = []
        for number in range(min(count, self.bounds.rewards)):
            kind = rng.choices(("create", "activate", "load"), (80, 10, 10))[0]
            value = Money(str(rng.randrange(1, 50)), "USD")
            undo_at = rng.choice((rng.uniform(0, 20), rng.uniform(0, 1000), rng.uniform(0, 7200)))
            reward = Reward(f"order-{self.seed}-{number}", kind, value, number)
            reward.undo_at = undo_at if rng.random() < 0.25 else None
            rewards.append(reward)
        return rewards

    def _weather(self, rng: Random) -> Weather:
        if self.is_crowd:
            return self._crowds_weather(rng)
        outages: list[tuple[float, float, str]] = []
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            begin = rng.choice((0.0, rng.uniform(0, 20), rng.uniform(0, self.horizon)))
            length = rng.choice((5.0, 60.0, 600.0, 1800.0, 4 * 3600.0, 30 * 3600.0, 4 * DAY))
            outages.append((begin, begin + length * rng.uniform(0.5, 1.0), rng.choice(OUTAGES)))
        if self.bounds.faults < 9000:
            outages = outages[: self.bounds.faults]
        kinds = tuple(rng.sample(FAULTS, rng.choice((1, 2, 4, len(FAULTS)))))
        rate = rng.choice((0.0, 0.1, 0.3, 0.3, 0.6, 0.9))
        return Weather(
            self._rng("faults"),
            rate,
            kinds,
            tuple(outages),
            min(rng.choice((1, 3, 10, 30)), self.bounds.faults),
        )

    def _crowds_weather(self, rng: Random) -> Weather:
        """Most goes well, as on most days; in between the gateway is away for a moment."""
        begin, kinds = rng.uniform(0, 60), tuple(rng.sample(FAULTS, rng.choice((1, 4, len(FAULTS)))))
        outage = (begin, begin + rng.choice((1.0, 5.0, 60.0)), rng.choice(OUTAGES))
        outages = (outage,) if rng.random() < 0.4 and self.bounds.faults else ()
        rate = rng.choice((0.0, 0.01, 0.05, 0.2))
        return Weather(self._rng("faults"), rate, kinds, outages, self.bounds.faults)

    def _plan_tides(self, rng: Random) -> None:
        """Now and then there are no funds for a while."""
        for _ in range(rng.choice((0, 0, 0, 0, 1, 4))):
            begin = rng.choice((rng.uniform(0, 30), rng.uniform(0, self.horizon)))
            self.machine.at(begin, self._drain)
            self.machine.at(begin + rng.choice((30.0, 300.0, 900.0, 7200.0)) * rng.random(), self._top_up)

    def _drain(self) -> None:
        self.extra_funds += self.state.funds["Acme1"]
        self.state.funds["Acme1"] = Decimal(0)

    def _top_up(self) -> None:
        self.state.refund("Acme1", self.extra_funds)
        self.extra_funds = Decimal(0)

    # Processes

    def _plan_process(self, name: str, rng: Random) -> None:
        kills = min(rng.choice((0, 0, 1, 1, 2, 4)), self.bounds.kills)
        longest = (200, 2000, 10_000, 10_000) if self.is_crowd else (20, 60, 200, 1000)
        lives = [rng.randrange(1, rng.choice(longest)) for _ in range(kills)]
        self._start(name, rng, lives, 0)

    def _start(self, name: str, rng: Random, lives: list[int], number: int) -> None:
        if self.is_calm:
            return
        lifetime = lives[number] if number < len(lives) else None
        process = Process(
            self.machine,
            name,
            lifetime=lifetime,
            skew=rng.choice((0.0, 0.0, rng.uniform(-60, 60), _skew(rng))),
        )
        if rng.random() < 0.3 and self.freezes < self.bounds.freezes:
            self.freezes += 1
            process.freezes[rng.randrange(1, 5000 if self.is_crowd else 300)] = (
                rng.choice((3.0, 70.0, 1000.0, 7200.0)) * rng.random()
            )
        if lifetime is not None:
            again = rng.choice((0.01, 1.0, 70.0, 3600.0)) * rng.random()

            def died() -> None:
                self.kills += 1
                self.machine.at(self.machine.now + again, self._start, name, rng, lives, number + 1)

            process.on_death.append(died)
        process.create_task(self._guarded(process, self._live(process, Random(rng.random()))))

    async def _guarded(self, process: Process, coro: Any) -> None:
        try:
            await coro
        except Exception as exc:  # noqa: BLE001
            if not process.is_alive:
                return
            self.wrong.append(f"{process.name}: {exc!r}")

    async def _live(self, process: Process, rng: Random) -> None:
        """What a process does from its start to its end."""
        async with self.store.ledger(process) as ledger:
            issuer = self._issuer(process, rng, ledger)
            if rng.random() < 0.3:
                await ledger.plan([reward.intent for reward in self.rewards], payer=_PAYER)
            jobs = [process.create_task(self._guarded(process, self._recover(issuer, Random(rng.random()))))]
            for reward in self.rewards:
                mine = Random(rng.random())
                for _ in range(rng.choice((1, 1, 1, 2))):
                    serve = self._serve(process, issuer, reward, mine)
                    jobs.append(process.create_task(self._guarded(process, serve)))
            await asyncio.gather(*jobs)

    def _issuer(self, process: Process, rng: Random, ledger: Any) -> Issuer:
        session = AgcodSession(
            "Acme1",
            _CREDENTIALS,
            _ENDPOINT,
            wire_format=rng.choice(("json", "json", "json", "xml")),
            transport=SimulatedTransport(self.network, process),
            throttle=NoThrottle(),
            retry=RetryPolicy(max_attempts=rng.choice((1, 1, 3)), quota=10_000),
            clock=process.clock,
            rng=Random(rng.random()),
        )
        return Issuer(session, ledger, on_unknown=self.issuer_policy)

    async def _recover(self, issuer: Issuer, rng: Random) -> None:
        while True:
            await asyncio.sleep(max(rng.choice((0.0, 2.0, 30.0, 300.0)), self.horizon / 100))
            await issuer.recover(limit=rng.choice((10, 50) if self.is_crowd else (1, 2, 50)))

    # What callers do

    async def _serve(self, process: Process, issuer: Issuer, reward: Reward, rng: Random) -> None:
        await asyncio.sleep(rng.choice((0.0, rng.uniform(0, 3), rng.uniform(0, 60))))
        for attempt in range(rng.choice((1, 1, 1, 2) if self.is_crowd else (1, 2, 4, 8))):
            if reward.undo_at is not None and self.machine.now >= reward.undo_at and rng.random() < 0.9:
                await self._undo(issuer, reward, rng)
            else:
                await self._issue(process, issuer, reward, rng)
            await asyncio.sleep(rng.choice((0.1, 5.0, 30.0, 1000.0 * (attempt + 1))))
        if reward.undo_at is not None:
            await asyncio.sleep(max(0.0, reward.undo_at - self.machine.now))
            await self._undo(issuer, reward, rng)

    async def _issue(self, process: Process, issuer: Issuer, reward: Reward, rng: Random) -> None:
        began = self.machine.steps
        patience = rng.choice((None, None, rng.uniform(0, 0.2), rng.uniform(0, 10)))
        try:
            async with asyncio.timeout(patience):
                given = await self.call(
                    issuer, reward, rng.choice(self.policies), rng.choice((2.0, 60.0, 3600.0, 2 * DAY))
                )
        except TimeoutError:
            return
        except AgcodError as error:
            self._failed(process, reward, began, error)
            return
        reward.handed_out.append(HandedOut(began, *given))
        self._check_hand_out(reward, began, given, frozen=bool(process.freezes))
        if given[0] is not None and rng.random() < 0.2:
            self._redeem(given[0])

    def _redeem(self, gc_id: str) -> None:
        """What customers do with a code."""
        for card in self.state.cards.values():
            if card.gc_id == gc_id and card.is_live:
                self.emulator.claim(card.creation_request_id)
                break

    async def call(
        self, issuer: Issuer, reward: Reward, policy: Any, budget: float
    ) -> tuple[str | None, str | None]:
        match reward.kind:
            case "create":
                card = await issuer.issue(reward.reference, reward.value, on_unknown=policy, budget=budget)
                return card.gc_id, card.claim_code.reveal()
            case "activate":
                await issuer.activate(
                    reward.reference, reward.card_number, reward.value, on_unknown=policy, budget=budget
                )
            case "load":
                await issuer.load(
                    reward.reference, reward.value, reward.account, on_unknown=policy, budget=budget
                )
        return None, None

    def _failed(self, process: Process, reward: Reward, began: int, error: AgcodError) -> None:
        if isinstance(error, LedgerError) or error.outcome not in ("refused", "unknown", "not_sent"):
            self.wrong.append(f"{reward.reference}: {error!r}")
        if isinstance(error, OutcomePending | RewardUndone) or error.outcome == "unknown":
            return
        others = [
            sent
            for ids in self._sent(reward).values()
            for sent in ids
            if sent.step >= began and sent.process != process.name
        ]
        if not others:
            reward.refusals.append(self.machine.steps)
            if self._live_now(reward):
                self.wrong.append(f"{reward.reference}: told {error!r}, and something lives")

    async def _undo(self, issuer: Issuer, reward: Reward, rng: Random) -> None:
        if await issuer._ledger.get(reward.reference) is None:
            return
        began = self.machine.steps
        reward.undo_began = began if reward.undo_began is None else reward.undo_began
        try:
            async with asyncio.timeout(rng.choice((None, rng.uniform(0, 10)))):
                receipt = await issuer.undo(reward.reference, budget=rng.choice((2.0, 60.0, 2 * DAY)))
        except TimeoutError:
            return
        except UndoTooLate:
            reward.too_late = True
        except OutcomePending:
            return
        except AgcodError as error:
            self.wrong.append(f"{reward.reference}: undo: {error!r}")
        else:
            if receipt.state == "reversed":
                reward.undone = self.machine.steps if reward.undone is None else reward.undone
                if self._live_now(reward):
                    self.wrong.append(f"{reward.reference}: undone, and something lives")

    # The books

    def _sent(self, reward: Reward) -> dict[str, list[Any]]:
        return {key: sent for key in reward.ids(self.network.sent) if (sent := self.network.sent.get(key))}

    def _live_now(self, reward: Reward) -> list[str]:
        """The request ids of a reward under which something is paid for at present."""
        book: dict[str, Any] = self._book(reward.kind)
        return [key for key in reward.ids(self.network.sent) if key in book and book[key].is_live]

    def _book(self, kind: str) -> dict[str, Any]:
        return {"create": self.state.cards, "activate": self.state.activations, "load": self.state.loads}[
            kind
        ]

    def _check_hand_out(
        self, reward: Reward, began: int, given: tuple[str | None, str | None], *, frozen: bool
    ) -> None:
        live = self._live_now(reward)
        if reward.undone is not None and reward.undone < began:
            self.wrong.append(f"{reward.reference}: handed out after it was undone")
        # A process that was frozen can be too late to see that the card was undone after it was settled.
        if not live and (reward.undo_began is None or not frozen):
            self.wrong.append(f"{reward.reference}: handed out dead")
        if given[0] is None:
            return
        mine = (self.state.cards.get(key) for key in reward.ids(self.network.sent))
        cards = [card for card in mine if card is not None and card.gc_id == given[0]]
        if len(cards) != 1 or cards[0].amount != reward.value.amount:
            self.wrong.append(f"{reward.reference}: another card was handed out")
        elif given[1] != self.state.claim_code(cards[0].gc_id):
            self.wrong.append(f"{reward.reference}: another code was handed out")
        else:
            sent = self.network.sent[cards[0].creation_request_id]
            cancels = [one for one in sent if one.operation == "CancelGiftCard" and one.step < began]
            # A card that was cancelled may only be given to somebody once the gateway is sure that it lives.
            window = self.state.settings.cancel_window.total_seconds()
            if cancels and self.machine.now - _age(self, cards[0]) < window:
                self.wrong.append(f"{reward.reference}: handed out after its cancel had left")

    def _check_noted(self, request_id: str) -> None:
        """What leaves is in the ledger, as something that may have left."""
        if not isinstance(self.store, MemoryStore):
            return
        if request_id not in self._references:
            names = (one.reference for one in self.rewards if request_id in one.ids(self.network.sent))
            self._references[request_id] = next(names, "")
        entry = self.store.peek(self._references[request_id])
        if entry is None:
            self.wrong.append(f"{request_id}: sent, and in no ledger")
        elif entry.request_id == request_id and entry.state in ("planned", "refused"):
            self.wrong.append(f"{entry.reference}: sent, and {entry.state} in the ledger")

    def check_books(self) -> None:
        state = self.state
        if state.funds["Acme1"] != _FUNDS - self.extra_funds - state.spent("Acme1"):
            self.wrong.append("the funds are not what was paid for")
        known: set[str] = {entry.request_id for entry in (*self.entries, *self.history)}
        for key in (*state.cards, *state.activations, *state.loads):
            if key not in known:
                self.wrong.append(f"{key}: in no ledger")
        by_reference = {entry.reference: entry for entry in self.entries}
        for reward in self.rewards:
            self._check_reward(reward, by_reference.get(reward.reference))
        on_disk = set(_CODE.findall(self.store.bytes()))
        for card in state.cards.values():
            if on_disk and state.claim_code(card.gc_id).encode() in on_disk:
                self.wrong.append(f"{card.creation_request_id}: its claim code is in the ledger")

    def _check_reward(self, reward: Reward, entry: Entry | None) -> None:
        live, name = self._live_now(reward), reward.reference
        if entry is None:
            if live or reward.handed_out:
                self.wrong.append(f"{name}: not in the ledger, and lives or was handed out")
            return
        if len(live) > 1:
            self.wrong.append(f"{name}: paid for more than once")
        match entry.state:
            case "issued":
                if live != [entry.request_id]:
                    self.wrong.append(f"{name}: issued, and {live} lives")
                if entry.kind == "create" and entry.gc_id != state_gc_id(self, entry):
                    self.wrong.append(f"{name}: its gcId is wrong")
            case "refused" | "reversed":
                if live:
                    self.wrong.append(f"{name}: {entry.state}, and something lives")
            case "abandoned":
                if any(key != entry.request_id for key in live):
                    self.wrong.append(f"{name}: abandoned, and another id lives")
            case _:
                self.wrong.append(f"{name}: still {entry.state}")
        if reward.handed_out and not live and reward.undo_began is None:
            self.wrong.append(f"{name}: handed out, and dead")
        if len({one.gc_id for one in reward.handed_out}) > 1:
            self.wrong.append(f"{name}: two cards were handed out")
        if reward.undone is not None and live:
            self.wrong.append(f"{name}: undone, and lives")
        if reward.too_late and not live:
            self.wrong.append(f"{name}: too late to be undone, and dead")
        last = max(
            (one.step for ids in self._sent(reward).values() for one in ids if one.operation in FORWARD),
            default=-1,
        )
        if live and reward.refusals and last <= reward.refusals[-1]:
            self.wrong.append(f"{name}: a caller was told that it was refused, and it lives")

    # The course of events

    def run(self) -> Tally:
        """
        Let it happen, and check the books.

        Raises:
            Wrong: what does not balance.
        """
        with warnings.catch_warnings():
            # Of coroutines that never ran, because their process was killed.
            warnings.simplefilter("ignore")
            try:
                self._run()
            except Spinning as spinning:
                self.wrong.append(str(spinning))
            finally:
                self.machine.end()
                self.store.remove()
        if self.wrong:
            raise Wrong("; ".join(sorted(set(self.wrong))))
        return self._tally()

    def _run(self) -> None:
        machine = self.machine
        machine.run(lambda: bool(self.wrong) or machine.now >= self.horizon, limit=self.horizon)
        self.is_calm = True
        for process in machine.processes:
            if process.is_alive:
                # The last of the chaos: whatever they were doing, they never do it again.
                process.on_death = process.on_death[:1] if isinstance(self.store, SQLiteStore) else []
                process.kill()
        machine.now = max([self.horizon, *(end for _, end, _ in self.network.weather.outages)])
        self._top_up()
        self.faults = self.network.weather.by_kind
        self.network.weather = Weather(Random(0))
        calm = Process(machine, "calm")
        calm.create_task(self._guarded(calm, self._calm(calm)))
        machine.run(lambda: self.is_over or bool(self.wrong), limit=machine.now + 3 * DAY)
        if not self.is_over and not self.wrong:
            self.wrong.append("it never came to an end")
        for process in machine.processes:
            self.wrong += [str(complaint) for complaint in process.complaints]
        if not self.wrong:
            self.check_books()

    async def _calm(self, process: Process) -> None:
        """Settle what is left, without faults."""
        async with self.store.ledger(process) as ledger:
            issuer = self._issuer(process, self._rng("calm"), ledger)
            for round_number in range(200):
                await issuer.recover()
                self.entries = [entry async for entry in ledger.entries()]
                if all(
                    entry.state in ("issued", "refused", "reversed", "abandoned") for entry in self.entries
                ):
                    break
                await asyncio.sleep(30.0 if round_number < 20 else 600.0)
            # Whatever is still under way arrives now.
            await asyncio.sleep(2000.0)
            states = {entry.reference: entry.state for entry in self.entries}
            for reward in self.rewards:
                # Of a crowd, those who have their card are asked by sample.
                is_asked = not (self.is_crowd and reward.handed_out and reward.number % 4)
                if is_asked and states.get(reward.reference) == "issued":
                    began = self.machine.steps
                    given = await self.call(issuer, reward, "complete", 60.0)
                    reward.handed_out.append(HandedOut(began, *given))
                    self._check_hand_out(reward, began, given, frozen=False)
            self.entries = [entry async for entry in ledger.entries()]
            self.history = [old for entry in self.entries for old in await ledger.history(entry.reference)]
        self.is_over = True

    def _tally(self) -> Tally:
        return Tally(
            universes=1,
            issuances=len(self.rewards),
            requests=self.network.requests,
            kills=self.kills,
            freezes=self.freezes,
            steps=self.machine.steps,
            virtual_days=self.machine.now / DAY,
            faults=Counter(self.faults),
            states=Counter(entry.state for entry in self.entries),
        )


def _skew(rng: Random) -> float:
    """Nearly as wrong as the gateway lets a clock be."""
    return rng.choice((-1, 1)) * rng.uniform(600, 890)


def _age(universe: Universe, card: Any) -> float:
    return universe.machine.now - (universe.machine.wall_clock() - card.created_at).total_seconds()


def state_gc_id(universe: Universe, entry: Entry) -> str | None:
    card = universe.state.cards.get(entry.request_id)
    return card.gc_id if card else None
