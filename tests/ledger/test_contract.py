"""One contract for all ledgers."""

from __future__ import annotations

import asyncio
import pickle
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from agcod_async import Account, ConfigurationError, Money, StaleEntry, TransactionSource
from agcod_async.errors import ResendError
from agcod_async.ledger import Intent, Payer, states
from tests.ledger.conftest import START
from tests.ledger.world import PAYER

USD25 = Money("25.00", "USD")
SOURCE = TransactionSource(source_id="POS1", institution_id="Bank", source_details="till 4")
ACCOUNT = Account(id="amz1.account.1", type="2")


def order(reference="order-1", value=USD25, **fields):
    return Intent(reference=reference, value=value, **fields)


async def plan_one(ledger, *arguments, **fields):
    [entry] = await ledger.plan([order(*arguments, **fields)], payer=PAYER)
    return entry


async def begin(ledger, reference="order-1", owner="me", lease=60.0):
    """Begin, and return the entry."""
    entry, is_mine = await ledger.begin(order(reference), payer=PAYER, owner=owner, lease=lease)
    assert is_mine
    return entry


async def begin_again(ledger, reference="order-1", owner="you"):
    """Begin what is begun, and return the entry as it stands."""
    entry, is_mine = await ledger.begin(order(reference), payer=PAYER, owner=owner, lease=60)
    assert not is_mine
    return entry


async def test_a_plan_is_what_is_read(ledger, clock):
    """Whatever an intent holds comes back exactly: the same request must be repeatable for ever."""
    intents = [
        order("ünïcödé 注文 ' \" %s \\", Money("0.10", "USD"), program_id="P1", external_reference="ref ☃"),
        order("b", Money("999999999999", "JPY"), product_type="bookPV"),
        order("c", kind="activate", card_number="1400000000000000123"),
        order("d", Money("1.005", "KWD"), kind="load", account=ACCOUNT, transaction_source=SOURCE),
        order("e", kind="load", account=ACCOUNT, transaction_source=TransactionSource(source_id="x")),
    ]
    planned = await ledger.plan(intents, payer=PAYER)
    for intent, entry in zip(intents, planned, strict=True):
        assert entry == await ledger.get(intent.reference)
        for field in intent.__struct_fields__:
            assert getattr(entry, field) == getattr(intent, field)
        assert str(entry.value.amount) == str(intent.value.amount)
        assert (entry.state, entry.version, entry.generation, entry.goal) == ("planned", 1, 1, "issue")
        assert entry.request_id.startswith("Acme1")
        assert entry.planned_at == entry.due_at == START
        assert entry.planned_at.utcoffset() == timedelta(0)


async def test_every_field_of_a_state_is_read_as_saved(ledger, clock):
    """No time, flag or error is lost or rounded on the way to the store."""
    await plan_one(ledger)
    entry = await ledger.claim("order-1", payer=PAYER, owner="me", lease=30.5)
    entry = states.mark_sent(entry, clock.pass_time(0.000001))
    error = ResendError(
        "", error_code="F400", error_type="SystemTemporarilyUnavailable", aws_request_id="aws-1"
    )
    entry = states.still_unknown(entry, clock.now, clock.now + timedelta(seconds=1.000001), error)
    entry = states.begin_reverse(entry, "replace", clock.pass_time(1))
    entry = msgspec.structs.replace(entry, settled_at=clock.pass_time(1), alive_at=clock.now, gc_id="A0B1")
    saved = await ledger.save(entry)
    assert saved == msgspec.structs.replace(entry, version=3)
    assert await ledger.get("order-1") == saved
    assert None not in [getattr(saved, field) for field in saved.__struct_fields__[9:]]


async def test_a_reference_keeps_its_entry(ledger, clock):
    """Planning again returns what is there, with what has become of it: a repeated job meets its card."""
    entry = await begin(ledger)
    issued = await ledger.save(states.settle_issued(entry, clock.now, "G1"))
    again = await ledger.plan([order("order-0"), order(), order("order-0")], payer=PAYER)
    assert again[1] == issued
    assert again[0] == again[2] == await ledger.get("order-0")


