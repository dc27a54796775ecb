"""`agcod funds` and `agcod activity`, against a gateway on a socket."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agcod_async.cli.chart import spend_per_day, with_bars
from agcod_async.cli.output import MOST_ROWS
from agcod_async.emulator import Activity, Fault, FaultKind
from agcod_async.funds import Spending
from agcod_async.model import CardActivity
from agcod_async.money import Money
from tests.cli.world import Result

DAY = timedelta(days=1)


def listed(emulator, number, at, amount="10.00", *, kind="GCCreation", is_real=True, currency="USD"):
    """Write a line of activity, as if the service had."""
    emulator.state.activity.append(
        Activity(
            at=at,
            kind=kind,
            partner_id="Acme1",
            request_id=f"Acme1X{number}",
            gc_id=f"A{number}",
            card_number=None,
            amount=amount and Decimal(amount),
            currency=amount and currency,
            failure_code=None,
            is_real=is_real,
        )
    )


def unpaged(emulator):
    """The service can switch the activity off."""
    state = emulator.state
    state.add_partner(replace(state.partners["Acme1"], has_activity_page=False))


# Funds


def test_funds(cli, emulator):
    """What can be spent, for how long it will do, by whom, and where."""
    listed(emulator, 1, datetime.now(UTC) - DAY, "140.00")
    record = cli("funds").record
    assert (record["available"], record["currency"], record["partner_id"]) == ("10000.00", "USD", "Acme1")
    assert (record["average_daily_spend"], record["days_remaining"]) == ("10.00", "1000.0")
    assert record["endpoint"] == cli.environ["AGCOD_ENDPOINT"]
    shown = cli("funds", terminal=True).out
    assert re.search(r"available +10000.00\n", shown)
    assert re.search(r"days remaining +1000.0\n", shown)


def test_the_balance_alone(cli, emulator):
    """No page of activity is read for it, so it is there in one call."""
    unpaged(emulator)
    record = cli("funds", "--quick").record
    assert (record["available"], record["average_daily_spend"], record["days_remaining"]) == (
        "10000.00",
        None,
        None,
    )


def test_without_activity_there_is_no_average(cli, emulator):
    """It can be switched off for a partner: the balance is shown all the same, and why there is no more."""
    unpaged(emulator)
    assert cli("funds").record["average_daily_spend"] is None
    assert "APIGetGiftCardActivityPageIsDisabled" in cli("funds", terminal=True).err


def test_funds_that_cannot_be_read(cli, emulator):
    """That is an error, whatever the activity says."""
    state = emulator.state
    state.add_partner(replace(state.partners["Acme1"], problem="CustomerAccountBlocked"))
    result = cli("funds")
    assert (result.code, result.error["error_type"]) == (4, "CustomerAccountBlocked")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--alert-below", "10000"), 0),
        (("--alert-below", "10000.01"), 7),
        (("--alert-days", "1000"), 0),
        (("--alert-days", "1000.5"), 7),
        (("--alert-below", "1", "--alert-days", "2000"), 7),
        (("--quick", "--alert-below", "20000"), 7),
    ],
)
def test_alerts(cli, emulator, arguments, code):
    """A script needs no more than the exit code; the reading is shown all the same."""
    listed(emulator, 1, datetime.now(UTC) - DAY, "140.00")
    result = cli("funds", *arguments)
    assert (result.code, result.record["available"]) == (code, "10000.00")
    assert ("Low: " in cli("funds", *arguments, terminal=True).err) == (code == 7)


def test_nothing_spent_is_no_alert(cli):
    """An account that rests lasts for ever."""
    assert cli("funds", "--alert-days", "3").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--alert-below", "much"),
        ("--quick", "--alert-days", "3"),
        ("--watch", "--every", "0.5"),
        ("--activity-type", "GCActivation"),
        ("--activity-type", "GCActivation=Activate"),
    ],
)
def test_options_of_funds_that_cannot_work(cli, arguments):
    """Named before anything is asked."""
    assert cli("funds", *arguments).code == 2


def test_watching_until_an_alert(cli, emulator):
    """It goes on through an outage, and ends with the alert's own exit code."""
    emulator.state.funds["Acme1"] = Decimal(600)
    process = cli.process("funds", "--watch", "--every", "1", "--alert-below", "500")
    assert '"available": "600.00"' in process.stdout.readline()
    emulator.state.funds["Acme1"] = Decimal(499)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 7
    assert '"available": "499.00"' in out.splitlines()[-1]


def test_watching_without_an_answer(cli, emulator):
    """What fails is told, and asked again."""
    emulator.faults.arm(Fault(FaultKind.FAULT_BEFORE, times=5))
    result = cli("funds", "--watch", "--quick", "--every", "1", "--alert-below", "20000", terminal=True)
    assert result.code == 7
    assert re.search(r"GetAvailableFunds: GatewayFault, again in [12] s", result.err)
    assert re.search(r"^available 10000.00, currency USD, .*\n$", result.out)


