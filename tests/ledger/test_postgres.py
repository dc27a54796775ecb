"""The PostgreSQL ledger: many machines, lost connections, the application's own transactions."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest

from agcod_async import ConfigurationError, LedgerError, Money, StaleEntry
from agcod_async.ledger import Intent, states
from agcod_async.ledger.schema import migrations, schema
from tests.ledger.world import PAYER

asyncpg = pytest.importorskip("asyncpg")

from agcod_async.ledger import PostgresLedger, postgres, postgres_tables  # noqa: E402

USD25 = Money("25.00", "USD")


def order(reference="order-1", value=USD25):
    return Intent(reference=reference, value=value)


async def plan(ledger, *references, **options):
    return await ledger.plan([order(reference) for reference in references], payer=PAYER, **options)


async def begin(ledger, reference="order-1", owner="me"):
    return await ledger.begin(order(reference), payer=PAYER, owner=owner, lease=60)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Attempts that follow each other sooner."""
    monkeypatch.setattr(postgres, "RETRY_DELAYS", (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2))


@pytest.fixture
async def ledger(postgres_dsn, clock):
    async with PostgresLedger(postgres_dsn, clock=clock) as ledger:
        yield ledger


@asynccontextmanager
async def connected(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


class Line:
    """A wire between ledger and server that can be cut before or after a statement gets through."""

    def __init__(self, connection, cuts):
        self._connection = connection
        self._cuts = cuts

    def __getattr__(self, name):
        return getattr(self._connection, name)

    async def fetch(self, query, *arguments):
        return await self._pass(self._connection.fetch, query, *arguments)

    async def execute(self, query, *arguments):
        return await self._pass(self._connection.execute, query, *arguments)

    async def _pass(self, send, query, *arguments):
        cut = self._cuts.pop(0) if self._cuts and not query.startswith("SELECT") else None
        if cut == "before":
            self._connection.terminate()
        if cut == "between":
            # The server has gone between the two steps of one statement.
            self._connection.terminate()
            raise asyncpg.InternalClientError("cannot switch to state 11; another operation is in progress")
        done = await send(query, *arguments)
        if cut == "after":
            # The statement is committed, and its answer never comes.
            self._connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("cut")
        return done


@pytest.fixture
def cut(ledger, monkeypatch):
    """A function that cuts the next lines."""
    cuts = []
    real = ledger._pool.acquire

    @asynccontextmanager
    async def acquire():
        async with real() as connection:
            yield Line(connection, cuts)

    monkeypatch.setattr(
        ledger, "_pool", type("Pool", (), {"acquire": staticmethod(acquire), "close": ledger._pool.close})()
    )
    return cuts.extend


@pytest.mark.parametrize("where", ["before", "between", "after"])
async def test_a_lost_connection_is_nobodys_loss(ledger, cut, clock, where):
    """Cut before or after the server had committed: the step is done, once, and the caller learns of it."""
    cut([where])
    entry, is_mine = await begin(ledger)
    assert is_mine
    assert await ledger.get("order-1") == entry
    cut([where])
    saved = await ledger.save(states.settle_issued(entry, clock.now, "G1"))
    assert saved.version == 3
    assert await ledger.get("order-1") == saved
    [planned] = await plan(ledger, "order-2")
    cut([where])
    begun, is_mine = await begin(ledger, "order-2")
    assert is_mine
    assert (begun.version, begun.state) == (planned.version + 1, "sent")
    cut([where])
    assert (await ledger.claim("order-2", payer=PAYER, owner="me", lease=60)).owner == "me"
    cut([where])
    assert [entry.reference for entry in await plan(ledger, "order-3", "order-2")] == ["order-3", "order-2"]


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_lost_connection_makes_one_new_id(ledger, cut, clock, where):
    """The burial of an id and the new one stay together, and are not done twice."""
    entry, _ = await begin(ledger)
    entry = await ledger.save(states.begin_reverse(entry, "replace", clock.now))
    fresh, retired = states.renew(states.settle_reversed(entry, clock.now), clock.now)
    cut([where, None, where])
    saved = await ledger.save(fresh, retired=retired)
    assert saved.generation == 2
    assert await ledger.get("order-1") == saved
    assert await ledger.history("order-1") == [retired]


async def test_a_lost_connection_hides_nobody_elses_write(ledger, cut, clock):
    """What somebody else has written meanwhile is not taken for one's own."""
    entry, _ = await begin(ledger)
    other = await ledger.claim("order-1", payer=PAYER, owner="me", lease=60)
    cut(["before"])
    with pytest.raises(StaleEntry):
        await ledger.save(states.settle_issued(entry, clock.now, "G1"))
    assert await ledger.get("order-1") == other


async def test_a_server_that_crashes_is_found_again(ledger, postgres_server, clock):
    """All connections break in the middle of the work; nothing is lost or done twice."""

    async def issue(number):
        entry, is_mine = await begin(ledger, f"order-{number:03}")
        assert is_mine
        return await ledger.save(states.settle_issued(entry, clock.now, f"G{number}"))

    work = asyncio.gather(*(issue(number) for number in range(300)))
    killed = 0
    while not work.done():
        await asyncio.sleep(0.02)
        killed += postgres_server.kill_backends() if killed == 0 else 0
    stored = [entry async for entry in ledger.entries()]
    assert killed
    assert await work == stored
    assert {(entry.state, entry.version) for entry in stored} == {("issued", 3)}


async def test_a_server_that_is_away_is_an_error_in_time(ledger, monkeypatch, postgres_server, clock):
    """Money does not wait for a ledger for ever, and the outcome is told apart."""
    entry, _ = await begin(ledger)
    monkeypatch.setattr(postgres, "RETRY_DELAYS", (0.0, 0.01))
    postgres_server.stop()
    try:
        with pytest.raises(LedgerError, match="PostgreSQL") as caught:
            await plan(ledger, "order-2")
        assert caught.value.outcome == "not_sent"
        with pytest.raises(LedgerError, match="PostgreSQL") as caught:
            await ledger.save(states.settle_issued(entry, clock.now, "G1"))
        assert caught.value.outcome == "unknown"
    finally:
        postgres_server.start()
    saved = await ledger.save(states.settle_issued(entry, clock.now, "G1"))
    assert await ledger.get("order-1") == saved


async def test_a_begin_that_nobody_confirms_may_have_happened(
    ledger, monkeypatch, postgres_server, postgres_dsn
):
    """Recovery goes on with what was begun: only a server that was never reached has surely noted nothing."""
    monkeypatch.setattr(postgres, "RETRY_DELAYS", (0.0, 0.01))
    async with connected(postgres_dsn) as connection:
        await connection.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
        )
        await connection.execute("CREATE TRIGGER die BEFORE INSERT ON agcod_entries EXECUTE FUNCTION die()")
    with pytest.raises(LedgerError, match="PostgreSQL") as caught:
        await begin(ledger)
    assert caught.value.outcome == "unknown"
    with pytest.raises(LedgerError, match="PostgreSQL") as caught:
        await plan(ledger, "order-2")
    assert caught.value.outcome == "not_sent"
    async with connected(postgres_dsn) as connection:
        await connection.execute("DROP TRIGGER die ON agcod_entries")
    postgres_server.stop()
    try:
        with pytest.raises(LedgerError, match="PostgreSQL") as caught:
            await begin(ledger)
        assert caught.value.outcome == "not_sent"
    finally:
        postgres_server.start()
    await begin(ledger)


