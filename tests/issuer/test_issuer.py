"""The issuer: each reference once, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from agcod_async import AccountError, AgcodSession, ConfigurationError, Credentials, Endpoint, Issuer, Money
from agcod_async.errors import OutcomePending, RewardAbandoned, RewardUndone, UndoTooLate
from tests.issuer.world import world
from tests.support.transports import ScriptedTransport

USD = Money("25.00", "USD")


@pytest.fixture
def anyio_backend(virtual_time):
    return virtual_time


async def test_a_reference_is_one_card_for_ever():
    """The job runs again, the card is the same, and it is paid for once."""
    async with world() as w:
        first = await w.issuer.issue("order-4711", USD)
        again = await w.new_issuer().issue("order-4711", USD)
        assert again.claim_code == first.claim_code
        assert again.receipt == first.receipt
        assert len(w.live_cards) == 1
        assert w.emulator.partner.funds == 10_000 - 25


@pytest.mark.parametrize(
    "kind",
    ["drop_before", "drop_after", "resend_before", "resend_after", "fault_before", "fault_after", "garbage"],
)
@pytest.mark.parametrize("policy", ["complete", "replace"])
async def test_an_unknown_outcome_ends_in_one_card(kind, policy):
    """Whichever way the first answer is lost, and however it is settled, one card is paid for."""
    async with world(on_unknown=policy) as w:
        w.faults.once(kind, operation="CreateGiftCard")
        card = await w.issuer.issue("order-4711", USD)
        assert card.claim_code.reveal()
        assert len(w.live_cards) == 1
        assert w.live_cards[0].gc_id == card.gc_id
        assert card.receipt.generation == (1 if policy == "complete" else 2)


@pytest.mark.parametrize(
    ("level", "told"),
    [(logging.DEBUG, [("sent", "ConnectionLost"), ("issued", "None")]), (logging.INFO, [])],
)
async def test_each_step_is_told_to_whoever_listens(caplog, level, told):
    """The log tells how a reward went from state to state, and costs nothing where nobody reads it."""
    async with world() as w:
        caplog.set_level(level, "agcod_async")
        w.faults.once("drop_after", operation="CreateGiftCard")
        await w.issuer.issue("order-4711", USD)
    step = re.compile(r"RewardStep\(reference='order-4711', .* state='(\w+)', .* error='?(\w+)'?\)$")
    assert [found.groups() for each in caplog.messages if (found := step.match(each))] == told


async def test_undo_on_unknown_leaves_nothing_paid():
    """A reward nobody wants after a failure is taken back, and its reference stays dead."""
    async with world(on_unknown="undo") as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order-4711", USD)
        assert w.live_cards == []
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order-4711", USD)


async def test_a_refusal_is_raised_and_may_be_tried_again():
    """No funds today, funds tomorrow: the same reference, the same id."""
    async with world() as w:
        w.emulator.state.funds["Acme1"] = 5
        with pytest.raises(AccountError) as caught:
            await w.issuer.issue("order-4711", USD)
        assert caught.value.outcome == "refused"
        assert (await w.issuer.status("order-4711")).state == "refused"
        w.emulator.state.funds["Acme1"] = 100
        card = await w.issuer.issue("order-4711", USD)
        assert card.receipt.generation == 1


async def test_another_value_for_a_reference_is_refused_before_anything_is_sent():
    """A reference names one reward."""
    async with world() as w:
        await w.issuer.issue("order-4711", USD)
        with pytest.raises(ConfigurationError, match="order-4711"):
            await w.issuer.issue("order-4711", Money("26.00", "USD"))


@pytest.mark.parametrize(("partner_id", "endpoint"), [("Acme1", Endpoint.NA), ("Other", Endpoint.NA_SANDBOX)])
async def test_what_belongs_to_another_account_is_left_alone(partner_id, endpoint):
    """One file for sandbox and production, or two partners: neither touches, nor asks for, the other's."""
    async with world() as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order-4711", USD, budget=0.5)
        transport = ScriptedTransport()
        session = AgcodSession(
            partner_id, Credentials("AKID", "secret"), endpoint, transport=transport, clock=w.clock
        )
        other = Issuer(session, w.ledger)
        await asyncio.sleep(5)
        before = await w.entry("order-4711")
        assert await other.recover() == []
        for ask in (
            other.issue("order-4711", USD),
            other.undo("order-4711"),
            other.status("order-4711"),
            other.wait("order-4711"),
        ):
            with pytest.raises(ConfigurationError) as caught:
                await ask
            for part in (str(w.issuer.payer), str(other.payer), "another reference"):
                assert part in str(caught.value)
        assert transport.requests == []
        assert await w.entry("order-4711") == before
        assert [receipt.state for receipt in await w.issuer.recover()] == ["issued"]


