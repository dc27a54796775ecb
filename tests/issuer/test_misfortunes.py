"""What nobody expects: answers about something else, ledgers that go away, clocks that were wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from agcod_async import (
    Account,
    AgcodError,
    ConfigurationError,
    Money,
    OutcomePending,
    RetryPolicy,
    RewardAbandoned,
    RewardUndone,
)
from agcod_async.emulator import Fault
from agcod_async.errors import ConnectionLost, LedgerError
from agcod_async.ledger import Intent, MemoryLedger, SQLiteLedger
from agcod_async.model import CREATE_GIFT_CARD, CreateGiftCardRequest
from agcod_async.wire import HTTPResponse
from tests.issuer.world import world

USD = Money("25.00", "USD")
DAY = 86_400.0


@pytest.fixture
def anyio_backend(virtual_time):
    return virtual_time


def interposed(w, answer):
    """Let *answer* stand between the session and the gateway."""
    send = w.session._transport.send

    async def through(request):
        return await answer(request, send)

    w.session._transport.send = through


def said(error_code, error_type):
    """A refusal as the service words it."""
    fields = {
        "agcodResponse": {"status": "FAILURE"},
        "errorCode": error_code,
        "errorType": error_type,
        "message": "no",
    }
    body = msgspec.json.encode(fields)
    return HTTPResponse(status=400, headers={"content-type": "application/json"}, body=body)


# Answers


@pytest.mark.parametrize("policy", ["complete", "undo"])
async def test_an_answer_about_another_card_kills_nothing(policy):
    """It was delivered to the wrong one: that the other card is dead says nothing of ours, which lives."""
    async with world(on_unknown=policy) as w:
        await w.issuer.issue("other", USD)
        await w.issuer.undo("other")
        other = (await w.entry("other")).request_id
        seen = []

        async def confused(request, send):
            if request.path != "/CreateGiftCard" or other.encode() in request.body:
                return await send(request)
            seen.append(request)
            if policy == "undo" and len(seen) == 1:
                raise ConnectionLost("lost on its way")
            response = await send(request)
            if len(seen) == (1 if policy == "complete" else 2):
                shape = CreateGiftCardRequest(creation_request_id=other, partner_id="Acme1", value=USD)
                unsigned = w.session._protocol.request(CREATE_GIFT_CARD, shape)
                return await send(w.session._signer.sign(unsigned, w.session._keys.current(), at=w.clock()))
            return response

        interposed(w, confused)
        if policy == "undo":
            with pytest.raises(RewardUndone):
                await w.issuer.issue("order", USD)
            assert w.live_cards == []
        else:
            card = await w.issuer.issue("order", USD)
            assert [live.gc_id for live in w.live_cards] == [card.gc_id]
            assert card.receipt.generation == 1
        assert len(seen) >= 2


async def test_a_card_that_was_seen_is_never_nowhere():
    """Its cancel is refused because it was claimed, its create because the account's terms have changed."""
    value = Money("600.00", "USD")
    async with world(budget=600.0) as w:
        card = await w.issuer.issue("order", value)
        w.emulator.claim(card.receipt.request_id)
        limits = {"USD": (Decimal("0.15"), Decimal(500))}
        w.emulator.state.settings = replace(w.emulator.state.settings, amount_limits=limits)
        await asyncio.sleep(2 * 3600)
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order")
        assert (await w.entry("order")).state == "reversing"


@pytest.mark.parametrize("was_made", [True, False])
async def test_a_reverse_that_is_always_refused_is_a_case(was_made):
    """What lives is shown again and again, and cannot be taken back: a person has to hear of it."""
    async with world(budget=0.5) as w:
        w.faults.once("drop_after" if was_made else "drop_before", operation="LoadAmazonBalance")
        account = Account(id="amz1.account.1", type="2")
        with pytest.raises(OutcomePending):
            await w.issuer.load("order", USD, account)

        async def answer(request, send):
            refused = request.path == "/VoidAmazonBalanceLoad"
            return said("F300", "OperationNotPermitted") if refused else await send(request)

        interposed(w, answer)
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order")
        while (await w.entry("order")).state != "abandoned":
            await asyncio.sleep(30)
            await w.issuer.recover()
            assert w.now < 2 * DAY
        assert w.now >= DAY
        assert w.emulator.state.serial < 100


