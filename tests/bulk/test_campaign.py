"""A campaign in virtual time: what it issues, when it stops, and how it goes on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from agcod_async import (
    CampaignStopped,
    ConfigurationError,
    Credentials,
    CredentialsError,
    Endpoint,
    InvalidRewards,
    LedgerError,
    Money,
    OutcomePending,
    RetryPolicy,
)
from agcod_async.bulk import Campaign
from agcod_async.emulator import FaultKind
from agcod_async.ledger import Intent, MemoryLedger
from tests.issuer.world import World

VALUE = Money("10.00", "USD")


@pytest.fixture
def anyio_backend(virtual_time):
    """Nothing here waits."""
    return virtual_time


@pytest.fixture
async def world():
    return World()


def order(number, value=VALUE, **fields):
    return Intent(reference=f"order-{number:04}", value=value, **fields)


def orders(count, value=VALUE):
    return [order(number, value) for number in range(count)]


def campaign_of(world, rewards, **options):
    return Campaign(world.session, world.ledger, rewards, **options)


async def run(world, rewards, **options):
    """Run a campaign to its end and return the receipts by reference, and its last progress."""
    async with campaign_of(world, rewards, **options) as campaign:
        receipts = {receipt.reference: receipt async for receipt in campaign}
        return receipts, campaign.progress


async def taken(campaign, each=None):
    """Take all receipts, and do something with each."""
    receipts = []
    async for receipt in campaign:
        receipts.append(receipt)
        if each is not None:
            await each(receipt)
    return receipts


def at(reference, act):
    """Return what does *act* when the receipt of *reference* comes."""

    async def each(receipt):
        if receipt.reference == reference:
            await act()

    return each


def spent(world):
    return world.emulator.state.spent(world.emulator.partner.partner_id)


def request_of(reference):
    """The pattern of the id that a fault is to strike."""
    from agcod_async.ledger.request_ids import request_id

    return request_id("Acme1", reference, 1)


async def test_every_reward_is_issued_once_and_accounted_for(world):
    """What is yielded, the ledger and the gateway's books agree."""
    receipts, progress = await run(world, [*orders(300), order(7)])
    assert {receipt.state for receipt in receipts.values()} == {"issued"}
    assert len(receipts) == len(world.live_cards) == 300
    assert spent(world) == 3000
    assert progress.issued == progress.rewards == 300
    assert progress.spent == [Money("3000.00", "USD")]
    assert progress.funds == Money("7000.00", "USD")
    assert (progress.remaining, progress.in_flight, progress.eta) == (0, 0, 0.0)


async def test_running_it_again_issues_nothing(world):
    """The same file is the same campaign; nobody is paid twice, and no request is sent for what is done."""
    await run(world, orders(50))
    calls = len(world.emulator.state.activity)
    receipts, progress = await run(world, orders(50))
    assert receipts == {}
    assert progress.issued == 50
    assert len(world.emulator.state.activity) == calls
    assert spent(world) == 500


async def test_more_rows_are_more_rewards(world):
    """A file that has grown continues where it was."""
    await run(world, orders(30))
    receipts, _ = await run(world, orders(40))
    assert sorted(receipts) == [f"order-{number:04}" for number in range(30, 40)]
    assert spent(world) == 400


async def test_a_reference_that_stands_for_something_else_stops_all_of_it(world):
    """An amount that changed since is somebody's mistake; all such lines are named, and nothing is sent."""
    await run(world, orders(2))
    changed = [order(0, Money("11.00", "USD")), order(1, program_id="P1"), order(2)]
    with pytest.raises(InvalidRewards) as caught:
        await run(world, changed)
    assert [problem.line for problem in caught.value.problems] == [1, 2]
    assert "stands for another one already" in str(caught.value)
    assert await world.entry("order-0002") is None
    assert spent(world) == 20


async def test_a_repeated_reference_with_another_amount_is_refused(world):
    """Which of them is meant, only a person knows."""
    with pytest.raises(InvalidRewards, match="line 3: reference: line 1 gives 'order-0000' other values"):
        await run(world, [order(0), order(1), order(0, Money("11.00", "USD"))])
    assert await world.entry("order-0000") is None