async def test_closed_while_the_server_is_away(postgres_dsn, postgres_server, monkeypatch, clock):
    """Who ends a program during an outage is told what is unknown, as everybody else."""
    monkeypatch.setattr(postgres, "RETRY_DELAYS", (0.01,) * 100)
    async with PostgresLedger(postgres_dsn, clock=clock) as ledger:
        entry, _ = await begin(ledger)
        postgres_server.stop()
        issued = states.settle_issued(entry, clock.now, "G1")
        waiting = asyncio.gather(ledger.save(issued), ledger.get("order-1"), return_exceptions=True)
        await asyncio.sleep(0.05)
    postgres_server.start()
    errors = await waiting
    assert [(type(error), error.outcome) for error in errors] == [
        (LedgerError, "unknown"),
        (LedgerError, "not_sent"),
    ]
    assert all("closed" in str(error) for error in errors)


async def test_the_applications_transaction_holds_the_intent(ledger, postgres_dsn):
    """The order and the intent to pay it are committed together, or not at all."""
    async with connected(postgres_dsn) as connection:
        await connection.execute("CREATE TABLE orders (id TEXT)")
        rolled_back = connection.transaction()
        await rolled_back.start()
        await connection.execute("INSERT INTO orders VALUES ('order-1')")
        await plan(ledger, "order-1", connection=connection)
        await rolled_back.rollback()
        assert await ledger.get("order-1") is None
        async with connection.transaction():
            await connection.execute("INSERT INTO orders VALUES ('order-1')")
            [entry] = await plan(ledger, "order-1", connection=connection)
            assert await ledger.get("order-1") is None
        assert await ledger.get("order-1") == entry


