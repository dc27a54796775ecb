"""A service, a network that delays, loses and repeats, and a driver that keeps the ten money rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agcod_async import Money, StaleEntry
from agcod_async.errors import AccountError, ConnectFailed, ResendError
from agcod_async.ledger import Entry, Intent, MemoryLedger, Payer, states

PAYER = Payer(partner_id="Acme1", endpoint="na-sandbox")
INTENT = Intent(reference="order-1", value=Money("25.00", "USD"))
WINDOW = timedelta(minutes=15)


def run(coroutine):
    """Run what only ever waits for the next step of a loop."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value


@dataclass(eq=False)
class Message:
    operation: str
    request_id: str
    signed_at: datetime
    is_gone: bool = False
    answer: str | None = None


@dataclass
class Card:
    created_at: datetime
    is_live: bool = True


@dataclass(eq=False)
class World:
    """The service and the network."""

    now: datetime
    remembers_cancels: bool
    cards: dict[str, Card] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    handed_out: list[str] = field(default_factory=list)

    def deliver(self, message: Message, is_refusing: bool) -> None:
        """The service meets a message, perhaps again, perhaps long after it was sent."""
        if message.operation == "create":
            answer = self._create(message, is_refusing)
        else:
            answer = self._cancel(message)
        message.answer = message.answer or answer

    def in_flight(self, operation: str, request_id: str) -> bool:
        """Whether such a message can still be met."""
        return any(
            message.operation == operation and message.request_id == request_id and not self.is_over(message)
            for message in self.messages
        )

    def is_over(self, message: Message) -> bool:
        return message.is_gone or self.now - message.signed_at > WINDOW

    def can_kill(self, request_id: str) -> bool:
        """Whether a cancel is under way that would be obeyed."""
        card = self.cards[request_id]
        return self.in_flight("cancel", request_id) and self.now - card.created_at <= WINDOW

    def _create(self, message: Message, is_refusing: bool) -> str:
        card = self.cards.get(message.request_id)
        if card is None and is_refusing:
            message.is_gone = True
            return "refused"
        if card is None:
            card = self.cards[message.request_id] = Card(self.now)
        return "live" if card.is_live else "refunded"

    def _cancel(self, message: Message) -> str:
        card = self.cards.get(message.request_id)
        if card is None:
            if self.remembers_cancels:
                self.cards[message.request_id] = Card(self.now, is_live=False)
            return "not permitted"
        if card.is_live and self.now - card.created_at > WINDOW:
            return "too late"
        card.is_live = False
        return "success"