async def test_refused_rewards_do_not_stop_the_others(world):
    """Each has its receipt with the reason; trying them again is a decision, not a habit."""
    rewards = [*orders(20), order(20, Money("5000.00", "USD"))]
    receipts, progress = await run(world, rewards, check_funds=False)
    refused = receipts["order-0020"]
    assert (refused.state, refused.last_error) == ("refused", "MaxAmountExceeded")
    assert (progress.issued, progress.refused) == (20, 1)

    again, progress = await run(world, rewards, check_funds=False)
    assert again == {}
    assert progress.refused == 1

    retried, progress = await run(world, rewards, check_funds=False, retry_refused=True)
    assert list(retried) == ["order-0020"]
    assert progress.refused == 1


FAULTS = [kind for kind in FaultKind if kind not in (FaultKind.EXPIRED_CERTIFICATE, FaultKind.SKEWED_DATE)]


@pytest.mark.parametrize("kind", FAULTS)
async def test_the_unknown_is_settled_within_the_run(world, kind):
    """Every third call goes wrong, in every way there is, and each reward ends up issued once."""
    world.faults.arm(_fault(kind, probability=0.3))
    receipts, progress = await run(world, orders(60), check_funds=False)
    assert {receipt.state for receipt in receipts.values()} == {"issued"}
    assert progress.unknown == 0
    assert len(world.live_cards) == 60
    assert spent(world) == 600


def _fault(kind, **fields):
    from agcod_async.emulator import Fault

    seconds = 0.01 if kind is FaultKind.SLOW_DRIP else 3.0
    # What strikes connections knows of no operation.
    where = {} if kind is FaultKind.REFUSE_CONNECTION else {"operation": "CreateGiftCard"}
    return Fault(kind, **{**where, "seconds": seconds, **fields})


async def test_what_stays_unknown_is_reported_when_its_budget_ends(world):
    """It holds nobody up, its receipt says how it stands, and the next run goes on with it."""
    number = world.faults.arm(_fault(FaultKind.RESEND_AFTER, request_id=request_of("order-0003")))
    receipts, progress = await run(world, orders(100), budget=120.0)
    assert receipts["order-0003"].state == "sent"
    assert receipts["order-0003"].last_error == "SystemTemporarilyUnavailable"
    assert list(receipts)[-1] == "order-0003"
    assert (progress.issued, progress.unknown) == (99, 1)
    assert 60 < world.now < 150
    world.faults.disarm(number)
    receipts, _ = await run(world, orders(100))
    assert receipts["order-0003"].state == "issued"
    assert spent(world) == 1000


async def test_slow_rewards_do_not_keep_others_from_beginning(world):
    """Forty that are unknown for minutes: the others pass them by."""
    for number in range(40):
        world.faults.arm(_fault(FaultKind.RESEND_AFTER, request_id=request_of(f"order-{number:04}")))
    receipts, progress = await run(world, orders(200), budget=300.0, in_flight=10)
    assert [each.state for each in list(receipts.values())[:160]] == ["issued"] * 160
    assert (progress.issued, progress.unknown) == (160, 40)


async def test_an_outage_ends_the_run_instead_of_the_file(world):
    """Nothing is settled for as long as one reward is given: the rest is left unsent, for another day."""
    world.faults.arm(_fault(FaultKind.REFUSE_CONNECTION))
    async with campaign_of(world, orders(1000), budget=60.0, check_funds=False) as campaign:
        with pytest.raises(CampaignStopped, match="silence: nothing was settled for 60 s") as stopped:
            await taken(campaign)
        assert 0 < campaign.progress.not_sent < 500
        assert campaign.progress.remaining > 500
    assert stopped.value.reason == "silence"
    assert spent(world) == 0
    world.faults.clear()
    await run(world, orders(1000), check_funds=False)
    assert spent(world) == 10_000


async def test_recovery_leaves_alone_what_a_campaign_has_not_begun(world):
    """A backend that recovers every few seconds must not run the campaign past its limits."""
    async with campaign_of(world, orders(10)) as campaign:
        assert campaign.outlook.states == {"new": 10}
    assert await world.issuer.recover() == []
    assert {receipt.state for receipt in [await world.issuer.status(r.reference) for r in orders(10)]} == {
        "planned"
    }
    assert spent(world) == 0


