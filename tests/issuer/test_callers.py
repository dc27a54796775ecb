"""What callers may do: cancel, ask twice, ask wrongly, ask for all three kinds."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from agcod_async import (
    Account,
    ConfigurationError,
    CredentialsError,
    Money,
    OutcomePending,
    RewardUndone,
    SignatureError,
    ThrottlingError,
)
from agcod_async.credentials import Credentials
from agcod_async.emulator import Fault
from agcod_async.errors import AgcodError, LedgerError
from agcod_async.ledger import Intent, states
from tests.issuer.world import world

USD = Money("25.00", "USD")
CARD = "6035710123456789012"
PHONE = Account(id="5550012345", type="3")


@pytest.fixture
def anyio_backend(virtual_time):
    return virtual_time


async def turns(count):
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("fault", [None, "drop_after", "resend_after"])
@pytest.mark.parametrize("whole", [False, True], ids=["the caller", "the process"])
async def test_cancelled_at_any_await_it_is_the_same_card_afterwards(whole, fault):
    """A client that hangs up, a timeout, a shutdown: whenever it strikes, one card is paid for."""
    finished = 0
    async with world() as w:
        for number in range(150):
            reference = f"order-{number}"
            if fault:
                w.faults.once(fault, operation="CreateGiftCard")
            task = asyncio.create_task(w.issuer.issue(reference, USD))
            await turns(number)
            finished += task.done()
            task.cancel()
            if whole:
                for drive in w.drives:
                    drive.cancel()
            await asyncio.gather(task, *w.drives, return_exceptions=True)
            w.faults.clear()
            card = await w.new_issuer(budget=200.0).issue(reference, USD)
            assert [one.gc_id for one in w.live_cards][number:] == [card.gc_id]
        assert finished > 0 or fault


async def test_a_timeout_leaves_the_drive_to_its_end():
    """The caller's patience ends, and the reward is settled all the same."""
    async with world() as w:
        w.faults.once("resend_before", operation="CreateGiftCard")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await w.issuer.issue("order", USD)
        receipt = await w.issuer.wait("order")
        assert receipt.state == "issued"
        assert receipt.gc_id == w.live_cards[0].gc_id


async def test_all_three_kinds_and_their_reverses():
    """Cards of plastic and balances are as exact as digital ones."""
    async with world() as w:
        w.faults.once("drop_after", operation="ActivateGiftCard")
        w.faults.once("drop_after", operation="LoadAmazonBalance")
        activated = await w.issuer.activate("plastic", CARD, USD)
        loaded = await w.issuer.load("balance", USD, PHONE)
        assert (activated.state, activated.kind, loaded.state, loaded.kind) == (
            "issued",
            "activate",
            "issued",
            "load",
        )
        assert w.emulator.partner.funds == 10_000 - 50
        assert await w.issuer.activate("plastic", CARD, USD) == activated
        w.faults.once("drop_after", operation="DeactivateGiftCard")
        assert (await w.issuer.undo("plastic")).state == "reversed"
        assert (await w.issuer.undo("balance")).state == "reversed"
        assert w.emulator.partner.funds == 10_000
        with pytest.raises(RewardUndone):
            await w.issuer.load("balance", USD, PHONE)


@pytest.mark.parametrize("kind", ["activate", "load"])
async def test_what_was_never_made_is_buried_for_every_kind(kind):
    """An activation or load that is still on its way when it is reversed cannot charge afterwards."""
    operation = {"activate": "ActivateGiftCard", "load": "LoadAmazonBalance"}[kind]
    async with world(on_unknown="replace") as w:
        w.faults.arm(Fault("deliver_late", operation=operation, seconds=300.0, times=1))
        if kind == "activate":
            receipt = await w.issuer.activate("order", CARD, USD)
        else:
            receipt = await w.issuer.load("order", USD, PHONE)
        await asyncio.sleep(1000)
        assert receipt.generation == 2
        assert w.emulator.partner.funds == 10_000 - 25


async def test_undo_of_what_never_left():
    """Planned, refused or unheard of: nothing is sent, and it is never issued afterwards."""
    async with world() as w:
        await w.ledger.plan([Intent(reference="planned", value=USD)], payer=w.payer)
        w.emulator.state.funds["Acme1"] = 1
        with pytest.raises(AgcodError):
            await w.issuer.issue("refused", USD)
        w.emulator.state.funds["Acme1"] = 1000
        for reference in ("planned", "refused"):
            assert (await w.issuer.undo(reference)).state == "reversed"
            assert (await w.issuer.undo(reference)).state == "reversed"
            with pytest.raises(RewardUndone):
                await w.issuer.issue(reference, USD)
        with pytest.raises(ConfigurationError, match="unheard of"):
            await w.issuer.undo("unheard of")
        assert w.live_cards == []


