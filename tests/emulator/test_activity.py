"""The funds, and the page of what happened."""

from datetime import timedelta

import pytest

from agcod_async.emulator import Emulator, Partner, Settings

from . import foreign


def _page(emulator, **more):
    status, page = foreign.ask(emulator, "GetGiftCardActivityPage", foreign.page_fields(**more))
    assert status == 200
    return page


def _create(emulator, clock, *args):
    clock.shift(timedelta(seconds=1))
    return foreign.ask(emulator, "CreateGiftCard", foreign.create_fields(*args))


def _ids(page):
    return [record["requestId"] for record in page["cardActivityList"]]


def test_funds_are_told_with_the_time(emulator):
    """In the recorded form, which is not the one of the docs' table."""
    assert foreign.ask(emulator, "GetAvailableFunds", {"partnerId": "Acme1"}) == (
        200,
        {
            "availableFunds": {"amount": 10_000.0, "currencyCode": "USD"},
            "status": "SUCCESS",
            "timestamp": "20260302T120000Z",
        },
    )


def test_a_record_has_the_recorded_shape(emulator, clock):
    """Keys, casing and the text of isRealOp are those of the recordings; there is no claim code in it."""
    _, card = _create(emulator, clock, "Acme1a", 15)
    page = _page(emulator)
    assert page == {
        "cardActivityList": [
            {
                "activityStatus": "Success",
                "activityTime": "Mon Mar 02 12:00:01 UTC 2026",
                "activityType": "GCCreation",
                "cardNumber": None,
                "cardValue": {"amount": 15.0, "currencyCode": "USD"},
                "failureCode": None,
                "gcId": card["gcId"],
                "isRealOp": "true",
                "partnerId": "Acme1",
                "requestId": "Acme1a",
            }
        ],
        "pageIndex": 0,
        "requestId": "page",
        "status": "SUCCESS",
        "totalNumberOfTransactionsInRequestedTimeFrame": 1,
    }


def test_no_ops_are_shown_on_demand(emulator, clock):
    """Repeats and refusals are no-ops; bad amounts and questions are not listed at all."""
    _create(emulator, clock, "Acme1a", 15)
    _create(emulator, clock, "Acme1a", 20)
    _create(emulator, clock, "Acme1" + "x" * 40)
    _create(emulator, clock, "Acme1b", -1)
    foreign.ask(emulator, "CancelGiftCard", foreign.cancel_fields("Acme1a"))
    foreign.ask(emulator, "ActivationStatusCheck", foreign.card_fields("Acme1a"))
    foreign.ask(emulator, "LoadAmazonBalance", foreign.load_fields("Acme1a"))
    assert _ids(_page(emulator)) == ["Acme1a", "Acme1a"]
    records = _page(emulator, showNoOps=True)["cardActivityList"]
    seen = [(one["activityType"], one["isRealOp"], one["failureCode"]) for one in records]
    assert seen == [
        ("GCCreation", "true", None),
        ("GCCreation", "false", None),
        ("GCCreation", "false", "RequestIdTooLong"),
        ("GCCancellation", "true", None),
    ]
    assert records[1]["cardValue"]["amount"] == 20.0
    assert (records[2]["activityStatus"], records[2]["gcId"]) == ("Failed", None)
    assert records[3]["cardValue"] is None


def test_physical_cards_are_listed_with_their_number(emulator):
    """Under names of this emulator's own, which a switch can change or silence."""
    foreign.ask(emulator, "ActivateGiftCard", foreign.card_fields("Acme1a"))
    (record,) = _page(emulator)["cardActivityList"]
    assert (record["activityType"], record["cardNumber"]) == ("GCActivation", "1400000000000000123")