async def test_what_was_not_checked_is_not_issued(world):
    """A list that grows meanwhile: what is new in it has no part in any total."""
    rewards = orders(10)
    async with campaign_of(world, rewards) as campaign:
        rewards.append(order(10, Money("1000.00", "USD")))
        with pytest.raises(ConfigurationError, match="'order-0010' was not so when it was checked"):
            await taken(campaign)
    assert await world.entry("order-0010") is None


async def test_a_list_that_shrinks_is_not_gone_on_with(world):
    """What was confirmed is not there any more: somebody has to look at it again."""
    rewards = orders(10)
    async with campaign_of(world, rewards) as campaign:
        rewards.clear()
        with pytest.raises(ConfigurationError, match="it has changed since it was checked: begin again"):
            await taken(campaign)
    assert spent(world) == 0


async def test_only_chunks_with_something_new_are_planned(world, monkeypatch):
    """A million rows that are known are not planned again; those that are settled are not looked up again."""
    monkeypatch.setattr("agcod_async.bulk.source.CHUNK", 10)
    await run(world, orders(30))
    planned = []

    async def plan(intents, **options):
        planned.append([intent.reference for intent in intents])
        return await MemoryLedger.plan(world.ledger, intents, **options)

    world.ledger.plan = plan
    receipts, _ = await run(world, [*orders(30), order(31), order(32)])
    assert planned == [["order-0031", "order-0032"]]
    assert sorted(receipts) == ["order-0031", "order-0032"]


async def test_a_dry_run_writes_nothing(world):
    """It tells what would be done."""
    outlook = await campaign_of(world, [*orders(3), order(0)]).check()
    assert (outlook.rewards, outlook.repeats, outlook.states) == (3, 1, {"new": 3})
    assert outlook.total == outlook.to_send == [Money("30.00", "USD")]
    assert outlook.funds == Money("10000.00", "USD")
    assert await world.ledger.summary() == []


# Limits


async def test_the_funds_must_cover_what_is_still_to_be_sent(world):
    """Nothing is sent when the end is in sight already; what was issued before is paid for."""
    world.emulator.state.funds["Acme1"] = Decimal(100)
    with pytest.raises(
        CampaignStopped, match=r"110.00 USD are to be issued, and 100.00 USD are there"
    ) as short:
        await run(world, orders(11))
    assert short.value.reason == "funds"
    assert short.value.outcome == "not_sent"
    await run(world, orders(10))
    world.emulator.state.funds["Acme1"] = Decimal(10)
    await run(world, orders(11))
    assert spent(world) == 110


async def test_what_is_unknown_needs_no_funds_of_its_own(world):
    """It may be paid for already: a campaign must be able to find out with nothing left."""
    world.faults.arm(_fault(FaultKind.RESEND_AFTER))
    await run(world, orders(3), budget=5.0)
    world.faults.clear()
    world.emulator.state.funds["Acme1"] = Decimal(0)
    receipts, _ = await run(world, orders(3))
    assert [receipt.state for receipt in receipts.values()] == ["issued"] * 3


async def test_the_account_pays_in_its_own_currency_only(world):
    """Known before the first refusal."""
    with pytest.raises(CampaignStopped, match=r"5.00 EUR are to be issued, and the account's funds are"):
        await run(world, [order(0), order(1, Money("5.00", "EUR"))])
    with pytest.raises(ConfigurationError, match="the account's funds are in USD"):
        await run(world, orders(1), funds_below=Money(1, "EUR"))


async def test_the_sandbox_never_tells_its_funds(world):
    """It always says 0, so it is not asked."""
    world.session.endpoint = Endpoint.NA_SANDBOX
    outlook = await campaign_of(world, orders(3)).check()
    assert outlook.funds is None
    with pytest.raises(ConfigurationError, match="funds_below: the funds are not known"):
        campaign_of(world, orders(3), funds_below=Money(1, "USD"))


async def test_an_account_that_tells_no_funds_is_taken_at_its_word(world):
    """An answer without them checks nothing, and stops nothing."""

    async def get_available_funds():
        from agcod_async.model import GetAvailableFundsResponse

        return GetAvailableFundsResponse(status="SUCCESS", available_funds=None)

    world.session.get_available_funds = get_available_funds
    _, progress = await run(world, orders(3))
    assert progress.funds is None
    assert progress.issued == 3