@pytest.mark.parametrize("arguments", [("funds", "--watch"), ("funds",), ("activity",), ("reconcile",)])
def test_one_ctrl_c_ends_what_only_asks(cli, emulator, arguments):
    """There is nothing in flight that could be lost: no waiting, and exit code 130."""
    cli("create", "a", "5", "USD", "--yes")
    watched = arguments == ("funds", "--watch")
    if not watched:
        emulator.faults.arm(Fault(FaultKind.DELAY, operation="GetGiftCardActivityPage", seconds=5.0))
    process = cli.process(*arguments)
    if watched:
        process.stdout.readline()
    else:
        _wait_until(lambda: emulator.faults.fired)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=4)
    assert (process.returncode, err) == (130, "")


@pytest.mark.parametrize(
    ("arguments", "operation"),
    [
        (("funds",), "GetAvailableFunds"),
        (("funds", "--watch", "--quick"), "GetAvailableFunds"),
        (("activity",), "GetGiftCardActivityPage"),
    ],
)
def test_ctrl_c_while_the_gateway_is_asked(cli, emulator, arguments, operation):
    """The answer is not waited for, and nothing is shown as if it had come."""
    deliver = emulator.deliver

    def pressed(request):
        if request.operation == operation:
            os.kill(os.getpid(), signal.SIGINT)
        return deliver(request)

    emulator.deliver = pressed
    emulator.faults.arm(Fault(FaultKind.DELAY, operation=operation, seconds=5.0))
    assert cli(*arguments) == Result(130, "", "")


def test_watching_shows_each_reading(cli, emulator):
    """One line each, as JSON in a pipe, until there is an alert."""
    deliver, asked = emulator.deliver, []

    def spent(request):
        asked.append(request)
        emulator.state.funds["Acme1"] = Decimal(600 - len(asked))
        return deliver(request)

    emulator.deliver = spent
    result = cli("funds", "--watch", "--quick", "--every", "1", "--alert-below", "598.50")
    assert (result.code, [each["available"] for each in result.records]) == (7, ["599.00", "598.00"])


def _wait_until(condition, seconds=10.0):
    from threading import Event
    from time import monotonic

    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline
        Event().wait(0.01)


# Activity


def test_activity(cli):
    """All of it, as a table, as JSON lines, and as CSV."""
    assert cli("activity").records == []
    assert "No activity" in cli("activity", terminal=True).err
    cli("create", "a", "5", "USD", "--yes")
    cli("create", "b", "7.5", "USD", "--yes")
    cli("create", "b", "7.5", "USD", "--yes")
    assert [each["amount"] for each in cli("activity").records] == ["5.00", "7.50"]
    assert [each["is_real_op"] for each in cli("activity", "--no-ops").records] == [True, True, False]
    rows = list(csv.DictReader(io.StringIO(cli("activity", "--csv").out)))
    assert [row["amount"] for row in rows] == ["5.00", "7.50"]
    table = cli("activity", terminal=True).out
    assert ("5.00" in table, "7.50" in table, "request id" in table) == (True, True, True)
    assert "Spent: 12.50 USD\nRecords: 3, of which 1 changed nothing\n" in table


def test_spend_by_day(cli, emulator):
    """What was cancelled is not spent; a quiet day has its place, and the bars are to scale."""
    for day, amount in ((1, "10.00"), (3, "40.00"), (3, "5.00")):
        listed(emulator, f"{day}of{amount[0]}", datetime(2026, 3, day, 12, tzinfo=UTC), amount)
    listed(emulator, "3of5", datetime(2026, 3, 3, 12, 5, tzinfo=UTC), None, kind="GCCancellation")
    arguments = ("activity", "--by-day", "--from", "2026-03-01", "--to", "2026-03-03")
    assert cli(*arguments).records == [
        {"day": "2026-03-01", "currency": "USD", "spent": "10.00"},
        {"day": "2026-03-02", "currency": "USD", "spent": "0.00"},
        {"day": "2026-03-03", "currency": "USD", "spent": "40.00"},
    ]
    assert cli(*arguments, "--csv").out.splitlines()[1] == '"2026-03-01","10.00","USD"'
    shown = cli(*arguments, terminal=True).out
    assert [line.count("█") for line in shown.splitlines()[1:4]] == [10, 0, 40]
    assert "request id" not in shown
    assert "Spent: 50.00 USD\n" in shown


