"""What the service tells its partners to do about an unknown outcome, branch by branch, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec
import pytest

from agcod_async import (
    Account,
    AccountError,
    Money,
    OutcomePending,
    RewardAbandoned,
    RewardUndone,
    UndoTooLate,
)
from agcod_async.emulator import Fault, Settings
from agcod_async.ledger import MemoryLedger
from agcod_async.testing import NoThrottle
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


@dataclass(frozen=True)
class Pair:
    """A forward operation, and the one that takes it back."""

    kind: str
    forward: str
    reverse: str
    book: str
    window: dict

    def issue(self, w, **options):
        """Ask for the reward."""
        if self.kind == "create":
            return w.issuer.issue("order", USD, **options)
        if self.kind == "activate":
            return w.issuer.activate("order", CARD_NUMBER, USD, **options)
        return w.issuer.load("order", USD, ACCOUNT, **options)

    def live(self, w):
        """Return the request ids under which something is paid for."""
        book = getattr(w.emulator.state, self.book)
        return [request_id for request_id, one in book.items() if one.is_live]


CARD_NUMBER = "6000000000000000001"
ACCOUNT = Account(id="5550000001", type="3")
QUARTER = timedelta(minutes=15)
PAIRS = [
    Pair("create", "CreateGiftCard", "CancelGiftCard", "cards", {}),
    Pair(
        "activate",
        "ActivateGiftCard",
        "DeactivateGiftCard",
        "activations",
        {"deactivation_window": QUARTER},
    ),
    Pair("load", "LoadAmazonBalance", "VoidAmazonBalanceLoad", "loads", {"void_window": QUARTER}),
]
every_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.kind)


@every_pair
async def test_a_retry_settles_it(pair):
    """RESEND once: the same request again, a second later, is the whole cure."""
    async with world() as w:
        w.faults.once("resend_after", operation=pair.forward)
        await pair.issue(w)
        entry = await w.entry("order")
        assert (entry.state, entry.generation, entry.attempts) == ("issued", 1, 2)
        assert pair.live(w) == [entry.request_id]
        assert 1 <= w.now < 2


@every_pair
async def test_a_reverse_settles_it_and_a_new_id_follows(pair):
    """With ``replace`` the old id is dead before the new one is used, and money is on one alone."""
    async with world(on_unknown="replace") as w:
        w.faults.once("resend_after", operation=pair.forward)
        await pair.issue(w)
        [old] = await w.ledger.history("order")
        entry = await w.entry("order")
        assert (old.state, old.generation, entry.generation) == ("reversed", 1, 2)
        assert pair.live(w) == [entry.request_id] != [old.request_id]
        assert w.emulator.partner.funds == 10_000 - 25


@every_pair
@pytest.mark.parametrize("seconds", [9.0, 3600.0])
async def test_a_reverse_that_fails_for_a_while_is_repeated(pair, seconds):
    """Each second for ten seconds, then ever more rarely; then it settles, whatever that means by then."""
    async with world(on_unknown="replace", budget=DAY, settings=Settings(**pair.window)) as w:
        w.faults.once("resend_after", operation=pair.forward)
        outage(w, "fault_before", seconds, pair.reverse)
        await pair.issue(w)
        entry = await w.entry("order")
        assert pair.live(w) == [entry.request_id]
        assert seconds <= w.now < 2 * seconds
        # After an hour the window of the reverse is over: the first one lives, and is handed out.
        assert entry.generation == (2 if seconds < 900 else 1)


@every_pair
async def test_a_reverse_that_fails_for_a_day_is_a_case(pair):
    """It stops, keeps the ids, and says so again to whoever asks."""
    async with world(on_unknown="replace", budget=3 * DAY) as w:
        w.faults.once("resend_after", operation=pair.forward)
        w.faults.arm(Fault("resend_before", operation=pair.reverse))
        with pytest.raises(RewardAbandoned) as caught:
            await pair.issue(w)
        assert DAY <= w.now < DAY + 2 * 3600
        assert [caught.value.request_id] == pair.live(w)
        with pytest.raises(RewardAbandoned):
            await pair.issue(w)
        with pytest.raises(RewardAbandoned):
            await w.issuer.undo("order")
        assert await w.issuer.recover() == []


@every_pair
async def test_a_reverse_that_is_too_late_leaves_it_alive(pair):
    """What cannot be taken back is handed out; nothing is issued beside it."""
    async with world(on_unknown="undo", budget=DAY, settings=Settings(**pair.window)) as w:
        w.faults.once("drop_after", operation=pair.forward)
        outage(w, "drop_before", 1200.0, pair.reverse)
        await pair.issue(w)
        assert pair.live(w) == [(await w.entry("order")).request_id]
        with pytest.raises(UndoTooLate):
            await w.issuer.undo("order")
        assert pair.live(w) == [(await w.entry("order")).request_id]


@pytest.mark.parametrize("policy", ["undo", "replace"])
async def test_too_late_is_believed_of_a_card_that_is_seen(policy):
    """It may also be said to the repeat of a cancel that was done in time: then the card is dead."""
    settings = Settings(late_cancel_repeat="refused")
    async with world(on_unknown=policy, budget=DAY, settings=settings) as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        w.faults.once("drop_after", operation="CancelGiftCard")
        outage(w, "drop_before", 1200.0, "CancelGiftCard")
        if policy == "undo":
            with pytest.raises(RewardUndone):
                await w.issuer.issue("order", USD)
            assert w.live_cards == []
        else:
            card = await w.issuer.issue("order", USD)
            assert [live.gc_id for live in w.live_cards] == [card.gc_id]
            assert card.receipt.generation == 2


@every_pair
@pytest.mark.parametrize("memory", ["forgotten", "remembered"])
async def test_a_reverse_of_what_was_never_made_is_not_believed(pair, memory):
    """The forward request may still be on its way: it is made on purpose, and reversed then."""
    async with world(on_unknown="undo", settings=Settings(cancel_of_unknown=memory)) as w:
        w.faults.arm(Fault("deliver_late", operation=pair.forward, seconds=600.0, times=1))
        with pytest.raises(RewardUndone):
            await pair.issue(w)
        await asyncio.sleep(1000)
        assert pair.live(w) == []
        assert w.emulator.partner.funds == 10_000


@every_pair
async def test_what_was_never_made_and_cannot_be_is_dead_once_nothing_can_come(pair):
    """Without funds there is nothing to reverse: an hour after the last request, nothing can arrive."""
    async with world(on_unknown="undo", budget=DAY) as w:
        w.faults.once("drop_before", operation=pair.forward)
        w.emulator.state.funds["Acme1"] = 0
        with pytest.raises(RewardUndone):
            await pair.issue(w)
        assert 3600 < w.now < 2 * 3600
        entry = await w.entry("order")
        assert (entry.state, entry.generation) == ("reversed", 1)
        assert pair.live(w) == []


async def test_what_is_made_to_be_taken_back_is_taken_back_in_time():
    """Hours into the chain the waits are long, and a card can be cancelled for 15 minutes only."""
    async with world(on_unknown="undo", budget=DAY) as w:
        w.faults.arm(Fault("deliver_late", operation="CreateGiftCard", seconds=10 * DAY, times=1))
        w.faults.arm(Fault("drop_before", operation="CreateGiftCard"))
        later = asyncio.get_running_loop().call_later
        later(6 * 3600, w.faults.clear)
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", USD)
        assert w.now > 6 * 3600
        assert w.emulator.partner.funds == 10_000
        made, taken_back = [one.at for one in w.emulator.state.activity if one.is_real]
        assert taken_back - made < timedelta(seconds=5)


async def test_what_may_have_been_made_to_be_taken_back_is_asked_about_soon():
    """The same where the answer to the create was lost."""
    async with world(on_unknown="undo", budget=DAY) as w:
        w.faults.once("drop_before", operation="CreateGiftCard")
        partner = w.emulator.partner
        w.emulator.state.add_partner(replace(partner, problem="CustomerAccountBlocked"))

        def come_back():
            w.faults.once("drop_after", operation="CreateGiftCard")
            w.emulator.state.add_partner(partner)

        asyncio.get_running_loop().call_later(6 * 3600, come_back)
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", USD)
        assert w.now > 6 * 3600
        assert w.emulator.partner.funds == 10_000
        assert len(w.emulator.state.cards) == 1


async def recovering(w, seconds):
    """Let recovery run for a while, as users do."""
    until = w.now + seconds
    while w.now < until:
        await w.issuer.recover()
        await asyncio.sleep(5)


async def test_an_answer_and_a_cancel_are_lost_in_a_row():
    """Five hours into the chain: the next question comes in minutes, not in an hour."""
    async with world(on_unknown="undo", budget=0.5) as w:
        w.faults.once("drop_before", operation="CreateGiftCard")
        number = w.faults.arm(Fault("drop_before", operation="CancelGiftCard"))
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order", USD)
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order")
        await recovering(w, 5 * 3600)
        assert not w.emulator.state.cards
        w.faults.disarm(number)
        w.faults.once("drop_after", operation="CreateGiftCard")
        while not w.emulator.state.cards:
            await recovering(w, 5)
        w.faults.once("drop_before", operation="CancelGiftCard")
        await recovering(w, 900)
        assert (await w.entry("order")).state == "reversed"
        assert w.emulator.partner.funds == 10_000


@every_pair
@pytest.mark.parametrize("fault", [None, "drop_after"])
async def test_after_a_day_nothing_is_bought_to_be_taken_back(pair, fault):
    """It could not be driven any further then: it is a case, without a card that nobody wants."""
    async with world(budget=0.5) as w:
        w.faults.once("drop_before", operation=pair.forward)
        number = w.faults.arm(Fault("drop_before"))
        with pytest.raises(OutcomePending):
            await pair.issue(w)
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order")
        w.faults.disarm(number)
        if fault:
            w.faults.arm(Fault(fault, operation=pair.forward))
        await asyncio.sleep(3 * DAY)
        w.new_issuer()
        assert [receipt.state for receipt in await w.issuer.recover()] == ["abandoned"]
        assert w.emulator.partner.funds == 10_000
        w.faults.clear()
        await w.issuer.reopen("order")
        assert (await w.issuer.undo("order", budget=60.0)).state == "reversed"
        assert w.emulator.partner.funds == 10_000


@pytest.mark.parametrize("how", ["seen", "unseen", "claimed"])
async def test_after_days_it_is_still_seen_to_be_too_late(how):
    """The card was issued long ago, and lives: that settles it, and is no case."""
    async with world(budget=0.5) as w:
        if how != "unseen":
            card = await w.issuer.issue("order", USD)
            if how == "claimed":
                w.emulator.claim(card.receipt.request_id)
        else:
            w.faults.once("drop_after", operation="CreateGiftCard")
            with pytest.raises(OutcomePending):
                await w.issuer.issue("order", USD)
        number = w.faults.arm(Fault("drop_before", operation="CancelGiftCard"))
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order")
        w.faults.disarm(number)
        await asyncio.sleep(3 * DAY)
        await recovering(w, 10)
        assert (await w.entry("order")).state == "issued"
        assert len(w.live_cards) == 1


async def test_what_was_made_to_be_taken_back_has_its_own_time():
    """Bought a minute before the day is over: it is not given up while it can be cancelled."""
    async with world(budget=0.5) as w:
        w.faults.once("drop_before", operation="CreateGiftCard")
        number = w.faults.arm(Fault("drop_before"))
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order", USD)
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order")
        await asyncio.sleep(DAY - 60 - w.now)
        w.faults.disarm(number)
        await w.issuer.recover()
        assert len(w.live_cards) == 1
        number = w.faults.arm(Fault("drop_before", operation="CancelGiftCard"))
        await recovering(w, 100)
        w.faults.disarm(number)
        await recovering(w, 600)
        assert (await w.entry("order")).state == "reversed"
        assert w.live_cards == []


@every_pair
async def test_an_id_is_replaced_only_once_the_service_knows_it_is_dead(pair):
    """One that it never saw would be bought again, besides the new one, by whoever has lost the ledger."""
    async with world(on_unknown="replace", budget=DAY) as w:
        w.faults.once("drop_before", operation=pair.forward)
        w.emulator.state.funds["Acme1"] = 0
        asyncio.get_running_loop().call_later(3 * 3600, w.emulator.state.refund, "Acme1", 10 * USD.amount)
        await pair.issue(w)
        entry = await w.entry("order")
        assert (entry.state, entry.generation) == ("issued", 2)
        # A create that was refused has made nothing, and is no reason to ask often.
        assert w.emulator.state.serial < 70
        w.ledger = MemoryLedger(clock=w.clock)
        w.new_issuer(on_unknown="replace")
        # A load has no answer that shows it dead: what was taken back is refused.
        with pytest.raises(AccountError) if pair.kind == "load" else nullcontext():
            await pair.issue(w)
        assert pair.live(w) == [entry.request_id]


async def test_data_that_the_service_never_takes_prove_it_too():
    """What is refused today for its amount was refused when it was sent first."""
    async with world(on_unknown="undo", budget=DAY) as w:
        w.faults.once("drop_before", operation="CreateGiftCard")
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", Money("5000.00", "USD"))
        assert 3600 < w.now < 2 * 3600


async def test_a_refusal_that_may_hide_a_card_proves_nothing():
    """A blocked account is told no about everything: the card may be there all the same."""
    async with world(on_unknown="undo", budget=3 * DAY) as w:
        w.faults.once("drop_after", operation="CreateGiftCard")

        def hide():
            [(key, card)] = w.emulator.state.cards.items()
            w.emulator.state.cards[key] = msgspec.structs.replace(card, partner_id="Hidden")

        asyncio.get_running_loop().call_later(0.5, hide)
        with pytest.raises(RewardAbandoned):
            await w.issuer.issue("order", USD)
        assert w.now >= DAY
        assert len(w.live_cards) == 1


async def test_a_create_that_comes_late_is_found_and_taken_back():
    """As long as one can be under way, missing funds prove nothing: they may come back before it does."""
    async with world(on_unknown="undo", budget=DAY) as w:
        w.faults.arm(Fault("deliver_late", operation="CreateGiftCard", seconds=850.0, times=1))
        w.emulator.state.funds["Acme1"] = 0
        asyncio.get_running_loop().call_later(840, w.emulator.state.refund, "Acme1", USD.amount)
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", USD)
        await asyncio.sleep(2000)
        assert w.live_cards == []
        assert w.emulator.partner.funds == 25
        assert 840 < w.now < 2 * 3600 + 2000


async def test_a_process_that_slept_does_not_send_what_was_settled_meanwhile():
    """It noted the create and stood still for hours; when it wakes, the id is dead, and nothing leaves."""
    async with world(budget=DAY) as w:

        class Asleep(NoThrottle):
            async def acquire(self, operation, /, *, priority="interactive", max_wait=None):
                await asyncio.sleep(3 * 3600)

        w.session._throttle = Asleep()
        sleeping = asyncio.create_task(w.issuer.issue("order", USD))
        await asyncio.sleep(1)
        awake = w.new_issuer(budget=DAY)
        w.emulator.state.funds["Acme1"] = 0
        assert (await awake.undo("order")).state == "reversed"
        assert 3600 < w.now < 3 * 3600
        w.emulator.state.refund("Acme1", USD.amount)
        with pytest.raises(RewardUndone):
            await sleeping
        assert w.now >= 3 * 3600
        assert w.live_cards == []
        assert w.emulator.partner.funds == 25


async def test_a_card_that_was_claimed_lives():
    """The refusal of its cancel has no name of its own; once no cancel could succeed it is too late."""
    async with world(budget=DAY) as w:
        card = await w.issuer.issue("order", USD)
        w.emulator.claim(card.receipt.request_id)
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order", budget=60.0)
        with pytest.raises(UndoTooLate):
            await w.issuer.undo("order")
        assert 45 * 60 < w.now < 2 * 3600
        assert (await w.issuer.issue("order", USD)).gc_id == card.gc_id


async def test_an_activation_that_may_not_be_taken_back_lives():
    """The service says so by name, and the card is shown active: it is too late at once."""
    async with world(settings=Settings(deactivation_window=QUARTER)) as w:
        await w.issuer.activate("order", CARD_NUMBER, USD)
        await asyncio.sleep(1000)
        with pytest.raises(UndoTooLate):
            await w.issuer.undo("order")
        assert w.now < 1010
        assert (await w.issuer.status("order")).state == "issued"


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "throttle_storm"])
async def test_a_burial_that_fails_is_tried_again(fault):
    """Whether it was executed or not: the reverse is asked after it, until one of them tells."""
    async with world(on_unknown="undo", budget=DAY) as w:
        w.faults.once("drop_before", operation="CreateGiftCard")
        w.faults.once(fault, operation="CreateGiftCard")
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", USD)
        assert (await w.entry("order")).attempts >= 2
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
