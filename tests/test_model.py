from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import pytest
from msgspec.structs import fields, replace

from agcod_async import Account, AgcodSession, ClaimCode, Credentials, Endpoint, Money, TransactionSource
from agcod_async.codecs import JSON
from agcod_async.model import (
    OPERATIONS,
    BalanceLoadResponse,
    CardActivity,
    CardInfo,
    CreateGiftCardResponse,
    GetAvailableFundsResponse,
)
from agcod_async.wire import HTTPResponse
from tests.support.copies import TRAVELS
from tests.support.optional import require
from tests.support.transports import ScriptedTransport

CODE = "AAAA-BBBBBB-CCCC"

# Copied by hand from the reference: the operation's request fields, response fields (the documented ones),
# the operation that undoes it ("RESEND"), and whether it has a rate of its own ("Throttling").
CARD = {"cardInfo", "status"}
LOAD = {"loadBalanceRequestId", "partnerId", "amount", "account", "transactionSource"}
TABLE = {
    "CreateGiftCard": (
        {"creationRequestId", "partnerId", "value", "programId", "productType", "externalReference"},
        {"creationRequestId", "gcClaimCode", "gcId", "gcExpirationDate", *CARD},
        "CancelGiftCard",
        False,
    ),
    "CancelGiftCard": (
        {"creationRequestId", "partnerId", "gcId"},
        {"creationRequestId", "gcId", "status"},
        None,
        False,
    ),
    "ActivateGiftCard": (
        {"activationRequestId", "partnerId", "cardNumber", "value", "programId", "productType"},
        {"activationRequestId", *CARD},
        "DeactivateGiftCard",
        False,
    ),
    "DeactivateGiftCard": (
        {"activationRequestId", "partnerId", "cardNumber"},
        {"activationRequestId", *CARD},
        None,
        False,
    ),
    "ActivationStatusCheck": (
        {"statusCheckRequestId", "partnerId", "cardNumber"},
        {"statusCheckRequestId", *CARD},
        None,
        False,
    ),
    "GetGiftCardActivityPage": (
        {"requestId", "partnerId", "utcStartDate", "utcEndDate", "pageIndex", "pageSize", "showNoOps"},
        {
            "cardActivityList",
            "pageIndex",
            "requestId",
            "status",
            "totalNumberOfTransactionsInRequestedTimeFrame",
        },
        None,
        True,
    ),
    "GetAvailableFunds": ({"partnerId"}, {"availableFunds", "status", "timestamp"}, None, True),
    "LoadAmazonBalance": (LOAD, {"loadBalanceRequestId", "status"}, "VoidAmazonBalanceLoad", False),
    "VoidAmazonBalanceLoad": (LOAD, {"loadBalanceRequestId", "status"}, None, False),
    "ValidateAccountForAmazonBalanceLoad": (LOAD, {"loadBalanceRequestId", "status"}, None, False),
}
# Ids that begin with the partner id, and ids that are free.
PREFIXED = {"creation_request_id", "activation_request_id", "load_balance_request_id"}
FREE = {"status_check_request_id", "request_id", None}
PARTS = {
    CardInfo: {"cardNumber", "cardStatus", "expirationDate", "value"},
    CardActivity: {
        "activityStatus", "activityTime", "activityType", "cardNumber", "cardValue", "failureCode", "gcId",
        "isRealOp", "partnerId", "requestId",
    },
    Account: {"id", "type"},
    TransactionSource: {"sourceId", "institutionId", "sourceDetails"},
    Money: {"amount", "currencyCode"},
}  # fmt: skip


def wire_names(shape: type) -> set[str]:
    return {each.encode_name for each in fields(shape)}


def card() -> CreateGiftCardResponse:
    document = {
        "status": "SUCCESS",
        "gcClaimCode": CODE,
        "gcSecondCode": CODE,
        "new": {"codes": [CODE.lower(), "plain"], "count": 2},
    }
    answer = CreateGiftCardResponse(
        status="SUCCESS",
        gc_claim_code=ClaimCode(CODE),
        gc_id="A0B1C2D3E4F5G6",
        card_info=CardInfo(card_status="Fulfilled", value=Money("25", "USD")),
    )
    return answer.with_document(lambda: document)


