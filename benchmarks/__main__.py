"""Measures everything and prints one table; exits with 1 where a goal is missed."""

from __future__ import annotations

import sys

from . import bench_call, bench_codecs, bench_emulator, bench_import, bench_session, bench_signer
from .measure import main

if __name__ == "__main__":
    sys.exit(
        main(
            bench_signer.run,
            bench_codecs.run,
            bench_call.run,
            bench_import.run,
            bench_session.run,
            bench_emulator.run,
        )
    )