@pytest.mark.parametrize(
    "other",
    [
        order(value=Money("25.01", "USD")),
        order(value=Money("25.00", "CAD")),
        order(program_id="P1"),
        order(product_type="bookPV"),
        order(kind="activate", card_number="1400000000000000123"),
        order(kind="load", account=ACCOUNT),
    ],
)
async def test_a_reference_stands_for_one_reward(ledger, other):
    """The same reference with other money is refused, and nothing of that plan is written."""
    first = await plan_one(ledger)
    with pytest.raises(ConfigurationError, match="order-1"):
        await ledger.plan([order("order-2"), other], payer=PAYER)
    with pytest.raises(ConfigurationError, match="order-1"):
        await ledger.begin(other, payer=PAYER, owner="me", lease=60)
    with pytest.raises(ConfigurationError, match="order-1"):
        await ledger.plan([order("order-2"), order(), other], payer=PAYER)
    assert await ledger.get("order-2") is None
    assert await ledger.get("order-1") == first


OTHERS = [
    Payer(partner_id="Acme1", endpoint="na"),
    Payer(partner_id="Other", endpoint="na-sandbox"),
    Payer(partner_id="Acme1", endpoint="https://localhost:8443"),
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
async def test_a_reference_belongs_to_one_payer(ledger, clock, other):
    """A reference tried out in the sandbox is no production order, and two partners do not both pay it."""
    first = await plan_one(ledger)
    message = f"'order-1' belongs to partner Acme1 at na-sandbox, and this is {other}; .* another reference"
    for ask in (
        ledger.plan([order("order-2"), order()], payer=other),
        ledger.begin(order(), payer=other, owner="me", lease=60),
        ledger.claim("order-1", payer=other, owner="me", lease=60),
    ):
        with pytest.raises(ConfigurationError, match=message):
            await ask
    assert await ledger.get("order-2") is None
    assert await ledger.get("order-1") == first


@pytest.mark.parametrize("other", OTHERS, ids=str)
async def test_each_payer_recovers_its_own(ledger, clock, other):
    """A sandbox session that recovers from a shared ledger drives no production order, and sees none due."""
    [theirs] = await ledger.plan([order("theirs")], payer=other)
    mine = await plan_one(ledger, "mine", Money("1.00", "USD"))
    assert (mine.payer, theirs.payer) == (PAYER, other)
    assert await ledger.due(clock.now, 9, payer=other) == [theirs]
    assert await ledger.due(clock.now, 9, payer=PAYER) == [mine]
    for payer, reference in ((PAYER, "mine"), (other, "theirs")):
        taken = await ledger.claim_due(payer=payer, owner="me", lease=60, limit=9)
        assert [entry.reference for entry in taken] == [reference]
        assert [entry.reference async for entry in ledger.entries(payer=payer)] == [reference]
        [total] = await ledger.summary(payer=payer)
        assert (total.payer, total.count, total.value) == (payer, 1, taken[0].value)
    assert [entry.reference async for entry in ledger.entries(["planned"])] == ["mine", "theirs"]
    assert [entry async for entry in ledger.entries(["sent"], payer=other)] == []


async def test_no_save_moves_an_entry_elsewhere(ledger):
    """Where an entry may be sent is fixed with its money."""
    entry = await begin(ledger)
    with pytest.raises(StaleEntry):
        await ledger.save(msgspec.structs.replace(entry, endpoint="na"))
    assert await ledger.get("order-1") == entry


async def test_sums_of_payers_stay_apart(ledger):
    """Sandbox dollars are no dollars: nothing adds them to real ones."""
    for payer in (PAYER, *OTHERS):
        await ledger.plan([order(f"order at {payer}")], payer=payer)
    summary = await ledger.summary()
    assert {total.payer for total in summary} == {PAYER, *OTHERS}
    assert {(total.count, total.value) for total in summary} == {(1, USD25)}


async def test_notes_may_differ(ledger):
    """What is only noted on the side does not stop a repeated job; the first note stays."""
    first = await plan_one(ledger, external_reference="monday")
    assert await plan_one(ledger, external_reference="tuesday") == first
    assert await plan_one(ledger, value=Money("25", "USD")) == first


@pytest.mark.parametrize(
    ("intent", "field"),
    [
        (order(""), "reference"),
        (order("x" * 256), "reference"),
        (order("a\0b"), "reference"),
        (order("a\ud800"), "reference"),
        (order(7), "reference"),
        (order(value=Money("0", "USD")), "value"),
        (order(value=Money("1.001", "USD")), "value"),
        (order(value="25"), "value"),
        (order(kind="steal"), "kind"),
        (order(kind="activate"), "card_number"),
        (order(kind="load"), "account"),
        (order(card_number="14"), "card_number"),
        (order(account=ACCOUNT), "account"),
        (order(program_id="x" * 101), "program_id"),
    ],
)
async def test_an_intent_that_cannot_work_is_refused(ledger, intent, field):
    """Nothing is written that the service, or another store, could only refuse."""
    with pytest.raises(ConfigurationError, match=rf"^{field}"):
        await ledger.plan([order("good"), intent], payer=PAYER)
    with pytest.raises(ConfigurationError, match=rf"^{field}"):
        await ledger.begin(intent, payer=PAYER, owner="me", lease=60)
    assert await ledger.get("good") is None


async def test_a_payer_that_cannot_work_is_refused(ledger):
    """An id that could not begin a request id never gets into the ledger, nor does an entry of nowhere."""
    with pytest.raises(ConfigurationError, match="partner_id"):
        await ledger.plan([order()], payer=Payer(partner_id="no good", endpoint="na"))
    with pytest.raises(ConfigurationError, match="endpoint"):
        await ledger.begin(order(), payer=Payer(partner_id="Acme1", endpoint=""), owner="me", lease=60)
    with pytest.raises(ConfigurationError, match="payer"):
        await ledger.plan([order()], payer="Acme1")


async def test_impossible_references_are_refused_everywhere(ledger):
    """A reference that no store can hold is named as such, not as a failure of the store."""
    for ask in (ledger.get("\0"), ledger.history("\0"), ledger.claim("\0", payer=PAYER, owner="me", lease=1)):
        with pytest.raises(ConfigurationError, match=r"^reference"):
            await ask


async def test_nothing_is_planned_for_no_intents(ledger):
    """An empty batch is none."""
    assert await ledger.plan([], payer=PAYER) == []
    assert await ledger.summary() == []
    assert [entry async for entry in ledger.entries()] == []
    assert await ledger.get("order-1") is None


async def test_begin_does_all_in_one(ledger, clock):
    """One transaction stands between a reward and its first byte: planned, claimed, marked as sent."""
    entry = await begin(ledger)
    assert entry == await ledger.get("order-1")
    assert (entry.state, entry.owner, entry.attempts, entry.has_unknown) == ("sent", "me", 1, False)
    assert entry.first_sent_at == entry.last_sent_at == entry.due_at == START
    assert entry.lease_until == START + timedelta(seconds=60)


async def test_begin_takes_what_was_planned(ledger, clock):
    """A bulk plan is begun entry by entry; the money stays the planned one."""
    await plan_one(ledger)
    entry = await begin(ledger)
    assert (entry.state, entry.owner, entry.version) == ("sent", "me", 2)
    assert await ledger.get("order-1") == entry


async def test_begin_leaves_alone_what_others_have(ledger, clock):
    """Only one caller may send: the others get the entry as it stands."""
    mine = await begin(ledger, owner="me")
    assert await begin_again(ledger) == mine
    assert await begin_again(ledger, owner="me") == mine
    clock.pass_time(61)
    assert await begin_again(ledger) == mine
    await plan_one(ledger, "order-2")
    claimed = await ledger.claim("order-2", payer=PAYER, owner="me", lease=60)
    assert await begin_again(ledger, "order-2") == claimed


async def test_begin_from_many_tasks_is_begun_once(ledger):
    """Fifty tasks with one reference: one of them sends."""
    begun = await asyncio.gather(
        *(ledger.begin(order(), payer=PAYER, owner=f"task-{number}", lease=60) for number in range(50))
    )
    assert [is_mine for _, is_mine in begun].count(True) == 1
    assert {entry.owner for entry, _ in begun} == {entry.owner for entry, is_mine in begun if is_mine}


async def test_a_live_lease_is_respected(ledger, clock):
    """A lease saves double work for as long as it lives, and no longer: its holder may be dead."""
    await plan_one(ledger)
    mine = await ledger.claim("order-1", payer=PAYER, owner="me", lease=60)
    assert (mine.owner, mine.version, mine.lease_until) == ("me", 2, START + timedelta(seconds=60))
    assert await ledger.claim("order-1", payer=PAYER, owner="you", lease=60) is None
    longer = await ledger.claim("order-1", payer=PAYER, owner="me", lease=90)
    assert (longer.version, longer.lease_until) == (3, START + timedelta(seconds=90))
    clock.pass_time(89.999)
    assert await ledger.claim("order-1", payer=PAYER, owner="you", lease=60) is None
    clock.pass_time(0.001)
    yours = await ledger.claim("order-1", payer=PAYER, owner="you", lease=60)
    assert (yours.owner, yours.version) == ("you", 4)
    assert await ledger.get("order-1") == yours


async def test_what_is_claimed_while_sent_is_unknown(ledger, clock):
    """An entry found open has a request whose fate nobody knows: no refusal may become final on it."""
    await begin(ledger, owner="dead")
    clock.pass_time(61)
    entry = await ledger.claim("order-1", payer=PAYER, owner="me", lease=60)
    assert (entry.has_unknown, entry.unknown_since) == (True, START)
    await begin(ledger, "order-2", owner="dead")
    clock.pass_time(61)
    taken = await ledger.claim_due(payer=PAYER, owner="me", lease=60, limit=5)
    assert [entry.has_unknown for entry in taken] == [True, True]


async def test_a_claim_on_nothing_is_an_error(ledger):
    """A reference that was never planned has nobody else's lease either."""
    with pytest.raises(ConfigurationError, match="plan it first"):
        await ledger.claim("order-1", payer=PAYER, owner="me", lease=60)


async def test_a_lease_of_a_wrong_clock_is_none(ledger, clock):
    """It ends later than any may: its holder's clock was ahead, and others must not wait until then."""
    clock.pass_time(1000)
    await begin(ledger, lease=600)
    await begin(ledger, "order-2", lease=600)
    clock.pass_time(-999)
    assert await ledger.claim("order-1", payer=PAYER, owner="you", lease=60) is not None
    clock.pass_time(999)
    assert [entry.reference for entry in await ledger.due(clock(), 9, payer=PAYER)] == ["order-1"]
    clock.pass_time(-1)
    await ledger.plan([order("order-3")], payer=PAYER, due_in=-500)
    ahead = await ledger.claim("order-3", payer=PAYER, owner="ahead", lease=600)
    clock.pass_time(-2)
    due = await ledger.due(clock(), 9, payer=PAYER)
    assert ahead.lease_until > clock() + timedelta(seconds=600)
    assert [entry.reference for entry in due] == ["order-3"]
    taken = await ledger.claim_due(payer=PAYER, owner="you", lease=60, limit=9)
    assert [(entry.reference, entry.owner) for entry in taken] == [("order-3", "you")]


async def test_what_is_signed_by_another_clock(ledger, clock):
    """The last moment for a signature is one of the clock that signs."""
    signing = clock() + timedelta(hours=2)
    entry, _ = await ledger.begin(order(), payer=PAYER, owner="me", lease=60, signing=signing)
    assert entry.sign_by == signing + states.SIGN_WITHIN
    assert entry.last_sent_at == clock()
    assert await ledger.get("order-1") == entry


@pytest.mark.parametrize(
    ("owner", "lease"), [("", 60), ("me", 0), ("me", -1), ("me", float("nan")), ("me", 601), ("me", 1e300)]
)
async def test_a_lease_that_protects_nothing_is_refused(ledger, owner, lease):
    """Owners without a name would take each other's entries."""
    for ask in (
        ledger.claim("order-1", payer=PAYER, owner=owner, lease=lease),
        ledger.claim_due(payer=PAYER, owner=owner, lease=lease, limit=1),
        ledger.begin(order(), payer=PAYER, owner=owner, lease=lease),
    ):
        with pytest.raises(ConfigurationError, match="lease"):
            await ask


async def test_a_save_needs_the_version_it_was_made_from(ledger, clock):
    """Compare and set: whoever slept while others moved the entry on can neither write nor hand out."""
    entry = await begin(ledger)
    clock.pass_time(61)
    other = await ledger.claim("order-1", payer=PAYER, owner="you", lease=60)
    with pytest.raises(StaleEntry) as caught:
        await ledger.save(states.settle_issued(entry, clock.now, "G1"))
    assert (caught.value.outcome, caught.value.request_id) == ("unknown", entry.request_id)
    assert await ledger.get("order-1") == other
    saved = await ledger.save(states.settle_issued(other, clock.now, "G1"))
    with pytest.raises(StaleEntry):
        await ledger.save(states.settle_issued(other, clock.now, "G1"))
    assert await ledger.get("order-1") == saved


async def test_a_save_of_what_was_never_planned_is_stale(ledger):
    """An entry from another ledger does not slip in."""
    entry = await plan_one(ledger)
    with pytest.raises(StaleEntry):
        await ledger.save(msgspec.structs.replace(entry, reference="order-2"))
    with pytest.raises(StaleEntry):
        await ledger.save(msgspec.structs.replace(entry, request_id="Acme1OTHER"))


async def test_a_save_writes_no_other_money(ledger, clock):
    """What a plan fixed, no save changes: not even a program gone wrong."""
    entry = await begin(ledger)
    for other in (
        msgspec.structs.replace(entry, value=Money("2500.00", "USD")),
        msgspec.structs.replace(entry, value=Money("25.00", "CAD")),
        msgspec.structs.replace(entry, kind="activate", card_number="14"),
    ):
        with pytest.raises(StaleEntry):
            await ledger.save(other)
    assert await ledger.get("order-1") == entry


async def make_reversed(ledger, clock, goal="replace"):
    entry = await begin(ledger)
    entry = await ledger.save(states.begin_reverse(entry, goal, clock.now))
    return states.settle_reversed(entry, clock.pass_time(1))


async def test_a_new_id_comes_with_the_burial_of_the_old(ledger, clock):
    """One transaction holds both: no crash can lose the old id or make two new ones."""
    fresh, retired = states.renew(await make_reversed(ledger, clock), clock.now)
    saved = await ledger.save(fresh, retired=retired)
    assert (saved.generation, saved.state, saved.version) == (2, "planned", 4)
    assert saved.request_id != retired.request_id
    assert await ledger.history("order-1") == [retired]
    assert await ledger.get("order-1") == saved
    with pytest.raises(StaleEntry):
        await ledger.save(fresh, retired=retired)
    assert await ledger.history("order-1") == [retired]
    sent = await ledger.save(states.mark_sent(saved, clock.now))
    again = await ledger.save(states.begin_reverse(sent, "replace", clock.now))
    third, second = states.renew(states.settle_reversed(again, clock.now), clock.now)
    await ledger.save(third, retired=second)
    assert [entry.generation for entry in await ledger.history("order-1")] == [1, 2]
    assert await ledger.history("order-2") == []


async def test_an_id_changes_in_no_other_way(ledger, clock):
    """A retired entry that does not fit is refused before anything is written."""
    dead = await make_reversed(ledger, clock)
    fresh, retired = states.renew(dead, clock.now)
    before = await ledger.get("order-1")
    replace = msgspec.structs.replace
    for entry, old in [
        (fresh, replace(retired, state="sent")),
        (fresh, replace(retired, reference="order-2")),
        (fresh, replace(retired, generation=2)),
        (fresh, replace(retired, version=9)),
        (replace(fresh, request_id=retired.request_id), retired),
        (dead, retired),
    ]:
        with pytest.raises(ConfigurationError, match="retired"):
            await ledger.save(entry, retired=old)
    with pytest.raises(StaleEntry):
        await ledger.save(fresh)
    assert await ledger.get("order-1") == before
    assert await ledger.history("order-1") == []


async def test_what_is_due_comes_oldest_first(ledger, clock):
    """Recovery drives what is open, due and free; the longest waiting first."""
    await ledger.plan([order("late")], payer=PAYER, due_in=10)
    await ledger.plan([order("b"), order("a")], payer=PAYER, due_in=5)
    issued = await begin(ledger, "issued")
    await ledger.save(states.settle_issued(issued, clock.now, "G1"))
    await begin(ledger, "leased", lease=7)

    async def due(limit=10):
        return [entry.reference for entry in await ledger.due(clock.now, limit, payer=PAYER)]

    assert await due() == []
    clock.pass_time(5)
    assert await due() == ["a", "b"]
    clock.pass_time(5)
    assert await due() == ["leased", "a", "b", "late"]
    assert await due(limit=2) == ["leased", "a"]
    assert (await ledger.get("a")).owner is None
    taken = await ledger.claim_due(payer=PAYER, owner="me", lease=60, limit=3)
    assert [(entry.reference, entry.owner) for entry in taken] == [
        ("leased", "me"),
        ("a", "me"),
        ("b", "me"),
    ]
    assert [await ledger.get(entry.reference) for entry in taken] == taken
    assert await due() == ["late"]


async def test_many_who_ask_get_different_ones(ledger):
    """Several machines recover side by side, and none drives what another has."""
    await ledger.plan([order(f"order-{number}") for number in range(100)], payer=PAYER)
    taken = await asyncio.gather(
        *(
            ledger.claim_due(payer=PAYER, owner=f"machine-{number}", lease=60, limit=10)
            for number in range(10)
        )
    )
    references = [entry.reference for some in taken for entry in some]
    assert len(references) == len(set(references))
    rest = await ledger.claim_due(payer=PAYER, owner="last", lease=60, limit=100)
    assert len(references) + len(rest) == 100


async def test_a_release_frees_at_once(ledger, clock):
    """Whoever leaves an open entry behind does not make others wait for the lease."""
    entry = await begin(ledger)
    unknown = states.still_unknown(entry, clock.now, clock.now)
    await ledger.save(states.release(unknown))
    assert [each.reference for each in await ledger.due(clock.now, 10, payer=PAYER)] == ["order-1"]


async def test_the_summary_is_exact(ledger, clock):
    """Sums of money are exact: a thousand times ten cents is a hundred, and currencies stay apart."""
    await ledger.plan([order(f"a{n}", Money("0.10", "USD")) for n in range(1000)], payer=PAYER)
    await ledger.plan(
        [order("j", Money("500", "JPY")), order("big", Money("999999999999.99", "USD"))], payer=PAYER
    )
    await begin(ledger)
    summary = {(total.state, total.value.currency_code): total for total in await ledger.summary()}
    assert list(summary) == [("planned", "JPY"), ("planned", "USD"), ("sent", "USD")]
    assert summary["planned", "USD"].value.amount == Decimal("1000000000099.99")
    assert summary["planned", "USD"].count == 1001
    assert summary["planned", "JPY"].value == Money("500", "JPY")
    assert (summary["sent", "USD"].count, summary["sent", "USD"].value) == (1, USD25)


async def test_a_report_goes_in_order(ledger, clock):
    """References come in the order of their code points, page after page, on every store the same."""
    references = [
        "Z",
        "a",
        "ä",
        "B",
        "注",
        "\U0001f600",
        "\uffef",
        "-",
        "_",
        "a b",
        *(f"n{n:04}" for n in range(2100)),
    ]
    await ledger.plan([order(reference) for reference in references], payer=PAYER)
    await begin(ledger, "B")
    await begin(ledger, "a")
    assert [entry.reference async for entry in ledger.entries()] == sorted(references)
    assert [entry.reference async for entry in ledger.entries({"sent", "issued"})] == ["B", "a"]


async def test_what_was_kept_is_there_afterwards(open_ledger, clock):
    """Closing and opening again loses nothing."""
    async with open_ledger() as ledger:
        entry = await begin(ledger)
    async with open_ledger() as ledger:
        assert await ledger.get("order-1") == entry


async def test_operations_that_fail_fail_alone(ledger, clock):
    """Among many at once, one bad one spoils none of the others."""
    entry = await begin(ledger)
    stale = msgspec.structs.replace(entry, version=9)
    results = await asyncio.gather(
        ledger.plan([order("x")], payer=PAYER),
        ledger.plan([order(value=Money("1", "USD"))], payer=PAYER),
        ledger.save(stale),
        ledger.save(states.settle_issued(entry, clock.now, "G1")),
        ledger.claim("nothing", payer=PAYER, owner="me", lease=1),
        ledger.plan([order("y")], payer=PAYER),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == [
        "list", "ConfigurationError", "StaleEntry", "Entry", "ConfigurationError", "list"
    ]  # fmt: skip
    assert (await ledger.get("order-1")).state == "issued"
    assert await ledger.get("x")
    assert await ledger.get("y")


async def test_entries_travel(ledger):
    """An entry can be pickled, encoded and printed: there is nothing secret in it."""
    entry = await plan_one(ledger, kind="load", account=ACCOUNT)
    assert pickle.loads(pickle.dumps(entry)) == entry
    assert msgspec.json.decode(msgspec.json.encode(entry), type=type(entry)) == entry
    assert "amz1" not in repr(entry)
    assert "order-1" in repr(entry)


async def test_many_entries_are_found_at_once(ledger):
    """A campaign looks its rewards up by the thousand; what is not there is left out."""
    planned = await ledger.plan([order(f"row-{number}") for number in range(2000)], payer=PAYER)
    found = await ledger.find([*(f"row-{number}" for number in range(1999, -1, -2)), "missing", "row-1"])
    assert found == {entry.reference: entry for entry in planned[1::2]}
    assert await ledger.find([]) == {}
    assert await ledger.get("missing") is None


async def test_a_look_tells_what_a_plan_would_meet(ledger):
    """Before a campaign begins: how each reward stands, and whether its reference is taken."""
    value = Money("5.00", "USD")
    known = [
        order("row-1", value),
        order("row-2", value, program_id="P1", product_type="bookPV", external_reference="x"),
        order("row-3", value, kind="activate", card_number="1400000000000000123"),
        *(order(f"many-{number}", value) for number in range(1500)),
    ]
    await ledger.plan(known, payer=PAYER)
    await send(ledger, known[0])
    looked = await ledger.look([*known[:3], order("new"), *known[3:]], payer=PAYER)
    assert [(glance.state, glance.goal) for glance in looked if glance] == [
        ("sent", "issue"),
        *[("planned", "issue")] * 1502,
    ]
    assert looked[3] is None
    assert not any(glance and glance.disagreement for glance in looked)
    assert await ledger.look([], payer=PAYER) == []

    others = [
        order("row-1", Money("5.01", "USD")),
        order("row-1", Money("5.00", "CAD")),
        order("row-1", value, program_id="P1"),
        order("row-2", value, program_id="P1"),
        order("row-3", value, kind="activate", card_number="1400000000000000124"),
        order("row-3", value),
        order("many-0", value, kind="activate", card_number="1400000000000000123"),
    ]
    for other in others:
        [glance] = await ledger.look([other], payer=PAYER)
        assert "stands for another one already" in glance.disagreement
    stranger = Payer(partner_id=PAYER.partner_id, endpoint="na")
    [glance] = await ledger.look(known[:1], payer=stranger)
    assert "belongs to" in glance.disagreement


async def send(ledger, intent):
    _, is_mine = await ledger.begin(intent, payer=PAYER, owner="me", lease=60.0)
    assert is_mine


async def test_notes_are_kept_replaced_and_forgotten(ledger):
    """Whoever continues a large campaign finds how far it was; a note is no entry."""
    assert await ledger.note("campaign 1") is None
    for text in ("{}", "größer " * 10_000):
        await ledger.take_note("campaign 1", text)
        await ledger.take_note("campaign 2", "another")
        assert await ledger.note("campaign 1") == text
    await ledger.take_note("campaign 1", None)
    await ledger.take_note("campaign 1", None)
    assert (await ledger.note("campaign 1"), await ledger.note("campaign 2")) == (None, "another")
    assert await ledger.summary() == []
