"""Ledgers that outlive the processes that write to them."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from agcod_async.ledger import Entry, MemoryLedger, SQLiteLedger

from .machine import Process

_MEMORY = Path("/dev/shm")
_NUMBERS = itertools.count()


class _Surviving(MemoryLedger):
    """A process can die after the write, and before it learns of it."""

    async def begin(self, intent, **options):
        done = await super().begin(intent, **options)
        await asyncio.sleep(0)
        return done

    async def claim(self, reference, **options):
        done = await super().claim(reference, **options)
        await asyncio.sleep(0)
        return done

    async def claim_due(self, **options):
        done = await super().claim_due(**options)
        await asyncio.sleep(0)
        return done

    async def save(self, entry, *, retired=None):
        done = await super().save(entry, retired=retired)
        await asyncio.sleep(0)
        return done


class MemoryStore:
    """What a server that never dies would keep."""

    def __init__(self) -> None:
        self._kept = MemoryLedger()

    def ledger(self, process: Process) -> MemoryLedger:
        ledger = _Surviving(clock=process.clock)
        ledger._entries, ledger._history = self._kept._entries, self._kept._history
        return ledger

    def peek(self, reference: str) -> Entry | None:
        """Return what is stored of a reference at this moment."""
        return self._kept._entries.get(reference)

    def bytes(self) -> bytes:
        return msgspec.json.encode([self._kept._entries, self._kept._history])

    def remove(self) -> None:
        pass


class SQLiteStore:
    """A file, as on a disk that never fails."""

    def __init__(self) -> None:
        folder = mkdtemp(prefix="agcod-sim-", dir=_MEMORY if _MEMORY.is_dir() else None)
        self._folder = Path(folder)
        self._path = self._folder / "ledger.db"

    def ledger(self, process: Process) -> SQLiteLedger:
        ledger = SQLiteLedger(self._path, clock=process.clock, mounts=lambda: "")
        # As the operating system does with the files of a killed process.
        process.on_death.append(ledger._file.close)
        return ledger

    def bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self._folder.iterdir()))

    def remove(self) -> None:
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()
