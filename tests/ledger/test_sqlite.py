"""The SQLite ledger: opened with care, one file for many processes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import msgspec
import pytest

from agcod_async import ConfigurationError, LedgerError, Money, StaleEntry
from agcod_async.clock import utc_now
from agcod_async.ledger import Intent, SQLiteLedger, sqlite_file, states
from agcod_async.ledger.batch import Work
from agcod_async.ledger.schema import Migration, migrations
from agcod_async.ledger.sqlite_file import SQLiteFile, statements, wal_is_safe
from tests.ledger.world import PAYER
from tests.support.virtual_time import VirtualTimeLoop

USD25 = Money("25.00", "USD")
SAFE, UNSAFE = (3, 51, 3), (3, 40, 1)


def order(reference="order-1", value=USD25):
    return Intent(reference=reference, value=value)


async def plan(ledger, *references):
    return await ledger.plan([order(reference) for reference in references], payer=PAYER)


def pragma(path, name):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.mark.parametrize("version", [SAFE, UNSAFE])
async def test_files_are_their_owners_alone(path, version):
    """Nobody else on the machine reads who gets how much, in the journal files neither."""
    old = os.umask(0)
    try:
        async with SQLiteLedger(path, sqlite_version=version) as ledger:
            await plan(ledger, "order-1")
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}
    assert ("ledger.db-wal" in modes) == (version == SAFE)


async def test_an_open_file_is_closed_to_others(path):
    """A file that was made or copied with a wide mode is narrowed."""
    async with SQLiteLedger(path):
        pass
    path.chmod(0o664)
    async with SQLiteLedger(path) as ledger:
        await plan(ledger, "order-1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("version", "is_safe"),
    [
        ((3, 7, 0), False),
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
        ((4, 0, 0), True),
    ],
)
def test_wal_is_for_versions_that_keep_what_they_commit(version, is_safe):
    """SQLite 3.7.0 to 3.51.2 can lose committed writes in WAL mode, three fixed versions apart."""
    assert wal_is_safe(version) == is_safe


@pytest.mark.parametrize(("version", "journal", "synchronous"), [(SAFE, "wal", 2), (UNSAFE, "delete", 3)])
async def test_the_journal_fits_the_library(path, version, journal, synchronous):
    """A fixed SQLite writes WAL with FULL, another one a rollback journal with EXTRA."""
    ledger = SQLiteLedger(path, sqlite_version=version)
    async with ledger:
        await plan(ledger, "order-1")
        assert ledger._file._connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert pragma(path, "journal_mode") == journal


async def test_a_file_with_a_rollback_journal_keeps_it(path):
    """A process with an older SQLite may be using it, and must not find WAL under its feet."""
    async with SQLiteLedger(path, sqlite_version=UNSAFE) as ledger:
        await plan(ledger, "order-1")
    async with SQLiteLedger(path, sqlite_version=SAFE) as ledger:
        assert await ledger.get("order-1")
    assert pragma(path, "journal_mode") == "delete"


async def test_an_unsafe_library_leaves_wal(path, monkeypatch):
    """Alone with the file it turns WAL off; in company, where it cannot, it does not open it."""
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT", 0.05)
    async with SQLiteLedger(path, sqlite_version=SAFE) as ledger:
        await plan(ledger, "order-1")
        with pytest.raises(LedgerError, match="another process"):
            async with SQLiteLedger(path, sqlite_version=UNSAFE):
                pass
    async with SQLiteLedger(path, sqlite_version=UNSAFE) as ledger:
        assert await ledger.get("order-1")
    assert pragma(path, "journal_mode") == "delete"


async def refused(path, match, **options):
    with pytest.raises(LedgerError, match=match) as caught:
        async with SQLiteLedger(path, **options):
            pass
    assert caught.value.outcome == "not_sent"
    return caught.value


async def test_network_file_systems_are_refused(path):
    """Locks do not hold there, and two machines would pay twice."""
    await refused(path, r"network file system \(nfs4\)", mounts=lambda: "server:/x / nfs4 rw 0 0\n")
    assert not path.exists()


async def test_a_newer_schema_is_refused(path):
    """An old program does not write into what it does not understand; the error says what to do."""
    async with SQLiteLedger(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    await refused(path, "schema is 99.*upgrade")


async def test_an_older_schema_is_brought_up_to_date(path):
    """A ledger of an earlier version keeps its entries, and gets the tables that are new."""
    connection = sqlite3.connect(path)
    for statement in statements(migrations("sqlite")[0].script):
        connection.execute(statement)
    connection.close()
    async with SQLiteLedger(path) as ledger:
        await ledger.take_note("campaign", "{}")
    async with SQLiteLedger(path) as ledger:
        assert await ledger.note("campaign") == "{}"


async def test_what_is_no_ledger_is_refused(path, tmp_path):
    """Neither a text file nor another program's database is written to."""
    path.write_text("reference,amount\n" * 100)
    await refused(path, "no SQLite database")
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE customers (name)")
    connection.close()
    await refused(other, "another program's")
    await refused(tmp_path / "absent" / "ledger.db", "cannot be opened|No such file")
    await refused(tmp_path, "cannot be opened|directory")


