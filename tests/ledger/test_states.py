"""The state machine: what each step does, and that there are no others."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from agcod_async import ConnectFailed, ResendError, ThrottlingError
from agcod_async.errors import AccountError, IllegalTransition
from agcod_async.ledger import Intent, State, states
from agcod_async.ledger.planning import planned
from agcod_async.ledger.request_ids import request_id
from agcod_async.money import Money
from tests.ledger.conftest import START
from tests.ledger.world import PAYER

NOW = START + timedelta(seconds=10)
LATER = START + timedelta(seconds=20)
STATES: tuple[State, ...] = get_args(State)
REFUSAL = AccountError(error_code="F300", error_type="InsufficientFunds")

STEPS = {
    "mark_sent": lambda entry: states.mark_sent(entry, NOW),
    "found_open": lambda entry: states.found_open(entry, NOW),
    "not_sent_after_all": lambda entry: states.not_sent_after_all(entry, NOW, LATER),
    "still_unknown": lambda entry: states.still_unknown(entry, NOW, LATER),
    "settle_issued": lambda entry: states.settle_issued(entry, NOW, "G1"),
    "settle_refused": lambda entry: states.settle_refused(entry, NOW, REFUSAL),
    "settle_refunded": lambda entry: states.settle_refunded(entry, NOW),
    "begin_reverse": lambda entry: states.begin_reverse(entry, "undo", NOW),
    "bury": lambda entry: states.bury(entry, NOW),
    "not_buried": lambda entry: states.not_buried(entry, entry, REFUSAL),
    "seen_alive": lambda entry: states.seen_alive(entry, NOW),
    "reverse_unknown": lambda entry: states.reverse_unknown(entry, NOW, LATER),
    "settle_reversed": lambda entry: states.settle_reversed(entry, NOW),
    "too_late": lambda entry: states.too_late(entry, NOW),
    "change_goal": lambda entry: states.change_goal(entry, "replace", NOW),
    "renew": lambda entry: states.renew(msgspec.structs.replace(entry, goal="replace"), NOW)[0],
    "withdraw": lambda entry: states.withdraw(entry, NOW),
    "abandon": states.abandon,
    "reopen_refused": lambda entry: states.reopen_refused(entry, NOW),
    "reopen_abandoned": lambda entry: states.reopen_abandoned(entry, NOW),
}

# Written out by hand, not taken from the module: step, from, to.
LEGAL = {
    ("mark_sent", "planned", "sent"),
    ("mark_sent", "sent", "sent"),
    ("found_open", "sent", "sent"),
    ("not_sent_after_all", "sent", "planned"),
    ("still_unknown", "sent", "sent"),
    ("settle_issued", "sent", "issued"),
    ("settle_issued", "issued", "issued"),
    ("settle_refused", "sent", "refused"),
    ("settle_refunded", "sent", "reversed"),
    ("settle_refunded", "issued", "reversed"),
    ("settle_refunded", "reversing", "reversed"),
    ("begin_reverse", "sent", "reversing"),
    ("begin_reverse", "issued", "reversing"),
    ("bury", "reversing", "reversing"),
    ("not_buried", "reversing", "reversing"),
    ("seen_alive", "reversing", "reversing"),
    ("reverse_unknown", "reversing", "reversing"),
    ("settle_reversed", "reversing", "reversed"),
    ("too_late", "reversing", "issued"),
    ("change_goal", "reversing", "reversing"),
    ("change_goal", "reversed", "reversed"),
    ("renew", "reversed", "planned"),
    ("withdraw", "planned", "reversed"),
    ("abandon", "sent", "abandoned"),
    ("abandon", "reversing", "abandoned"),
    ("reopen_refused", "refused", "planned"),
    ("reopen_abandoned", "abandoned", "sent"),
}


def entry_in(state="planned", **fields):
    entry = planned(Intent(reference="order-1", value=Money("25.00", "USD")), PAYER, START)
    return msgspec.structs.replace(
        entry, state=state, owner="me", lease_until=LATER, version=7, gc_id=None, **fields
    )


def test_every_step_is_tried():
    """A step that is added is added here."""
    assert STEPS.keys() == states.TRANSITIONS.keys()


def test_the_document_shows_where_an_entry_may_go():
    """Whoever operates a ledger reads its states there: no more transitions and no fewer than there are."""
    page = (Path(__file__).parents[2] / "docs" / "exactly-once.md").read_text(encoding="utf-8")
    diagram = page.partition("## The states of an entry")[2].split("```")[1]
    lines = re.findall(r"^(\w+) +-- .+ -+> (\w+(?:, \w+)*)$", diagram, re.MULTILINE)
    assert len(lines) == len(diagram.splitlines()) - 1
    shown = {(start, to) for start, targets in lines for to in targets.split(", ")}
    steps = [step.items() for step in states.TRANSITIONS.values()]
    assert shown == {
        (start, to) for step in steps for start, targets in step for to in targets if start != to
    }


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_leads_where_it_may_or_nowhere(step, state):
    """Whatever is not in the table raises, before anything can be stored or handed out."""
    targets = [to for name, start, to in LEGAL if (name, start) == (step, state)]
    if targets:
        assert STEPS[step](entry_in(state)).state in targets
    else:
        with pytest.raises(IllegalTransition) as caught:
            STEPS[step](entry_in(state))
        assert caught.value.request_id == entry_in().request_id


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_touches_neither_money_nor_version(step, state):
    """The intent is fixed, ids change by renewing alone, and versions are the ledger's business."""
    before = entry_in(state)
    if any((name, start) == (step, state) for name, start, _ in LEGAL):
        after = STEPS[step](before)
        kept = [*Intent.__struct_fields__, "partner_id", "endpoint", "version"]
        kept += [] if step == "renew" else ["generation", "request_id", "planned_at"]
        assert [getattr(after, field) for field in kept] == [getattr(before, field) for field in kept]
        is_open = after.state in ("planned", "sent", "reversing")
        assert (after.due_at is not None) == (is_open or step == "change_goal")
        assert (after.owner is not None) == (is_open or step == "change_goal")


