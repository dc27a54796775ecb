"""`agcod funds` and `agcod activity`, against a gateway on a socket."""

from __future__ import annotations

import csv
import io

import pytest


def test_funds(cli):
    """What can be spent, by whom, and where."""
    record = cli("funds").record
    assert (record["available"], record["currency"], record["partner_id"]) == ("10000.00", "USD", "Acme1")
    assert record["endpoint"] == cli.environ["AGCOD_ENDPOINT"]
    assert "available   10000.00" in cli("funds", terminal=True).out


def test_activity(cli):
    """All of it, as a table, as JSON lines, and as CSV."""
    assert cli("activity").records == []
    assert "No activity" in cli("activity", terminal=True).err
    cli("create", "a", "5", "USD", "--yes")
    cli("create", "b", "7.5", "USD", "--yes")
    assert [each["amount"] for each in cli("activity").records] == ["5.00", "7.50"]
    rows = list(csv.DictReader(io.StringIO(cli("activity", "--csv").out)))
    assert [row["amount"] for row in rows] == ["5.00", "7.50"]
    table = cli("activity", terminal=True).out
    assert ("5.00" in table, "7.50" in table, "request id" in table) == (True, True, True)


def test_a_window(cli):
    """From one moment to another, with a time zone or in UTC."""
    cli("create", "a", "5", "USD", "--yes")
    assert cli("activity", "--since", "2001-01-01", "--until", "2001-02-01T00:00:00+01:00").records == []
    assert len(cli("activity", "--since", "2001-01-01").records) == 1


@pytest.mark.parametrize(
    "arguments", [("--since", "soon"), ("--until", "soon"), ("--since", "2100-01-01"), ("--days", "-1")]
)
def test_a_window_that_is_none(cli, arguments):
    """A bad date is named before anything is sent."""
    result = cli("activity", *arguments)
    assert (result.code, result.error["message"][:2]) == (2, "--")
