"""A disk that is full or read-only, a ledger of tomorrow: told before money moves, and survived after."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agcod_async import ConfigurationError, LedgerError, Money
from agcod_async.ledger import SQLiteLedger
from tests.issuer.world import World

USD = Money("25.00", "USD")
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def scene(path):
    """An issuer on a real file; time can be skipped."""
    ahead = timedelta()

    def clock():
        return datetime.now(UTC) + ahead

    def later(seconds):
        nonlocal ahead
        ahead += timedelta(seconds=seconds)

    async with SQLiteLedger(path, clock=clock) as ledger:
        world = World(ledger=ledger)
        world.clock = world.emulator.clock._source = clock
        world.new_issuer()
        world.later = later
        yield world
        await asyncio.gather(*world.drives, return_exceptions=True)


def fill(ledger):
    """No page more, as on a full disk; returns what makes room."""
    connection = ledger._file._connection
    # What is free inside of the file would still be used.
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    return lambda: connection.execute("PRAGMA max_page_count = 1000000")


async def test_a_full_disk_stops_the_next_reward_before_it_is_sent(tmp_path):
    """The error says so and what to do; with room again the same reference is issued."""
    async with scene(tmp_path / "ledger.db") as w:
        await w.issuer.issue("order-0", USD)
        make_room = fill(w.ledger)
        issued, failed = 1, None
        while failed is None:
            try:
                await w.issuer.issue(f"order-{issued}", USD)
                issued += 1
            except LedgerError as error:
                failed = error
        assert failed.outcome == "not_sent"
        assert "disk is full: make room" in str(failed)
        assert len(w.live_cards) == issued
        assert f"order-{issued}" not in {entry.reference async for entry in w.ledger.entries()}
        make_room()
        assert (await w.issuer.issue(f"order-{issued}", USD)).gc_id
        assert len(w.live_cards) == issued + 1


async def test_a_ledger_that_fails_after_the_request_loses_nothing(tmp_path):
    """The card is paid for and cannot be noted: it is not handed out, stays open, and recovery settles it."""
    async with scene(tmp_path / "ledger.db") as w:
        connection = w.ledger._file._connection

        def fail_writes(is_broken):
            connection.execute(f"PRAGMA query_only = {int(is_broken)}")

        create = w.session.create_gift_card

        async def create_and_break(*arguments, **options):
            card = await create(*arguments, **options)
            fail_writes(True)
            return card

        w.session.create_gift_card = create_and_break
        with pytest.raises(LedgerError) as caught:
            await w.issuer.issue("order", USD)
        assert caught.value.outcome == "unknown"
        assert len(w.live_cards) == 1
        assert (await w.issuer.status("order")).state == "sent"
        w.session.create_gift_card = create
        with pytest.raises(LedgerError) as caught:
            await w.new_issuer().issue("another", USD)
        assert caught.value.outcome == "not_sent"
        fail_writes(False)
        w.later(61)
        [receipt] = await w.new_issuer().recover()
        assert (receipt.state, receipt.gc_id) == ("issued", w.live_cards[0].gc_id)
        assert (await w.issuer.issue("order", USD)).gc_id == receipt.gc_id
        assert len(w.live_cards) == 1


# A process that issues until its ledger fails, and then says what failed and what the gateway has.
ISSUING = """
import asyncio, os, resource, signal, sys
from agcod_async import LedgerError, Money
from agcod_async.ledger import SQLiteLedger
from tests.issuer.world import World

path, limit = sys.argv[1], int(sys.argv[2])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
elif os.getuid() == 0 and sys.argv[3] == "unprivileged":
    os.setgid(65534)
    os.setuid(65534)

async def main():
    world = None
    try:
        async with SQLiteLedger(path) as ledger:
            world = World(ledger=ledger)
            world.clock = world.emulator.clock
            world.emulator.clock._source = ledger._clock
            world.new_issuer()
            world.emulator.state.funds["Acme1"] = None
            for number in range(100_000):
                await world.issuer.issue(f"order-{number:06}" + "x" * 200, Money("1.00", "USD"))
    except LedgerError as error:
        print(error.outcome)
        print(error)
    print(len(world.live_cards) if world else 0)