async def test_undo_overrules_a_replacement_that_is_under_way():
    """Nobody wants it any more: the old id dies, and no new one is made."""
    async with world(on_unknown="replace", budget=5.0) as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        number = w.faults.arm(Fault("fault_before", operation="CancelGiftCard"))
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order", USD)
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order", budget=1.0)
        w.faults.disarm(number)
        assert (await w.issuer.undo("order")).state == "reversed"
        assert w.live_cards == []


async def test_undo_and_issue_at_the_same_time_end_in_one_truth():
    """Whoever is first: either the card lives and was handed out, or it is dead."""
    for steps in range(0, 60, 3):
        async with world() as w:
            w.faults.once("drop_after", operation="CreateGiftCard")
            issue = asyncio.create_task(w.issuer.issue("order", USD))
            await turns(steps + 10)
            undo = asyncio.create_task(w.new_issuer().undo("order"))
            card, receipt = await asyncio.gather(issue, undo, return_exceptions=True)
            assert not isinstance(receipt, BaseException)
            assert receipt.state == "reversed"
            assert w.live_cards == []
            assert isinstance(card, RewardUndone) or card.gc_id


async def test_settled_by_somebody_else_meanwhile():
    """An entry that was claimed a moment too late is left as it is, above all if it was undone."""
    async with world() as w:
        await w.issuer.issue("issued", USD)
        await w.issuer.issue("undone", USD)
        await w.issuer.undo("undone")
        for reference, state in (("issued", "issued"), ("undone", "reversed")):
            claimed = await w.ledger.claim(reference, payer=w.payer, owner="late", lease=60.0)
            assert (await w.issuer._driver.advance(claimed)).entry.state == state
        assert len(w.live_cards) == 1


async def test_a_wrong_key_is_told_only_where_nothing_can_live():
    """First send unknown, then 403: calling that a refusal would lose a charge."""
    async with world(budget=30.0) as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await w.issuer.issue("unknown", USD)
        right = w.sign_with(Credentials("AKIDEXAMPLE", "wrong"))
        with pytest.raises(OutcomePending) as caught:
            await w.issuer.issue("unknown", USD)
        assert isinstance(caught.value.__cause__, CredentialsError | SignatureError)
        assert caught.value.outcome == "unknown"
        with pytest.raises((CredentialsError, SignatureError)) as refused:
            await w.issuer.issue("fresh", USD)
        assert refused.value.outcome == "refused"
        w.sign_with(right)
        assert (await w.issuer.issue("unknown", USD)).gc_id
        assert (await w.issuer.issue("fresh", USD)).gc_id
        assert len(w.live_cards) == 2


async def test_throttled_is_not_executed():
    """It stays planned, is repeated each second and then more rarely, and says that nothing was sent."""
    async with world(budget=30.0) as w:
        number = w.faults.arm(Fault("throttle_storm"))
        with pytest.raises(OutcomePending) as caught:
            await w.issuer.issue("order", USD)
        assert caught.value.outcome == "not_sent"
        assert isinstance(caught.value.__cause__, ThrottlingError)
        assert 10 < (await w.entry("order")).attempts < 16
        w.faults.disarm(number)
        assert (await w.issuer.issue("order", USD)).gc_id


async def test_somebody_elses_lease_is_waited_for():
    """A process that died in the middle holds its entry for a minute, no longer."""
    async with world(budget=300.0) as w:
        intent = Intent(reference="order", value=USD)
        await w.ledger.begin(intent, payer=w.payer, owner="dead", lease=60.0)
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order", budget=5.0)
        assert (await w.issuer.issue("order", USD)).gc_id
        assert 55 <= w.now < 80


async def test_an_undo_of_an_issued_card_waits_for_a_lease_without_spinning():
    """A process that died about to undo it keeps no other one's processor and disk busy for a minute."""
    async with world(budget=300.0) as w:
        await w.issuer.issue("order", USD)
        await w.ledger.claim("order", payer=w.payer, owner="dead", lease=60.0)
        asked, claim = [], w.ledger.claim

        async def counted(*args, **options):
            asked.append(args)
            assert len(asked) < 100
            return await claim(*args, **options)

        w.ledger.claim = counted
        assert (await w.issuer.undo("order")).state == "reversed"
        assert 55 <= w.now < 80


