"""What reaches a terminal, a pipe and a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from agcod_async.cli.output import Output
from agcod_async.escapes import csv_cell, printable
from tests.cli.world import Stream

EVIL = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202egnp.exe\u2028[bold red]x[/]\x00"


def output(*, as_json=False, is_terminal=True):
    streams = Stream(is_terminal=is_terminal), Stream(is_terminal=is_terminal)
    return Output(*streams, as_json=as_json), *streams


@given(st.text())
def test_nothing_that_a_terminal_obeys(text):
    """No control character, no line end, no character that hides or turns others round."""
    assert all(char.isprintable() for char in printable(text))
    assert printable(text).isprintable()


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"])))
def test_what_can_be_printed_stays_as_it_is(text):
    """Names in any alphabet."""
    assert printable(text) == text


@given(st.text())
def test_no_spreadsheet_computes_it(text):
    """Only a number may begin like a formula."""
    cell = csv_cell(text)
    assert not cell.startswith(("=", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
    assert cell[:1] not in ("+", "-") or Decimal(cell).is_finite()


@pytest.mark.parametrize(
    ("text", "cell"), [("-5.00", "-5.00"), ("=1+1", "'=1+1"), ("-cmd|x", "'-cmd|x"), ("a", "a")]
)
def test_cells(text, cell):
    """An apostrophe in front of formulas, and of nothing else."""
    assert csv_cell(text) == cell


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("way", ["result", "table", "text", "note", "error", "csv"])
def test_no_way_out_is_raw(way, as_json):
    """Whatever the service writes into a field, each way of showing it is harmless."""
    shown, out, err = output(as_json=as_json)
    record = {"name": EVIL, "fix": EVIL, "message": EVIL}
    match way:
        case "table":
            shown.table([record], columns=("name", "fix"), empty=EVIL)
            shown.table([], columns=("name",), empty=EVIL)
        case "csv":
            with shown.rows(columns=("name", "fix"), empty="", as_csv=True) as show:
                show(record)
        case "result" | "error":
            getattr(shown, way)(record)
        case _:
            getattr(shown, way)(EVIL)
    text = out.getvalue() + err.getvalue()
    # What rich itself writes to make a heading bold.
    for own in ("\x1b[1m", "\x1b[0m"):
        text = text.replace(own, "")
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "owned" in text or (as_json and way in ("text", "note"))


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.booleans()))
def test_a_json_line_is_read_as_it_was_meant(record):
    """One line of ASCII, and nothing lost."""
    shown, out, _ = output(as_json=True)
    shown.result(record)
    (line,) = out.getvalue().splitlines()
    assert line.isascii()
    assert json.loads(line) == record


def test_values():
    """Amounts keep their digits, times are UTC; people and programs read them differently."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    record = {"amount": Decimal("25.00"), "at": noon, "count": 3, "is_real": True, "none": None}
    shown, out, _ = output(as_json=True)
    shown.result(record)
    assert json.loads(out.getvalue()) == {**record, "amount": "25.00", "at": "2026-03-01T12:00:00Z"}
    shown, out, _ = output()
    shown.result(record)
    assert [line.split("  ", 1)[1].strip() for line in out.getvalue().splitlines()] == [
        "25.00", "2026-03-01 12:00:00 UTC", "3", "yes", "-",
    ]  # fmt: skip
    shown, out, _ = output()
    with shown.rows(columns=tuple(record), empty="", as_csv=True) as show:
        show(record)
    (row,) = csv.DictReader(io.StringIO(out.getvalue()))
    assert row == {
        "amount": "25.00",
        "at": "2026-03-01T12:00:00Z",
        "count": "3",
        "is_real": "True",
        "none": "",
    }
    shown.result({})


def test_a_table_is_aligned():
    """Numbers to the right; an empty one is said."""
    shown, out, err = output()
    shown.table(
        [{"name": "a", "amount": Decimal("5.00")}, {"name": "b"}], columns=("name", "amount"), empty="-"
    )
    shown.table([], columns=("name",), empty="Nothing.")
    assert "5.00" in out.getvalue()
    assert err.getvalue() == "Nothing.\n"


@pytest.mark.parametrize("total", [3, None])
def test_progress_on_a_terminal(total):
    """It moves, notes are written above it, and nothing of it stays."""
    shown, out, err = output()
    with shown.progress(f"Cards {EVIL}", total=total) as advance:
        advance(1)
        shown.note("by the way")
        advance(3)
    shown.note("after")
    assert out.getvalue() == ""
    assert "by the way" in err.getvalue()
    assert err.getvalue().endswith("after\n")
    assert "\x1b]0;owned" not in err.getvalue()


@pytest.mark.parametrize(("as_json", "is_terminal"), [(True, True), (False, False)])
def test_no_progress_for_programs(as_json, is_terminal):
    """A log of bars helps nobody."""
    shown, out, err = output(as_json=as_json, is_terminal=is_terminal)
    with shown.progress("Cards", total=3) as advance:
        advance(1)
    assert (out.getvalue(), err.getvalue()) == ("", "")