async def test_a_floor_under_the_funds_is_kept(world):
    """Others spend from the same account: what is told each minute counts, and what was issued since."""
    world.emulator.state.funds["Acme1"] = Decimal(3_000)
    options = {"funds_below": Money("1000.00", "USD"), "in_flight": 1}
    with pytest.raises(CampaignStopped, match="USD to be left"):
        await run(world, orders(201), **options)

    async def others_spend():
        world.emulator.state.funds["Acme1"] -= 1_500
        await asyncio.sleep(61)

    async with campaign_of(world, orders(200), **options) as campaign:
        with pytest.raises(CampaignStopped, match="the next reward would leave less") as stopped:
            await taken(campaign, at("order-0009", others_spend))
        assert campaign.progress.funds.amount >= 1000
    assert stopped.value.reason == "funds"
    assert world.emulator.state.funds["Acme1"] == 1_000
    assert spent(world) == 500


async def test_funds_that_are_not_told_are_estimated(world):
    """An answer that is missing stops nothing."""
    async with campaign_of(world, orders(30), in_flight=1) as campaign:
        async for receipt in campaign:
            if receipt.reference == "order-0009":
                world.faults.once(FaultKind.FAULT_BEFORE, operation="GetAvailableFunds")
                await asyncio.sleep(61)
        assert campaign.progress.funds == Money("9700.00", "USD")


async def test_insufficient_funds_end_the_run(world):
    """Everything after would be refused as well: what is in flight is, the rest is not sent."""
    world.emulator.state.funds["Acme1"] = Decimal(505)
    async with campaign_of(world, orders(200), check_funds=False, max_failures=None) as campaign:
        with pytest.raises(
            CampaignStopped, match="funds: the service says that they are not suff"
        ) as stopped:
            await taken(campaign)
        assert campaign.progress.issued == 50
        assert 1 <= campaign.progress.refused <= 20
        assert campaign.progress.remaining >= 130
    assert stopped.value.reason == "funds"
    world.emulator.state.funds["Acme1"] = Decimal(10_000)
    await run(world, orders(200), retry_refused=True)
    assert spent(world) == 2000


async def test_an_account_that_is_refused_ends_the_run(world):
    """So it is when the contract has ended: no reward is to blame, and all would be refused."""
    from agcod_async.wire import HTTPResponse

    class Ended:
        async def send(self, request, /):
            body = (
                b'{"agcodResponse":{"__type":"CreateGiftCardResponse:http://internal.amazon.com/coral/'
                b'com.amazonaws.agcod/","status":"FAILURE"},"errorCode":"F300",'
                b'"errorType":"ActiveContractNotFound","message":"No valid contract"}'
            )
            return HTTPResponse(status=400, headers={"content-type": "application/json"}, body=body)

    world.session._transport = Ended()
    async with campaign_of(world, orders(100), check_funds=False) as campaign:
        with pytest.raises(CampaignStopped, match=r"account: .*ActiveContractNotFound") as stopped:
            await taken(campaign)
        assert campaign.progress.refused <= 20
    assert stopped.value.reason == "account"


async def test_too_many_refusals_end_the_run(world):
    """Somebody has mistaken cents for dollars: a hundred refusals are enough to see it."""
    rewards = orders(1000, Money("5000.00", "USD"))
    async with campaign_of(world, rewards, check_funds=False, max_failures=10) as campaign:
        with pytest.raises(CampaignStopped, match="max_failures: 11 rewards were refused") as stopped:
            await taken(campaign)
        assert 11 <= campaign.progress.refused <= 31
    assert stopped.value.reason == "max_failures"


async def test_a_total_is_that_of_all_rewards(world):
    """A file of a hundred times the value is refused at once, and a second run cannot exceed it either."""
    with pytest.raises(CampaignStopped, match=r"the rewards are worth 100.00 USD, and 99.99 USD are allowed"):
        await run(world, orders(10), max_total=Money("99.99", "USD"))
    await run(world, orders(9), max_total=Money("99.99", "USD"))
    with pytest.raises(CampaignStopped) as stopped:
        await run(world, orders(10), max_total=Money("99.99", "USD"))
    assert stopped.value.reason == "max_total"
    with pytest.raises(CampaignStopped, match="it is in EUR, and says nothing of"):
        await run(world, orders(1), max_total=Money(100, "EUR"))
    assert spent(world) == 90