def test_the_ten_operations():
    """No more and no fewer exist."""
    assert set(OPERATIONS) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_each_operation_has_its_documented_fields(name):
    """A field that is spelt wrong is silently ignored by the service, or is money asked for wrongly."""
    request, response, reverse, rate_limited = TABLE[name]
    operation = OPERATIONS[name]
    assert wire_names(operation.request) == request
    assert wire_names(operation.response) == response
    assert (operation.reverse, operation.rate_limited) == (reverse, rate_limited)


@pytest.mark.parametrize("name", TABLE)
def test_each_operation_has_its_path_and_target(name):
    """The service routes by them, and both are signed."""
    operation = OPERATIONS[name]
    assert operation.name == name
    assert operation.path == f"/{name}"
    assert operation.target == f"com.amazonaws.agcod.AGCODService.{name}"


@pytest.mark.parametrize("name", TABLE)
def test_each_operation_knows_its_id(name):
    """The id is what makes a repeat safe, so it is a field of the request and of the answer."""
    operation = OPERATIONS[name]
    assert operation.id_field in (PREFIXED if operation.has_prefixed_id else FREE)
    if operation.id_field is not None:
        assert operation.id_field in operation.request.__struct_fields__
        assert operation.id_field in operation.response.__struct_fields__


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[2]])
def test_an_operation_is_undone_with_its_own_id(name):
    """Recovery sends the reverse operation with the same request id, card number and amount."""
    forward, reverse = OPERATIONS[name], OPERATIONS[TABLE[name][2]]
    assert reverse.id_field == forward.id_field
    required = {each.name for each in fields(reverse.request) if each.required}
    assert required <= set(forward.request.__struct_fields__)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_its_documented_fields(part):
    """The parts of requests and answers are spelt as on the wire."""
    assert wire_names(part) == PARTS[part]


def test_unknown_fields_come_under_their_wire_names_with_codes_masked():
    """What the service adds is at hand at once, and a code in it is a secret before it has a name."""
    unknown = card().unknown_fields
    assert unknown == {
        "gcSecondCode": ClaimCode(CODE),
        "new": {"codes": [ClaimCode(CODE.lower()), ClaimCode("plain")], "count": 2},
    }
    assert CODE not in str(unknown).upper()


@pytest.mark.parametrize("wire_format", ["json", "xml"])
async def test_a_real_answer_keeps_what_it_has_no_name_for(wire_format):
    """From the bytes to the caller: a code in a new field is masked, and not stored."""
    documents = {
        "json": '{"status":"SUCCESS","loadBalanceRequestId":"Acme1L1","gcClaimCode":"%s",'
        '"list":["%s"],"amount":1.10}',
        "xml": "<a><status>SUCCESS</status><loadBalanceRequestId>Acme1L1</loadBalanceRequestId>"
        "<gcClaimCode>%s</gcClaimCode><list>%s</list><list>x</list><amount>1.10</amount></a>",
    }
    body = (documents[wire_format] % (CODE, CODE)).encode()
    async with AgcodSession(
        "Acme1",
        Credentials("AKIDEXAMPLE", "example-secret"),
        Endpoint.NA_SANDBOX,
        wire_format=wire_format,
        transport=ScriptedTransport(HTTPResponse(status=200, headers={}, body=body)),
    ) as session:
        answer = await session.load_amazon_balance("Acme1L1", Money("1.10", "USD"), Account(id="1", type="2"))
    unknown = answer.unknown_fields
    assert set(unknown) == {"gcClaimCode", "list", "amount"}
    assert unknown["gcClaimCode"] == unknown["list"][0] == ClaimCode(CODE)
    assert str(unknown["amount"]) == "1.10"
    assert CODE not in f"{answer!r} {unknown!r}"
    # No field of its type holds a code, so it may be stored, and the unknown ones stay behind.
    assert CODE.encode() not in pickle.dumps(answer)
    assert pickle.loads(pickle.dumps(answer)).unknown_fields == {}


def test_an_answer_made_by_hand_has_no_unknown_fields():
    """Tests of applications make answers without a document behind them."""
    assert GetAvailableFundsResponse(status="SUCCESS").unknown_fields == {}


