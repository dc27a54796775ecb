"""Large files that are continued: what a run remembers is what a full check would find, and never decides."""

from __future__ import annotations

import asyncio
import json
import os
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, strategies as st

from agcod_async import CampaignStopped, ConfigurationError, InvalidRewards, Money
from agcod_async.bulk import Campaign, RewardFile, lines as lines_module, source as source_module
from agcod_async.bulk.problems import Problems
from agcod_async.emulator import Fault, FaultKind
from agcod_async.ledger import MemoryLedger, Payer
from agcod_async.ledger.request_ids import request_id
from tests.issuer.world import World
from tests.support.properties import examples
from tests.support.virtual_time import VirtualTimeLoop

PAYER = Payer(partner_id="Acme1", endpoint="na-sandbox")
FIELDS = ("reference", "amount", "currency")
HEADER = "reference,amount,currency\n"


class OneThread(VirtualTimeLoop):
    """Reads files on the spot: a clock that jumps cannot wait for a thread."""

    def run_in_executor(self, executor, func, *args):
        done = self.create_future()
        done.set_result(func(*args))
        return done


@pytest.fixture
def anyio_backend():
    """Nothing here waits."""
    return "asyncio", {"loop_factory": OneThread}


@pytest.fixture
async def world():
    return World()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Ten rewards are a chunk, and every file is a large one."""
    monkeypatch.setattr(source_module, "CHUNK", 10)
    monkeypatch.setattr(source_module, "LARGE", 0)


def row(number, amount="10.00"):
    return f"order-{number:04},{amount},USD\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rewards.csv"
    path.write_text(HEADER + "".join(map(row, range(100))))
    return path


def campaign_of(world, path, **options):
    return Campaign(world.session, world.ledger, path, **options)


async def run(campaign, most=1000):
    """Run a campaign to its end, or until *most* receipts came, and return them by reference."""
    receipts = {}
    async with campaign:
        async for receipt in campaign:
            receipts[receipt.reference] = receipt
            if len(receipts) == most:
                break
    return receipts


def copy_of(ledger):
    """The ledger as a process finds it that begins at this moment."""
    copy = MemoryLedger(clock=ledger._clock)
    copy._entries, copy._notes = dict(ledger._entries), dict(ledger._notes)
    return copy


def looks(ledger):
    """Return a list that grows by every reference which *ledger* is asked about."""
    asked = []

    async def look(intents, **options):
        asked.extend(intent.reference for intent in intents)
        return await MemoryLedger.look(ledger, intents, **options)

    ledger.look = look
    return asked


def spent(world):
    return world.emulator.state.spent(world.emulator.partner.partner_id)


def resend(reference):
    """The gateway does not know what became of a reward."""
    return Fault(FaultKind.RESEND_AFTER, request_id=request_id("Acme1", reference, 1))


async def test_a_killed_run_is_remembered_as_it_is(world, path):
    """
    Whenever a run is killed, the next one tells the sums that a full check would tell.

    They are what a person confirms, and what the funds must cover.
    """
    world.faults.arm(resend("order-0003"))
    world.faults.arm(Fault(FaultKind.FAULT_BEFORE, request_id=request_id("Acme1", "order-0017", 1)))
    at = 0
    async with campaign_of(world, path, budget=5.0, in_flight=3) as campaign:
        async for _ in campaign:
            found, left = {}, copy_of(world.ledger)
            for in_full in (True, False):
                resumed = Campaign(world.session, left, path)
                found[in_full] = await resumed.check(in_full=in_full)
                assert resumed._survey.is_remembered != in_full
            assert found[True] == found[False]
            at += 1
    assert at == 100


async def test_an_unchanged_file_is_not_checked_again(world, path):
    """Only what was begun is looked at before the run goes on: a million rows are resumed in a moment."""
    await run(campaign_of(world, path, in_flight=1), most=35)
    asked, resumed = looks(world.ledger), campaign_of(world, path)
    outlook = await resumed.check(in_full=False)
    assert len(asked) <= 30
    assert (outlook.rewards, outlook.states["planned"] + outlook.states["issued"]) == (100, 100)
    receipts = await run(resumed)
    assert len(receipts) + outlook.states["issued"] == 100
    assert {receipt.state for receipt in receipts.values()} == {"issued"}
    assert (len(world.live_cards), spent(world)) == (100, 1000)
    assert resumed.progress.issued == 100


async def test_a_check_is_a_full_one_unless_asked(world, path):
    """A dry run reads everything, whatever is remembered, and writes nothing."""
    await run(campaign_of(world, path), most=35)
    notes, asked = dict(world.ledger._notes), looks(world.ledger)
    await campaign_of(world, path).check()
    assert len(asked) == 100
    assert world.ledger._notes == notes


async def test_a_changed_row_is_refused(world, path):
    """Even where size and time of the file say that nothing has changed."""
    await run(campaign_of(world, path), most=35)
    before, times = spent(world), path.stat()
    path.write_text(path.read_text().replace(row(90), row(90, "99.00")))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(InvalidRewards, match=r"line 92.*order-0090"):
        await run(campaign_of(world, path))
    assert spent(world) == before


async def test_a_file_that_has_grown_is_checked_and_planned(world, path):
    """What is new in it is issued as well, and nothing twice."""
    await run(campaign_of(world, path), most=35)
    with path.open("a") as file:
        file.write(row(100))
    outlook = await campaign_of(world, path).check(in_full=False)
    assert outlook.states["new"] == 1
    await run(campaign_of(world, path))
    assert spent(world) == 1010


async def test_other_rules_mean_another_check(world, path):
    """What was in order under one ceiling may not be under another."""
    await run(campaign_of(world, path), most=35)
    with pytest.raises(InvalidRewards, match="ceiling"):
        await campaign_of(world, path, ceiling=Money("9.00", "USD")).check(in_full=False)


async def test_another_ledger_remembers_nothing(world, path):
    """The note is in the ledger that has the entries: a fresh one plans everything."""
    await run(campaign_of(world, path), most=35)
    world.ledger = MemoryLedger(clock=world.clock)
    receipts = await run(campaign_of(world, path))
    assert len(receipts) == 100
    assert spent(world) == 1000


async def test_what_others_have_issued_is_found_when_its_turn_comes(world, path):
    """A note that is out of date makes no reward twice, and the last word of a run is true."""
    await run(campaign_of(world, path, in_flight=1), most=5)
    for number in range(80, 90):
        await world.issuer.issue(f"order-{number:04}", Money("10.00", "USD"))
    resumed = campaign_of(world, path)
    assert (await resumed.check(in_full=False)).states["planned"] > 80
    receipts = await run(resumed)
    assert not receipts.keys() & {f"order-{number:04}" for number in range(80, 90)}
    assert (resumed.progress.issued, resumed.progress.remaining) == (100, 0)
    assert spent(world) == 1000


async def test_what_others_have_issued_needs_no_funds(world, path):
    """A sum from memory that the funds do not cover is counted again before it stops anybody."""
    await run(campaign_of(world, path, in_flight=1), most=5)
    for number in range(80, 90):
        await world.issuer.issue(f"order-{number:04}", Money("10.00", "USD"))
    world.emulator.state.funds["Acme1"] = Decimal(1000) - spent(world)
    await run(campaign_of(world, path))
    assert spent(world) == 1000


async def test_funds_that_do_not_suffice_stop_a_run_that_remembers(world, path):
    """Counted again, it is as much as before."""
    await run(campaign_of(world, path, in_flight=1), most=5)
    world.emulator.state.funds["Acme1"] = Decimal(10)
    with pytest.raises(CampaignStopped, match="add funds"):
        await run(campaign_of(world, path))


async def test_what_was_taken_up_again_elsewhere_is_finished(world, path):
    """A chunk that was done is looked at in the end all the same."""
    await run(campaign_of(world, path, in_flight=1), most=45)
    entry = world.ledger._entries["order-0002"]
    world.ledger._entries["order-0002"] = msgspec.structs.replace(
        entry, state="sent", has_unknown=True, due_at=world.clock(), settled_at=None
    )
    receipts = await run(campaign_of(world, path))
    assert list(receipts)[-1] == "order-0002"
    assert {entry.state for entry in world.ledger._entries.values()} == {"issued"}
    assert spent(world) == 1000


async def test_entries_that_are_gone_make_it_begin_again(world, path):
    """A ledger that lost entries behind its note: the run ends, and the next one checks and plans anew."""
    await run(campaign_of(world, path, in_flight=1), most=5)
    for number in range(50, 60):
        del world.ledger._entries[f"order-{number:04}"]
    with pytest.raises(ConfigurationError, match="'order-0050' was not so when it was checked"):
        await run(campaign_of(world, path))
    await run(campaign_of(world, path))
    assert (len(world.live_cards), spent(world)) == (100, 1000)


@pytest.mark.parametrize("note", ["", "{}", '{"digest": "another", "repeats": [], "parts": []}'])
async def test_a_note_that_says_nothing_is_no_note(world, path, note):
    """Of another version, for example: the file is checked in full."""
    await run(campaign_of(world, path), most=5)
    [name] = world.ledger._notes
    world.ledger._notes[name] = note
    asked = looks(world.ledger)
    await campaign_of(world, path).check(in_full=False)
    assert len(asked) == 100


async def test_repeated_lines_stay_skipped(world, path, monkeypatch):
    """They are remembered, unless there are so many that the note would be as large as the file."""
    with path.open("a") as file:
        file.writelines(map(row, (3, 4, 55)))
    await run(campaign_of(world, path), most=35)
    resumed = campaign_of(world, path)
    outlook = await resumed.check(in_full=False)
    assert resumed._survey.is_remembered
    assert (outlook.rewards, outlook.repeats) == (100, 3)
    assert outlook == await campaign_of(world, path).check()
    monkeypatch.setattr("agcod_async.bulk.memory._MOST_REPEATS", 2)
    path.write_text(path.read_text() + "\n")
    await run(campaign_of(world, path), most=5)
    resumed = campaign_of(world, path)
    assert await resumed.check(in_full=False) == await campaign_of(world, path).check()
    assert not resumed._survey.is_remembered
    await run(resumed)
    assert spent(world) == 1000


async def test_a_small_file_leaves_no_note(world, path, monkeypatch):
    """It is read again in a moment."""
    monkeypatch.setattr(source_module, "LARGE", 2**20)
    await run(campaign_of(world, path), most=35)
    assert world.ledger._notes == {}


async def test_a_note_names_nobody(world, path):
    """No reference, no code, no path: counts, sums and places only."""
    await run(campaign_of(world, path), most=35)
    [(name, note)] = world.ledger._notes.items()
    assert "order" not in name + note
    assert str(path) not in name + note


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=9).filter(
    lambda text: not set('",') & set(text)
)


@examples(60)
@given(
    st.lists(CELLS, min_size=1, max_size=60, unique=True),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
    st.booleans(),
    st.sampled_from(["csv", "tsv", "jsonl"]),
    st.integers(20, 200),
    st.randoms(use_true_random=False),
)
def test_a_chunk_is_the_same_wherever_reading_begins(
    tmp_path_factory, references, end, bom, blanks, ending, block, random
):
    """In any order, from any block, with blank lines between, and whatever characters are in it."""
    separator = {"csv": ",", "tsv": "\t", "jsonl": ""}[ending]
    if ending == "jsonl":
        lines = [json.dumps({"reference": each, "amount": "5.00", "currency": "USD"}) for each in references]
    else:
        lines = [separator.join(cells) for cells in (FIELDS, *((each, "5.00", "USD") for each in references))]
    text = bom + (end * (1 + blanks)).join(lines) + end
    path = tmp_path_factory.mktemp("chunks") / f"rewards.{ending}"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "_BLOCK", block)
        patch.setattr(source_module, "CHUNK", 7)
        chunks = asyncio.run(read(RewardFile(path), None))
        assert [intent.reference for chunk in chunks for intent in chunk.intents] == references
        random.shuffle(chunks)
        assert asyncio.run(read(RewardFile(path), [chunk.mark for chunk in chunks])) == chunks


async def read(file, marks):
    problems = Problems()
    chunks = [chunk async for chunk in file.chunks(PAYER, (), problems, marks)]
    problems.check(file.name)
    return chunks
