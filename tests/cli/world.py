"""The command line with a gateway behind it, for tests: in this process, or as a process on a terminal."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agcod_async.cli.app import run
from agcod_async.cli.process import Process
from agcod_async.emulator import Emulator
from tests.support.canary import CANARY

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-c", "import sys; from agcod_async.cli import main; sys.exit(main())")


@contextmanager
def serving(emulator: Emulator) -> Iterator[dict[str, str]]:
    """Serve in a thread of its own, because each command has an event loop of its own."""
    started, environment = threading.Event(), dict[str, str]()

    async def serve() -> None:
        async with emulator.serve() as server:
            environment.update(server.environment)
            done = asyncio.Event()
            loops.append((asyncio.get_running_loop(), done))
            started.set()
            await done.wait()

    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10)
    try:
        yield environment
    finally:
        loop, done = loops[0]
        loop.call_soon_threadsafe(done.set)
        thread.join()


class Stream(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, text: str = "", *, is_terminal: bool) -> None:
        super().__init__(text)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def record(self) -> dict[str, Any]:
        (record,) = self.records
        return record

    @property
    def error(self) -> dict[str, Any]:
        (error,) = (json.loads(line) for line in self.err.splitlines())
        return error


@dataclass(frozen=True)
class Cli:
    """Runs command lines in this process, where coverage can see them."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, typed: str | None = None, terminal: bool = False) -> Result:
        """Run one; *typed* is what a person types, which makes everything a terminal."""
        is_terminal = terminal or typed is not None
        process = Process(
            stdin=Stream(typed or "", is_terminal=typed is not None),
            stdout=Stream(is_terminal=is_terminal),
            stderr=Stream(is_terminal=is_terminal),
            environ=self.environ,
            folder=self.folder,
        )
        code = run(arguments, process)
        result = Result(code, process.stdout.getvalue(), process.stderr.getvalue())
        if "--reveal" not in arguments:
            CANARY.see_output((result.out, result.err))
        return result

    def with_environ(self, **changes: str | None) -> Cli:
        merged = {**self.environ, **changes}
        return Cli(self.folder, {name: value for name, value in merged.items() if value is not None})

    def write(self, text: str, name: str = "agcod.toml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def process(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start one as a process of its own."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self._process_environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            **options,
        )

    def on_terminal(self, *arguments: str, typed: str = "", **environ: str) -> tuple[int, str]:
        """Run one in a pseudo-terminal of 100 columns; return its exit code and the screen."""
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env={**self._process_environ(), "COLUMNS": "100", "TERM": "xterm", **environ},
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        os.write(leader, typed.encode())
        screen = _read_all(leader)
        os.close(leader)
        if "--reveal" not in arguments:
            CANARY.see_output((screen,))
        return process.wait(20), screen

    def _process_environ(self) -> dict[str, str]:
        machine = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        # Processes of their own are for what only they can show; coverage comes from the others.
        return {**machine, **self.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


def _read_all(leader: int) -> str:
    chunks: list[bytes] = []
    while select.select([leader], [], [], 30)[0]:
        try:
            chunk = os.read(leader, 65_536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks).decode()