async def test_too_late_is_not_said_of_what_was_never_there():
    """Were the service to say so, the create that looks must not be what makes it true."""
    async with world(on_unknown="undo") as w:
        w.faults.once("drop_before", operation="CreateGiftCard")

        async def answer(request, send):
            if request.path == "/CancelGiftCard" and not w.emulator.state.cards:
                return said("F200", "CancelRequestArrivedAfterTimeLimit")
            return await send(request)

        interposed(w, answer)
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", USD)
        assert w.emulator.partner.funds == 10_000
        assert len(w.emulator.state.cards) == 1


# Ledgers


def test_a_ledger_that_is_closed_too_early(tmp_path):
    """The answer comes, and cannot be stored: the outcome is not "not sent"."""

    async def close_early():
        async with world() as w:
            answered, closed = asyncio.Event(), asyncio.Event()

            async def answer(request, send):
                response = await send(request)
                answered.set()
                await closed.wait()
                return response

            async with SQLiteLedger(tmp_path / "rewards.db", clock=w.clock) as ledger:
                w.ledger = ledger
                w.new_issuer()
                interposed(w, answer)
                issuing = asyncio.create_task(w.issuer.issue("order", USD))
                await answered.wait()
            closed.set()
            with pytest.raises(ConfigurationError, match="not open") as caught:
                await issuing
            assert caught.value.outcome == "unknown"
            assert len(w.live_cards) == 1

    # A file is written by a thread, for which virtual time does not wait.
    asyncio.run(close_early())


@pytest.mark.parametrize("loss", ["entry", "connection"])
async def test_a_ledger_that_forgets_meanwhile(loss):
    """Another server took over without our last commit, or none can be asked how the reward stands."""
    async with world() as w:
        w.faults.once("delay", operation="CreateGiftCard", seconds=2.0)
        issuing = asyncio.create_task(w.issuer.issue("order", USD))
        await asyncio.sleep(1.0)
        if loss == "entry":
            w.ledger._entries.clear()
        else:
            entry = w.ledger._entries["order"]
            w.ledger._entries["order"] = msgspec.structs.replace(entry, version=entry.version + 1)

            async def get(reference):
                raise LedgerError("the connection is lost", outcome="not_sent")

            w.ledger.get = get
        with pytest.raises(ConfigurationError if loss == "entry" else LedgerError) as caught:
            await issuing
        assert caught.value.outcome == "unknown"
        assert len(w.live_cards) == 1


async def test_an_undo_that_cannot_be_stored():
    """The money is back, and nobody can note it: that is unknown, too."""
    async with world() as w:
        await w.issuer.issue("order", USD)

        async def save(entry, **_):
            raise ConfigurationError("this ledger is not open: use it in 'async with'")

        async def answer(request, send):
            response = await send(request)
            w.ledger.save = save
            return response

        interposed(w, answer)
        with pytest.raises(AgcodError) as caught:
            await w.issuer.undo("order")
        assert caught.value.outcome == "unknown"
        assert w.live_cards == []


@pytest.mark.parametrize("ask", ["issue", "undo"])
async def test_a_claim_that_fails_knows_what_it_saw(ask):
    """Another process has sent the request: that this one did not is no comfort."""
    async with world() as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order", USD, budget=0.5)

        async def claim(*_, **__):
            raise LedgerError("the database is locked", outcome="not_sent")

        w.ledger.claim = claim
        issuer = w.new_issuer()
        with pytest.raises(LedgerError) as caught:
            await (issuer.issue("order", USD) if ask == "issue" else issuer.undo("order"))
        assert caught.value.outcome == "unknown"


