"""The schema: numbered, forward only, printable."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from agcod_async import ledger
from agcod_async.ledger.rows import COLUMNS
from agcod_async.ledger.schema import migrations, schema
from agcod_async.ledger.sqlite_file import statements


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_steps_are_numbered_without_gaps(dialect):
    """A gap would be a step that some ledgers never get."""
    assert [step.number for step in migrations(dialect)] == [*range(1, len(migrations(dialect)) + 1)]


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_the_schema_prints_every_step(dialect):
    """Teams with a migration tool of their own get all of it, and no place for a code."""
    text = schema(dialect)
    for step in migrations(dialect):
        assert step.script in text
    assert "claim" not in text


def test_the_printed_schema_is_the_one_that_is_used():
    """Applied by hand, it gives the tables that the ledger reads, column by column."""
    connection = sqlite3.connect(":memory:")
    for statement in statements(schema("sqlite")):
        connection.execute(statement)
    for table in ("entries", "history"):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        assert columns == [*COLUMNS]
    connection.close()


def test_unknown_names_stay_unknown():
    """Stores are loaded when they are asked for; anything else is an AttributeError as ever."""
    assert not hasattr(ledger, "OracleLedger")


def test_stores_are_loaded_when_they_are_used():
    """A program without SQLite or PostgreSQL pays for neither, and needs no extra."""
    code = (
        "import sys, agcod_async, agcod_async.ledger as ledger; "
        "assert not {'sqlite3', 'asyncpg'} & sys.modules.keys(); "
        "ledger.SQLiteLedger; assert 'asyncpg' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
