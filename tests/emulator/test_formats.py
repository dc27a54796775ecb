"""Reading and writing JSON and XML, friendly and hostile."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from agcod_async.emulator import formats
from agcod_async.emulator.refusals import GatewayRefusal


@pytest.mark.parametrize(
    ("amount", "text"),
    [("500", "500.0"), ("25.50", "25.5"), ("0.15", "0.15"), ("1E+3", "1000.0"), ("0", "0.0")],
)  # fmt: skip
def test_amounts_have_a_decimal_and_no_exponent(amount, text):
    """As recorded, yen included; never through binary floats."""
    assert formats.amount_text(Decimal(amount)) == text


def test_dates_are_java_dates():
    """In English, whatever the locale."""
    assert formats.java_date(datetime(2036, 3, 4, 22, 59, 59, tzinfo=UTC)) == "Tue Mar 04 22:59:59 UTC 2036"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e99999999999999999999}',
        b'{"a":' * 200_000,
        b"[" * 200_000,
        b"1" * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_hostile_json_is_refused(body):
    """Without a crash, whatever it is; 200,000 levels included."""
    with pytest.raises(GatewayRefusal):
        formats.parse(body, "json")


BILLION_LAUGHS = b'<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a>",
        b"not xml",
        b"<a>" * 200_000,
        b"<a>\xff</a>",
        b'<?xml version="1.0" encoding="utf-99"?><a/>',
        b"<a>&undefined;</a>",
        BILLION_LAUGHS,
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<a>" * 20 + b"</a>" * 20,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_hostile_xml_is_refused(body):
    """No document type, no depth, nothing that is not well-formed."""
    with pytest.raises(GatewayRefusal):
        formats.parse(body, "xml")


def test_xml_is_read_by_name_only():
    """The root's name, attributes, order and blanks say nothing."""
    body = b'<Any x="1"> <b> two </b><value><amount>1</amount></value><empty/></Any>'
    assert formats.parse(body, "xml") == {"b": "two", "value": {"amount": "1"}, "empty": ""}
    assert formats.parse(b"<a>text</a>", "xml") == {}


TEXT = st.text(st.sampled_from("aZ0 é注😀<>&\"'[]{}\\/;=!-"))
GROUP = st.dictionaries(st.sampled_from("de"), TEXT, min_size=1)


@given(st.dictionaries(st.sampled_from("abc"), TEXT | GROUP))
def test_what_is_written_can_be_read(fields):
    """Any text survives both formats; XML alone drops blanks at the ends."""
    assert formats.parse(formats.render(fields, "Root", "json"), "json") == fields
    stripped = {
        name: value.strip() if isinstance(value, str) else {key: text.strip() for key, text in value.items()}
        for name, value in fields.items()
    }
    assert formats.parse(formats.render(fields, "Root", "xml"), "xml") == stripped


def test_lists_in_xml_have_members():
    """The name of the child is not known; nothing should depend on it."""
    assert formats.render({"list": [{"a": "1"}, {"a": 2}], "flag": True}, "R", "xml") == (
        b"<R><list><member><a>1</a></member><member><a>2</a></member></list><flag>true</flag></R>"
    )
