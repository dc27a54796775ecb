"""
Coverage-guided fuzzing with atheris: ``python -m tests.fuzz --seconds 120 [--target answers]``.

Each target runs in a process of its own for its part of the time, within a bound of memory. A failing input
is written to the folder of findings and named; ``--replay FILE --target NAME`` runs it again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MEMORY = 600
"""MiB that a process may come to, the instrumentation's own included."""

LONGEST = 0.1
"""Seconds of CPU that one input may take: on a busy machine, others take theirs meanwhile."""


def main() -> int:
    options = _options()
    if options.replay:
        from .targets import TARGETS

        TARGETS[options.target](options.replay.read_bytes())
        return 0
    if options.run:
        _run(options.run, options.arguments)
    from .targets import TARGETS

    names = [options.target] if options.target else list(TARGETS)
    total, failures = 0, 0
    for name in names:
        executions, failed = _fuzz(name, options.seconds / len(names), options.findings)
        total += executions
        failures += failed
        print(f"{name:8} {executions:>12,} executions{', FAILED' if failed else ''}", flush=True)
    print(f"{total:,} executions, {failures} failures")
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--target")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()) / "agcod-async-findings")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def _fuzz(name: str, seconds: float, findings: Path) -> tuple[int, bool]:
    """Fuzz one target in a process of its own; return the number of executions and whether one failed."""
    from .targets import seeds, words

    findings.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile("w", suffix=".dict") as names:
        names.write("".join(f'"{word}"\n' for word in sorted(words())))
        names.flush()
        for number, seed in enumerate(seeds(name)):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        bounds = [
            f"-max_total_time={max(1, round(seconds))}",
            f"-rss_limit_mb={MEMORY}",
            f"-dict={names.name}",
            "-max_len=4096",
            "-timeout=10",
            "-print_final_stats=1",
            f"-artifact_prefix={findings}/{name}-",
        ]
        command = [sys.executable, "-m", "tests.fuzz", "--run", name, "--", folder, *bounds]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    found = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:])
    return int(found[1]) if found else 0, done.returncode != 0


def _run(name: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["agcod_async", "xml", "email"]):
        from .targets import TARGETS
    target = TARGETS[name]

    def timed(data: bytes) -> None:
        began = time.process_time()
        target(data)
        if time.process_time() - began > LONGEST:
            # Once more, because garbage may have been collected meanwhile; what is slow is slow each time.
            began = time.process_time()
            target(data)
            assert time.process_time() - began <= LONGEST, f"more than {LONGEST} s"

    atheris.Setup([sys.argv[0], *arguments], timed)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
