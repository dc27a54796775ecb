from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given, strategies as st

from agcod_async import ConfigurationError
from agcod_async.dates import parse_date, parse_http_date, wire_date
from tests.support.properties import examples

quick = examples(80)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT = datetime(2036, 3, 4, 22, 59, 59, tzinfo=UTC)
moments = st.integers(-30_610_224_000, 253_402_127_999).map(lambda second: EPOCH + timedelta(seconds=second))
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def java(moment: datetime) -> str:
    """Write *moment* as java.util.Date does."""
    return f"{DAYS[moment.weekday()]} {MONTHS[moment.month - 1]} {moment:%d %H:%M:%S} UTC {moment.year:04}"


WIRE_FORMS = {
    "java": java,
    "ISO basic": lambda moment: f"{moment.year:04}{moment:%m%dT%H%M%S}Z",
    "ISO extended": lambda moment: moment.replace(tzinfo=None).isoformat(),
    "ISO extended, Z": lambda moment: moment.replace(tzinfo=None).isoformat() + "Z",
    "ISO with a space": lambda moment: moment.replace(tzinfo=None).isoformat(" "),
}


class NoOffset(tzinfo):
    """A zone that does not know its offset: to Python, its datetimes are naive."""

    def utcoffset(self, _dt):
        return None


@pytest.mark.parametrize(
    "text",
    [
        "Tue Mar 04 22:59:59 UTC 2036",
        "Tue Mar 04 22:59:59 GMT 2036",
        "Tue Mar 4 22:59:59 Z 2036",
        "20360304T225959Z",
        "2036-03-04T22:59:59",
        "2036-03-04T22:59:59Z",
        "2036-03-04 22:59:59",
        "2036-03-04T23:59:59+01:00",
    ],
)
def test_each_wire_form_is_read(text):
    """The service writes a moment in four ways, and its documents disagree about which is where."""
    moment = parse_date(text)
    assert moment == MOMENT
    assert moment.tzinfo is UTC


@quick
@given(moments)
@pytest.mark.parametrize("form", WIRE_FORMS)
def test_what_a_form_writes_is_read_back(form, moment):
    """No month, leap day or century is misread: an expiry date moves nowhere."""
    assert parse_date(WIRE_FORMS[form](moment)) == moment


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "null",
        "tomorrow",
        "Tue Mar 04 22:59:59 PST 2036",
        "Tue Mrz 04 22:59:59 UTC 2036",
        "Tue Feb 30 22:59:59 UTC 2036",
        "Tue Mar 04 22:59 UTC 2036",
        "Tue Mar 04 22:59:59 UTC 99999999999999999999",
        "2036-13-04T22:59:59",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "١٢",
        "\ud800",
    ],
)
def test_what_cannot_be_read_is_none(text):
    """A new way to write a date must not turn an issued card into an error; the raw text stays at hand."""
    assert parse_date(text) is None


@quick
@given(st.one_of(st.text(), st.text("0123456789-:TZ +."), st.text("TueMar04 :UTC29")))
def test_garbage_never_raises(text):
    """Whatever stands in a date field, an answer about money is still readable."""
    for parse in (parse_date, parse_http_date):
        moment = parse(text)
        assert moment is None or moment.utcoffset() is not None


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "now",
        "Tue, 04 Mar 2036",
        "Tue, 04 Mar 2036 22:59:59 -0000",
        "Tue, 04 Mar 99999999999999 22:59:59 GMT",
        "Tue, 04 Mar 2036 99:59:59 GMT",
    ],
)
def test_an_unreadable_http_date_is_none(text):
    """Without the gateway's clock a refusal is reported as it is; ``-0000`` promises no zone."""
    assert parse_http_date(text) is None


@quick
@given(moments)
def test_an_http_date_is_read(moment):
    """The Date header tells how far this machine's clock is off."""
    assert parse_http_date(email.utils.format_datetime(moment, usegmt=True)) == moment


def test_an_activity_request_gets_utc_without_zone():
    """The form the service's own sample sends: to the second, and no trailing Z."""
    berlin = timezone(timedelta(hours=2))
    assert (
        wire_date(datetime(2026, 3, 1, 1, 30, 0, 999999, berlin), "utc_start_date") == "2026-02-28T23:30:00"
    )


@quick
@given(moments, zones)
def test_a_wire_date_names_the_same_moment_in_any_zone(moment, zone):
    """Whatever zone the caller's datetime has, the service is asked about the same second."""
    assert parse_date(wire_date(moment.astimezone(zone), "utc_start_date")) == moment


@pytest.mark.parametrize(
    ("edge", "hours"),
    [(datetime(1, 1, 1, tzinfo=UTC), 1), (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), -1)],
)
def test_a_moment_beyond_the_calendar_is_refused(edge, hours):
    """The first and the last moment there are, in a zone where UTC has no such year, mean "without limit"."""
    with pytest.raises(ConfigurationError, match=r"utc_start_date: .* has no date in UTC: give one that has"):
        wire_date(edge.replace(tzinfo=timezone(timedelta(hours=hours))), "utc_start_date")
    assert parse_date(wire_date(edge, "utc_start_date")) == edge


@pytest.mark.parametrize(
    "moment", [MOMENT.replace(tzinfo=None), MOMENT.replace(tzinfo=NoOffset()), "2026-03-01T00:00:00", None]
)
def test_a_naive_moment_is_refused(moment):
    """A naive datetime means another hour on every machine: the message names field and fix."""
    with pytest.raises(
        ConfigurationError, match=r"utc_end_date: a datetime with a time zone is needed, such as"
    ):
        wire_date(moment, "utc_end_date")
