"""What a second session costs, when the first has built what all sessions of a process share."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from statistics import median

from agcod_async import AgcodSession, Credentials, Endpoint

from .measure import Row, main, micro

_SESSIONS = 20


def run() -> Iterator[Row]:
    _session()
    seconds = median(micro({"session": _session})["session"])
    yield Row(case="second session", against="time", value=seconds * 1e6, unit="us", goal=300)
    yield Row(case="second session", against="memory", value=_kibibytes(), unit="KiB", goal=30)


def _session() -> AgcodSession:
    return AgcodSession("Acme1", Credentials("AKIDEXAMPLE", "not-a-secret"), Endpoint.NA_SANDBOX)


def _kibibytes() -> float:
    tracemalloc.start()
    try:
        kept = [_session()]
        before, _ = tracemalloc.get_traced_memory()
        kept.extend(_session() for _ in range(_SESSIONS))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / (len(kept) - 1) / 1024


if __name__ == "__main__":
    main(run)