async def test_fifty_tasks_share_one_card():
    """The same job, started fifty times: everybody gets the card, it is paid for once."""
    async with world() as w:
        cards = await asyncio.gather(*(w.issuer.issue("order-4711", USD) for _ in range(50)))
        assert len({card.claim_code for card in cards}) == 1
        assert len(w.live_cards) == 1


async def test_an_outage_is_survived_by_recovery():
    """The budget ends in OutcomePending; recovery settles it when the gateway is back."""
    async with world(budget=5.0) as w:
        number = w.faults.arm(fault("drop_after"))
        with pytest.raises(OutcomePending) as caught:
            await w.issuer.issue("order-4711", USD)
        assert (caught.value.reference, caught.value.outcome) == ("order-4711", "unknown")
        w.faults.disarm(number)
        issuer = w.new_issuer()
        while (await issuer.status("order-4711")).state != "issued":
            await asyncio.sleep(1)
            await issuer.recover()
        assert len(w.live_cards) == 1
        assert (await issuer.issue("order-4711", USD)).gc_id == w.live_cards[0].gc_id


@pytest.mark.parametrize("policy", ["complete", "replace"])
async def test_after_a_day_it_is_a_case_for_a_person(policy):
    """The service's rule: stop after 24 hours, and report."""
    async with world(on_unknown=policy, budget=3 * 86_400.0) as w:
        w.faults.arm(fault("drop_before"))
        with pytest.raises(RewardAbandoned) as caught:
            await w.issuer.issue("order-4711", USD)
        assert 24 * 3600 <= asyncio.get_running_loop().time() < 26 * 3600
        assert caught.value.request_id == (await w.entry("order-4711")).request_id


async def test_undo_takes_a_card_back_and_says_so_when_it_is_too_late():
    """Within fifteen minutes the card dies; after them it lives, and undo does not pretend."""
    async with world() as w:
        await w.issuer.issue("early", USD)
        await w.issuer.issue("late", USD)
        assert (await w.issuer.undo("early")).state == "reversed"
        await asyncio.sleep(16 * 60)
        with pytest.raises(UndoTooLate):
            await w.issuer.undo("late")
        assert (await w.issuer.status("late")).state == "issued"
        assert [card.gc_id for card in w.live_cards] == [(await w.issuer.issue("late", USD)).gc_id]


def fault(kind):
    from agcod_async.emulator import Fault

    return Fault(kind)


async def test_an_undo_that_never_had_its_turn_is_not_too_late():
    """Somebody else, or a process that died, holds the lease until the budget ends: it may still go back."""
    async with world() as w:
        await w.issuer.issue("order-4711", USD)
        await w.ledger.claim("order-4711", payer=w.payer, owner="another", lease=600.0)
        with pytest.raises(OutcomePending) as caught:
            await w.issuer.undo("order-4711", budget=30.0)
        assert caught.value.outcome == "unknown"
        await asyncio.sleep(600.0)
        assert (await w.issuer.undo("order-4711")).state == "reversed"
        assert w.live_cards == []