async def test_recovery_drives_everything_and_is_not_stopped_by_one():
    """What cannot be stored is raised at the end; the others are driven all the same."""
    async with world() as w:
        intents = [Intent(reference=f"order-{number}", value=USD) for number in range(5)]
        await w.ledger.plan(intents, payer=w.payer)
        save = w.ledger.save

        async def failing(entry, **options):
            if entry.reference == "order-2" and entry.state == "issued":
                raise LedgerError("the disk is full", outcome="unknown")
            return await save(entry, **options)

        w.ledger.save = failing
        with pytest.raises(LedgerError):
            await w.issuer.recover(limit=5)
        assert sum([(await w.issuer.status(f"order-{n}")).state == "issued" for n in range(5)]) == 4
        w.ledger.save = save
        await asyncio.sleep(61)
        assert [receipt.reference for receipt in await w.issuer.recover(limit=1)] == ["order-2"]
        assert len(w.live_cards) == 5


@pytest.mark.parametrize("arguments", [{"on_unknown": "guess"}, {"budget": 0}, {"budget": float("nan")}])
async def test_arguments_that_cannot_work(arguments):
    """Refused when the issuer is made, and for each call, before anything is sent."""
    async with world() as w:
        with pytest.raises(ConfigurationError):
            w.new_issuer(**arguments)
        with pytest.raises(ConfigurationError):
            await w.issuer.issue("order", USD, **arguments)
        assert w.live_cards == []


async def test_ceilings_bound_a_mistake():
    """A slipped decimal point costs nothing; a run that goes wild ends early."""
    async with world(ceiling=Money("50", "USD"), run_ceiling=Money("60", "USD")) as w:
        with pytest.raises(ConfigurationError, match=r"^ceiling"):
            await w.issuer.issue("order", Money("250", "USD"))
        with pytest.raises(ConfigurationError, match="says nothing of EUR"):
            await w.issuer.issue("order", Money("25", "EUR"))
        await w.issuer.issue("order", USD)
        await w.issuer.issue("order", USD)
        with pytest.raises(ConfigurationError, match="another one"):
            await w.issuer.issue("order", Money("1", "USD"))
        with pytest.raises(ConfigurationError, match=r"^run_ceiling"):
            await w.issuer.issue("another", Money("36", "USD"))
        await w.issuer.issue("another", Money("35", "USD"))
        with pytest.raises(ConfigurationError, match=r"^run_ceiling"):
            await w.issuer.issue("third", Money("1", "USD"))


async def test_fifty_tasks_ask_for_one_reference_with_another_value():
    """Whoever joins a drive must want the same."""
    async with world() as w:
        first = asyncio.create_task(w.issuer.issue("order", USD))
        await turns(1)
        with pytest.raises(ConfigurationError):
            await w.issuer.issue("order", Money("26", "USD"))
        assert (await first).gc_id


async def test_each_caller_waits_for_its_own_budget():
    """Whoever joins an impatient caller's work is not let down with it, and the other way round."""
    async with world() as w:
        number = w.faults.arm(Fault("drop_before"))
        calls = {
            budget: asyncio.create_task(w.issuer.issue("order", USD, budget=budget))
            for budget in (5.0, 50.0, 0.5)
        }
        ends = {}
        for budget, call in calls.items():
            call.add_done_callback(lambda _, budget=budget: ends.setdefault(budget, w.now))
        await asyncio.sleep(20)
        w.faults.disarm(number)
        assert (await calls.pop(50.0)).gc_id
        for call in calls.values():
            with pytest.raises(OutcomePending) as caught:
                await call
            assert (caught.value.reference, caught.value.outcome) == ("order", "unknown")
            assert caught.value.request_id == (await w.entry("order")).request_id
            assert caught.value.since is not None
        assert ends[0.5] == pytest.approx(0.5)
        assert ends[5.0] == pytest.approx(5.0)
        assert len(w.live_cards) == 1


async def test_a_budget_ends_in_the_middle_of_a_request():
    """A gateway that hangs does not hold the caller; the request is waited for in the background."""
    async with world() as w:
        w.faults.once("delay", operation="CreateGiftCard", seconds=5.0)
        with pytest.raises(OutcomePending) as caught:
            await w.issuer.issue("order", USD, budget=2.0)
        assert w.now == pytest.approx(2.0)
        assert caught.value.outcome == "unknown"
        assert caught.value.request_id == (await w.entry("order")).request_id
        assert (await w.issuer.wait("order")).state == "issued"
        w.faults.once("delay", operation="CancelGiftCard", seconds=5.0)
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order", budget=2.0)
        assert (await w.issuer.wait("order")).state == "reversed"