async def test_nothing_is_begun_with_a_key_that_is_about_to_end(world):
    """A campaign takes a day, and its key should not end in the middle of it."""
    key = world.emulator.partner
    created = world.clock() - timedelta(days=170, seconds=-30)
    pair = Credentials(key.access_key_id, key.secret_access_key, key_created=created)
    world.sign_with(pair)
    async with campaign_of(world, orders(50), min_key_days=11, in_flight=1) as campaign:
        assert campaign.outlook.key_days_left == 11
        with pytest.raises(CampaignStopped, match="key: it has 10 days left, and 11 are wanted") as stopped:
            await taken(campaign, at("order-0009", lambda: asyncio.sleep(61)))
        assert 10 <= campaign.progress.issued <= 12
    assert stopped.value.reason == "key"
    with pytest.raises(CampaignStopped, match="key: it has 10 days left"):
        await campaign_of(world, orders(50), min_key_days=11).check()
    await run(world, orders(50), min_key_days=10)


async def test_a_key_of_unknown_age_stops_nothing(world):
    """Nobody has said when it was made."""
    _, progress = await run(world, orders(3), min_key_days=30)
    assert progress.issued == 3


async def test_a_single_reward_over_the_ceiling_stops_all_of_them(world):
    """The whole file is told, and nothing is sent."""
    rewards = [order(0), order(1, Money("50.01", "USD")), *orders(20)[2:], order(20, Money("60.00", "USD"))]
    with pytest.raises(InvalidRewards, match=r"line 2: amount: ceiling: 50.01 USD are more") as caught:
        await run(world, rewards, ceiling=Money("50.00", "USD"))
    assert [problem.line for problem in caught.value.problems] == [2, 21]
    _, progress = await run(world, orders(3), ceiling=Money("10.00", "USD"))
    assert progress.issued == 3


async def test_a_wrong_key_is_raised_and_nothing_is_held_against_the_rewards(world):
    """It would strike every reward: one sentence, and every entry as it was."""
    world.sign_with(Credentials("AKIDUNKNOWN", "x"))
    async with campaign_of(world, orders(100), check_funds=False) as campaign:
        with pytest.raises(CredentialsError):
            await taken(campaign)
        assert (campaign.progress.in_flight, campaign.progress.remaining) == (0, 100)
    [total] = await world.ledger.summary()
    assert (total.state, total.count) == ("planned", 100)


async def test_a_ledger_that_fails_ends_the_run(world):
    """Money is not spent that cannot be noted."""

    class Failing(MemoryLedger):
        left = 40

        async def save(self, entry, *, retired=None):
            self.left -= 1
            if self.left < 0:
                raise LedgerError("the disk is full", outcome="unknown")
            return await super().save(entry, retired=retired)

    world.ledger = Failing(clock=world.clock)
    async with campaign_of(world, orders(100)) as campaign:
        with pytest.raises(LedgerError, match="the disk is full"):
            await taken(campaign)
    assert 400 <= spent(world) <= 600
    world.ledger.left = 10_000
    await asyncio.sleep(61)
    await run(world, orders(100))
    assert spent(world) == 1000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_failures": -1}, "max_failures"),
        ({"max_failures": True}, "max_failures"),
        ({"in_flight": 0}, "in_flight"),
        ({"budget": 0.0}, "budget"),
        ({"max_total": Money(0, "USD")}, "max_total"),
        ({"on_unknown": "guess"}, "on_unknown"),
    ],
)
async def test_options_that_cannot_work_are_refused(world, options, says):
    """Before anything is read."""
    with pytest.raises(ConfigurationError, match=says):
        campaign_of(world, orders(1), **options)


# Ends


async def test_leaving_the_loop_ends_the_run(world):
    """A break is a break: what is in flight is waited for, and nothing begins behind one's back."""
    async with campaign_of(world, orders(500)) as campaign:
        async for receipt in campaign:
            if receipt.reference == "order-0100":
                break
    issued = len(world.live_cards)
    assert 101 <= issued <= 150
    await asyncio.sleep(3600)
    assert len(world.live_cards) == issued
    states = {total.state: total.count for total in await world.ledger.summary()}
    assert states == {"issued": issued, "planned": 500 - issued}


async def test_nobody_who_listens_means_nothing_that_begins(world):
    """A program that is slow with its receipts slows the campaign, and does not lose track of it."""
    async with campaign_of(world, orders(500), in_flight=10) as campaign:
        await anext(campaign)
        await asyncio.sleep(600)
        assert len(world.live_cards) <= 21
        assert len([receipt async for receipt in campaign]) == 499


