"""A reward that nobody could settle: what a person and the service's support need to know."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from agcod_async import (
    Account,
    ConfigurationError,
    CredentialsUnavailable,
    LedgerError,
    Money,
    OutcomePending,
    ResendError,
    RewardAbandoned,
    RewardUndone,
    TransactionSource,
    UndoTooLate,
)
from agcod_async.emulator import Fault
from agcod_async.ledger import Intent, Payer, SQLiteLedger, states
from agcod_async.signer import explain
from tests.issuer.world import START, world

USD = Money("25.00", "USD")
DAY = 86_400.0
CARD_NUMBER = "6000000000000000001"
ACCOUNT = Account(id="5550000001", type="3")


@pytest.fixture
def anyio_backend(virtual_time):
    return virtual_time


async def abandoned(w, policy="complete"):
    """Let the answers of a reward be lost for longer than a day."""
    w.faults.arm(Fault("resend_after"))
    with pytest.raises(RewardAbandoned) as caught:
        await w.issuer.issue("order-4711", USD, on_unknown=policy, budget=3 * DAY)
    return caught.value


async def test_an_abandoned_reward_brings_its_report():
    """Endpoint, partner, ids, amount, times with their zone, errors, the request and its signature."""
    async with world() as w:
        error = await abandoned(w)
        report = error.support_report()
        entry = await w.entry("order-4711")
        facts = report.as_dict()["facts"]
        assert isinstance(facts, dict)
        assert facts["endpoint"] == "https://localhost"
        assert (facts["partner_id"], facts["operation"]) == ("Acme1", "CreateGiftCard")
        assert facts["request_id"] == error.request_id == entry.request_id
        assert (facts["amount"], facts["currency_code"]) == ("25.00", "USD")
        assert (facts["last_error_code"], facts["last_error_type"]) == (
            "F400",
            "SystemTemporarilyUnavailable",
        )
        assert facts["first_sent_at"] == "2026-03-01T12:00:00Z"
        # It gives up when a question later than that is not answered either.
        assert START + timedelta(days=1) <= entry.last_error_at < START + timedelta(hours=26)
        assert facts["aws_request_id"] == entry.aws_request_id
        assert facts["requests_tried"] == entry.attempts > 30
        exchange = report.exchange
        assert exchange is not None
        assert entry.request_id in exchange.request_body
        assert exchange.string_to_sign.startswith("AWS4-HMAC-SHA256\n20260302T")
        assert exchange.signature is not None
        assert exchange.http_status is None
        text = report.text()
        assert "agcod-async " in text
        assert "Python " in text


@pytest.mark.parametrize("ending", ["issue", "undo"])
async def test_a_case_that_is_reopened_goes_on_where_it_stood(ending):
    """The service is back, or its support has answered: the same id is driven on, and none is paid twice."""
    async with world() as w:
        error = await abandoned(w)
        w.faults.clear()
        await asyncio.sleep(3 * DAY)
        issuer = w.new_issuer()
        assert (await issuer.reopen("order-4711")).state == "sent"
        if ending == "issue":
            card = await issuer.issue("order-4711", USD)
            assert card.receipt.request_id == error.request_id
            assert [one.gc_id for one in w.live_cards] == [card.gc_id]
        else:
            with pytest.raises(UndoTooLate):
                await issuer.undo("order-4711")
            assert len(w.live_cards) == 1


async def test_only_a_case_is_reopened():
    """Whatever is settled or under way is left alone."""
    async with world() as w:
        await w.issuer.issue("order", USD)
        with pytest.raises(ConfigurationError, match="not abandoned"):
            await w.issuer.reopen("order")
        w.faults.arm(Fault("drop_before"))
        with pytest.raises(OutcomePending):
            await w.issuer.issue("open", USD, budget=0.5)
        with pytest.raises(ConfigurationError, match="not abandoned"):
            await w.issuer.reopen("open")
        with pytest.raises(ConfigurationError, match="not in the ledger"):
            await w.issuer.reopen("unheard of")


async def test_a_report_can_be_made_again_days_later():
    """By whoever has the ledger and the keys: nothing of the process that gave up is needed."""
    async with world() as w:
        first = dict((await abandoned(w)).support_report().facts)
        await asyncio.sleep(5 * DAY)
        again = await w.new_issuer().support_report("order-4711")
        assert {**again.facts, "reported_at": first["reported_at"]} == first
        assert again.facts["reported_at"] == w.clock()
        assert again.exchange is not None
        assert again.exchange.signed_at == f"{w.clock():%Y%m%dT%H%M%SZ}"


_REPORTER = """
import asyncio, sys
from agcod_async import AgcodSession, Credentials, Endpoint, Issuer
from agcod_async.ledger import SQLiteLedger