async def test_a_damaged_file_says_so(path):
    """The error names what is left to do: the same references still meet the same cards."""
    async with SQLiteLedger(path, sqlite_version=UNSAFE) as ledger:
        await plan(ledger, *(f"order-{number}" for number in range(500)))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    async with SQLiteLedger(path, sqlite_version=UNSAFE) as ledger:
        with pytest.raises(LedgerError, match="damaged"):
            await ledger.get("order-1")


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_ledger_without_a_file_is_refused(path):
    """It would forget what was paid."""
    with pytest.raises(ConfigurationError, match="MemoryLedger"):
        SQLiteLedger(path)


UNPRIVILEGED = """
import asyncio, os, sys
from agcod_async import LedgerError
from tests.ledger.world import PAYER
from agcod_async.ledger import SQLiteLedger
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
async def main():
    try:
        async with SQLiteLedger(sys.argv[1]):
            print("opened")
    except LedgerError as error:
        print(error)
asyncio.run(main())
"""


async def test_a_read_only_file_fails_before_money_moves():
    """It is told at the opening, not when a card has been bought."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder) / "ledger.db"
        async with SQLiteLedger(path):
            pass
        path.chmod(0o400)
        if os.getuid() == 0:
            os.chown(path, 0, 0)
        Path(folder).chmod(0o555)
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", UNPRIVILEGED, path],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        Path(folder).chmod(0o755)
    assert "cannot be" in done.stdout


async def test_a_full_disk_fails_before_money_moves(path):
    """Nothing of the batch is kept, and the ledger goes on when there is room again."""
    ledger = SQLiteLedger(path)
    async with ledger:
        await plan(ledger, "order-1")
        connection = ledger._file._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LedgerError, match="disk is full") as caught:
            await plan(ledger, *(f"big-{number}" for number in range(1000)))
        assert caught.value.outcome == "not_sent"
        assert await ledger.get("big-0") is None
        [entry] = await plan(ledger, "order-1")
        connection.execute("PRAGMA max_page_count = 100000")
        await plan(ledger, *(f"big-{number}" for number in range(1000)))
        assert await ledger.get("order-1") == entry


async def test_a_locked_file_says_who_is_to_blame(path, monkeypatch):
    """Another process that holds the file too long is named, and the outcome is told apart."""
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT", 0.05)
    async with SQLiteLedger(path) as ledger:
        entry, _ = await ledger.begin(order(), payer=PAYER, owner="me", lease=60)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        results = await asyncio.gather(
            plan(ledger, "order-2"),
            ledger.save(states.settle_issued(entry, entry.planned_at, "G1")),
            return_exceptions=True,
        )
        assert [(type(each), each.outcome) for each in results] == [
            (LedgerError, "not_sent"),
            (LedgerError, "unknown"),
        ]
        assert all("another process" in str(each) for each in results)
        assert results[0] is not results[1]
        holder.execute("ROLLBACK")
        holder.close()
        saved = await ledger.save(states.settle_issued(entry, entry.planned_at, "G1"))
        assert await ledger.get("order-1") == saved


async def test_a_commit_that_fails_leaves_nothing(path, monkeypatch):
    """A reader that stays in the way of a commit: all of the batch is undone, and can be repeated."""
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT", 0.05)
    async with SQLiteLedger(path, sqlite_version=UNSAFE) as ledger:
        await plan(ledger, "order-1")
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM entries").fetchall()
        with pytest.raises(LedgerError, match="another process"):
            await plan(ledger, "order-2")
        reader.execute("ROLLBACK")
        reader.close()
        assert await ledger.get("order-2") is None
        await plan(ledger, "order-2")


async def test_a_step_of_the_schema_that_fails_leaves_the_old_one(path, monkeypatch):
    """Tables are never half-made: the step is undone as a whole."""
    good = sqlite_file.migrations("sqlite")
    bad = Migration(number=2, name="0002_bad.sql", script="CREATE TABLE x (y);\nBAD;\n")
    monkeypatch.setattr(sqlite_file, "migrations", lambda _dialect: [*good, bad])
    await refused(path, "syntax error")
    monkeypatch.undo()
    async with SQLiteLedger(path) as ledger:
        await plan(ledger, "order-1")


async def test_a_broken_rule_of_the_tables_fails_alone(path):
    """The tables themselves refuse a refusal while something is unknown."""
    async with SQLiteLedger(path) as ledger:
        entry, _ = await ledger.begin(order(), payer=PAYER, owner="me", lease=60)
        wrong = msgspec.structs.replace(entry, state="refused", has_unknown=True)
        results = await asyncio.gather(
            plan(ledger, "before"), ledger.save(wrong), plan(ledger, "after"), return_exceptions=True
        )
        assert isinstance(results[1], LedgerError)
        assert results[1].outcome == "unknown"
        assert await ledger.get("order-1") == entry
        assert await ledger.get("before")
        assert await ledger.get("after")


async def test_a_mistake_in_a_read_fails_alone(path):
    """What is wrong with one question is not the others' business."""
    async with SQLiteLedger(path) as ledger:
        results = await asyncio.gather(
            ledger.due(utc_now(), 1, payer=PAYER),
            ledger.due("x", 1, payer=PAYER),
            ledger.summary(),
            return_exceptions=True,
        )
        assert [type(each).__name__ for each in results] == ["list", "TypeError", "list"]