class Driver:
    """Takes an entry from the ledger and drives it, one step at a time, until it is killed."""

    def __init__(self, name: str, world: World, ledger: MemoryLedger) -> None:
        self.world = world
        self.ledger = ledger
        self.name = name
        self.entry: Entry | None = None
        self.waiting: Message | None = None
        self.before: Entry | None = None
        """The entry before its burial."""
        self.dead_ends = 0

    def kill(self) -> None:
        self.entry = self.waiting = None

    def begin(self) -> None:
        begun = self.ledger.begin(INTENT, payer=PAYER, owner=self.name, lease=60.0)
        entry, is_mine = run(begun)
        if is_mine:
            self.entry = entry
            self.send("create")

    def take(self, *, is_by_claim: bool) -> None:
        """By a claim, or only by reading: the version must give safety even then."""
        if is_by_claim:
            if run(self.ledger.get("order-1")) is not None:
                self.entry = run(self.ledger.claim("order-1", payer=PAYER, owner=self.name, lease=60.0))
        else:
            self.entry = run(self.ledger.get("order-1"))

    def save(self, entry: Entry, retired: Entry | None = None) -> bool:
        try:
            self.entry = run(self.ledger.save(entry, retired=retired))
        except StaleEntry:
            self.kill()
            return False
        return True

    def send(self, operation: str) -> None:
        self.waiting = Message(operation, self.entry.request_id, self.world.now)
        self.world.messages.append(self.waiting)

    def advance(self) -> None:
        """Send what the entry's state asks for."""
        now = self.world.now
        if self.entry.state in ("planned", "sent"):
            if self.save(states.mark_sent(self.entry, now)):
                self.send("create")
        elif self.entry.state == "issued":
            self.send("create")
        elif self.entry.state == "reversing":
            self.send("cancel")
        elif self.entry.state == "reversed" and self.entry.goal == "replace":
            self.save(*states.renew(self.entry, now))

    def reverse(self, goal: str) -> None:
        if self.entry.state in ("sent", "issued"):
            if self.save(states.begin_reverse(self.entry, goal, self.world.now)):
                self.send("cancel")
        elif self.entry.state == "planned":
            self.save(states.withdraw(self.entry, self.world.now))
        elif self.entry.state in ("reversing", "reversed"):
            self.save(states.change_goal(self.entry, goal, self.world.now))

    def reopen(self) -> None:
        if self.entry.state == "refused":
            self.save(states.reopen_refused(self.entry, self.world.now))
        elif self.entry.state == "abandoned":
            self.save(states.reopen_abandoned(self.entry, self.world.now))

    def give_up(self) -> None:
        if self.entry.state in ("sent", "reversing"):
            self.save(states.abandon(self.entry))

    def never_left(self) -> None:
        """The connection was refused."""
        self.waiting.is_gone = True
        self.waiting = None
        if self.entry.state == "sent":
            self.save(states.not_sent_after_all(self.entry, self.world.now, self.world.now, ConnectFailed()))

    def hear(self, answer: str | None) -> None:
        """Learn from an answer, or from a timeout."""
        operation, self.waiting = self.waiting.operation, None
        state = self.entry.state
        if state == "reversing":
            self.hear_reversing(operation, answer)
        elif state == "sent":
            self.hear_sent(answer)
        elif state == "issued" and answer == "live":
            self.settle_issued()
        elif state == "issued" and answer == "refunded":
            self.save(states.settle_refunded(self.entry, self.world.now))

    def hear_sent(self, answer: str | None) -> None:
        now = self.world.now
        if answer == "live":
            self.settle_issued()
        elif answer == "refunded":
            self.save(states.settle_refunded(self.entry, now))
        elif answer == "refused" and not self.entry.has_unknown:
            self.save(states.settle_refused(self.entry, now, AccountError(error_code="F300")))
        else:
            self.save(states.still_unknown(self.entry, now, now, ResendError(error_code="F400")))

    def hear_reversing(self, operation: str, answer: str | None) -> None:
        now = self.world.now
        if operation == "create" and answer == "refused":
            self.not_buried()
        elif answer == "success":
            self.settle_reversed()
        elif answer == "too late":
            self.save(states.too_late(self.entry, now))
        elif answer == "not permitted":
            self.not_permitted()
        elif answer == "refunded":
            self.save(states.settle_refunded(self.entry, now))
        else:
            self.save(states.reverse_unknown(self.entry, now, now, ResendError(error_code="F400")))

    def not_permitted(self) -> None:
        """It proves nothing: the create may still be on its way. Bury the id."""
        self.before = self.entry
        if self.save(states.bury(self.entry, self.world.now)):
            self.send("create")

    def not_buried(self) -> None:
        """Nothing can be made under the id once nothing can be under way; all clocks here are one."""
        entry = states.not_buried(self.entry, self.before, AccountError(error_code="F300"))
        if self.before.sign_by is not None and self.world.now > self.before.sign_by + WINDOW:
            self.entry = entry
            self.dead_ends += 1
            self.settle_reversed()
        else:
            self.save(states.reverse_unknown(entry, self.world.now, self.world.now))

    def settle_issued(self) -> None:
        if self.save(states.settle_issued(self.entry, self.world.now, f"G{self.entry.request_id}")):
            self.world.handed_out.append(self.entry.request_id)
            # The one moment that counts: the code is in the customer's hands.
            assert self.world.cards[self.entry.request_id].is_live
            assert not self.world.can_kill(self.entry.request_id)

    def settle_reversed(self) -> None:
        dead = states.settle_reversed(self.entry, self.world.now)
        if dead.goal == "replace":
            self.save(*states.renew(dead, self.world.now))
        else:
            self.save(dead)