asyncio.run(main())
"""


async def issuing(path, *, limit=0, who="unprivileged"):
    """Return the outcome, the message and the number of cards."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", ISSUING, str(path), str(limit), who],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout + done.stderr
    return lines[0], lines[1], int(lines[2])


async def books(path):
    """Return how many entries are in each state."""
    async with SQLiteLedger(path) as ledger:
        return {total.state: total.count for total in await ledger.summary()}


def agree(outcome, cards, counts):
    """What failed before sending charged nothing; what failed after it is still open."""
    if outcome == "not_sent":
        assert counts == {"issued": cards}
    else:
        assert outcome == "unknown"
        assert counts.pop("sent") == 1
        assert counts.get("issued", 0) in (cards - 1, cards)


@pytest.mark.parametrize("limit", [40_000, 60_500])
async def test_a_file_that_may_not_grow(tmp_path, limit):
    """The operating system refuses to write more, at whichever write: the books agree with the gateway."""
    path = tmp_path / "ledger.db"
    outcome, message, cards = await issuing(path, limit=limit)
    assert "disk" in message
    assert cards > 10
    agree(outcome, cards, await books(path))


async def test_a_file_system_that_is_full(tmp_path):
    """A real one, where it can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    mounted = None
    if os.getuid() == 0:
        mounted = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    if mounted is None or mounted.returncode:
        pytest.skip("no file system can be mounted here: run it as root")
    try:
        path = folder / "ledger.db"
        outcome, message, cards = await issuing(path, who="root")
        assert "disk" in message
        assert cards > 10
        agree(outcome, cards, await books(path))
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", str(folder)], check=True)


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_a_place_that_cannot_be_written(what):
    """Nothing is sent, and the message says what cannot be written."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder, path = Path(name), Path(name) / "ledger.db"
        if what == "file":
            async with SQLiteLedger(path):
                pass
            path.chmod(0o400)
        folder.chmod(0o555)
        try:
            outcome, message, cards = await issuing(path)
        finally:
            folder.chmod(0o755)
    assert (outcome, cards) == ("not_sent", 0)
    assert str(path) in message
    assert "cannot be written: give" in message or "may it be written?" in message


async def test_a_file_that_becomes_read_only(tmp_path):
    """Opened in time and taken away afterwards: the next reward is not sent."""
    async with scene(tmp_path / "ledger.db") as w:
        first = await w.issuer.issue("order-1", USD)
        w.ledger._file._connection.execute("PRAGMA query_only = 1")
        with pytest.raises(LedgerError, match="cannot be written") as caught:
            await w.issuer.issue("order-2", USD)
        assert caught.value.outcome == "not_sent"
        assert [card.gc_id for card in w.live_cards] == [first.gc_id]
        w.ledger._file._connection.execute("PRAGMA query_only = 0")
        assert (await w.issuer.issue("order-2", USD)).gc_id


async def test_a_ledger_of_tomorrow_is_refused_before_anything_is_sent(tmp_path):
    """An old program in a rolling deployment writes nothing, sends nothing, and says: upgrade."""
    path = tmp_path / "ledger.db"
    async with SQLiteLedger(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    outcome, message, cards = await issuing(path, who="root")
    assert (outcome, cards) == ("not_sent", 0)
    assert "upgrade agcod-async" in message


async def test_what_cannot_be_meant_is_refused_before_anything_is_sent(tmp_path):
    """Another amount, currency or policy that there is not: no request leaves, and the entry is as it was."""
    async with scene(tmp_path / "ledger.db") as w:
        card = await w.issuer.issue("order", USD)
        before, asked = await w.entry("order"), w.emulator.state.serial
        for value, options in (
            (Money("25.01", "USD"), {}),
            (Money("25.00", "EUR"), {}),
            (USD, {"on_unknown": "guess"}),
            (USD, {"program_id": "other"}),
        ):
            with pytest.raises(ConfigurationError) as caught:
                await w.issuer.issue("order", value, **options)
            assert caught.value.outcome == "not_sent"
        with pytest.raises(ConfigurationError):
            await w.issuer.issue("unheard of", USD, on_unknown="guess")
        assert await w.entry("unheard of") is None
        assert await w.entry("order") == before
        assert w.emulator.state.serial == asked
        assert (await w.issuer.issue("order", USD)).gc_id == card.gc_id
