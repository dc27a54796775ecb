"""`agcod reconcile`: the ledger against a gateway on a socket, over TLS."""

from __future__ import annotations

import csv
import io
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

HOUR = timedelta(hours=1)


@pytest.fixture
def books(cli, emulator):
    """Three cards that were issued for real, an hour ago by now; what happened is in both books."""
    for reference, amount in (("a", "10.00"), ("b", "20.00"), ("c", "30.00")):
        assert cli("create", reference, amount, "USD", "--yes").code == 0
    age(cli, emulator)
    return cli


def age(cli, emulator):
    """Let an hour pass: what is under way is no business of a reconciliation."""
    activity = emulator.state.activity
    activity[:] = [msgspec.structs.replace(each, at=each.at - HOUR) for each in activity]
    times = ("planned_at", "first_sent_at", "last_sent_at", "settled_at")
    changes = ", ".join(f"{name} = {name} - 3600000000" for name in times)
    with sqlite3.connect(cli.folder / "rewards.db") as ledger:
        ledger.execute(f"UPDATE entries SET {changes}")
    ledger.close()


def forget(cli, reference):
    """Lose an entry, as a restored backup would."""
    with sqlite3.connect(cli.folder / "rewards.db") as ledger:
        ledger.execute("DELETE FROM entries WHERE reference = ?", (reference,))
    ledger.close()


def revalue(emulator, amount):
    """Let the service have charged another amount for the first card."""
    activity = emulator.state.activity
    activity[0] = msgspec.structs.replace(activity[0], amount=Decimal(amount))


def test_books_that_match(books):
    """Exit code 0, and the sums are there to be seen."""
    result = books("reconcile")
    assert result.code == 0
    assert result.record == {
        "kind": "total",
        "currency": "USD",
        "charged": "60.00",
        "issued": "60.00",
        "difference": "0.00",
        "unlisted": "0.00",
    }
    shown = books("reconcile", terminal=True)
    assert (shown.code, shown.err.endswith("No difference.\n")) == (0, True)
    assert "3  matched\nBoth books say the same" in shown.out


def test_books_that_differ(books, emulator):
    """Exit code 3; each difference with the ids of both books."""
    forget(books, "b")
    revalue(emulator, "11.00")
    result = books("reconcile")
    assert result.code == 3
    first, second, total = result.records
    assert (first["kind"], first["reference"], first["charged"], first["issued"]) == (
        "amount_differs",
        "a",
        "11.00",
        "10.00",
    )
    assert (second["kind"], second["reference"], second["charged"]) == ("missing_here", None, "20.00")
    assert second["request_id"].startswith("Acme1")
    assert (total["charged"], total["issued"], total["difference"]) == ("61.00", "40.00", "21.00")
    shown = books("reconcile", terminal=True)
    assert shown.code == 3
    assert "1  missing here\n" in shown.out
    assert "The books differ, from " in shown.out


def test_everything_can_be_shown(books):
    """Also what matches, for an auditor; in JSON and in CSV."""
    assert [each["kind"] for each in books("reconcile", "--all").records] == [*["matched"] * 3, "total"]
    rows = list(csv.DictReader(io.StringIO(books("reconcile", "--all", "--csv").out)))
    assert [(row["reference"], row["charged"], row["charged_currency"]) for row in rows] == [
        ("a", "10.00", "USD"),
        ("b", "20.00", "USD"),
        ("c", "30.00", "USD"),
    ]


def test_what_is_under_way_is_left_alone(cli):
    """A card of this minute may be in one book and not yet in the other."""
    cli("create", "a", "5", "USD", "--yes")
    result = cli("reconcile", terminal=True)
    assert (result.code, result.out.count("matched")) == (0, 0)
    assert "No money in this time." in result.err


def test_a_time_of_its_own(books):
    """Yesterday's books do not know today's cards."""
    yesterday = f"{datetime.now(UTC) - 24 * HOUR:%Y-%m-%d}"
    before = f"{datetime.now(UTC) - 48 * HOUR:%Y-%m-%d}"
    assert books("reconcile", "--from", before, "--to", before).records == []
    assert len(books("reconcile", "--from", yesterday).records) == 1


def test_a_ledger_that_is_not_there(cli):
    """Compared with an empty file every card would be an alarm, and a file would be left behind."""
    result = cli("reconcile", "--ledger", "nowhere.db")
    assert (result.code, result.error["message"]) == (8, "ledger nowhere.db: there is no such file")
    assert not (cli.folder / "nowhere.db").exists()


def test_pages_that_end_too_early(books, emulator):
    """Never "all match" after half of it: exit code 3, and why."""
    handle = emulator.handle

    def boast(request):
        answer = handle(request)
        return replace(answer, body=answer.body.replace(b'TimeFrame":3', b'TimeFrame":4'))

    emulator.handle = boast
    result = books("reconcile")
    assert (result.code, result.error["exit_code"]) == (3, 6)
    assert "announced 4 records and listed 3" in result.error["message"]


def test_names_for_activations(books, emulator):
    """Whoever knows what they are called there gets them compared."""
    card = "1" * 19
    assert books("activate", "plastic", card, "5", "USD", "--yes").code == 0
    age(books, emulator)
    *_, total = books("reconcile").records
    assert (total["charged"], total["issued"], total["unlisted"]) == ("60.00", "60.00", "5.00")
    *_, total = books("reconcile", "--activity-type", "GCActivation=ActivateGiftCard").records
    assert (total["charged"], total["issued"], total["unlisted"]) == ("65.00", "65.00", "0.00")


def test_on_a_terminal(books, emulator):
    """A person sees what is being read, and then the table."""
    forget(books, "b")
    code, screen = books.on_terminal("reconcile")
    assert code == 3
    assert ("missing" in screen, "20.00 USD" in screen) == (True, True)
    assert "The books differ" in screen