async def main():
    session = AgcodSession("Acme1", Credentials("AKIDEXAMPLE0001", "not-a-secret"), Endpoint.NA_SANDBOX)
    async with session, SQLiteLedger(sys.argv[1]) as ledger:
        print((await Issuer(session, ledger).support_report("order-4711")).json())

asyncio.run(main())
"""


def test_another_process_makes_it_from_the_file(tmp_path):
    """Nothing else is left of the first one. The network is not asked."""
    path, payer = tmp_path / "rewards.db", Payer(partner_id="Acme1", endpoint="na-sandbox")

    async def give_up():
        async with SQLiteLedger(path, clock=lambda: START) as ledger:
            intent = Intent(reference="order-4711", value=USD)
            entry, _ = await ledger.begin(intent, payer=payer, owner="me", lease=60)
            error = ResendError(error_code="F400", error_type="Later", aws_request_id="aws-1")
            entry = await ledger.save(states.still_unknown(entry, START, START, error))
            return await ledger.save(states.abandon(entry))

    entry = asyncio.run(give_up())
    command = [sys.executable, "-c", _REPORTER, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["facts"]["request_id"] == entry.request_id
    assert report["facts"]["last_error_at"] == "2026-03-01T12:00:00Z"
    assert report["facts"]["aws_request_id"] == "aws-1"
    assert report["exchange"]["url"] == "https://agcod-v2-gamma.amazon.com/CreateGiftCard"
    assert entry.request_id in report["exchange"]["request_body"]
    assert report["exchange"]["access_key_id"] == "AKID…0001"


@pytest.mark.parametrize("wire_format", ["json", "xml"])
@pytest.mark.parametrize("kind", ["create", "activate", "load"])
async def test_the_request_in_it_is_the_one_that_was_sent(kind, wire_format):
    """Byte for byte, whatever it was: support looks for it in its own logs. And nothing is sent for it."""
    async with world(wire_format=wire_format) as w:
        sent = []
        send = w.session._transport.send

        async def remember(request, /):
            sent.append(request)
            return await send(request)

        w.session._transport.send = remember
        if kind == "create":
            await w.issuer.issue("order", USD, program_id="P1", external_reference="ünique")
        elif kind == "activate":
            await w.issuer.activate("order", CARD_NUMBER, USD)
        else:
            source = TransactionSource(source_id="POS1", institution_id="Bank")
            await w.issuer.load("order", USD, ACCOUNT, transaction_source=source)
        rehearsed = []

        async def note(request, /):
            rehearsed.append(request)
            return await send(request)

        w.session._transport.send = note
        report = await w.issuer.support_report("order")
        assert rehearsed == []
        [real] = sent
        steps = explain(real)
        assert report.exchange is not None
        assert report.exchange.url == real.origin + real.path
        assert report.exchange.payload_hash == steps.payload_hash
        # In the same second of virtual time, even the signature is the same.
        assert report.exchange.string_to_sign == steps.string_to_sign
        assert report.exchange.signature == steps.signature.reveal()


async def test_every_id_that_was_used_is_in_it():
    """Support is asked about all of them: money may be on any."""
    async with world(on_unknown="replace", budget=DAY) as w:
        for _ in range(3):
            w.faults.once("resend_after", operation="CreateGiftCard")
            with pytest.raises(OutcomePending):
                await w.issuer.issue("order", USD, budget=0.1)
            await w.issuer.recover()
            await asyncio.sleep(2)
            await w.issuer.recover()
        await w.issuer.issue("order", USD)
        history = await w.ledger.history("order")
        report = await w.issuer.support_report("order")
        assert len(history) > 0
        for old in history:
            assert str(report.facts[f"generation_{old.generation}"]).startswith(f"{old.request_id} reversed")


async def test_a_report_stays_short_however_many_ids_there_were():
    """The newest are told; that there are more is said."""
    async with world() as w:
        from agcod_async.case import report

        await w.issuer.issue("order", USD)
        entry = await w.entry("order")
        dead = [states.structs.replace(entry, generation=number, state="reversed") for number in range(1, 31)]
        made = report(entry, dead, None, w.clock())
        assert made.facts["earlier_ids_left_out"] == 18
        assert "generation_18" not in made.facts
        assert "generation_19" in made.facts
        assert len(made.as_dict()["facts"]) <= 40


async def test_no_secret_is_in_it():
    """Neither the code that support must not see, nor the key, nor a header that opens anything."""
    async with world() as w:
        card = await w.issuer.issue("order-4711", USD)
        w.faults.arm(Fault("resend_after"))
        await w.issuer.support_report("order-4711")
        with pytest.raises(RewardAbandoned) as caught:
            await w.issuer.issue("order-2", USD, budget=3 * DAY)
        error = caught.value
        for text in (str(error), repr(error), error.support_report().text(), error.support_report().json()):
            assert card.claim_code.reveal() not in text
            assert w.emulator.partner.secret_access_key not in text
            assert "Credential=" not in text
        travelled = pickle.loads(pickle.dumps(error))
        assert travelled.support_report().facts == error.support_report().facts
        assert travelled.support_report().exchange.signature is None


async def test_what_is_settled_as_not_issued_is_not_signed_again():
    """A signed create of a dead id is the last thing to send around by mail."""
    async with world(on_unknown="undo") as w:
        w.faults.once("drop_after", operation="CreateGiftCard")
        with pytest.raises(RewardUndone):
            await w.issuer.issue("order", USD)
        report = await w.issuer.support_report("order")
        assert report.exchange is None
        assert report.facts["state"] == "reversed"
        assert report.facts["reverse_operation"] == "CancelGiftCard"


async def test_without_keys_the_ledger_still_tells():
    """A case is looked at where there may be no keys."""
    async with world() as w:
        await w.issuer.issue("order", USD)

        async def none():
            raise CredentialsUnavailable("no pair")

        w.session._keys.freshen = none
        report = await w.issuer.support_report("order")
        assert report.exchange is None
        assert report.facts["state"] == "issued"


async def test_a_ledger_that_fails_while_reporting_hides_no_case(monkeypatch):
    """That a reward is abandoned is worth more than how it came to that."""
    async with world() as w:

        async def fails(reference):
            raise LedgerError("the disk does not work")

        monkeypatch.setattr(w.ledger, "history", fails)
        error = await abandoned(w)
        assert error.outcome == "unknown"
        assert error.support_report().facts["request_id"] == error.request_id


PAGE = (Path(__file__).parents[2] / "docs" / "exactly-once.md").read_text()


async def test_the_page_about_cases_works_as_it_stands():
    """Whoever has one is in no mood for an example that fails."""
    async with world() as w:
        error = await abandoned(w)
        [example] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        module: dict = {}
        exec(compile(example, "docs/exactly-once.md", "exec"), module)
        [text] = await module["cases"](w.issuer, w.ledger)
        assert error.request_id in text


def test_the_page_has_every_way_from_state_to_state():
    """The diagram is the state machine, no more and no less; steps that stay where they are aside."""
    drawn = set()
    for start, ends in re.findall(r"^(\w+) +-- .*> (.*)$", PAGE, re.MULTILINE):
        drawn |= {(start, end) for end in ends.split(", ")}
    legal = {
        (start, end)
        for steps in states.TRANSITIONS.values()
        for start, ends in steps.items()
        for end in ends
        if start != end
    }
    assert drawn == legal