async def test_it_can_be_asked_to_stop(world):
    """What is in flight still comes."""
    async with campaign_of(world, orders(500)) as campaign:
        receipts = []

        async def stop_after_a_hundred(receipt):
            receipts.append(receipt)
            if len(receipts) == 100:
                campaign.stop()

        with pytest.raises(CampaignStopped, match="stopped on demand") as stopped:
            await taken(campaign, stop_after_a_hundred)
        with pytest.raises(CampaignStopped):
            await anext(campaign)
    assert stopped.value.reason == "asked"
    assert len(receipts) == len(world.live_cards)


async def test_cancelling_leaves_the_ledger_true(world):
    """At any moment; what was under way is unknown or known, and the next run issues the rest."""
    world.faults.arm(_fault(FaultKind.DELAY, probability=0.2))
    for seconds in (0.0, 0.5, 2.9, 3.1, 7.0, 0.1):

        async def some():
            await run(world, orders(400), budget=100.0)

        task = asyncio.create_task(some())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])
    await asyncio.sleep(61)
    world.faults.clear()
    await run(world, orders(400))
    assert len(world.live_cards) == 400
    assert spent(world) == 4000


async def test_losing_patience_ends_it_at_once(world):
    """Asked to stop, and then cancelled: what is in flight is not waited for, and open in the ledger."""
    world.session._transport = _Silent()
    campaign = campaign_of(world, orders(100), check_funds=False)

    async def main():
        async with campaign:
            await taken(campaign)

    task = asyncio.create_task(main())
    await asyncio.sleep(1)
    campaign.stop()
    await asyncio.sleep(1)
    began = world.now
    task.cancel()
    await asyncio.wait([task])
    assert world.now - began < 0.1
    states = {total.state: total.count for total in await world.ledger.summary()}
    assert states == {"sent": 20, "planned": 80}


async def test_cancelling_does_not_wait_for_ever(world):
    """What does not end within the grace is left to the ledger: its outcome is unknown, and open."""
    world.session._transport = _Silent()
    task = asyncio.create_task(run(world, orders(100), check_funds=False))
    await asyncio.sleep(1)
    began = world.now
    task.cancel()
    await asyncio.wait([task])
    assert world.now - began < 20
    states = {total.state: total.count for total in await world.ledger.summary()}
    assert states == {"sent": 20, "planned": 80}
    await asyncio.sleep(60)


class _Silent:
    """Never answers."""

    async def send(self, request, /):
        await asyncio.sleep(40)
        raise AssertionError

    async def aclose(self):
        pass


async def test_it_must_be_entered_and_only_once(world):
    """Two runs of one campaign at a time are two campaigns."""
    campaign = campaign_of(world, orders(1))
    with pytest.raises(ConfigurationError, match="enter it first"):
        await anext(campaign)
    with pytest.raises(ConfigurationError, match="enter it first"):
        campaign.progress  # noqa: B018
    campaign.stop()
    async with campaign:
        pass
    with pytest.raises(ConfigurationError, match="run already"):
        async with campaign:
            pass
    with pytest.raises(StopAsyncIteration):
        await anext(campaign)


async def test_two_runs_at_once_issue_each_reward_once(world):
    """Somebody starts it twice: safe, and no faster."""
    both = await asyncio.gather(run(world, orders(100)), run(world, orders(100)))
    assert {receipt.state for receipts, _ in both for receipt in receipts.values()} == {"issued"}
    assert len(world.live_cards) == 100
    assert spent(world) == 1000


async def test_what_was_undone_or_abandoned_is_closed(world):
    """It is told as it is, and left alone."""
    await run(world, orders(3))
    await world.issuer.undo("order-0001")
    receipts, progress = await run(world, orders(3))
    assert receipts == {}
    assert (progress.issued, progress.closed) == (2, 1)


async def test_what_is_undone_meanwhile_is_told(world):
    """Somebody takes a reward back that the campaign is about to issue."""
    async with campaign_of(world, orders(3), in_flight=1) as campaign:
        first = await anext(campaign)
        assert first.state == "issued"
        await world.issuer.undo("order-0002")
        states = [receipt.state async for receipt in campaign]
    assert states == ["issued", "reversed"]
    assert spent(world) == 20


