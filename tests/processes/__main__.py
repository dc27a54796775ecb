"""
The campaign in full size: ``python -m tests.processes`` (3,000 rewards, 50 kills, SQLite, then PostgreSQL).

Each run is a function of its seed, and of what the machine does meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from .campaign import Campaign


async def main(options: argparse.Namespace) -> None:
    for store in options.store or ("sqlite", "postgres"):
        with tempfile.TemporaryDirectory(prefix="agcod-campaign-") as name:
            folder = Path(name)
            (folder / "ledger").mkdir()
            (folder / "words").mkdir()
            server = None
            place = str(folder / "ledger" / "ledger.db")
            if store == "postgres":
                from tests.support.postgres import PostgresServer

                server = PostgresServer()
                place = server.dsn
            try:
                campaign = Campaign(
                    place,
                    folder / "words",
                    seed=options.seed,
                    rewards=options.rewards,
                    workers=options.workers,
                    kills=options.kills,
                    freezes=options.freezes,
                    denials=options.denials,
                    faults=options.faults,
                )
                tally = await campaign.run()
                campaign.search([folder, *([server.folder] if server else [])])
            finally:
                if server:
                    server.close()
            print(f"{store}: {tally}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.processes", description=__doc__)
    parser.add_argument("--store", action="append", choices=("sqlite", "postgres"))
    parser.add_argument("--rewards", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--freezes", type=int, default=5)
    parser.add_argument("--denials", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--faults", type=float, default=0.34, help="share of the requests that meet one")
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(main(parser.parse_args()))
