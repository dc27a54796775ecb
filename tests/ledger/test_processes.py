"""Real processes on one ledger, and what is left when they are killed."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from random import Random

import pytest

from agcod_async import Money, StaleEntry
from agcod_async.ledger import Intent, states
from tests.ledger.worker import opened
from tests.ledger.world import PAYER

KILLS = 8
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("postgres_dsn")
    return str(tmp_path / "ledger.db")


async def start(place, owner, first, last):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.ledger.worker",
        place,
        owner,
        str(first),
        str(last),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


async def said(process):
    """Return what the process has said until its end."""
    return (await process.stdout.read()).decode().splitlines()


async def test_a_killed_writer_loses_nothing(place):
    """Killed at any moment: what was acknowledged is there, and nothing is half-written."""
    random = Random(4)
    heard = []
    for life in range(KILLS):
        process = await start(place, f"life-{life}", life * 100_000, (life + 1) * 100_000)
        assert await process.stdout.readline() == b"ready\n"
        await asyncio.sleep(random.uniform(0.0, 0.25))
        process.kill()
        lines = await said(process)
        await process.wait()
        # The last line may have been cut off by the kill itself.
        heard += [tuple(line.split()) for line in lines if len(line.split()) == 2 and len(line) > 17]
    async with opened(place) as ledger:
        entries = {entry.reference: entry async for entry in ledger.entries()}
        for word, reference in heard:
            entry = entries[reference]
            if word == "issued":
                assert (entry.state, entry.version, entry.gc_id) == ("issued", 3, "G1")
            elif word == "renewed":
                assert (entry.state, entry.generation) == ("planned", 2)
        for entry in entries.values():
            history = await ledger.history(entry.reference) if entry.reference.endswith("7") else []
            assert (entry.state, entry.generation, len(history)) in [
                ("sent", 1, 0),
                ("issued", 1, 0),
                ("reversing", 1, 0),
                ("planned", 2, 1),
            ]
    assert {word for word, _ in heard} == {"begun", "issued", "renewed"}
    if "://" not in place:
        connection = sqlite3.connect(place)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


async def test_processes_share_a_ledger(place):
    """Three processes with the same references: each is begun by one, and settled once."""
    processes = [await start(place, f"process-{number}", 0, 200) for number in range(3)]
    lines = [line for process in processes for line in await said(process) if line != "ready"]
    assert [await process.wait() for process in processes] == [0, 0, 0]
    assert len(lines) == len(set(lines)) == 400
    async with opened(place) as ledger:
        found = {entry.state async for entry in ledger.entries()}
        assert found == {"issued", "planned"}
        assert sum(total.count for total in await ledger.summary()) == 200


async def test_a_frozen_process_wakes_to_a_stale_entry(place, clock):
    """Stopped for longer than its lease, a process neither writes nor hands out when it goes on."""
    async with opened(place, clock) as frozen, opened(place, clock) as awake:
        intent = Intent(reference="order-1", value=Money("25.00", "USD"))
        entry, _ = await frozen.begin(intent, payer=PAYER, owner="frozen", lease=60)
        assert await awake.claim_due(payer=PAYER, owner="awake", lease=60, limit=5) == []
        clock.pass_time(60)
        [taken] = await awake.claim_due(payer=PAYER, owner="awake", lease=60, limit=5)
        with pytest.raises(StaleEntry):
            await frozen.save(states.settle_issued(entry, clock.now, "G1"))
        assert await frozen.get("order-1") == taken
        assert taken.has_unknown