def test_a_first_send_is_counted_and_timed():
    """What support asks for is in the entry: how often, and when."""
    first = states.mark_sent(entry_in(), NOW)
    assert (first.attempts, first.first_sent_at, first.last_sent_at, first.due_at) == (1, NOW, NOW, NOW)
    assert (first.has_unknown, first.unknown_since) == (False, None)
    second = states.mark_sent(first, LATER)
    assert (second.attempts, second.first_sent_at, second.last_sent_at) == (2, NOW, LATER)
    assert (second.has_unknown, second.unknown_since) == (True, NOW)


def test_a_refusal_after_an_unknown_is_not_final():
    """Send 1 times out and charges, send 2 is refused for its key: booking "failed" would lose the charge."""
    entry = states.still_unknown(entry_in("sent", last_sent_at=START), NOW, LATER, ResendError())
    assert (entry.has_unknown, entry.unknown_since, entry.due_at) == (True, START, LATER)
    with pytest.raises(IllegalTransition, match="not final"):
        states.settle_refused(entry, NOW, REFUSAL)
    again = states.mark_sent(entry, NOW)
    with pytest.raises(IllegalTransition, match="not final"):
        states.settle_refused(again, NOW, REFUSAL)
    assert states.still_unknown(again, NOW, LATER).unknown_since == START


def test_an_error_that_leaves_the_outcome_unknown_settles_nothing():
    """A refusal on the third attempt of a call says nothing about the timeout of the first."""
    refusal = AccountError(error_code="F300")
    refusal.outcome = "unknown"
    for settle in (
        lambda entry: states.settle_refused(entry, NOW, refusal),
        lambda entry: states.not_sent_after_all(entry, NOW, LATER, refusal),
        lambda entry: states.not_sent_after_all(entry, NOW, LATER, ResendError()),
    ):
        with pytest.raises(IllegalTransition, match="settles nothing"):
            settle(entry_in("sent"))