async def test_a_ledger_that_is_slow_does_not_hold_the_caller():
    """Even before the ledger has answered, the caller's time is its own."""
    async with world() as w:
        begin = w.ledger.begin

        async def slowly(*arguments, **options):
            await asyncio.sleep(10)
            return await begin(*arguments, **options)

        w.ledger.begin = slowly
        with pytest.raises(OutcomePending) as caught:
            await w.issuer.issue("order", USD, budget=2.0)
        assert (caught.value.reference, caught.value.request_id, caught.value.since) == ("order", None, None)
        assert (await w.issuer.issue("order", USD)).gc_id
        assert len(w.live_cards) == 1


async def test_each_caller_has_its_own_policy():
    """Who wants to undo what stays unknown is not served by somebody who repeats it, whoever asked first."""
    async with world() as w:
        number = w.faults.arm(Fault("drop_after", operation="CreateGiftCard"))
        forward = asyncio.create_task(w.issuer.issue("order", USD, on_unknown="complete"))
        await asyncio.sleep(0.01)
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", USD, on_unknown="undo")
        w.faults.disarm(number)
        with pytest.raises(RewardUndone):
            await forward
        assert w.live_cards == []


async def test_a_ledger_that_fails_later_does_not_deny_what_was_sent():
    """'Not sent' would be a lie about a call whose first request may have charged."""
    async with world() as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        begin = w.ledger.begin

        async def failing(*arguments, **options):
            if await w.entry("order") is not None:
                raise LedgerError("the disk is gone")
            return await begin(*arguments, **options)

        w.ledger.begin = failing
        with pytest.raises(LedgerError) as caught:
            await w.issuer.issue("order", USD)
        assert caught.value.outcome == "unknown"
        with pytest.raises(LedgerError) as caught:
            await w.issuer.issue("order", USD)
        assert caught.value.outcome == "not_sent"
        w.ledger.begin = begin
        assert (await w.issuer.issue("order", USD)).gc_id == w.live_cards[0].gc_id


async def test_nothing_of_it_shows_a_code():
    """Receipts are made to be stored, and cards to be looked at."""
    async with world() as w:
        card = await w.issuer.issue("order", USD)
        code = card.claim_code.reveal()
        assert code not in repr(card)
        assert code not in repr(card.receipt)
        assert pickle.loads(pickle.dumps(card.receipt)) == card.receipt
        with pytest.raises(TypeError):
            pickle.dumps(card)


async def test_fifty_tasks_on_four_issuers_get_one_card():
    """Whoever loses the race for the entry looks again, and gets what the winner got."""
    async with world() as w:
        issuers = [w.new_issuer() for _ in range(4)]
        issues = (issuers[number % 4].issue("order", USD) for number in range(50))
        cards = await asyncio.gather(*issues)
        assert len({card.claim_code for card in cards}) == 1
        assert len(w.live_cards) == 1


async def test_asked_at_any_moment_of_the_work_it_is_the_same_card():
    """Before it, in the middle, and in the very moment at which it ends."""

    async def ask(number):
        await turns(number)
        return await w.issuer.issue("order", USD)

    async with world() as w:
        cards = await asyncio.gather(*(ask(number) for number in range(150)))
        assert len({card.claim_code for card in cards}) == 1
        assert w.drives == []
        assert len(w.live_cards) == 1


async def test_a_reversed_entry_that_wants_a_new_id_gets_it_or_is_undone():
    """However it came to be stored like that: its goal is not forgotten."""
    async with world() as w:
        for reference in ("renewed", "undone"):
            await w.issuer.issue(reference, USD)
            entry = await w.ledger.claim(reference, payer=w.payer, owner="one", lease=60.0)
            entry = await w.ledger.save(states.begin_reverse(entry, "replace", w.clock()))
            await w.session.cancel_gift_card(entry.request_id)
            dead = states.release(states.settle_reversed(entry, w.clock()))
            await w.ledger.save(dead)
        assert (await w.issuer.undo("undone")).state == "reversed"
        assert (await w.issuer.issue("renewed", USD)).receipt.generation == 2
        with pytest.raises(RewardUndone):
            await w.issuer.issue("undone", USD)


async def test_undo_leaves_a_case_alone():
    """What became one a moment ago is for a person to decide."""
    async with world() as w:
        entry, _ = await w.ledger.begin(
            Intent(reference="order", value=USD), payer=w.payer, owner="o", lease=9.0
        )
        case = await w.ledger.save(states.abandon(entry))
        assert (await w.issuer._driver.undo(case)).entry == case
