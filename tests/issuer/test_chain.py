"""What the service tells its partners to do about an unknown outcome, branch by branch, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from agcod_async import Money, OutcomePending, RewardAbandoned, RewardUndone, UndoTooLate
from agcod_async.emulator import Fault
from tests.issuer.world import world

USD = Money("25.00", "USD")
DAY = 86_400.0


@pytest.fixture
def anyio_backend(virtual_time):
    return virtual_time


def outage(w, kind, seconds, operation=None):
    """Let every request fail for a while."""
    number = w.faults.arm(Fault(kind, operation=operation))
    asyncio.get_running_loop().call_later(seconds, w.faults.disarm, number)


async def test_a_retry_settles_it():
    """RESEND once: the same request again, a second later, is the whole cure."""
    async with world() as w:
        w.faults.once("resend_after", operation="CreateGiftCard")
        card = await w.issuer.issue("order", USD)
        assert card.receipt.generation == 1
        assert 1 <= w.now < 2


async def test_a_cancel_settles_it_and_a_new_id_follows():
    """With ``replace`` the old id is dead before the new one is used, and money is on one card alone."""
    async with world(on_unknown="replace") as w:
        w.faults.once("resend_after", operation="CreateGiftCard")
        card = await w.issuer.issue("order", USD)
        [old] = await w.ledger.history("order")
        assert (old.state, old.generation, card.receipt.generation) == ("reversed", 1, 2)
        assert w.emulator.state.cards[old.request_id].is_cancelled
        assert [one.gc_id for one in w.live_cards] == [card.gc_id]


@pytest.mark.parametrize("seconds", [9.0, 3600.0])
async def test_a_cancel_that_fails_for_a_while_is_repeated(seconds):
    """Each second for ten seconds, then ever more rarely; then it settles."""
    async with world(on_unknown="replace", budget=DAY) as w:
        w.faults.once("resend_after", operation="CreateGiftCard")
        outage(w, "fault_before", seconds, "CancelGiftCard")
        card = await w.issuer.issue("order", USD)
        assert len(w.live_cards) == 1
        assert w.now >= seconds
        # After an hour the window of the cancel is over: the first card lives, and is handed out.
        assert card.receipt.generation == (2 if seconds < 900 else 1)


async def test_a_cancel_that_fails_for_a_day_is_a_case():
    """It stops, keeps the ids, and says so again to whoever asks."""
    async with world(on_unknown="replace", budget=3 * DAY) as w:
        w.faults.once("resend_after", operation="CreateGiftCard")
        w.faults.arm(Fault("resend_before", operation="CancelGiftCard"))
        with pytest.raises(RewardAbandoned) as caught:
            await w.issuer.issue("order", USD)
        assert DAY <= w.now < DAY + 2 * 3600
        assert caught.value.request_id == w.live_cards[0].creation_request_id
        with pytest.raises(RewardAbandoned):
            await w.issuer.issue("order", USD)
        with pytest.raises(RewardAbandoned):
            await w.issuer.undo("order")
        assert await w.issuer.recover() == []


async def test_a_cancel_that_is_too_late_leaves_the_card_alive():
    """What cannot be taken back is handed out; nothing is issued beside it."""
    async with world(on_unknown="undo", budget=DAY) as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        outage(w, "drop_before", 1200.0, "CancelGiftCard")
        card = await w.issuer.issue("order", USD)
        assert [one.gc_id for one in w.live_cards] == [card.gc_id]
        with pytest.raises(UndoTooLate):
            await w.issuer.undo("order")


@pytest.mark.parametrize("memory", ["forgotten", "remembered"])
async def test_a_cancel_of_what_was_never_made_is_not_believed(memory):
    """The create may still be on its way: it is made on purpose, and cancelled then."""
    from agcod_async.emulator import Settings

    async with world(on_unknown="undo", settings=Settings(cancel_of_unknown=memory)) as w:
        w.faults.arm(Fault("deliver_late", operation="CreateGiftCard", seconds=600.0, times=1))
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", USD)
        await asyncio.sleep(1000)
        assert w.live_cards == []
        assert w.emulator.partner.funds == 10_000


async def test_burying_goes_on_through_refusals_and_faults():
    """Neither missing funds nor another lost answer end it."""
    async with world(on_unknown="undo", budget=600.0) as w:
        w.faults.once("drop_before", operation="CreateGiftCard")
        w.emulator.state.funds["Acme1"] = 0
        asyncio.get_running_loop().call_later(60, w.emulator.state.refund, "Acme1", USD.amount)
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", USD)
        assert w.now >= 60
        assert w.emulator.partner.funds == 25


async def test_a_card_that_is_refunded_already_is_dead():
    """After the ledger was lost, an id may stand for a replaced card: the next id is the living one."""
    from agcod_async.ledger import MemoryLedger

    async with world(on_unknown="replace") as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        first = await w.issuer.issue("order", USD)
        w.ledger = MemoryLedger(clock=w.clock)
        again = await w.new_issuer().issue("order", USD)
        assert again.gc_id == first.gc_id
        assert len(w.live_cards) == 1


async def test_a_card_that_somebody_else_refunded_is_not_handed_out():
    """Cancelled by hand, it is gone, and its reference with it."""
    async with world() as w:
        card = await w.issuer.issue("order", USD)
        await w.session.cancel_gift_card(card.receipt.request_id)
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", USD)


async def test_an_id_that_stands_for_another_value_is_never_handed_out():
    """A lost ledger and a changed amount: the service returns the old card, and we return nothing."""
    from agcod_async import PostconditionError
    from agcod_async.ledger import MemoryLedger

    async with world() as w:
        await w.issuer.issue("order", USD)
        w.ledger = MemoryLedger(clock=w.clock)
        with pytest.raises(PostconditionError):
            await w.new_issuer().issue("order", Money("26.00", "USD"))
        assert (await w.issuer.status("order")).state == "refused"


async def test_a_fetch_that_fails_is_repeated_until_the_budget_ends():
    """The card is settled and lives; the code comes when the gateway does, and nothing is called refused."""
    async with world(budget=100.0) as w:
        await w.issuer.issue("order", USD)
        number = w.faults.arm(Fault("fault_before"))
        with pytest.raises(OutcomePending) as caught:
            await w.issuer.issue("order", USD)
        assert caught.value.outcome == "unknown"
        assert w.now >= 50
        w.faults.disarm(number)
        assert (await w.issuer.issue("order", USD)).gc_id == w.live_cards[0].gc_id