def test_not_sent_takes_back_its_own_send_only():
    """A refused connection proves nothing about the send before it."""
    sent = states.mark_sent(entry_in(), NOW)
    back = states.not_sent_after_all(sent, NOW, LATER, ConnectFailed())
    assert (back.state, back.first_sent_at, back.last_sent_at, back.due_at) == ("planned", None, None, LATER)
    assert (back.last_error_code, back.last_error_type) == (None, "ConnectFailed")
    unknown = states.mark_sent(states.still_unknown(sent, NOW, NOW), LATER)
    still = states.not_sent_after_all(unknown, NOW, LATER, ThrottlingError())
    assert (still.state, still.has_unknown, still.first_sent_at) == ("sent", True, NOW)
    refused = states.settle_refused(sent, NOW, REFUSAL)
    reopened = states.mark_sent(states.reopen_refused(refused, LATER), LATER)
    kept = states.not_sent_after_all(reopened, NOW, LATER)
    assert (kept.state, kept.first_sent_at) == ("planned", NOW)


def test_a_settled_refusal_says_why():
    """The service's own words are kept, made fit for any store."""
    error = AccountError(error_code="F300", error_type="Bad\0\ud800" + "x" * 300)
    entry = states.settle_refused(entry_in("sent"), NOW, error)
    assert (entry.state, entry.settled_at, entry.last_error_code) == ("refused", NOW, "F300")
    assert entry.last_error_type == "Bad" + "x" * 197
    unnamed = states.settle_refused(entry_in("sent"), NOW, AccountError(error_code="F300"))
    assert unnamed.last_error_type == "AccountError"


def test_a_card_is_handed_out_again_as_the_same_card():
    """Each handing out is a write, and the card stays the one of the first."""
    first = states.settle_issued(entry_in("sent"), NOW, "G1")
    again = states.settle_issued(first, LATER, "G1")
    assert (again.settled_at, again.gc_id) == (NOW, "G1")
    assert states.settle_issued(first, LATER, None).gc_id == "G1"
    with pytest.raises(IllegalTransition, match="another endpoint"):
        states.settle_issued(first, LATER, "G2")


def test_a_reverse_closes_the_way_to_the_code():
    """Once a reverse has left, the card of this id is handed to nobody, unless it is too late to kill it."""
    sent = states.mark_sent(entry_in(), NOW)
    reversing = states.begin_reverse(sent, "undo", LATER)
    assert (reversing.goal, reversing.reversed_since, reversing.due_at) == ("undo", LATER, LATER)
    assert (reversing.has_unknown, reversing.unknown_since) == (True, NOW)
    with pytest.raises(IllegalTransition):
        states.settle_issued(reversing, LATER, "G1")
    alive = states.too_late(reversing, LATER)
    assert (alive.state, alive.goal, alive.settled_at) == ("issued", "issue", LATER)
    assert states.settle_issued(alive, LATER, "G1").gc_id == "G1"


def test_an_issued_card_can_be_reversed():
    """Undoing starts anew the clock of the chain, and forgets that the card was settled."""
    issued = states.settle_issued(entry_in("sent"), NOW, "G1")
    reversing = states.begin_reverse(issued, "replace", LATER)
    assert (reversing.settled_at, reversing.reversed_since, reversing.gc_id) == (None, LATER, "G1")
    assert not reversing.has_unknown


def test_a_burial_is_a_forward_send():
    """The create that digs the grave counts: it can stay on its way for a quarter of an hour."""
    entry = states.bury(entry_in("reversing", attempts=1, first_sent_at=START, last_sent_at=START), NOW)
    assert (entry.attempts, entry.first_sent_at, entry.last_sent_at) == (2, START, NOW)
    assert (entry.has_unknown, entry.unknown_since) == (True, START)


def test_what_was_not_buried_leaves_the_earlier_bound():
    """A burial that was refused is not under way; the create that it was to meet may still be."""
    before = states.begin_reverse(states.mark_sent(entry_in(), START), "undo", NOW)
    entry = states.bury(before, LATER)
    assert (before.sign_by, entry.sign_by) == (START + states.SIGN_WITHIN, LATER + states.SIGN_WITHIN)
    assert states.not_buried(entry, before, REFUSAL).sign_by == before.sign_by
    with pytest.raises(IllegalTransition, match="unknown"):
        states.not_buried(entry, before, ResendError())