def test_what_nobody_can_add_up_is_said(cli, emulator):
    """An activation may be money: named, it counts."""
    listed(emulator, 1, datetime.now(UTC) - DAY, kind="GCActivation")
    assert "Not added up: 1 of a type" in cli("activity", terminal=True).out
    shown = cli("activity", "--activity-type", "GCActivation=ActivateGiftCard", terminal=True).out
    assert "Spent: 10.00 USD\n" in shown
    assert "Not added up" not in shown


def test_pages_that_end_too_early(cli, emulator):
    """An export that lacks records is no export: exit code 6, after what there was."""
    listed(emulator, 1, datetime.now(UTC) - DAY)
    handle = emulator.handle

    def boast(request):
        answer = handle(request)
        body = answer.body.replace(b'TimeFrame": 1', b'TimeFrame": 2').replace(
            b'TimeFrame":1', b'TimeFrame":2'
        )
        return replace(answer, body=body)

    emulator.handle = boast
    result = cli("activity", "--csv")
    assert result.code == 6
    assert len(result.out.splitlines()) == 2
    assert "announced 2 records and listed 1" in result.err


def test_a_long_table_says_what_it_leaves_out(cli, emulator):
    """A terminal is no place for a hundred thousand rows, and memory neither."""
    for number in range(MOST_ROWS + 2):
        listed(emulator, number, datetime.now(UTC) - DAY)
    result = cli("activity", terminal=True)
    assert "The first 1,000 of 1,002: --csv or --json shows all." in result.err
    assert result.out.count("Acme1X") == MOST_ROWS
    assert len(cli("activity").records) == MOST_ROWS + 2


def test_a_window(cli):
    """From one moment to another, with a time zone or in UTC."""
    cli("create", "a", "5", "USD", "--yes")
    assert cli("activity", "--from", "2001-01-01", "--to", "2001-01-20T00:00:00+01:00").records == []
    yesterday = datetime.now(UTC) - DAY
    assert len(cli("activity", "--from", f"{yesterday:%Y-%m-%d}").records) == 1


def test_a_bare_date_is_a_whole_day(cli, emulator):
    """Who asks up to March the 31st means to see it."""
    for number, at in enumerate(("2026-03-31T00:00:00", "2026-03-31T23:59:59", "2026-04-01T00:00:00")):
        listed(emulator, number, datetime.fromisoformat(at).replace(tzinfo=UTC))
    march = ("activity", "--from", "2026-03-10", "--to")
    assert len(cli(*march, "2026-03-31").records) == 2
    assert len(cli(*march, "2026-03-31T00:00:01").records) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "soon"),
        ("--to", "soon"),
        ("--from", "2100-01-01"),
        ("--days", "-1"),
        ("--days", "1e9"),
        ("--days", "nan"),
        ("--from", "2026-03-02T00:00:00", "--to", "2026-03-02T00:00:00"),
    ],
)
def test_a_window_that_is_none(cli, arguments):
    """A bad date is named before anything is sent."""
    result = cli("activity", *arguments)
    assert (result.code, result.error["message"][:2]) == (2, "--")


# The chart


def spending(**days):
    added = Spending()
    for number, (day, (amount, currency)) in enumerate(days.items()):
        added.add(
            CardActivity(
                activity_type="GCCreation",
                activity_status="Success",
                is_real_op=True,
                activity_time_text=f"{day[1:5]}-{day[5:7]}-{day[7:]}T12:00:00",
                request_id=str(number),
                card_value=Money(amount, currency),
            )
        )
    return added


def test_each_currency_has_a_scale_of_its_own():
    """A thousand yen do not dwarf ten dollars; a day whose date nobody can read is kept."""
    days = spending(d20260301=("10", "USD"), d20260302=("1000", "JPY"), dxxxxyyzz=("5", "USD"))
    records = with_bars(spend_per_day(days), "utf-8")
    assert [(each["day"], each["currency"], len(str(each[""]))) for each in records] == [
        ("2026-03-02", "JPY", 40),
        ("unknown", "USD", 20),
        ("2026-03-01", "USD", 40),
    ]


def test_years_of_nothing_are_not_drawn():
    """Two days far apart are two lines."""
    assert len(spend_per_day(spending(d20200301=("10", "USD"), d20260302=("10", "USD")))) == 2


def test_a_day_that_came_to_nothing_has_no_bar():
    """All of it was cancelled."""
    added = spending(d20260301=("10", "USD"))
    added.add(CardActivity(activity_type="GCCancellation", is_real_op=True, request_id="0"))
    [record] = with_bars(spend_per_day(added), None)
    assert (str(record["spent"]), record[""]) == ("0.00", "")


def test_a_terminal_without_blocks_gets_number_signs():
    """Older Windows terminals would end the command with an error of encoding."""
    [record] = with_bars(spend_per_day(spending(d20260301=("10", "USD"))), "ascii")
    assert record[""] == "#" * 40
