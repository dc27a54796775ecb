"""Reading fields as JSON types them, or as text."""

from decimal import Decimal

import pytest

from agcod_async.emulator.fields import Fields
from agcod_async.emulator.refusals import GatewayRefusal

READERS = ("text", "group", "number", "flag")


def _typed(**values):
    return Fields(values, is_typed=True)


def _text(**values):
    return Fields(values, is_typed=False)


def test_what_is_absent_has_a_default():
    """Absent and null read alike, but for numbers."""
    for fields in (_typed(), _typed(a=None)):
        assert (fields.text("a"), fields.group("a").values, fields.flag("a")) == ("", {}, False)
    assert (_typed().number("a"), _typed().integer("a", 7)) == (None, 7)


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        ("text", Decimal(1)),
        ("group", "x"),
        ("group", []),
        ("number", None),
        ("number", "1"),
        ("number", True),
        ("number", Decimal("1e16")),
        ("number", Decimal("1e-16")),
        ("flag", "true"),
        ("flag", Decimal(1)),
    ],
)
def test_wrong_json_types_are_refused(reader, value):
    """At the gateway, without a code, as recorded; absurd exponents count as wrong types."""
    with pytest.raises(GatewayRefusal):
        getattr(_typed(a=value), reader)("a")


def test_xml_is_text():
    """Numbers and booleans are read from it; an empty element is an empty group."""
    fields = _text(a=" 1.50 ", b="true", c="false", d="", e="12")
    assert fields.number("a") == Decimal("1.50")
    assert (fields.flag("b"), fields.flag("c")) == (True, False)
    assert fields.group("d").values == {}
    assert fields.integer("e", 0) == 12


@pytest.mark.parametrize("text", ["", "ten", "NaN", "Infinity", "1_0x"])
def test_text_that_is_no_number_is_refused(text):
    """In XML too."""
    with pytest.raises(GatewayRefusal):
        _text(a=text).number("a")


def test_whole_numbers_are_whole():
    """A page index of one and a half is a wrong type; 1.0 is one."""
    assert _typed(a=Decimal("1.0")).integer("a", 0) == 1
    with pytest.raises(GatewayRefusal):
        _typed(a=Decimal("1.5")).integer("a", 0)


def test_flags_in_xml_are_lower_case():
    """As the format says."""
    with pytest.raises(GatewayRefusal):
        _text(a="True").flag("a")


def test_loads_may_quote_their_amount():
    """As the docs' example does."""
    assert _typed(a="1000").number("a", may_be_quoted=True) == 1000
    with pytest.raises(GatewayRefusal):
        _typed(a="x").number("a", may_be_quoted=True)
