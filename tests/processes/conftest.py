"""Ledgers on a disk, and what campaigns need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.optional import require
from tests.support.postgres import PostgresServer


@dataclass(frozen=True)
class Store:
    """Where a ledger is, and the folder that holds all of its files."""

    place: str
    folder: Path
    server: PostgresServer | None = None


@pytest.fixture(autouse=True)
def _gateway():
    require("uvicorn")
    require("trustme")


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
def sqlite_store(tmp_path):
    folder = tmp_path / "ledger"
    folder.mkdir()
    return Store(str(folder / "ledger.db"), folder)


@pytest.fixture
def postgres_store(postgres_server, postgres_dsn):
    return Store(postgres_dsn, postgres_server.folder, postgres_server)


@pytest.fixture
def words(tmp_path):
    """A folder for what the workers say on stderr."""
    folder = tmp_path / "words"
    folder.mkdir()
    return folder
