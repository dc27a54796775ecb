"""What ``import agcod_async`` costs, each time in a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import agcod_async

from .measure import Row, Timings, main, optional, ratio, skipped

_GOALS = {"boto3": 0.55, "aiobotocore.session": 0.35}
_ROUNDS = 9
_SCRIPT = "import time; start = time.process_time(); {}; print(time.process_time() - start)"
_FIRST_SESSION = (
    "from agcod_async import AgcodSession, Credentials, Endpoint;"
    "AgcodSession('Acme1', Credentials('AKIDEXAMPLE', 'not-a-secret'), Endpoint.NA_SANDBOX)"
)
_FIRST_CLIENT = (
    "import boto3; boto3.client('sqs', region_name='us-east-1',"
    "aws_access_key_id='AKIDEXAMPLE', aws_secret_access_key='not-a-secret')"
)


def run() -> Iterator[Row]:
    statements = {"agcod_async": "import agcod_async", "session": _FIRST_SESSION}
    for name in _GOALS:
        package = name.partition(".")[0]
        if optional(package):
            statements[name] = f"import {name}"
        else:
            yield skipped("import", package)
    if "boto3" in statements:
        statements["boto3 client"] = _FIRST_CLIENT
    timings = _fresh(statements)
    for name in [name for name in _GOALS if name in statements]:
        yield _row(timings, "import", "agcod_async", name, _GOALS[name])
    if "boto3" in statements:
        # What is imported late is paid here.
        yield _row(timings, "import and first session", "session", "boto3 client")


def _row(timings: Timings, case: str, ours: str, theirs: str, goal: float | None = None) -> Row:
    note = " : ".join(f"{median(timings[name]) * 1e3:.0f} ms" for name in (ours, theirs))
    return Row(case=case, against=theirs, value=ratio(timings, ours, theirs), goal=goal, note=note)


def _fresh(statements: dict[str, str]) -> Timings:
    """Run each statement in new interpreters, in turns; a first round writes the byte code."""
    timings: dict[str, list[float]] = {name: [] for name in statements}
    for turn in range(_ROUNDS + 1):
        for name, statement in statements.items():
            seconds = _seconds(statement)
            if turn:
                timings[name].append(seconds)
    return timings


def _seconds(statement: str) -> float:
    root = str(Path(agcod_async.__file__).parents[1])
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((root, *sys.path))}
    command = [sys.executable, "-c", _SCRIPT.format(statement)]
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True, timeout=60)
    return float(done.stdout)


if __name__ == "__main__":
    main(run)
