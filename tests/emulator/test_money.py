"""Money is conserved, whatever happens in whatever order."""

import json
from datetime import timedelta
from decimal import Decimal

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agcod_async.emulator import Clock, Emulator, Fault, FaultKind, Partner
from agcod_async.emulator.faults import CONNECTION_FAULTS

from . import foreign
from .conftest import NOON

FUNDS = Decimal(500)
# Few of each, so that calls meet again.
IDS = st.sampled_from(["Acme1a", "Acme1b"])
NUMBERS = st.sampled_from(["1400000000000000123", "1400000000000000456"])
AMOUNTS = st.sampled_from(["19.99", "100", "100", "250.50"]) | st.sampled_from(
    ["0", "-5", "2000.01", "1.005"]
)
ACCOUNTS = st.sampled_from([("x", "2"), ("2065550100", "3"), ("123456789012345678901234567", "1")])
WINDOW = timedelta(minutes=15)


class Gateway(RuleBasedStateMachine):
    """Any operations, faults, claims and jumps of time; what a client was told for certain must hold."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.clock.freeze(NOON)
        partner = Partner("Acme1", keys={"A": "s"}, funds=FUNDS)
        self.emulator = Emulator([partner], clock=self.clock, throttle=None, seed=1)
        self.cards = {}

    def ask(self, operation, fields):
        """The fields of a readable answer, or None for whatever else came back."""
        delivery = self.emulator.deliver(foreign.request(self.emulator, operation, fields))
        if delivery.answer is None or delivery.cut_after is not None:
            return None
        try:
            answer = json.loads(delivery.answer.body)
        except (ValueError, RecursionError):
            return None
        return answer if "errorType" in answer or "status" in answer else None

    @rule(request_id=IDS, amount=AMOUNTS)
    def create(self, request_id, amount):
        """The same id is the same card with the same code for ever."""
        answer = self.ask("CreateGiftCard", foreign.create_fields(request_id, float(amount)))
        if answer and answer.get("status") == "SUCCESS":
            seen = (answer["gcId"], answer["gcClaimCode"], answer["cardInfo"]["value"]["amount"])
            assert self.cards.setdefault(request_id, seen) == seen

    @rule(request_id=IDS)
    def cancel(self, request_id):
        """Only live, unclaimed cards within their window are cancelled; repeats succeed for ever."""
        card = self.emulator.state.cards.get(request_id)
        answer = self.ask("CancelGiftCard", foreign.cancel_fields(request_id))
        after = self.emulator.state.cards.get(request_id)
        if card is None or after is None:
            assert answer is None or "errorType" in answer
            return
        is_in_time = self.clock() - card.created_at <= WINDOW and not card.is_claimed
        if answer and answer.get("status") == "SUCCESS":
            assert card.is_cancelled or is_in_time
        if not card.is_cancelled and not is_in_time:
            assert after.is_live

    @rule(request_id=IDS, number=NUMBERS, amount=AMOUNTS)
    def activate(self, request_id, number, amount):
        """An id stays with its card, and a card is active under one id at most."""
        self.ask("ActivateGiftCard", foreign.card_fields(request_id, number, float(amount)))

    @rule(request_id=IDS, number=NUMBERS)
    def deactivate(self, request_id, number):
        """After a clean SUCCESS the activation is over."""
        answer = self.ask("DeactivateGiftCard", foreign.card_fields(request_id, number))
        if answer and answer.get("status") == "SUCCESS":
            assert not self.emulator.state.activations[request_id].is_live

    @rule(request_id=IDS, amount=AMOUNTS, account=ACCOUNTS)
    def load(self, request_id, amount, account):
        """Money goes onto an account once, and not again after it was voided."""
        before = self.emulator.state.loads.get(request_id)
        self.ask("LoadAmazonBalance", foreign.load_fields(request_id, amount, *account))
        assert before is None or self.emulator.state.loads[request_id] == before

    @rule(request_id=IDS)
    def void(self, request_id):
        """And comes back once, to whoever says the same again."""
        load = self.emulator.state.loads.get(request_id)
        account, amount = (load.account_id, str(load.amount)) if load else ("x", "100")
        answer = self.ask("VoidAmazonBalanceLoad", foreign.load_fields(request_id, amount, account))
        if answer and answer.get("status") == "SUCCESS":
            assert not self.emulator.state.loads[request_id].is_live

    @rule(seconds=st.sampled_from([1, 900, 901, 86_400]))
    def time_passes(self, seconds):
        """Windows close, and what was in flight arrives."""
        self.clock.shift(timedelta(seconds=seconds))

    @rule(request_id=IDS)
    def claim(self, request_id):
        """Somebody spends a card."""
        if request_id in self.emulator.state.cards:
            self.emulator.claim(request_id)

    @rule(
        kind=st.sampled_from(sorted(set(FaultKind) - CONNECTION_FAULTS)),
        times=st.integers(1, 3),
        seconds=st.sampled_from([0.0, 30.0, 1000.0]),
        probability=st.sampled_from([0.5, 1.0]),
    )
    def fault(self, kind, times, seconds, probability):
        """The next calls go wrong in some way."""
        self.emulator.faults.arm(Fault(kind, times=times, seconds=seconds, probability=probability))

    @rule()
    def restart(self):
        """What was in flight is lost; nothing else is."""
        self.emulator.state.restore(self.emulator.state.snapshot())

    @invariant()
    def money_is_conserved(self):
        """Funds at start = funds now + live cards + active cards + loads; never below zero."""
        state = self.emulator.state
        assert state.funds["Acme1"] + state.spent("Acme1") == FUNDS
        assert 0 <= state.funds["Acme1"] <= FUNDS

    @invariant()
    def the_activity_adds_up(self):
        """What the page calls real, and nothing else, is what the digital cards cost."""
        state = self.emulator.state
        created = [one for one in state.activity if one.is_real and one.kind == "GCCreation"]
        cancelled = {one.request_id for one in state.activity if one.is_real and one.kind == "GCCancellation"}
        assert len({one.request_id for one in created}) == len(created)
        live = sum((one.amount for one in created if one.request_id not in cancelled), Decimal(0))
        assert live == sum((card.amount for card in state.cards.values() if card.is_live), Decimal(0))

    @invariant()
    def active_cards_are_those_of_live_activations(self):
        """One activation for each active card."""
        state = self.emulator.state
        live = sorted((one.card_number, name) for name, one in state.activations.items() if one.is_live)
        assert live == sorted(state.active_cards.items())


TestGateway = Gateway.TestCase
TestGateway.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
