"""Killed while the ledger's file is being made."""

from __future__ import annotations

import asyncio
import os
import sys
from random import Random

from agcod_async import Money
from agcod_async.ledger import Intent, SQLiteLedger
from tests.ledger.world import PAYER
from tests.processes.campaign import ROOT

KILLS, FILES, TOGETHER = 10, 2000, 2


async def test_a_ledger_that_was_half_made_is_made_afterwards(tmp_path):
    """Two processes make the same files until they are killed: whatever is left, the next one opens it."""
    random = Random(5)
    left = 0
    for life in range(KILLS):
        folder = tmp_path / str(life)
        folder.mkdir()
        processes = [await start(folder) for _ in range(TOGETHER)]
        for process in processes:
            assert await process.stdout.readline() == b"ready\n"
        await asyncio.sleep(random.uniform(0.0, 0.1))
        for process in processes:
            process.kill()
            await process.communicate()
            assert process.returncode == -9, "it had ended, or failed, before it could be killed"
        for path in sorted(folder.glob("*.db")):
            async with SQLiteLedger(path) as ledger:
                [entry] = await ledger.plan([INTENT], payer=PAYER)
                assert await ledger.get("order") == entry
            left += 1
    assert left > KILLS


INTENT = Intent(reference="order", value=Money("25.00", "USD"))


async def start(folder):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.processes.opener",
        str(folder),
        "0",
        str(FILES),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