async def test_what_waits_together_is_one_transaction(path):
    """Group commit: fifty tasks cost few transactions, so few waits for the disk."""
    ledger = SQLiteLedger(path)
    begun = []
    async with ledger:
        ledger._file._connection.set_trace_callback(
            lambda statement: begun.append(statement) if statement.startswith("BEGIN") else None
        )
        await asyncio.gather(*(plan(ledger, f"order-{number}") for number in range(50)))
        assert begun == ["BEGIN IMMEDIATE"]
        await asyncio.gather(*(ledger.get(f"order-{number}") for number in range(50)))
        assert begun[1:] == ["BEGIN"]


async def later(steps, work):
    for _ in range(steps):
        await asyncio.sleep(0)
    return await work


async def test_a_batch_waits_for_what_is_just_coming(path):
    """Tasks that come one step of the loop after the other share a transaction, but nobody waits for ever."""
    begun = []
    async with SQLiteLedger(path) as ledger:
        ledger._file._connection.set_trace_callback(
            lambda statement: begun.append(statement) if statement.startswith("BEGIN") else None
        )
        await asyncio.gather(*(later(step, plan(ledger, f"order-{step}")) for step in reversed(range(5))))
        assert len(begun) == 1
        await asyncio.gather(*(later(step, plan(ledger, f"more-{step}")) for step in reversed(range(100))))
        assert 2 < len(begun) < 20


async def test_what_comes_with_a_mistake_is_written_once(path):
    """All of a batch is undone before each of it is done alone: the others are neither lost nor doubled."""
    async with SQLiteLedger(path) as ledger:
        [known] = await plan(ledger, "known")
        other = order("known", value=Money("26.00", "USD"))
        results = await asyncio.gather(
            ledger.begin(order("new"), payer=PAYER, owner="a", lease=60),
            ledger.begin(order("new"), payer=PAYER, owner="b", lease=60),
            ledger.plan([order("fresh"), other], payer=PAYER),
            ledger.save(msgspec.structs.replace(known, version=9)),
            ledger.begin(order("known"), payer=PAYER, owner="a", lease=60),
            return_exceptions=True,
        )
        (entry, is_mine), again, mistaken, stale, (begun, is_mine_too) = results
        assert is_mine
        assert again == (entry, False)
        assert isinstance(mistaken, ConfigurationError)
        assert isinstance(stale, StaleEntry)
        assert is_mine_too
        assert begun.version == 2
        assert [each.reference async for each in ledger.entries()] == ["known", "new"]


