"""A real redis-server on a free port of loopback, for as long as a test needs it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

HOW = "redis-server is not installed: `apt-get install redis-server` (Debian), or put it on PATH"


def require_redis() -> str:
    """Return the binary, or skip the test; with AGCOD_TEST_REQUIRE=1 its lack is a failure."""
    pytest.importorskip("redis")
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        if os.environ.get("AGCOD_TEST_REQUIRE") == "1":
            pytest.fail(f"{HOW} (AGCOD_TEST_REQUIRE=1 demands it)")
        pytest.skip(HOW)
    return binary


class RedisServer:
    """
    Runs, freezes, dies and comes back, always on the same port, and keeps nothing on disk.

    Args:
        folder: where it may write.
        options: more of the server's own, such as ``--requirepass``.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._binary = require_redis()
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [self._binary, *arguments, "--dir", str(self._folder), *self._options],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> str:
        """Send one command over a connection of its own, and return the first line of the answer."""
        parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            connection.sendall(f"*{len(words)}\r\n{parts}".encode())
            return connection.makefile("rb").readline().decode().strip()