def test_pages(emulator, clock):
    """Page by page, ascending, every record once; beyond the end there is an empty page."""
    for name in "abcde":
        _create(emulator, clock, f"Acme1{name}")
    pages = [_page(emulator, pageIndex=index, pageSize=2) for index in range(4)]
    assert [_ids(page) for page in pages] == [["Acme1a", "Acme1b"], ["Acme1c", "Acme1d"], ["Acme1e"], []]
    assert {page["totalNumberOfTransactionsInRequestedTimeFrame"] for page in pages} == {5}
    assert [page["pageIndex"] for page in pages] == [0, 1, 2, 3]


def test_page_index_may_be_an_offset(clock):
    """One client in the wild reads it so."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(page_index_unit="offset"))
    for name in "abc":
        _create(emulator, clock, f"Acme1{name}")
    assert _ids(_page(emulator, pageIndex=1, pageSize=2)) == ["Acme1b", "Acme1c"]


def test_the_window(clock):
    """Its start belongs to it, its end by a switch; time is compared in whole seconds."""
    records = {}
    for included in (True, False):
        clock.freeze(clock() + timedelta(microseconds=7))
        emulator = Emulator(clock=clock, throttle=None, settings=Settings(window_end_included=included))
        foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))
        start, end = "2026-03-02T12:00:00", "2026-03-02T12:00:01"
        ending_now = _page(emulator, utcStartDate="2026-03-01T00:00:00", utcEndDate=start)
        beginning_now = _page(emulator, utcStartDate=start, utcEndDate=end)
        records[included] = (len(_ids(ending_now)), len(_ids(beginning_now)))
    assert records == {True: (1, 1), False: (0, 1)}


def test_the_total_may_count_no_ops(clock):
    """Unknown, so a switch."""
    emulator = Emulator(clock=clock, throttle=None, settings=Settings(total_counts_no_ops=True))
    for _ in range(2):
        _create(emulator, clock, "Acme1a")
    page = _page(emulator)
    assert (len(_ids(page)), page["totalNumberOfTransactionsInRequestedTimeFrame"]) == (1, 2)


def test_everybody_sees_their_own(clock):
    """The log of one partner says nothing about another."""
    partners = [Partner("Acme1", keys={"A": "s"}), Partner("Amzn1", keys={"B": "t"})]
    emulator = Emulator(partners, clock=clock, throttle=None)
    _create(emulator, clock, "Acme1a")
    fields = foreign.page_fields(partnerId="Amzn1")
    _, page = foreign.ask(emulator, "GetGiftCardActivityPage", fields, key=("B", "t"))
    assert page["cardActivityList"] == []


def test_the_log_is_ascending_even_if_time_went_back(emulator, clock):
    """Whoever shifts the clock still gets records by time."""
    _create(emulator, clock, "Acme1a")
    clock.shift(timedelta(hours=-1))
    _create(emulator, clock, "Acme1b")
    assert _ids(_page(emulator)) == ["Acme1b", "Acme1a"]


@pytest.mark.parametrize(
    ("change", "error_type"),
    [
        ({"requestId": ""}, "InvalidRequestIdInput"),
        ({"pageIndex": -1}, "InvalidPageIndex"),
        ({"pageSize": 0}, "InvalidPageSize"),
        ({"pageSize": 1001}, "MaxPageSizeExceeded"),
        ({"utcStartDate": "2026-03-01"}, "InvalidStartDate"),
        ({"utcEndDate": "Mon Mar 02 12:00:01 UTC 2026"}, "InvalidEndDate"),
        ({"utcStartDate": "2026-05-01T00:00:00"}, "StartDateAfterEndDate"),
    ],
)
def test_bad_pages_are_named(emulator, change, error_type):
    """By the names of the third-party type list."""
    fields = foreign.page_fields(**change)
    assert foreign.refused(emulator, "GetGiftCardActivityPage", fields) == error_type


def test_the_page_can_be_switched_off(clock):
    """For some partners it is."""
    partner = Partner("Acme1", keys={"A": "s"}, has_activity_page=False)
    emulator = Emulator([partner], clock=clock, throttle=None)
    refused = foreign.refused(emulator, "GetGiftCardActivityPage", foreign.page_fields())
    assert refused == "APIGetGiftCardActivityPageIsDisabled"