async def test_a_case_whose_story_cannot_be_told():
    """The ledger is closed before the report is made: that it is a case is what counts."""
    async with world(budget=2 * DAY) as w:
        w.faults.arm(Fault("resend_after", operation="CreateGiftCard"))

        async def history(reference):
            raise ConfigurationError("this ledger is not open: use it in 'async with'")

        w.ledger.history = history
        with pytest.raises(RewardAbandoned) as caught:
            await w.issuer.issue("order", USD)
        assert caught.value.outcome == "unknown"


# Clocks


async def test_a_past_that_lies_ahead():
    """What a clock wrote that was ahead is no reason to ask each second until that time has come."""
    async with world(budget=2.0) as w:
        right, ahead = w.clock, timedelta(hours=8)
        w.clock = lambda: right() + ahead
        w.emulator.clock.shift(ahead)
        w.ledger = MemoryLedger(clock=w.clock)
        w.new_issuer()
        w.faults.arm(Fault("drop_after", operation="CreateGiftCard"))
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order", USD)
        await w.issuer.finish(within=1.0)
        ahead = timedelta(0)
        w.emulator.clock.shift(timedelta(hours=-8))
        w.new_issuer()
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order", USD, budget=600.0)
        assert (await w.entry("order")).attempts < 30


@pytest.mark.parametrize("minutes", [-40, -31, 31, 40])
async def test_a_clock_that_is_wrong_and_corrected_by_the_session(minutes):
    """What the ledger notes as the last moment for signing is a moment of the clock that signs."""
    async with world(retry=RetryPolicy(max_attempts=5, base_delay=0.01)) as w:
        right = w.clock
        w.clock = lambda: right() + timedelta(minutes=minutes)
        w.ledger = MemoryLedger(clock=w.clock)
        w.new_issuer()
        await w.session.create_gift_card("Acme1plain", USD)
        card = await w.issuer.issue("order", USD)
        assert card.receipt.state == "issued"
        assert (await w.entry("order")).attempts == 1


async def test_a_clock_that_is_set_right_again():
    """The session still corrects it, until the gateway says otherwise; rewards are issued meanwhile."""
    async with world(retry=RetryPolicy(max_attempts=5, base_delay=0.01)) as w:
        right, behind = w.clock, timedelta(minutes=40)
        w.clock = lambda: right() - behind
        w.ledger = MemoryLedger(clock=w.clock)
        w.new_issuer()
        await w.issuer.issue("order-1", USD)
        behind = timedelta(0)
        for number in (2, 3):
            assert (await w.issuer.issue(f"order-{number}", USD)).receipt.state == "issued"


async def test_a_lease_of_a_clock_that_was_ahead_blocks_nobody():
    """Its process was killed, and the time set right: nobody may have to wait for eight hours."""
    async with world(budget=60.0) as w:
        right, ahead = w.clock, timedelta(hours=8)
        w.clock = lambda: right() + ahead
        w.ledger = MemoryLedger(clock=w.clock)
        w.new_issuer()
        await w.ledger.begin(Intent(reference="order", value=USD), payer=w.payer, owner="dead", lease=60.0)
        ahead = timedelta(0)
        assert (await w.issuer.issue("order", USD)).receipt.state == "issued"


async def test_after_days_away_it_asks_before_it_gives_up():
    """The program ended on Friday, and begins on Monday: the answer may be there at once."""
    async with world(budget=0.5) as w:
        w.faults.arm(Fault("drop_after", operation="CreateGiftCard"))
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order", USD)
        w.faults.clear()
        await asyncio.sleep(3 * DAY)
        w.new_issuer()
        assert [receipt.state for receipt in await w.issuer.recover()] == ["issued"]


