"""A real PostgreSQL server in a temporary folder, for as long as the tests run."""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.canary import CANARY

_schemas = itertools.count(1)


def require(condition: object, reason: str) -> None:
    """Skip the test without *condition*; with AGCOD_TEST_REQUIRE=1 its absence is a failure."""
    if condition:
        return
    if os.environ.get("AGCOD_TEST_REQUIRE") == "1":
        pytest.fail(f"{reason}, and AGCOD_TEST_REQUIRE=1 demands it")
    pytest.skip(reason)


def find_binaries() -> Path | None:
    """Return the folder of the newest ``initdb``."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    folders = [*reversed(versions), *([Path(on_path).parent] if on_path else [])]
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class PostgresServer:
    """Started by an unprivileged user, on a Unix socket alone."""

    def __init__(self) -> None:
        binaries = find_binaries()
        assert binaries is not None
        self._binaries = binaries
        self._user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="agcod-pg-"))
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._data = self.folder / "data"
        self._run("initdb", "-D", str(self._data), "-U", "agcod", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    @property
    def dsn(self) -> str:
        return f"postgresql://agcod@/postgres?host={self.folder}"

    def start(self) -> None:
        options = f"-c listen_addresses='' -k {self.folder} -c fsync=off -c max_connections=100"
        self._run(
            "pg_ctl", "-D", str(self._data), "-w", "-l", str(self.folder / "log"), "-o", options, "start"
        )

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def kill_backends(self) -> int:
        """Break all connections the hard way: the server sees its own processes die, and recovers."""
        postmaster = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        killed = 0
        for child in children:
            # The first one that dies takes the others with it.
            with suppress(FileNotFoundError, ProcessLookupError):
                if b"agcod" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGQUIT)
                    killed += 1
        return killed

    def close(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        user = {"user": self._user.pw_uid, "group": self._user.pw_gid} if self._user else {}
        with (self.folder / "out").open("ab") as out:
            done = subprocess.run(
                [self._binaries / program, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
                **user,
            )
        assert done.returncode == 0, (self.folder / "out").read_text()[-2000:]


@pytest.fixture(scope="session")
def postgres_server():
    try:
        import asyncpg  # noqa: F401
    except ImportError:
        require(False, "needs asyncpg: pip install 'agcod-async[postgres]'")
    require(find_binaries(), "needs a PostgreSQL server: apt-get install postgresql")
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres_dsn(postgres_server):
    """A schema of its own for each test; what is left in it may be no secret."""
    import asyncpg

    name = f"test{next(_schemas)}"

    async def make():
        connection = await asyncpg.connect(postgres_server.dsn)
        await connection.execute(f"CREATE SCHEMA {name}")
        await connection.close()

    async def look_through():
        connection = await asyncpg.connect(postgres_server.dsn)
        for (table,) in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", name):
            rows = await connection.fetch(f"SELECT each::text FROM {name}.{table} AS each")
            CANARY.see("files", "\n".join(row[0] for row in rows), f"the table {table}")
        await connection.close()

    asyncio.run(make())
    yield f"{postgres_server.dsn}&search_path={name}"
    asyncio.run(look_through())
