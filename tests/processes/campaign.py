"""Many rewards, several worker processes that are killed and frozen, a gateway that fails, and the books."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec

from agcod_async.emulator import Emulator, Fault, FaultKind, Key, Partner
from agcod_async.emulator.faults import CONNECTION_FAULTS
from agcod_async.emulator.state import Card
from agcod_async.ledger import Entry, Ledger
from tests.ledger.worker import opened
from tests.processes.worker import Job, Order, Said, Undo
from tests.support.fast_time import FastClock

ROOT = Path(__file__).parents[2]
SPEED = 20.0
"""Seconds of the workers in a second of the machine: a lease ends after three."""
LEASE = 60.0 / SPEED
SECRET = "secret-of-the-campaign"
CODE = re.compile(rb"[2-9A-HJ-NP-Z]{4}(-?)[2-9A-HJ-NP-Z]{6}\1[2-9A-HJ-NP-Z]{4}")

# How long what takes time takes, in seconds of the machine; a request may take one.
_SECONDS = {
    FaultKind.DELAY: 1.3,
    FaultKind.SLOW_DRIP: 0.02,
    FaultKind.DELIVER_LATE: 0.7,
    FaultKind.DUPLICATE: 0.3,
    FaultKind.SKEWED_DATE: 60.0,
}
# What an issue or an undo may end with; after all but the last two the job is given to somebody again.
AGAIN = {"OutcomePending", "TimeoutError", "CredentialsError", "SignatureError", "ClockSkewError"}
FINAL = {"RewardUndone", "UndoTooLate"}
OPEN = ("planned", "sent", "reversing")


class WrongBooks(AssertionError):
    """What does not balance."""


@dataclass
class Reward:
    """What a customer is to get."""

    reference: str
    amount: str
    is_undone: bool = False
    """Whether somebody asks to take it back."""
    cards: set[tuple[str, str]] = field(default_factory=set)
    """gcId and code of what was handed out."""
    ends: set[str] = field(default_factory=set)


class Worker:
    """One process, and what it has been given and not answered."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.open: dict[int, Job | Undo] = {}
        self.is_frozen = False

    def give(self, job: Job | Undo) -> None:
        self.open[job.number] = job
        self.process.stdin.write(msgspec.json.encode(job) + b"\n")

    @property
    def can_be_killed(self) -> bool:
        return not self.is_frozen and self.process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        # send_signal() polls, and so may take the exit code that the event loop's own thread waits for.
        os.kill(self.process.pid, number)


@dataclass
class Tally:
    rewards: int = 0
    cards: int = 0
    charged: Decimal = Decimal(0)
    requests: int = 0
    kills: int = 0
    freezes: int = 0
    again: Counter = field(default_factory=Counter)
    states: Counter = field(default_factory=Counter)
    unknown: int = 0
    """Rewards whose outcome the issuer itself did not know at some time."""
    faults: Counter = field(default_factory=Counter)
    scanned: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.rewards} rewards, {self.cards} cards, {self.charged} USD charged, "
            f"{self.requests} requests, {self.kills} kills, {self.freezes} freezes, "
            f"{self.faults.total()} faults ({self.faults.total() / self.requests:.0%}), "
            f"{self.scanned / 1e6:.1f} MB searched for codes, "
            f"{self.seconds:.1f} s\n"
            f"  states: {_sorted(self.states)}; once unknown: {self.unknown}\n"
            f"  asked again after: {_sorted(self.again)}\n"
            f"  faults: {_sorted(self.faults)}"
        )


def _sorted(counter: Counter) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