class Play:
    """Two drivers, one reference, and everything that can go wrong between them and the service."""

    def __init__(self, start: datetime, driver: type[Driver], *, remembers_cancels: bool) -> None:
        self.world = World(start, remembers_cancels)
        self.ledger = MemoryLedger(clock=lambda: self.world.now)
        self.drivers = [driver(f"driver-{n}", self.world, self.ledger) for n in range(2)]
        self.version = 0

    def act(self, action: str, who: int) -> None:
        """Let a driver do something, if it can."""
        driver = self.drivers[who]
        if action == "kill":
            driver.kill()
        elif action in ("begin", "claim", "read"):
            if driver.entry is None:
                driver.begin() if action == "begin" else driver.take(is_by_claim=action == "claim")
        elif driver.entry is None:
            pass
        elif driver.waiting is None:
            if action in ("undo", "replace"):
                driver.reverse(action)
            elif action in ("advance", "reopen", "give_up"):
                getattr(driver, action)()
        elif action == "time_out":
            driver.hear(None)
        elif action == "answer" and driver.waiting.answer:
            driver.hear(driver.waiting.answer)
        elif action == "never_left" and driver.waiting.answer is None:
            driver.never_left()

    def deliver(self, message: Message, *, is_refusing: bool) -> None:
        if not self.world.is_over(message):
            self.world.deliver(message, is_refusing)

    def pass_time(self, seconds: float) -> None:
        self.world.now += timedelta(seconds=seconds)

    def check(self) -> None:
        """The invariants."""
        self.the_intent_was_committed_first()
        self.at_most_one_card_lives()
        self.retired_ids_are_dead()
        self.a_final_state_is_true()
        self.what_is_open_is_due()
        self.versions_only_rise()

    @property
    def entry(self):
        return run(self.ledger.get("order-1"))

    def the_intent_was_committed_first(self):
        """Rules 1 and 2: what is on its way is in the ledger, under its one id."""
        history = run(self.ledger.history("order-1"))
        ids = {entry.request_id for entry in [*history, *([self.entry] if self.entry else [])]}
        assert {message.request_id for message in self.world.messages} <= ids
        assert len(ids) == len(history) + bool(self.entry)

    def at_most_one_card_lives(self):
        """Nothing is paid twice."""
        assert sum(card.is_live for card in self.world.cards.values()) <= 1

    def retired_ids_are_dead(self):
        """Rule 5: a new id comes only after the old one is dead, for ever."""
        for entry in run(self.ledger.history("order-1")):
            self.is_dead(entry)

    def a_final_state_is_true(self):
        """Rules 3, 4, 7 and 8: nothing is called settled that is not."""
        entry = self.entry
        if entry is None:
            return
        if entry.state in ("refused", "planned"):
            assert entry.request_id not in self.world.cards
            assert not self.world.in_flight("create", entry.request_id)
        elif entry.state == "reversed":
            self.is_dead(entry)
        elif entry.state == "issued":
            assert entry.request_id in self.world.cards

    def what_is_open_is_due(self):
        """Rule 9: whatever is killed, recovery finds what it left, and nothing else."""
        if entry := self.entry:
            is_open = entry.state in ("planned", "sent", "reversing") or (
                entry.state == "reversed" and entry.goal == "replace"
            )
            assert (entry.due_at is not None) == is_open

    def versions_only_rise(self):
        """Rule 10."""
        if entry := self.entry:
            assert entry.version >= self.version
            self.version = entry.version

    def is_dead(self, entry):
        card = self.world.cards.get(entry.request_id)
        if card is None:
            # Withdrawn: nothing was ever on its way that could still arrive.
            assert not self.world.in_flight("create", entry.request_id)
        else:
            assert not card.is_live
