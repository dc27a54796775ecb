"""A process that makes one new ledger after the other, until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agcod_async.ledger import SQLiteLedger


async def main(folder: Path, numbers: range) -> None:
    print("ready", flush=True)
    for number in numbers:
        async with SQLiteLedger(folder / f"{number}.db"):
            pass


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), range(int(sys.argv[2]), int(sys.argv[3]))))
