"""Measures everything and prints one table."""

from __future__ import annotations

from . import (
    bench_call,
    bench_codecs,
    bench_emulator,
    bench_import,
    bench_session,
    bench_signer,
    bench_telemetry,
)
from .measure import main

if __name__ == "__main__":
    main(
        bench_signer.run,
        bench_codecs.run,
        bench_call.run,
        bench_import.run,
        bench_session.run,
        bench_telemetry.run,
        bench_emulator.run,
    )
