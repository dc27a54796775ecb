"""The `agcod` command, for the person who runs a campaign of rewards: `pip install agcod-async[cli]`."""

from __future__ import annotations

import sys
from importlib.util import find_spec

_LIBRARIES = ("typer", "rich")


def main() -> int:
    """Run the command line of this process, and return its exit code."""
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        print(  # noqa: T201  (there is nothing yet to print with)
            f"agcod: {' and '.join(missing)} missing: pip install 'agcod-async[cli]'", file=sys.stderr
        )
        return 2
    from .app import run

    return run()