def test_an_answer_does_not_show_its_code():
    """Answers end up in logs whole."""
    assert CODE not in f"{card()} {card()!r}"
    assert "ClaimCode('****')" in repr(card())


@pytest.mark.parametrize("store", [pickle.dumps, JSON._encode])
def test_an_answer_with_a_code_cannot_be_stored(store):
    """It is refused with a word on what to do, rather than stored without anybody noticing."""
    with pytest.raises(TypeError) as caught:
        store(card())
    assert CODE not in str(caught.value)


def test_refusing_to_pickle_says_what_to_do():
    """A task queue that pickles results is the usual way there."""
    with pytest.raises(TypeError, match="a ClaimCode refuses pickling: keep the request id, and ask again"):
        pickle.dumps(card())


@pytest.mark.parametrize("travel", TRAVELS)
def test_without_secrets_an_answer_can_be_stored(travel):
    """Everything else in it is worth keeping."""
    stored = TRAVELS[travel](card().without_secrets())
    assert stored.gc_claim_code is None
    assert (stored.gc_id, stored.card_info) == (card().gc_id, card().card_info)
    assert stored.unknown_fields == {}
    assert CODE.encode() not in pickle.dumps(stored)


def test_a_code_where_none_belongs_is_not_shown_and_not_stored():
    """A gateway may err about the field, and a customer may write a code into a reference."""
    info = CardInfo(card_status=CODE, value=Money("1", CODE))
    answer = replace(card(), creation_request_id=CODE, card_info=info)
    stored = answer.without_secrets()
    assert CODE not in repr(answer)
    assert CODE.encode() not in pickle.dumps(stored)
    assert (answer.creation_request_id, stored.creation_request_id, stored.gc_id) == (
        CODE,
        "****",
        answer.gc_id,
    )
    assert CODE not in require("rich.pretty").pretty_repr(replace(answer, card_info=None))


def test_without_secrets_leaves_the_answer_itself_alone():
    """Whoever stores the copy still hands the code to the customer."""
    answer = card()
    answer.without_secrets()
    assert answer.gc_claim_code == ClaimCode(CODE)
    assert "gcSecondCode" in answer.unknown_fields


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_an_answer_can_be_copied_in_memory(duplicate):
    """Copying is no storing: the code stays, behind its mask."""
    assert duplicate(card()) == card()


def test_an_answer_is_a_value():
    """Nobody changes what the service said."""
    with pytest.raises(AttributeError):
        card().status = "FAILURE"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Tue Mar 04 22:59:59 UTC 2036", datetime(2036, 3, 4, 22, 59, 59, tzinfo=UTC)),
        ("when pigs fly", None),
        (None, None),
    ],
)
def test_each_date_comes_as_moment_and_as_text(text, moment):
    """A date that cannot be read is still there to be looked at."""
    activity = CardActivity(activity_time_text=text)
    info = CardInfo(expiration_date_text=text)
    created = CreateGiftCardResponse(gc_expiration_date_text=text)
    funds = GetAvailableFundsResponse(timestamp_text=text)
    assert (
        activity.activity_time
        == info.expiration_date
        == created.gc_expiration_date
        == funds.timestamp
        == moment
    )
    assert activity.activity_time_text == text


def test_unknown_fields_are_bounded_in_depth():
    """A hostile nesting spoils one field, not the call of whoever looks."""
    deep: object = "bottom"
    for _ in range(500):
        deep = {"a": [deep]}
    unknown = BalanceLoadResponse(status="SUCCESS").with_document(lambda: {"new": deep}).unknown_fields
    assert "bottom" not in str(unknown)


def test_codes_without_dashes_are_masked_by_their_name():
    """A balance load may answer with a code whose form nobody has seen."""
    document = {"claimCode": "AAAABBBBBBCCCC", "code": "AAAA-BBBBBB-CCCC ", "sum": {"currencyCode": "USD"}}
    unknown = BalanceLoadResponse(status="SUCCESS").with_document(lambda: document).unknown_fields
    assert [type(unknown[name]) for name in ("claimCode", "code")] == [ClaimCode, ClaimCode]
    assert unknown["sum"] == {"currencyCode": "USD"}