async def test_what_was_sent_before_does_not_hold_up_the_rest(world):
    """A killed run still holds what it had in flight, for up to a minute; the others begin at once."""
    for number in range(30):
        await world.ledger.begin(order(number), payer=world.payer, owner="killed", lease=60.0)
    async with campaign_of(world, orders(100), in_flight=10) as campaign:
        assert (campaign.progress.unknown, campaign.progress.remaining) == (30, 70)
        first = [(await anext(campaign)).reference for _ in range(70)]
        assert (campaign.progress.unknown + campaign.progress.in_flight, campaign.progress.remaining) == (
            30,
            0,
        )
        assert world.now < 5.0
        rest = [receipt.reference async for receipt in campaign]
    assert (min(first), max(rest)) == ("order-0030", "order-0029")
    assert spent(world) == 1000


async def test_the_last_word_on_the_funds_is_the_services(world):
    """What was in flight when they were told is counted twice in the estimate, and not in the end."""
    world.faults.arm(_fault(FaultKind.DELAY, probability=0.2, seconds=20.0))
    _, progress = await run(world, orders(600, Money("0.25", "USD")), in_flight=3)
    assert world.now > 60
    assert progress.funds == Money(10_000 - spent(world), "USD")


async def test_a_replacement_that_was_interrupted_is_taken_up(world):
    """With on_unknown="replace" a run may end between the reversal and the new card."""
    world.faults.arm(_fault(FaultKind.RESEND_AFTER, operation="CreateGiftCard", times=20))
    world.faults.arm(_fault(FaultKind.FAULT_BEFORE, operation="CancelGiftCard", times=20))
    _, progress = await run(world, orders(3), on_unknown="replace", budget=3.0, check_funds=False)
    assert progress.unknown == 3
    world.faults.clear()
    receipts, _ = await run(world, orders(3), on_unknown="replace")
    assert {receipt.state for receipt in receipts.values()} == {"issued"}
    assert spent(world) == 30


# Reports and codes


async def test_standings_tell_every_reward_in_order(world):
    """From the rewards and the ledger alone."""
    await run(world, orders(3))
    campaign = campaign_of(world, [order(4), *orders(3), order(0)])
    standings = [standing async for standing in campaign.standings()]
    assert [(each.line, each.intent.reference) for each in standings] == [
        (1, "order-0004"), (2, "order-0000"), (3, "order-0001"), (4, "order-0002"),
    ]  # fmt: skip
    assert [each.entry and each.entry.state for each in standings] == [None, "issued", "issued", "issued"]


async def test_codes_come_back_by_asking_again(world):
    """In the order of the rewards; a card that died meanwhile is an error among them."""
    await run(world, orders(30))
    world.emulator.state.cards  # noqa: B018
    await world.session.cancel_gift_card(request_of("order-0004"))
    cards = [(each.intent.reference, card) async for each, card in campaign_of(world, orders(31)).cards()]
    assert [reference for reference, _ in cards] == [f"order-{number:04}" for number in range(30)]
    codes = {card.claim_code.reveal() for reference, card in cards if reference != "order-0004"}
    assert len(codes) == 29
    assert type(cards[4][1]).__name__ == "RewardUndone"
    assert spent(world) == 290


async def test_codes_that_cannot_be_had_are_errors_of_their_own(world):
    """An outage of one card does not hide the others; one of the ledger does."""
    await run(world, orders(3))
    world.faults.arm(_fault(FaultKind.FAULT_BEFORE, request_id=request_of("order-0001")))
    cards = [card async for _, card in campaign_of(world, orders(3), budget=5.0).cards()]
    assert [isinstance(card, OutcomePending) for card in cards] == [False, True, False]
    world.faults.clear()

    async def begin(*_, **__):
        raise LedgerError("gone")

    world.ledger.begin = begin
    with pytest.raises(LedgerError, match="gone"):
        async for _ in campaign_of(world, orders(3)).cards():
            pass


async def test_the_accounts_rate_is_used(world):
    """With retries switched on, as they are: nothing of the above depends on them."""
    world.retry = RetryPolicy()
    world.new_issuer()
    world.faults.arm(_fault(FaultKind.FAULT_AFTER, probability=0.2))
    receipts, _ = await run(world, orders(100))
    assert {receipt.state for receipt in receipts.values()} == {"issued"}
