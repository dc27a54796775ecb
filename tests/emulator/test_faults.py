"""Which calls go wrong."""

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from agcod_async.emulator import Fault, FaultKind, FaultPlan
from agcod_async.emulator.faults import CONNECTION_FAULTS

REQUEST_FAULTS = sorted(set(FaultKind) - CONNECTION_FAULTS)


def _strikes(plan, count, operation="CreateGiftCard", request_id="Acme1a"):
    return [plan.strike_request(operation, lambda: request_id) is not None for _ in range(count)]


def test_a_rule_names_operation_and_id():
    """Only what matches both goes wrong."""
    plan = FaultPlan(0)
    plan.arm(Fault(FaultKind.DROP_AFTER, "CreateGiftCard", "Acme1order*"))
    assert _strikes(plan, 1) == [False]
    assert _strikes(plan, 1, "CancelGiftCard", "Acme1order1") == [False]
    assert _strikes(plan, 2, "CreateGiftCard", "Acme1order1") == [True, True]
    assert [fired.request_id for fired in plan.fired] == ["Acme1order1"] * 2


def test_the_nth_call_of_a_rule():
    """Counted over the calls that match; then the rule is over."""
    plan = FaultPlan(0)
    plan.arm(Fault(FaultKind.DROP_AFTER, nth=3))
    assert _strikes(plan, 6) == [False, False, True, False, False, False]
    assert plan.armed == {}


def test_once_and_a_few_times():
    """One-shot faults end by themselves."""
    plan = FaultPlan(0)
    plan.once("delay", seconds=2.0)
    assert _strikes(plan, 3) == [True, False, False]
    plan.arm(Fault(FaultKind.GARBAGE, times=2))
    assert _strikes(plan, 4) == [True, True, False, False]


@given(st.integers(0, 2**32), st.floats(0.05, 0.95))
def test_chance_comes_from_the_seed(seed, probability):
    """The same seed gives the same faults; the share is about the one asked for."""
    runs = []
    for _ in range(2):
        plan = FaultPlan(seed)
        plan.arm(Fault(FaultKind.DROP_AFTER, probability=probability))
        runs.append(_strikes(plan, 400))
    assert runs[0] == runs[1]
    assert abs(sum(runs[0]) / 400 - probability) < 0.15


def test_another_seed_gives_other_faults():
    """Or a seed would mean nothing."""
    runs = set()
    for seed in range(5):
        plan = FaultPlan(seed)
        plan.arm(Fault(FaultKind.DROP_AFTER, probability=0.5))
        runs.add(tuple(_strikes(plan, 50)))
    assert len(runs) == 5


def test_the_first_rule_that_fires_wins():
    """And the ones after it do not count the call."""
    plan = FaultPlan(0)
    plan.arm(Fault(FaultKind.DROP_AFTER, times=1))
    plan.arm(Fault(FaultKind.GARBAGE, times=1))
    kinds = [plan.strike_request("CreateGiftCard", str) for _ in range(3)]
    assert [fault and fault.kind for fault in kinds] == [FaultKind.DROP_AFTER, FaultKind.GARBAGE, None]
    assert Counter(fired.kind for fired in plan.fired) == {"drop_after": 1, "garbage": 1}


def test_disarm_and_clear():
    """By number, or all; twice is no error."""
    plan = FaultPlan(0)
    one = plan.arm(Fault(FaultKind.DROP_AFTER))
    plan.arm(Fault(FaultKind.GARBAGE))
    plan.disarm(one)
    plan.disarm(one)
    assert [fault.kind for fault in plan.armed.values()] == [FaultKind.GARBAGE]
    plan.clear()
    assert _strikes(plan, 1) == [False]


def test_requests_and_connections_are_struck_by_their_own_faults():
    """A refused connection never reaches a request, and the other way round."""
    plan = FaultPlan(0)
    plan.arm(Fault(FaultKind.EXPIRED_CERTIFICATE))
    assert _strikes(plan, 1) == [False]
    assert plan.strike_connection() is not None
    plan.clear()
    plan.arm(Fault(FaultKind.DROP_AFTER))
    assert plan.strike_connection() is None
    assert plan.strike_request(None, str) is None


def test_an_outage_is_a_refusal_without_exception():
    """Only then does nobody listen at all."""
    plan = FaultPlan(0)
    for fault in (
        Fault(FaultKind.REFUSE_CONNECTION, times=1),
        Fault(FaultKind.REFUSE_CONNECTION, probability=0.5),
        Fault(FaultKind.EXPIRED_CERTIFICATE),
    ):
        plan.arm(fault)
    assert not plan.is_outage
    plan.arm(Fault(FaultKind.REFUSE_CONNECTION))
    assert plan.is_outage


def test_watchers_learn_of_changes():
    """Until they no longer want to."""
    plan, changes = FaultPlan(0), []
    end = plan.watch(lambda: changes.append(len(plan.armed)))
    number = plan.arm(Fault(FaultKind.DELAY))
    plan.disarm(number)
    end()
    plan.arm(Fault(FaultKind.DELAY))
    assert changes == [1, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "nonsense"},
        {"kind": "delay", "probability": 0},
        {"kind": "delay", "probability": 1.1},
        {"kind": "delay", "nth": 0},
        {"kind": "delay", "times": 0},
        {"kind": "fault_after", "status": 404},
        {"kind": "refuse_connection", "operation": "CreateGiftCard"},
        {"kind": "expired_certificate", "request_id": "Acme1*"},
    ],
)
def test_rules_that_cannot_work_are_refused(wrong):
    """When they are made, not when they fail to fire."""
    with pytest.raises(ValueError, match=r"."):
        Fault(**wrong)
