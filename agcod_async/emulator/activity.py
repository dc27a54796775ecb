"""GetAvailableFunds and GetGiftCardActivityPage, and the log behind the page."""

from datetime import UTC, datetime
from decimal import Decimal

from .call import Call, Outcome, free_id
from .formats import java_date
from .refusals import Refusal, refusal
from .state import Activity

_LARGEST_PAGE = 1000
_ID_FIELDS = ("creationRequestId", "activationRequestId", "loadBalanceRequestId")
# Calls refused for these did not show up in the recordings.
_UNLISTED = frozenset({"InvalidAmountInput", "InvalidAmountValue", "InvalidCurrencyCodeInput"})


def get_available_funds(call: Call) -> Outcome:
    """The funds of the partner; 0 where they never end, as in the sandbox."""
    amount = call.state.funds[call.partner.partner_id] or Decimal(0)
    return Outcome(
        {
            "availableFunds": {"currencyCode": call.partner.currency, "amount": amount},
            "status": "SUCCESS",
            "timestamp": f"{call.now:%Y%m%dT%H%M%SZ}",
        },
        is_real=False,
    )


def get_gift_card_activity_page(call: Call) -> Outcome:
    """A page of the log, ascending by time."""
    if not call.partner.has_activity_page:
        raise refusal("APIGetGiftCardActivityPageIsDisabled")
    request_id = free_id(call, "requestId")
    page_index, page_size = _page(call)
    records = _records(call)
    start = page_index if call.state.settings.page_index_unit == "offset" else page_index * page_size
    fields: dict[str, object] = {
        "cardActivityList": [_shown(record) for record in _visible(call, records)[start : start + page_size]],
        "pageIndex": page_index,
        "requestId": request_id,
        "status": "SUCCESS",
        "totalNumberOfTransactionsInRequestedTimeFrame": _total(call, records),
    }
    return Outcome(fields, is_real=False)


def record(call: Call, outcome: Outcome | Refusal) -> None:
    """Write a call into the log, unless its like does not show up there."""
    kind = call.state.settings.activity_names.get(call.operation)
    failure_code = outcome.error_type if isinstance(outcome, Refusal) else None
    if kind is None or failure_code in _UNLISTED:
        return
    value = call.fields.group("value")
    gc_id = None if isinstance(outcome, Refusal) else outcome.fields.get("gcId")
    call.state.activity.append(
        Activity(
            at=call.now,
            kind=kind,
            partner_id=call.partner.partner_id,
            request_id=next(
                (call.fields.text(name) for name in _ID_FIELDS if name in call.fields.values), ""
            ),
            gc_id=gc_id if isinstance(gc_id, str) else None,
            card_number=call.fields.text("cardNumber") or None,
            amount=value.number("amount"),
            currency=value.text("currencyCode") or None,
            failure_code=failure_code,
            is_real=isinstance(outcome, Outcome) and outcome.is_real,
        )
    )


def _page(call: Call) -> tuple[int, int]:
    page_index, page_size = (
        call.fields.integer("pageIndex", 0),
        call.fields.integer("pageSize", _LARGEST_PAGE),
    )
    if page_index < 0:
        raise refusal("InvalidPageIndex")
    if page_size <= 0:
        raise refusal("InvalidPageSize")
    if page_size > _LARGEST_PAGE:
        raise refusal("MaxPageSizeExceeded")
    return page_index, page_size


def _records(call: Call) -> list[Activity]:
    start, end = _date(call, "utcStartDate", "InvalidStartDate"), _date(call, "utcEndDate", "InvalidEndDate")
    if start > end:
        raise refusal("StartDateAfterEndDate")
    is_end_included = call.state.settings.window_end_included
    found = [
        one
        for one in call.state.activity
        if one.partner_id == call.partner.partner_id
        and (
            start <= one.at.replace(microsecond=0) < end
            or (is_end_included and one.at.replace(microsecond=0) == end)
        )
    ]
    return sorted(found, key=lambda one: one.at)


def _visible(call: Call, records: list[Activity]) -> list[Activity]:
    return records if call.fields.flag("showNoOps") else [one for one in records if one.is_real]


def _total(call: Call, records: list[Activity]) -> int:
    return len(records if call.state.settings.total_counts_no_ops else _visible(call, records))


def _date(call: Call, name: str, error_type: str) -> datetime:
    text = call.fields.text(name).removesuffix("Z")
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise refusal(error_type) from None


def _shown(record: Activity) -> dict[str, object]:
    value = None
    if record.amount is not None:
        value = {"currencyCode": record.currency, "amount": record.amount}
    return {
        "activityStatus": "Failed" if record.failure_code else "Success",
        "activityTime": java_date(record.at),
        "activityType": record.kind,
        "cardNumber": record.card_number,
        "cardValue": value,
        "failureCode": record.failure_code,
        "gcId": record.gc_id,
        "isRealOp": "true" if record.is_real else "false",
        "partnerId": record.partner_id,
        "requestId": record.request_id,
    }
