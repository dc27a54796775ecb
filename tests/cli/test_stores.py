"""The stores of many machines, behind the command line: PostgreSQL for the ledger, Redis for the rate."""

from __future__ import annotations

import sys

import pytest

from agcod_async.cli.context import CommandContext
from agcod_async.cli.output import Output
from agcod_async.cli.process import Process
from tests.cli.world import Stream
from tests.support.redis_server import RedisServer


def test_a_ledger_in_postgresql(cli, emulator, postgres_dsn):
    """The URL comes from the environment, where its password is nobody else's business."""
    cli = cli.with_environ(AGCOD_LEDGER=postgres_dsn)
    first, again = (cli("create", "order-1", "25.00", "USD", "--yes") for _ in range(2))
    assert (first.code, again.code) == (0, 0)
    assert cli("status", "order-1").record["state"] == "issued"
    assert emulator.state.funds["Acme1"] == 9975
    assert not (cli.folder / "rewards.db").exists()


def test_postgresql_without_its_package(cli, monkeypatch):
    """One line that says what to install."""
    for name in [each for each in sys.modules if each.startswith("agcod_async.ledger.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    result = cli.with_environ(AGCOD_LEDGER="postgresql://db/x")("status")
    assert (result.code, result.error["fix"]) == (2, "pip install 'agcod-async[postgres]'")


def test_one_rate_for_all_processes(cli, tmp_path):
    """AGCOD_THROTTLE_URL is the same as for the library; the connection is closed in the end."""
    server = RedisServer(tmp_path)
    server.start()
    try:
        assert cli.with_environ(AGCOD_THROTTLE_URL=server.url)("funds").code == 0
    finally:
        server.kill()


async def test_what_is_open_is_opened_once(offline):
    """Every command of a context shares one session and one ledger."""
    context = CommandContext(
        Process(
            stdout=Stream(is_terminal=False),
            environ={"AGCOD_ACCESS_KEY_ID": "a", "AGCOD_SECRET_ACCESS_KEY": "b"},
            folder=offline.folder,
        ),
        Output(Stream(is_terminal=False), Stream(is_terminal=False), as_json=True),
        {"endpoint": "na-sandbox", "partner_id": "Acme1"},
    )
    async with context:
        assert await context.session() is await context.session()
        assert await context.ledger(is_made=True) is await context.ledger()


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "order-1"),
        ("recover", "--yes"),
        ("cancel", "order-1", "--yes"),
        ("reconcile",),
        ("bulk", "status", "rewards.csv"),
        ("bulk", "report", "rewards.csv"),
    ],
    ids=" ".join,
)
def test_a_ledger_that_is_not_there_is_not_made_by_readers(offline, arguments):
    """In the wrong folder an empty ledger would say that nobody was paid, and lie there ever after."""
    offline.write("reference,amount,currency\norder-1,25.00,USD\n", "rewards.csv")
    signed = offline.with_environ(
        AGCOD_ENDPOINT="na-sandbox",
        AGCOD_PARTNER_ID="Acme1",
        AGCOD_ACCESS_KEY_ID="a",
        AGCOD_SECRET_ACCESS_KEY="b",
    )
    result = signed(*arguments)
    assert (result.code, result.error["message"]) == (8, "ledger rewards.db: there is no such file")
    assert "--ledger" in result.error["fix"]
    assert [path.name for path in offline.folder.iterdir()] == ["rewards.csv"]