@pytest.mark.parametrize("lasts", [0, 1])
def test_a_transaction_that_the_disk_ends_fails_as_a_whole(path, lasts):
    """Nobody is told that something was written which went with the transaction, the second time neither."""
    file = SQLiteFile(path, mounts=lambda: "", version=UNSAFE)
    file.open()
    turns = iter(range(9))

    def write(connection):
        return connection.execute("DELETE FROM history").rowcount

    def lose(connection):
        if next(turns) == lasts:
            connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    works = [Work(run=run, writes=True, outcome="not_sent") for run in (write, lose, write)]
    with pytest.raises(LedgerError, match="disk I/O error"):
        file.run_all(works)
    assert [done.result for done in file.run_all(works[:1])] == [0]
    file.close()


async def test_one_thread_writes(path):
    """All work is done in one thread of the loop's executor, which ends with the ledger."""
    async with SQLiteLedger(path) as ledger:
        await asyncio.gather(*(plan(ledger, f"order-{number}") for number in range(50)))
        assert sum(thread.name.startswith("agcod-ledger") for thread in threading.enumerate()) == 1
    assert not any(thread.name.startswith("agcod-ledger") for thread in threading.enumerate())


async def test_a_cancelled_task_leaves_the_old_or_the_new(path):
    """Cancelled after any number of the loop's steps, an entry is as before or as after."""
    seen = set()
    async with SQLiteLedger(path) as ledger:
        for steps in range(12):
            reference = f"order-{steps}"
            entry, _ = await ledger.begin(order(reference), payer=PAYER, owner="me", lease=60)
            after = states.settle_issued(entry, entry.planned_at, "G1")
            task = asyncio.create_task(ledger.save(after))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            stored = await ledger.get(reference)
            assert stored in (entry, msgspec.structs.replace(after, version=3))
            seen.add(stored.state)
        await plan(ledger, "order-0")
    assert seen == {"sent", "issued"}


class InlineLoop(VirtualTimeLoop):
    """Runs what is meant for a thread at once, as a simulation does."""

    def run_in_executor(self, _executor, func, *args):
        future = self.create_future()
        future.set_result(func(*args))
        return future


def test_a_simulated_loop_runs_it_without_threads(path):
    """Nothing but the loop decides about order, so a simulation can replay it."""

    async def main():
        async with SQLiteLedger(path) as ledger:
            before = threading.active_count()
            results = await asyncio.gather(
                *(ledger.begin(order(), payer=PAYER, owner=f"task-{n}", lease=60) for n in range(9))
            )
            assert threading.active_count() == before
            return [is_mine for _, is_mine in results]

    with asyncio.Runner(loop_factory=InlineLoop) as runner:
        assert runner.run(main()) == [True] + [False] * 8


async def test_closing_finishes_what_waits(path):
    """What was asked for before the end is done."""
    ledger = SQLiteLedger(path)
    async with ledger:
        task = asyncio.create_task(plan(ledger, "order-1"))
        await asyncio.sleep(0)
    await task
    async with SQLiteLedger(path) as again:
        assert await again.get("order-1")


async def test_a_ledger_is_used_while_it_is_open(path):
    """Before, afterwards, twice or in another loop it says so, instead of hanging."""
    ledger = SQLiteLedger(path)
    with pytest.raises(ConfigurationError, match="not open"):
        await ledger.get("order-1")
    async with ledger:
        with pytest.raises(ConfigurationError, match="open already"):
            await ledger.__aenter__()
        with pytest.raises(LedgerError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, ledger.get("order-1"))
    with pytest.raises(ConfigurationError, match="not open"):
        await ledger.get("order-1")
    await ledger.__aexit__(None, None, None)
    async with ledger:
        assert await ledger.get("order-1") is None


async def test_two_ledgers_share_a_file(path):
    """Two connections that begin the same rewards begin each once."""
    async with SQLiteLedger(path) as one, SQLiteLedger(path) as other:

        async def begin(ledger, owner, number):
            intent = order(f"order-{number}")
            _, is_mine = await ledger.begin(intent, payer=PAYER, owner=owner, lease=60)
            return is_mine

        mine, theirs = await asyncio.gather(
            asyncio.gather(*(begin(one, "one", number) for number in range(100))),
            asyncio.gather(*(begin(other, "other", number) for number in reversed(range(100)))),
        )
        assert all(a != b for a, b in zip(mine, reversed(theirs), strict=True))