async def test_after_days_away_a_reverse_is_sent_before_it_gives_up():
    """The same for what is to be taken back."""
    async with world() as w:
        await w.issuer.issue("order", USD)
        w.faults.arm(Fault("drop_after", operation="CancelGiftCard"))
        with pytest.raises(OutcomePending):
            await w.issuer.undo("order", budget=0.5)
        w.faults.clear()
        await asyncio.sleep(3 * DAY)
        w.new_issuer()
        assert [receipt.state for receipt in await w.issuer.recover()] == ["reversed"]


@pytest.mark.parametrize("kind", ["throttle_storm", "refuse_connection"])
@pytest.mark.parametrize(("ask", "state"), [("issue", "issued"), ("undo", "reversed")])
async def test_what_was_not_asked_is_not_given_up(ask, state, kind):
    """On Monday the network comes up after the program, or everything is due at once."""
    async with world(budget=0.5) as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        w.faults.arm(Fault("drop_after", operation="CancelGiftCard"))
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order", USD)
        if ask == "undo":
            with pytest.raises(OutcomePending):
                await w.issuer.undo("order")
        w.faults.clear()
        await asyncio.sleep(3 * DAY)
        w.faults.arm(Fault(kind))
        w.new_issuer()
        [receipt] = await w.issuer.recover()
        assert receipt.state == ("sent" if ask == "issue" else "reversing")
        w.faults.clear()
        await asyncio.sleep(3700)
        assert [receipt.state for receipt in await w.issuer.recover()] == [state]


@pytest.mark.parametrize("kind", ["throttle_storm", "refuse_connection"])
@pytest.mark.parametrize(("ask", "attempts"), [("issue", 60), ("undo", 2)])
async def test_what_cannot_be_asked_for_a_day_is_a_case_too(ask, attempts, kind):
    """A person has to hear of it, and the network is not asked for ever."""
    async with world(budget=0.5) as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order", USD)
        w.faults.arm(Fault(kind))
        if ask == "undo":
            with pytest.raises(OutcomePending):
                await w.issuer.undo("order")
        while (await w.entry("order")).state != "abandoned":
            await asyncio.sleep(60)
            await w.issuer.recover()
            assert w.now < 2 * DAY
        assert w.now >= DAY
        assert (await w.entry("order")).attempts <= attempts


async def test_two_clocks_that_do_not_agree_make_nobody_run_in_circles():
    """The session's is ahead of the ledger's, and somebody else holds the lease: it is waited for."""
    async with world() as w:
        right = w.clock
        w.ledger = MemoryLedger(clock=right)
        w.clock = lambda: right() + timedelta(minutes=2)
        w.new_issuer()
        w.emulator.clock.shift(timedelta(minutes=2))
        await w.ledger.begin(Intent(reference="order", value=USD), payer=w.payer, owner="dead", lease=60.0)
        claims, claim = [], w.ledger.claim

        async def counted(*args, **options):
            claims.append(right())
            return await claim(*args, **options)

        w.ledger.claim = counted
        with pytest.raises(OutcomePending):
            await w.issuer.issue("order", USD, budget=10.0)
        assert 1 < len(claims) < 50


# Callers


async def test_a_drive_that_is_ended_does_not_cancel_who_waits_for_it():
    """Somebody closes everything: nobody has cancelled the caller, who is told that it is pending."""
    async with world() as w:
        w.faults.once("delay", operation="CreateGiftCard", seconds=5.0)
        issuing = asyncio.create_task(w.issuer.issue("order", USD, budget=60.0))
        await asyncio.sleep(1.0)
        await w.issuer.finish(within=1.0)
        with pytest.raises(OutcomePending) as caught:
            await issuing
        assert caught.value.outcome == "unknown"


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_recovery_of_nothing_at_a_time(limit):
    """It would never end."""
    async with world() as w:
        with pytest.raises(ConfigurationError, match="limit: at least one"):
            await w.issuer.recover(limit=limit)