async def test_a_refused_plan_leaves_the_applications_transaction_usable(ledger, postgres_dsn):
    """A contradiction is the application's to handle, inside its own transaction."""
    await plan(ledger, "order-1")
    async with connected(postgres_dsn) as connection, connection.transaction():
        other = [order("order-2"), order("order-1", Money("1", "USD"))]
        with pytest.raises(ConfigurationError):
            await ledger.plan(other, payer=PAYER, connection=connection)
        await plan(ledger, "order-3", connection=connection)
    assert await ledger.get("order-2") is None
    assert await ledger.get("order-3")


async def test_a_dead_connection_of_the_application_is_our_error(ledger, postgres_dsn):
    """It is not repeated: what else was in that transaction is not ours to know."""
    async with connected(postgres_dsn) as connection:
        connection.terminate()
        with pytest.raises(LedgerError) as caught:
            await plan(ledger, "order-1", connection=connection)
    assert caught.value.outcome == "not_sent"


async def test_a_snapshot_that_cannot_see_is_told(ledger, postgres_dsn):
    """What was planned after a repeatable read began is neither read nor planned twice."""
    async with connected(postgres_dsn) as connection, connection.transaction(isolation="repeatable_read"):
        await connection.fetch("SELECT * FROM agcod_entries")
        await plan(ledger, "order-1")
        with pytest.raises(LedgerError):
            await plan(ledger, "order-1", connection=connection)


async def test_plans_that_cross_meet_in_the_tables(postgres_dsn, ledger):
    """Two transactions plan the same reference at once: the later one sees the earlier one's money."""
    async with connected(postgres_dsn) as connection:
        async with connection.transaction():
            [entry] = await plan(ledger, "order-1", connection=connection)
            same = asyncio.create_task(plan(ledger, "order-1"))
            wrong = asyncio.create_task(ledger.plan([order(value=Money("1", "USD"))], payer=PAYER))
            await asyncio.sleep(0.1)
            assert not same.done()
        assert await same == [entry]
        with pytest.raises(ConfigurationError, match="stands for another"):
            await wrong


async def test_a_race_for_a_planned_entry_has_one_winner(ledger, postgres_dsn, monkeypatch):
    """Between reading and writing somebody else was faster: the entry is theirs."""
    await plan(ledger, "order-1")
    real = postgres_tables._expect
    others = []

    async def slow(connection, reference):
        entry = await real(connection, reference)
        if not others:
            others.append(None)
            others[0] = await begin(ledger, owner="faster")
        return entry

    monkeypatch.setattr(postgres_tables, "_expect", slow)
    entry, is_mine = await begin(ledger, owner="slower")
    assert not is_mine
    assert others == [(entry, True)]
    others.clear()
    await plan(ledger, "order-2")

    async def slow_claim(connection, reference):
        entry = await real(connection, reference)
        if not others:
            others.append(None)
            others[0] = await begin(ledger, reference, owner="faster")
        return entry

    monkeypatch.setattr(postgres_tables, "_expect", slow_claim)
    assert await ledger.claim("order-2", payer=PAYER, owner="slower", lease=60) is None


async def test_what_somebody_is_claiming_is_skipped(ledger, postgres_dsn):
    """FOR UPDATE SKIP LOCKED: a machine does not wait for entries that another one is taking."""
    await plan(ledger, "order-1", "order-2", "order-3")
    async with connected(postgres_dsn) as connection, connection.transaction():
        await connection.execute("SELECT * FROM agcod_entries WHERE reference = 'order-1' FOR UPDATE")
        taken = await ledger.claim_due(payer=PAYER, owner="me", lease=60, limit=2)
        assert [entry.reference for entry in taken] == ["order-2", "order-3"]


