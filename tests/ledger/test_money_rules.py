"""The ten money rules as invariants, under any order of sends, losses, delays, kills and takeovers."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agcod_async.errors import IllegalTransition
from agcod_async.ledger import planning, states
from tests.ledger.conftest import START
from tests.ledger.world import Driver, Play, run

WEIGHTS = {
    "begin": 3,
    "claim": 4,
    "read": 2,
    "advance": 6,
    "undo": 1,
    "replace": 2,
    "reopen": 1,
    "give_up": 0.3,
    "answer": 8,
    "time_out": 2,
    "never_left": 0.5,
    "kill": 1.5,
    "deliver": 8,
    "pass_time": 3,
}
ACTIONS = [action for action in WEIGHTS if action not in ("deliver", "pass_time")]


class MoneyRules(RuleBasedStateMachine):
    """Hypothesis looks for an order of events that breaks a rule, and shows the shortest."""

    @initialize(remembers_cancels=st.booleans())
    def start(self, remembers_cancels):
        self.play = Play(START, Driver, remembers_cancels=remembers_cancels)

    @rule(action=st.sampled_from(ACTIONS), who=st.integers(0, 1))
    def act(self, action, who):
        self.play.act(action, who)

    @precondition(lambda self: self.play.world.messages)
    @rule(data=st.data(), is_refusing=st.booleans())
    def deliver(self, data, is_refusing):
        self.play.deliver(data.draw(st.sampled_from(self.play.world.messages)), is_refusing=is_refusing)

    @rule(seconds=st.sampled_from([1, 61, 901, 3000]))
    def pass_time(self, seconds):
        self.play.pass_time(seconds)

    @invariant()
    def rules_hold(self):
        if hasattr(self, "play"):
            self.play.check()


MoneyRules.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, derandomize=True, database=None, deadline=None
)
TestMoneyRules = MoneyRules.TestCase


def play(driver, seed, steps=80):
    """Play one universe at random, and check the books after every step."""
    random = Random(seed)
    universe = Play(START, driver, remembers_cancels=random.random() < 0.5)
    for action in random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=steps):
        if action == "pass_time":
            universe.pass_time(random.choice([1, 61, 61, 901, 3000]))
        elif action != "deliver":
            universe.act(action, random.randrange(2))
        elif universe.world.messages:
            universe.deliver(random.choice(universe.world.messages[-4:]), is_refusing=random.random() < 0.3)
        universe.check()
    return universe


def play_many(driver, universes):
    return [play(driver, seed) for seed in range(universes)]


def test_random_universes_keep_their_books():
    """Six hundred universes: cards are issued, lost, found, reversed and replaced, and none paid twice."""
    universes = play_many(Driver, 600)
    assert sum(bool(universe.world.handed_out) for universe in universes) > 200
    assert any(universe.drivers[who].dead_ends for universe in universes for who in range(2))
    assert sum(bool(run(universe.ledger.history("order-1"))) for universe in universes) > 30
    seen = {universe.entry.state for universe in universes if universe.entry}
    assert seen == {"planned", "sent", "issued", "refused", "reversing", "reversed", "abandoned"}


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


class BelievesRefusedBurials(Driver):
    """Rule 7: takes a refused create for "nothing there", however fresh the last one is."""

    def not_buried(self):
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

    def hear_reversing(self, *_):
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
            self.save(states.not_sent_after_all(self.entry, self.world.now, self.world.now))
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
    BelievesRefusedBurials,
    HandsOutWhileReversing,
    RenewsAtOnce,
    KillsLateCards,
    SendsFirst,
    NeverLeft,
    HandsOutFirst,
    OverwritesOthers,
]


def assert_caught(driver):
    with pytest.raises((AssertionError, IllegalTransition)):
        play_many(driver, 5000)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_driver_that_breaks_a_rule_is_caught(mutant):
    """The invariants have teeth: whatever leaves out one rule loses or doubles money here."""
    assert_caught(mutant)


def test_a_second_send_that_forgets_the_first_is_caught(monkeypatch):
    """Rule 4 in the state machine: without it a refusal would hide a charge."""
    monkeypatch.setattr(states, "_unknown", lambda _entry, _now: {})
    assert_caught(Driver)


def test_a_claim_that_forgets_an_open_send_is_caught(monkeypatch):
    """Rule 4 at a start: an entry found open is unknown, and not to be withdrawn or refused."""

    class Careless(Driver):
        def advance(self):
            if self.entry.state == "sent":
                self.send("create")
            else:
                super().advance()

    monkeypatch.setattr(planning, "found_open", lambda entry, _now: entry)
    assert_caught(Careless)
