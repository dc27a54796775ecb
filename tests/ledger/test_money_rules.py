"""The ten money rules as invariants, under any order of sends, losses, delays, kills and takeovers."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agcod_async.errors import IllegalTransition
from agcod_async.ledger import MemoryLedger, planning, states
from tests.ledger.conftest import START
from tests.ledger.world import Driver, World, run

STEPS = settings(
    max_examples=400,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
WHO = st.integers(0, 1)


class MoneyRules(RuleBasedStateMachine):
    """Two drivers, one reference, and everything that can go wrong between them and the service."""

    driver_class = Driver

    @initialize(remembers_cancels=st.booleans())
    def start(self, remembers_cancels):
        self.world = World(START, remembers_cancels)
        self.ledger = MemoryLedger(clock=lambda: self.world.now)
        self.drivers = [self.driver_class(f"driver-{n}", self.world, self.ledger) for n in range(2)]
        self.version = 0

    def has(self, who, *, waiting):
        driver = self.drivers[who]
        return driver.entry is not None and (driver.waiting is not None) == waiting

    @rule(who=WHO)
    def begin(self, who):
        if self.drivers[who].entry is None:
            self.drivers[who].begin()

    @rule(who=WHO, is_by_claim=st.booleans())
    def take(self, who, is_by_claim):
        if self.drivers[who].entry is None:
            self.drivers[who].take(is_by_claim=is_by_claim)

    @rule(who=WHO)
    def advance(self, who):
        if self.has(who, waiting=False):
            self.drivers[who].advance()

    @rule(who=WHO, goal=st.sampled_from(["undo", "replace"]))
    def reverse(self, who, goal):
        if self.has(who, waiting=False):
            self.drivers[who].reverse(goal)

    @rule(who=WHO)
    def reopen(self, who):
        if self.has(who, waiting=False):
            self.drivers[who].reopen()

    @rule(who=WHO)
    def give_up(self, who):
        if self.has(who, waiting=False):
            self.drivers[who].give_up()

    @precondition(lambda self: self.world.messages)
    @rule(data=st.data(), is_refusing=st.booleans())
    def deliver(self, data, is_refusing):
        message = data.draw(st.sampled_from(self.world.messages))
        if not self.world.is_over(message):
            self.world.deliver(message, is_refusing)

    @rule(who=WHO)
    def answer(self, who):
        if self.has(who, waiting=True) and self.drivers[who].waiting.answer:
            self.drivers[who].hear(self.drivers[who].waiting.answer)

    @rule(who=WHO)
    def time_out(self, who):
        if self.has(who, waiting=True):
            self.drivers[who].hear(None)

    @rule(who=WHO)
    def never_left(self, who):
        if self.has(who, waiting=True) and self.drivers[who].waiting.answer is None:
            self.drivers[who].never_left()

    @rule(who=WHO)
    def kill(self, who):
        self.drivers[who].kill()

    @rule(seconds=st.sampled_from([1, 61, 901]))
    def pass_time(self, seconds):
        self.world.now += timedelta(seconds=seconds)

    @property
    def entry(self):
        return run(self.ledger.get("order-1"))

    @invariant()
    def the_intent_was_committed_first(self):
        """Rules 1 and 2: what is on its way is in the ledger, under its one id."""
        history = run(self.ledger.history("order-1"))
        ids = {entry.request_id for entry in [*history, *([self.entry] if self.entry else [])]}
        assert {message.request_id for message in self.world.messages} <= ids
        assert len(ids) == len(history) + bool(self.entry)

    @invariant()
    def at_most_one_card_lives(self):
        """Nothing is paid twice."""
        assert sum(card.is_live for card in self.world.cards.values()) <= 1

    @invariant()
    def retired_ids_are_dead(self):
        """Rule 5: a new id comes only after the old one is dead, for ever."""
        for entry in run(self.ledger.history("order-1")):
            self.is_dead(entry)

    @invariant()
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

    @invariant()
    def what_is_open_is_due(self):
        """Rule 9: whatever is killed, recovery finds what it left, and nothing else."""
        if entry := self.entry:
            is_open = entry.state in ("planned", "sent", "reversing") or (
                entry.state == "reversed" and entry.goal == "replace"
            )
            assert (entry.due_at is not None) == is_open

    @invariant()
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


MoneyRules.TestCase.settings = STEPS
TestMoneyRules = MoneyRules.TestCase


# The machine must be able to fail: each of these breaks one rule, and is caught


class BelievesRefusals(Driver):
    """Rule 4: books a refusal although an earlier send is unknown."""

    def hear_sent(self, answer):
        if answer == "refused":
            self.entry = msgspec.structs.replace(self.entry, has_unknown=False)
        super().hear_sent(answer)


class GuessesTimeouts(Driver):
    """Rule 3: books a timeout as a refusal."""

    def hear_sent(self, answer):
        super().hear_sent(answer or "refused")


class BelievesUnknownIds(Driver):
    """Rule 7: takes "not permitted" for "nothing there"."""

    def not_permitted(self):
        self.settle_reversed()


class HandsOutWhileReversing(Driver):
    """Rule 6: hands out what the burial brought up."""

    def hear_reversing(self, operation, answer):
        if operation == "create" and answer == "live":
            self.entry = msgspec.structs.replace(self.entry, state="sent")
            self.settle_issued()
        else:
            super().hear_reversing(operation, answer)


class RenewsAtOnce(Driver):
    """Rule 5: makes a new id while the old one may still live."""

    def hear_reversing(self, operation, answer):
        self.entry = msgspec.structs.replace(self.entry, goal="replace")
        self.settle_reversed()


class KillsLateCards(Driver):
    """Rule 8: takes "too late" for "reversed"."""

    def hear_reversing(self, operation, answer):
        super().hear_reversing(operation, "success" if answer == "too late" else answer)


class SendsFirst(Driver):
    """Rule 1: sends, and writes afterwards."""

    def advance(self):
        if self.entry.state == "planned":
            self.send("create")
            self.save(states.mark_sent(self.entry, self.world.now))
        else:
            super().advance()


class NeverLeft(Driver):
    """Rule 3: takes a timeout for a connection that was refused."""

    def hear(self, answer):
        if answer is None and self.entry.state == "sent":
            self.waiting = None
            self.save(states.not_sent_after_all(self.entry, self.world.now))
        else:
            super().hear(answer)


class HandsOutFirst(Driver):
    """Rule 10: hands out before the ledger has agreed."""

    def settle_issued(self):
        self.world.handed_out.append(self.entry.request_id)
        assert not self.world.can_kill(self.entry.request_id)
        assert self.world.cards[self.entry.request_id].is_live
        super().settle_issued()


class OverwritesOthers(Driver):
    """Rule 10: writes whatever version there is."""

    def save(self, entry, retired=None):
        known = run(self.ledger.get("order-1"))
        entry = msgspec.structs.replace(entry, version=known.version)
        return super().save(entry, retired and msgspec.structs.replace(retired, version=known.version))


MUTANTS = [
    BelievesRefusals,
    GuessesTimeouts,
    BelievesUnknownIds,
    HandsOutWhileReversing,
    RenewsAtOnce,
    KillsLateCards,
    SendsFirst,
    NeverLeft,
    HandsOutFirst,
    OverwritesOthers,
]


def assert_caught(machine):
    with pytest.raises((AssertionError, IllegalTransition, ExceptionGroup)):
        run_state_machine_as_test(machine, settings=settings(STEPS, max_examples=5000))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_driver_that_breaks_a_rule_is_caught(mutant):
    """The invariants have teeth: whatever leaves out one rule loses or doubles money here."""
    assert_caught(type("Mutant", (MoneyRules,), {"driver_class": mutant}))


def test_a_second_send_that_forgets_the_first_is_caught(monkeypatch):
    """Rule 4 in the state machine: without it a refusal would hide a charge."""
    monkeypatch.setattr(states, "_unknown", lambda _entry, _now: {})
    assert_caught(MoneyRules)


def test_a_claim_that_forgets_an_open_send_is_caught(monkeypatch):
    """Rule 4 at a start: an entry found open is unknown, and not to be withdrawn or refused."""

    class Careless(Driver):
        def advance(self):
            if self.entry.state == "sent":
                self.send("create")
            else:
                super().advance()

    monkeypatch.setattr(planning, "found_open", lambda entry, _now: entry)
    assert_caught(type("Mutant", (MoneyRules,), {"driver_class": Careless}))