async def test_tables_are_made_once(postgres_dsn):
    """Many machines start at the same time."""

    async def start():
        async with PostgresLedger(postgres_dsn) as ledger:
            return await ledger.summary()

    assert await asyncio.gather(*(start() for _ in range(5))) == [[]] * 5


async def test_tables_may_be_made_by_hand(postgres_dsn):
    """A team applies the printed schema with its own tool; the ledger then needs no right to create."""
    async with connected(postgres_dsn) as connection:
        await connection.execute(schema("postgres"))
    async with PostgresLedger(f"{postgres_dsn}&default_transaction_read_only=on") as ledger:
        assert await ledger.summary() == []


async def test_an_older_schema_is_brought_up_to_date(postgres_dsn):
    """A ledger of an earlier version keeps its entries, and gets the tables that are new."""
    async with connected(postgres_dsn) as connection:
        await connection.execute(migrations("postgres")[0].script)
    async with PostgresLedger(postgres_dsn) as ledger:
        await ledger.take_note("campaign", "{}")
        assert await ledger.note("campaign") == "{}"


async def test_a_newer_schema_is_refused(postgres_dsn):
    """An old program does not write into what it does not understand."""
    async with PostgresLedger(postgres_dsn):
        pass
    async with connected(postgres_dsn) as connection:
        await connection.execute("INSERT INTO agcod_schema (version) VALUES (99)")
    with pytest.raises(LedgerError, match=r"schema is 99.*upgrade"):
        async with PostgresLedger(postgres_dsn):
            pass


async def test_a_pool_of_the_application_stays_open(postgres_dsn):
    """What is not ours is not closed."""
    async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=2) as pool:
        async with PostgresLedger(pool) as ledger:
            await plan(ledger, "order-1")
        assert await pool.fetchval("SELECT count(*) FROM agcod_entries") == 1


async def test_a_place_that_is_none_is_told(monkeypatch):
    """A wrong address is an error with its reason, before money moves."""
    monkeypatch.setattr(postgres, "RETRY_DELAYS", ())
    for dsn in ("postgresql://agcod@/postgres?host=/nowhere", "mysql://x"):
        with pytest.raises(LedgerError, match="PostgreSQL"):
            async with PostgresLedger(dsn):
                pass


async def test_a_ledger_is_used_while_it_is_open(postgres_dsn):
    """Before, afterwards or twice it says so."""
    ledger = PostgresLedger(postgres_dsn)
    with pytest.raises(ConfigurationError, match="not open"):
        await ledger.summary()
    async with ledger:
        with pytest.raises(ConfigurationError, match="open already"):
            await ledger.__aenter__()
    await ledger.__aexit__()


async def test_a_broken_rule_of_the_tables_is_an_error(ledger):
    """The tables themselves refuse a refusal while something is unknown."""
    entry, _ = await begin(ledger)
    with pytest.raises(LedgerError, match="CheckViolation"):
        await ledger.save(msgspec.structs.replace(entry, state="refused", has_unknown=True))
    assert await ledger.get("order-1") == entry


async def test_a_cancelled_task_leaves_the_old_or_the_new(ledger, clock):
    """Cancelled after any number of the loop's steps, an entry is as before or as after, its burial too."""
    seen = set()
    for steps in range(14):
        reference = f"order-{steps}"
        entry, _ = await begin(ledger, reference)
        entry = await ledger.save(states.begin_reverse(entry, "replace", clock.now))
        fresh, retired = states.renew(states.settle_reversed(entry, clock.now), clock.now)
        task = asyncio.create_task(ledger.save(fresh, retired=retired))
        for _ in range(steps):
            await asyncio.sleep(0.0002)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        stored, history = await ledger.get(reference), await ledger.history(reference)
        assert (stored, history) in (
            (entry, []),
            (msgspec.structs.replace(fresh, version=fresh.version + 1), [retired]),
        )
        seen.add(stored.state)
    assert "reversing" in seen