class Campaign:
    """
    A queue that delivers each job at least once, as those of task workers do, and who works it off.

    Args:
        place: the ledger: a path or a DSN.
        folder: where the workers' own words on stderr are kept, and nothing else of ours.
        errors: names of the errors that a job may end with besides those of the gateway.
    """

    def __init__(
        self,
        place: str,
        folder: Path,
        *,
        seed: int = 1,
        rewards: int = 300,
        workers: int = 4,
        at_once: int = 8,
        kills: int = 0,
        freezes: int = 0,
        faults: float = 0.34,
        denials: int = 0,
        errors: Iterable[str] = (),
    ) -> None:
        self.random = Random(seed)
        self.place = place
        self.folder = folder
        self.workers: list[Worker] = []
        self.wrong: list[str] = []
        self.tally = Tally(rewards=rewards)
        self._wanted = workers
        self._at_once = at_once
        self._kills, self._freezes, self._denials = kills, freezes, denials
        self._share = faults
        self._again = AGAIN | set(errors)
        self._began = datetime.now(UTC)
        self.clock = FastClock(self._began, SPEED)
        self.emulator = Emulator(
            [Partner("Acme1", keys={"AKIDCAMPAIGN": SECRET}, funds=Decimal(1_000_000))],
            clock=self.clock,
            seed=seed,
            throttle=None,
        )
        self.state = self.emulator.state
        self.rewards: dict[str, Reward] = {}
        self.jobs: deque[Job | Undo] = deque()
        self._numbers = iter(range(10**9))
        self._changed = asyncio.Event()
        self._answered = 0
        self._request_ids: dict[str | None, str] = {}
        # Longer than the emulator's own memory.
        self.emulator.faults.fired = deque()

    @asynccontextmanager
    async def gateway(self) -> AsyncGenerator[None]:
        """Serve the emulator over TLS; its answers go wrong as they do."""
        async with self.emulator.serve() as server:
            self._environment = server.environment
            if self._share:
                self.arm()
            try:
                yield
            finally:
                await self.end()

    # What is to be done

    def plan(self) -> None:
        """Rewards of many amounts; some are asked for twice, or taken back, or given up at once."""
        for number in range(self.tally.rewards):
            reference = f"order-{number:06}"
            amount = f"{self.random.randint(100, 5000) / 100:.2f}"
            self.rewards[reference] = Reward(reference, amount)
            self.ask(reference)
            if self.random.random() < 0.05:
                self.ask(reference)
            if self.random.random() < 0.05:
                # While it is being issued, or before.
                self.undo(reference)
        self.random.shuffle(self.jobs)

    def ask(self, reference: str, **options: object) -> None:
        policy = self.random.choices(("complete", "replace", "undo"), (90, 7, 3))[0]
        patience = self.random.uniform(0, 20.0) if self.random.random() < 0.1 else None
        given = {"on_unknown": policy, "patience": patience, **options}
        amount = self.rewards[reference].amount
        self.jobs.append(
            Job(number=next(self._numbers), reference=reference, amount=amount, **given)  # type: ignore[arg-type]
        )

    def undo(self, reference: str) -> None:
        self.rewards[reference].is_undone = True
        self.jobs.append(Undo(number=next(self._numbers), reference=reference))

    # Who does it

    async def start(self) -> Worker:
        attempts = self.random.choice((1, 2, 5))
        order = Order(place=self.place, began=self._began, speed=SPEED, max_attempts=attempts)
        with (self.folder / "stderr").open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.processes.worker",
                msgspec.json.encode(order).decode(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self._environment},
            )
        worker = Worker(process)
        self.workers.append(worker)
        return worker

    async def work(self) -> None:
        """Keep one worker process busy, and start another one whenever it dies, until all is done."""
        while not self.is_over:
            worker = await self.start()
            feeding = asyncio.create_task(self._feed(worker))
            try:
                await self._listen(worker)
            finally:
                feeding.cancel()
                await asyncio.wait([feeding])
            code = await worker.process.wait()
            if code not in (0, -signal.SIGKILL):
                self.wrong.append(f"a worker ended with {code}")
            self.workers.remove(worker)
            # The queue delivers again what nobody has answered.
            self.jobs.extend(worker.open.values())
            self._change()

    async def _feed(self, worker: Worker) -> None:
        with suppress(ConnectionError):
            while not self.is_over:
                while self.jobs and len(worker.open) < self._at_once and not worker.is_frozen:
                    worker.give(self.jobs.popleft())
                await worker.process.stdin.drain()
                await self._changed.wait()
        worker.process.stdin.close()

    async def _listen(self, worker: Worker) -> None:
        async for line in worker.process.stdout:
            # The last words of somebody who was killed may break off.
            if line.endswith(b"\n"):
                said = msgspec.json.decode(line, type=Said)
                self._hear(worker.open.pop(said.number), said)
                self._answered += 1
                self._change()

    def _hear(self, job: Job | Undo, said: Said) -> None:
        reward = self.rewards[job.reference]
        is_early = (
            isinstance(job, Undo)
            and said.error == "ConfigurationError"
            and "not in the ledger" in said.detail
        )
        if said.error in self._again or is_early:
            self.tally.again[said.error] += 1
            patience = job.patience and 2 * job.patience if isinstance(job, Job) else None
            self.jobs.append(job if patience is None else msgspec.structs.replace(job, patience=patience))
        elif said.error in FINAL:
            reward.ends.add(said.error)
        elif said.error:
            self.wrong.append(f"{job.reference}: {said.error} ({said.outcome}): {said.detail}")
        elif isinstance(job, Undo):
            reward.ends.add("RewardUndone")
        else:
            self._hand_out(reward, said)

    def _hand_out(self, reward: Reward, said: Said) -> None:
        is_first = not reward.cards
        reward.cards.add((said.gc_id, said.code))
        card = self._card(said.gc_id)
        if card is None or self.state.claim_code(card.gc_id) != said.code:
            self.wrong.append(f"{reward.reference}: handed out what the gateway does not know")
        elif not card.is_live and not reward.is_undone:
            self.wrong.append(f"{reward.reference}: handed out dead")
        if is_first and self.random.random() < 0.04:
            self.undo(reward.reference)

    def _card(self, gc_id: str | None) -> Card | None:
        if gc_id not in self._request_ids:
            self._request_ids = {card.gc_id: key for key, card in self.state.cards.items()}
        key = self._request_ids.get(gc_id)
        return None if key is None else self.state.cards[key]

    @property
    def is_over(self) -> bool:
        return bool(self.wrong) or not (self.jobs or any(worker.open for worker in self.workers))

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # What goes wrong

    def arm(self) -> None:
        """Every fault there is, in equal parts; connections, of which there are few, meet theirs on top."""
        each = 1 - (1 - self._share) ** (1 / len(set(FaultKind) - CONNECTION_FAULTS))
        for kind in FaultKind:
            self.emulator.faults.arm(Fault(kind, probability=each, seconds=_SECONDS.get(kind, 0.0)))

    async def kill(self) -> None:
        """SIGKILL, each time after a random share of the work, and one time in four as soon as one starts."""
        for number in range(self._kills):
            await self._progress((number + self.random.random()) / (self._kills + 1))
            is_early = self.random.random() < 0.25
            await asyncio.sleep(self.random.uniform(0.0, 0.5 if is_early else 0.05))
            while alive := [one for one in self.workers if one.can_be_killed]:
                victim = alive[-1] if is_early else self.random.choice(alive)
                try:
                    victim.signal(signal.SIGKILL)
                except ProcessLookupError:
                    # It has ended by itself, and nobody has been told yet.
                    await asyncio.sleep(0.005)
                    continue
                self.tally.kills += 1
                break

    async def freeze(self) -> None:
        """Stop a process for longer than its leases, and let it go on."""
        for number in range(self._freezes):
            await self._progress((number + self.random.random()) / (self._freezes + 1))
            if alive := [one for one in self.workers if one.process.returncode is None]:
                victim = self.random.choice(alive)
                victim.is_frozen = True
                with suppress(ProcessLookupError):
                    victim.signal(signal.SIGSTOP)
                    self.tally.freezes += 1
                    await asyncio.sleep(LEASE * 1.2)
                    victim.signal(signal.SIGCONT)
                victim.is_frozen = False
                self._change()

    async def deny(self) -> None:
        """The key is switched off for a moment, as in a rotation that went wrong."""
        for number in range(self._denials):
            await self._progress((number + self.random.random()) / (self._denials + 1))
            partner = self.state.partners["Acme1"]
            self.state.add_partner(replace(partner, keys={"AKIDCAMPAIGN": Key(SECRET, "inactive")}))
            await asyncio.sleep(self.random.uniform(0.02, 0.15))
            self.state.add_partner(partner)

    async def _progress(self, share: float) -> None:
        while self._answered < share * self.tally.rewards:
            await self._changed.wait()

    # From beginning to end

    async def run(self, *trouble: Callable[[], Awaitable[None]]) -> Tally:
        """
        Do all of it, let recovery finish, and check the books.

        Raises:
            WrongBooks: what does not balance.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with self.gateway():
            self.plan()
            await self._all((self.kill, self.freeze, self.deny, *trouble))
            self.tally.faults.update(fired.kind for fired in self.emulator.faults.fired)
            self.tally.requests = self.state.serial
            self.emulator.faults.clear()
            if not self.wrong:
                await self._settle()
        self.tally.seconds = loop.time() - started
        if words := (self.folder / "stderr").read_text():
            self.wrong.append(f"the workers said: {words[-3000:]}")
        if self.wrong:
            raise WrongBooks("; ".join(self.wrong[:20]))
        return self.tally

    async def _all(self, trouble: Iterable[Callable[[], Awaitable[None]]]) -> None:
        works = [asyncio.create_task(self.work()) for _ in range(self._wanted)]
        troubles = [asyncio.create_task(one()) for one in trouble]
        try:
            await asyncio.gather(*works)
        finally:
            for task in (*works, *troubles):
                task.cancel()
            await asyncio.gather(*works, *troubles, return_exceptions=True)
        for task in troubles:
            if not task.cancelled() and (failure := task.exception()):
                raise failure

    async def end(self) -> None:
        """Leave no process behind."""
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.process.kill()
            await worker.process.wait()

    async def _settle(self) -> None:
        """Without faults: everybody who has a card asks once more, and recovery settles what is open."""
        for reward in self.rewards.values():
            if reward.cards and not reward.is_undone:
                self.ask(reward.reference, on_unknown="complete", patience=None)
        await self._all(())
        async with opened(self.place, self.clock) as ledger:
            worker = await self.start()
            listening = asyncio.create_task(worker.process.stdout.read())
            try:
                async with asyncio.timeout(60):
                    while open_now := [entry async for entry in ledger.entries(OPEN)]:
                        await asyncio.sleep(0.1)
            except TimeoutError:
                self.wrong.append(f"still open: {open_now}")
            worker.process.stdin.close()
            if await worker.process.wait():
                self.wrong.append("the last worker failed")
            await listening
            self.workers.clear()
            await self._check(ledger)

    # The books

    async def _check(self, ledger: Ledger) -> None:
        state = self.state
        entries = {entry.reference: entry async for entry in ledger.entries()}
        ids: defaultdict[str, list[str]] = defaultdict(list)
        for reference, entry in entries.items():
            dead = await ledger.history(reference) if entry.generation > 1 else []
            ids[reference] = [one.request_id for one in (*dead, entry)]
        known = {key for keys in ids.values() for key in keys}
        self.wrong += [f"{key}: in no ledger" for key in state.cards if key not in known]
        for reward in self.rewards.values():
            self._check_reward(reward, entries.get(reward.reference), ids[reward.reference])
        issued = [entry.value.amount for entry in entries.values() if entry.state == "issued"]
        self.tally.states.update(entry.state for entry in entries.values())
        self.tally.cards = len(issued)
        self.tally.unknown = sum(one.has_unknown or one.generation > 1 for one in entries.values())
        self.tally.charged = state.spent("Acme1")
        if not sum(issued) == state.spent("Acme1") == 1_000_000 - state.funds["Acme1"]:
            self.wrong.append(f"issued {sum(issued)}, and {state.spent('Acme1')} were charged")

    def _check_reward(self, reward: Reward, entry: Entry | None, ids: list[str]) -> None:
        name, cards = reward.reference, self.state.cards
        live = [key for key in ids if key in cards and cards[key].is_live]
        if entry is None:
            self.wrong.append(f"{name}: lost")
            return
        if len(live) > 1:
            self.wrong.append(f"{name}: paid for more than once")
        if len(reward.cards) > 1:
            self.wrong.append(f"{name}: two cards were handed out")
        match entry.state:
            case "issued":
                card = cards.get(entry.request_id)
                if live != [entry.request_id] or (card.gc_id, str(card.amount)) != (
                    entry.gc_id,
                    reward.amount,
                ):
                    self.wrong.append(f"{name}: issued, and the gateway has {card}")
                if not reward.cards and not reward.ends:
                    self.wrong.append(f"{name}: paid for, and given to nobody")
                if reward.cards and {gc_id for gc_id, _ in reward.cards} != {entry.gc_id}:
                    self.wrong.append(f"{name}: another card was handed out")
                if "RewardUndone" in reward.ends:
                    self.wrong.append(f"{name}: told that it was undone, and it lives")
            case "reversed":
                if live:
                    self.wrong.append(f"{name}: reversed, and it lives")
                if reward.cards and not reward.is_undone:
                    self.wrong.append(f"{name}: handed out and reversed, and nobody had asked for that")
                if "UndoTooLate" in reward.ends:
                    self.wrong.append(f"{name}: too late to be undone, and dead")
            case other:
                self.wrong.append(f"{name}: {other}")

    def search(self, folders: Iterable[Path]) -> None:
        """
        Search all files for claim codes.

        Raises:
            WrongBooks: there is one; or the search finds nothing at all, not even a gcId.
        """
        codes = {
            self.state.claim_code(card.gc_id).replace("-", "").encode() for card in self.state.cards.values()
        }
        some_id = next(iter(self.state.cards.values())).gc_id.encode()
        is_there = False
        for path in (path for folder in folders for path in folder.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                self.tally.scanned += len(content)
                is_there = is_there or some_id in content
                found = {match[0].replace(b"-", b"") for match in CODE.finditer(content)} & codes
                if found:
                    raise WrongBooks(f"{path}: holds {len(found)} claim codes")
        if not is_there:
            raise WrongBooks("the ledger is not in these files")