def test_a_clock_that_is_behind_takes_no_bound_back():
    """Of several requests that may be under way, the one that may be signed last counts."""
    ahead = states.mark_sent(entry_in(), NOW, signing=NOW + timedelta(hours=1))
    behind = states.mark_sent(ahead, LATER)
    assert behind.sign_by == NOW + timedelta(hours=1) + states.SIGN_WITHIN


def test_nothing_comes_any_more_once_every_signature_is_stale():
    """Fifteen minutes of a signature, and fifteen that the service may be behind the one it just took."""
    last = states.mark_sent(entry_in(), START).sign_by
    assert not states.is_gone(last, START + timedelta(hours=1))
    assert states.is_gone(last, START + timedelta(hours=1, microseconds=1))
    assert not states.is_gone(None, LATER)


def test_a_card_is_past_cancelling_when_every_clock_agrees():
    """Fifteen minutes of the window, and twice fifteen that two signatures may differ."""
    alive = states.seen_alive(entry_in("reversing"), START)
    assert states.seen_alive(alive, NOW).alive_at == START
    assert not states.is_past_cancelling(alive, START + timedelta(minutes=45))
    assert states.is_past_cancelling(alive, START + timedelta(minutes=45, microseconds=1))
    assert not states.is_past_cancelling(entry_in("reversing"), LATER)
    issued = states.settle_issued(entry_in("sent"), NOW, "G1", signing=START)
    assert (issued.alive_at, issued.settled_at) == (START, NOW)


def test_renewing_starts_over_under_a_new_id():
    """Nothing of the dead id clings to the new one."""
    dead = entry_in(
        "reversed",
        goal="replace",
        attempts=3,
        first_sent_at=START,
        last_sent_at=START,
        unknown_since=START,
        reversed_since=START,
        settled_at=START,
        has_unknown=True,
        last_error_code="F400",
        last_error_type="x",
        sign_by=START,
        alive_at=START,
    )
    fresh, retired = states.renew(dead, NOW)
    assert fresh.request_id == request_id("Acme1", "order-1", 2)
    expected = planned(Intent(reference="order-1", value=Money("25.00", "USD")), PAYER, NOW)
    assert fresh == msgspec.structs.replace(
        expected, generation=2, request_id=fresh.request_id, owner="me", lease_until=LATER, version=7
    )
    assert (retired.state, retired.owner, retired.due_at) == ("reversed", None, None)
    assert retired.request_id == dead.request_id


def test_what_was_undone_is_not_renewed_by_itself():
    """Undone stays undone until somebody asks for a replacement."""
    undone = entry_in("reversed", goal="undo")
    with pytest.raises(IllegalTransition, match="to be replaced"):
        states.renew(undone, NOW)
    assert states.renew(states.change_goal(undone, "replace", NOW), NOW)[0].state == "planned"
    assert states.change_goal(states.change_goal(undone, "replace", NOW), "undo", NOW).due_at is None


@pytest.mark.parametrize(("goal", "due_at"), [("undo", None), ("replace", NOW)])
def test_a_reversed_entry_is_open_as_long_as_it_wants_a_new_id(goal, due_at):
    """A crash between the burial and the new id leaves something for recovery."""
    assert states.settle_reversed(entry_in("reversing", goal=goal), NOW).due_at == due_at


def test_an_abandoned_entry_goes_on_from_where_it_stood():
    """A reverse that may have left is never forgotten, and the chain's time begins anew."""
    forward = states.reopen_abandoned(states.abandon(entry_in("sent")), NOW)
    assert (forward.state, forward.has_unknown, forward.unknown_since) == ("sent", True, NOW)
    reverse = states.reopen_abandoned(states.abandon(entry_in("reversing", reversed_since=START)), NOW)
    assert (reverse.state, reverse.reversed_since, reverse.due_at) == ("reversing", NOW, NOW)


def test_an_abandoned_entry_is_not_settled():
    """It is a case: nobody claims to know."""
    entry = states.abandon(entry_in("sent", has_unknown=True))
    assert (entry.settled_at, entry.due_at, entry.owner, entry.has_unknown) == (None, None, None, True)


def test_a_release_gives_up_the_lease_alone():
    """Nothing else of the entry changes."""
    entry = entry_in("sent")
    assert states.release(entry) == msgspec.structs.replace(entry, owner=None, lease_until=None)
