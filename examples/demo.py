"""
Issue every reward of a CSV file against the emulated gateway, over TLS, and check that the books add up.

python examples/demo.py [rewards.csv]

The story itself is in agcod_async/demo.py, where `agcod demo` finds it too.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agcod_async import ConfigurationError
from agcod_async.demo import read_rewards, tell


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("rewards.csv")
    try:
        told = asyncio.run(tell(read_rewards(path), print))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left running.")
        return 130
    for line in told.lines():
        print(line)
    for problem in told.problems:
        print(f"NOT RIGHT: {problem}", file=sys.stderr)
    return 1 if told.problems else 0


if __name__ == "__main__":
    sys.exit(main())
