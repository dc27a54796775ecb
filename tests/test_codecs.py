from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import fields

from agcod_async import Account, ClaimCode, Money, TransactionSource
from agcod_async.codecs import JSON, MAX_DEPTH, XML, UnreadableBody, codec_for
from agcod_async.model import (
    OPERATIONS,
    ActivateGiftCardResponse,
    ActivationStatusCheckResponse,
    BalanceAmount,
    BalanceLoadResponse,
    CancelGiftCardResponse,
    CardActivity,
    CardInfo,
    CreateGiftCardRequest,
    CreateGiftCardResponse,
    DeactivateGiftCardResponse,
    GetAvailableFundsResponse,
    GetGiftCardActivityPageRequest,
    GetGiftCardActivityPageResponse,
)
from agcod_async.money import minor_digits, payable
from tests.support.properties import examples

ANSWERS = Path(__file__).parent / "vectors" / "answers"
CODECS = {"json": JSON, "xml": XML}
formats = pytest.mark.parametrize("suffix", CODECS)

CODE = ClaimCode("AAAA-BBBBBB-CCCC")
CREATION = CardActivity(
    activity_status="Success",
    activity_time_text="Mon Mar 02 10:00:01 UTC 2026",
    activity_type="GCCreation",
    card_value=Money("15.0", "EUR"),
    gc_id="A0B1C2D3E4F5G6",
    is_real_op=True,
    partner_id="Acme1",
    request_id="Acme1X0002",
)
CANCELLATION = CardActivity(
    activity_status="Failed",
    activity_time_text="Mon Mar 02 10:00:02 UTC 2026",
    activity_type="GCCancellation",
    failure_code="OperationNotPermitted",
    is_real_op=False,
    partner_id="Acme1",
    request_id="Acme1X0009",
)


def page(*records: CardActivity) -> GetGiftCardActivityPageResponse:
    return GetGiftCardActivityPageResponse(
        status="SUCCESS",
        card_activity_list=list(records),
        page_index=0,
        request_id="Acme1R1",
        total_number_of_transactions_in_requested_time_frame=len(records),
    )


# What each recorded answer says, in either format.
RECORDED = {
    "create-gift-card": CreateGiftCardResponse(
        status="SUCCESS",
        creation_request_id="Acme1X0001",
        card_info=CardInfo(card_status="Fulfilled", value=Money("25.5", "EUR")),
        gc_claim_code=CODE,
        gc_id="A0B1C2D3E4F5G6",
        gc_expiration_date_text="Tue Mar 04 22:59:59 UTC 2036",
    ),
    "create-gift-card-yen": CreateGiftCardResponse(
        status="SUCCESS",
        creation_request_id="Acme1X0003",
        card_info=CardInfo(card_status="Fulfilled", value=Money(500, "JPY")),
        gc_claim_code=CODE,
        gc_id="1234567890123456",
        gc_expiration_date_text="Tue Mar 04 14:59:59 UTC 2036",
    ),
    "create-gift-card-cancelled": CreateGiftCardResponse(
        status="SUCCESS",
        creation_request_id="Acme1X0004",
        card_info=CardInfo(card_status="RefundedToPurchaser", value=Money(25, "USD")),
        gc_claim_code=CODE,
        gc_id="A0B1C2D3E4F5G7",
    ),
    "activate-gift-card": ActivateGiftCardResponse(
        status="SUCCESS",
        activation_request_id="Acme1A0001",
        card_info=CardInfo(
            card_number="1400000000000000123", card_status="Activated", value=Money(50, "USD")
        ),
    ),
    "deactivate-gift-card": DeactivateGiftCardResponse(
        status="SUCCESS",
        activation_request_id="Acme1A0001",
        card_info=CardInfo(card_number="1400000000000000123", card_status="AwaitingActivation"),
    ),
    "activation-status-check": ActivationStatusCheckResponse(
        status="SUCCESS",
        status_check_request_id="Acme1S0001",
        card_info=CardInfo(
            card_number="1400000000000000123",
            card_status="Activated",
            expiration_date_text="Tue Mar 04 22:59:59 UTC 2036",
            value=Money(50, "USD"),
        ),
    ),
    "get-available-funds": GetAvailableFundsResponse(
        status="SUCCESS", available_funds=Money("812.50", "USD"), timestamp_text="20260304T101500Z"
    ),
    "load-amazon-balance": BalanceLoadResponse(status="SUCCESS", load_balance_request_id="Acme1L0001"),
    "activity-page": page(CREATION),
    "activity-page-of-two": page(CREATION, CANCELLATION),
}


def recorded(name: str) -> bytes:
    return (ANSWERS / name).read_bytes()


@formats
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_answers_are_read(name, suffix):
    """Both formats say the same, with the amounts as they stand there."""
    answer = CODECS[suffix].decode(recorded(f"{name}.{suffix}"), type(RECORDED[name]))
    assert answer == RECORDED[name]
    assert answer.unknown_fields == {}


@pytest.mark.parametrize(("suffix", "gc_id"), [("json", "A0B1C2D3E4F5G6"), ("xml", None)])
def test_a_cancellation_names_the_card_or_does_not(suffix, gc_id):
    """The XML example of the documents has no gcId, so nobody may count on it."""
    answer = CODECS[suffix].decode(recorded(f"cancel-gift-card.{suffix}"), CancelGiftCardResponse)
    assert answer == CancelGiftCardResponse(status="SUCCESS", creation_request_id="Acme1X0001", gc_id=gc_id)


def test_every_recorded_answer_is_tested():
    """A file without a test proves nothing."""
    names = {*RECORDED, "cancel-gift-card", "refused"}
    assert {path.name for path in ANSWERS.iterdir()} == {
        f"{name}.{suffix}" for name in names for suffix in CODECS
    }


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
def test_a_page_of_any_length_is_a_list(count):
    """One record, or a thousand, or none: XML repeats elements where JSON has a list."""
    ids = [f"Acme1X{number}" for number in range(count)]
    records = "".join(f"<record><requestId>{each}</requestId></record>" for each in ids)
    body = f"<a><cardActivityList>{records}</cardActivityList></a>".encode()
    answer = XML.decode(body, GetGiftCardActivityPageResponse)
    assert [each.request_id for each in answer.card_activity_list] == [
        f"Acme1X{number}" for number in range(count)
    ]


@formats
def test_a_refusal_is_parsed_to_plain_values(suffix):
    """Errors have no shape of their own: whoever judges them gets the tree."""
    root, tree = CODECS[suffix].parse(recorded(f"refused.{suffix}"))
    assert root == {"json": "", "xml": "CreateGiftCardError"}[suffix]
    assert tree["errorCode"] == "F300"
    assert tree["agcodResponse"]["status"] == "FAILURE"
    assert tree["agcodResponse"]["creationRequestId"] == "Acme1X0001"


def test_dates_come_as_moments():
    """The texts stay at hand beside them."""
    card = JSON.decode(recorded("create-gift-card.json"), CreateGiftCardResponse)
    expiry = datetime(2036, 3, 4, 22, 59, 59, tzinfo=UTC)
    assert card.gc_expiration_date == expiry
    check = JSON.decode(recorded("activation-status-check.json"), ActivationStatusCheckResponse)
    assert check.card_info.expiration_date == expiry
    funds = XML.decode(recorded("get-available-funds.xml"), GetAvailableFundsResponse)
    assert funds.timestamp == datetime(2026, 3, 4, 10, 15, tzinfo=UTC)
    activity = XML.decode(recorded("activity-page.xml"), GetGiftCardActivityPageResponse)
    assert activity.card_activity_list[0].activity_time == datetime(2026, 3, 2, 10, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "body", [b"<a><cardActivityList/></a>", b"<a><cardActivityList>  </cardActivityList></a>"]
)
def test_an_empty_list_of_activity_is_a_list(body):
    """No element looks like no list in XML, and is one."""
    assert XML.decode(body, GetGiftCardActivityPageResponse).card_activity_list == []


@st.composite
def _mutilated(draw, path):
    """A recorded answer with a part cut out and something else put in."""
    body = path.read_bytes()
    start = draw(st.integers(0, len(body)))
    return body[:start] + draw(st.binary(max_size=3)) + body[start + draw(st.integers(0, 20)) :]


# Whatever is encoded

text = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x1FFFF, exclude_categories=["Cs", "Cc"]), max_size=30
)
# XML cannot tell outer white space and the empty text from layout and nothing.
words = text.filter(lambda each: each == each.strip() and each.isprintable() and each != "")
amounts = st.builds(
    lambda units, currency: payable("value", Money(Decimal(units).scaleb(-minor_digits(currency)), currency)),
    st.integers(1, 10**12 - 1),
    st.sampled_from(["USD", "JPY", "KWD", "ZZZ"]),
)
balance_amounts = st.builds(
    lambda money: BalanceAmount(currency_code=money.currency_code, value=str(money.amount)), amounts
)
sources = st.builds(
    TransactionSource, source_id=words, institution_id=st.none() | words, source_details=st.none() | words
)
VALUES = {
    str: words,
    str | None: st.none() | words,
    int: st.integers(0, 1000),
    bool: st.booleans(),
    Money: amounts,
    BalanceAmount: balance_amounts,
    Account: st.builds(Account, id=words, type=words),
    TransactionSource | None: st.none() | sources,
}
shapes = st.sampled_from(sorted(OPERATIONS)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.builds(
            OPERATIONS[name].request,
            **{each.name: VALUES[each.type] for each in fields(OPERATIONS[name].request)},
        ),
    )
)


@formats
@examples(150)
@given(shapes)
def test_what_is_encoded_is_decoded_again(suffix, named):
    """Nothing is lost or bent on the way to the wire: any text, any amount, every operation."""
    name, shape = named
    codec = CODECS[suffix]
    body = codec.encode(name, shape)
    assert codec.decode(body, type(shape)) == shape
    assert codec_for(body) is codec
    assert codec.parse(body)[0] == {"json": "", "xml": f"{name}Request"}[suffix]


@examples(100)
@given(shapes)
def test_other_parsers_read_the_same(named):
    """The bytes are standard JSON and XML, which need no decoder of ours."""
    name, shape = named
    tree = JSON.parse(JSON.encode(name, shape))[1]
    assert json.loads(JSON.encode(name, shape), parse_float=Decimal) == tree
    root = ET.fromstring(XML.encode(name, shape))
    assert root.tag == f"{name}Request"
    assert [child.tag for child in root] == list(tree)


@examples(60)
@given(amounts)
def test_amounts_never_pass_through_float(amount):
    """The number on the wire has the amount's own digits, and comes back as the same Decimal."""
    shape = CreateGiftCardRequest(creation_request_id="Acme1X1", partner_id="Acme1", value=amount)
    for codec in CODECS.values():
        body = codec.encode("CreateGiftCard", shape)
        assert str(amount.amount).encode() in body
        value = codec.decode(body, CreateGiftCardRequest).value.amount
        assert type(value) is Decimal
        assert value.as_tuple() == amount.amount.as_tuple()


@pytest.mark.parametrize(
    "number", ["0.1", "25.50", "1234567890123456.78", "0.30000000000000004", "500.0", "1e2", "20"]
)
def test_an_answered_amount_keeps_its_digits(number):
    """However the service writes an amount, it is compared exactly with what was asked for."""
    funds = f'{{"availableFunds":{{"amount":{number},"currencyCode":"USD"}}}}'.encode()
    money = f"<amount>{number}</amount><currencyCode>USD</currencyCode>"
    tree = f"<a><availableFunds>{money}</availableFunds></a>".encode()
    for answer in (
        JSON.decode(funds, GetAvailableFundsResponse),
        JSON.decode(funds.replace(number.encode(), b'"%s"' % number.encode()), GetAvailableFundsResponse),
        XML.decode(tree, GetAvailableFundsResponse),
    ):
        assert answer.available_funds.amount.as_tuple() == Decimal(number).as_tuple()
    amount = JSON.parse(funds)[1]["availableFunds"]["amount"]
    assert not isinstance(amount, float)
    assert amount == Decimal(number)


JSON_REQUEST = (
    b'{"creationRequestId":"Acme1X1","partnerId":"Acme1",'
    b'"value":{"amount":25.00,"currencyCode":"USD"},"externalReference":"<a> & \\"b\\""}'
)
XML_REQUEST = (
    b"<CreateGiftCardRequest><creationRequestId>Acme1X1</creationRequestId><partnerId>Acme1</partnerId>"
    b"<value><amount>25.00</amount><currencyCode>USD</currencyCode></value>"
    b'<externalReference>&lt;a&gt; &amp; "b"</externalReference></CreateGiftCardRequest>'
)


@pytest.mark.parametrize(("codec", "body"), [(JSON, JSON_REQUEST), (XML, XML_REQUEST)], ids=["json", "xml"])
def test_a_request_looks_like_the_documents_example(codec, body):
    """Absent fields are left out, and markup in a reference stays text."""
    shape = CreateGiftCardRequest(
        creation_request_id="Acme1X1",
        partner_id="Acme1",
        value=Money("25.00", "USD"),
        external_reference='<a> & "b"',
    )
    assert codec.encode("CreateGiftCard", shape) == body


def test_an_activity_request_says_everything():
    """Index, size and no-ops are sent also where they are the defaults, booleans in lower case."""
    shape = GetGiftCardActivityPageRequest(
        request_id="R1",
        partner_id="Acme1",
        utc_start_date="2026-03-01T00:00:00",
        utc_end_date="2026-03-02T00:00:00",
    )
    assert json.loads(JSON.encode("GetGiftCardActivityPage", shape)) == {
        "requestId": "R1",
        "partnerId": "Acme1",
        "utcStartDate": "2026-03-01T00:00:00",
        "utcEndDate": "2026-03-02T00:00:00",
        "pageIndex": 0,
        "pageSize": 1000,
        "showNoOps": False,
    }
    assert XML.encode("GetGiftCardActivityPage", shape).endswith(
        b"<pageIndex>0</pageIndex><pageSize>1000</pageSize><showNoOps>false</showNoOps>"
        b"</GetGiftCardActivityPageRequest>"
    )


@formats
@pytest.mark.parametrize("word", ["null", "true", "0", "1e5", "NaN", "]]>", "&lt;", "<b>"])
def test_text_stays_text(suffix, word):
    """A reference that looks like another type, or like markup, is the caller's text all the same."""
    shape = CreateGiftCardRequest(
        creation_request_id=word, partner_id="Acme1", value=Money("1", "USD"), external_reference=word
    )
    codec = CODECS[suffix]
    assert codec.decode(codec.encode("CreateGiftCard", shape), CreateGiftCardRequest) == shape


def test_content_types():
    """The service reads JSON by exactly this type, without a charset."""
    assert (JSON.content_type, XML.content_type) == ("application/json", "application/xml")


# What may grow on the service's side


NEW_JSON = (
    b'{"status":"SUCCESS_PENDING","newField":{"deep":[1]},'
    b'"availableFunds":{"amount":1,"currencyCode":"XXX","new":1}}'
)
NEW_XML = (
    b"<a><status>SUCCESS_PENDING</status><newField><deep>1</deep></newField><availableFunds><new>1</new>"
    b"<amount>1</amount><currencyCode>XXX</currencyCode></availableFunds></a>"
)


@pytest.mark.parametrize("body", [NEW_JSON, NEW_XML], ids=["json", "xml"])
def test_what_is_new_passes_through(body):
    """A new status, currency or field needs no release of this package."""
    answer = codec_for(body).decode(body, GetAvailableFundsResponse)
    assert answer.status == "SUCCESS_PENDING"
    assert answer.available_funds == Money(1, "XXX")


def test_a_new_card_status_passes_through():
    """What the service calls a card's state is an open set."""
    body = b'{"cardInfo":{"cardStatus":"Hibernating"}}'
    assert JSON.decode(body, CreateGiftCardResponse).card_info.card_status == "Hibernating"


@pytest.mark.parametrize("root", ["GetAvailableFunds", "GetAvailableFundsResponse", "x:anything", "_"])
def test_the_name_of_the_root_does_not_matter(root):
    """The documents' example and the wire disagree about it; a prefix without meaning is dropped."""
    body = f"<{root}><status>SUCCESS</status></{root}>".encode()
    assert XML.decode(body, GetAvailableFundsResponse).status == "SUCCESS"
    assert XML.parse(body)[0] == root.removeprefix("x:")


def test_xml_layout_is_not_content():
    """Declarations, comments, attributes, CDATA, entities of XML itself and white space are all standard."""
    body = (
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n<!-- note -->'
        b'<a xmlns="urn:x" b="c">\n <status>\n'
        b"SUCCESS </status> text <gcId><![CDATA[A&0]]>&amp;&#66;</gcId><creationRequestId/></a>\n"
    )
    answer = XML.decode(body, CreateGiftCardResponse)
    assert (answer.status, answer.gc_id, answer.creation_request_id) == ("SUCCESS", "A&0&B", None)


@pytest.mark.parametrize("body", [b"<a/>", b"<a>text</a>", b"<a></a>"])
def test_a_document_without_fields_has_none(body):
    """It is readable, and says nothing: the HTTP status decides then."""
    assert XML.parse(body) == ("a", {})


@pytest.mark.parametrize(
    ("body", "codec"),
    [
        (b"<a/>", XML),
        (b"\n  <a/>", XML),
        (b"\xef\xbb\xbf<a/>", XML),
        (b"{}", JSON),
        (b"", JSON),
        (b"not a document", JSON),
        (b"[]", JSON),
    ],
)
def test_the_format_is_told_by_the_first_character(body, codec):
    """Gateways answer in the format they like, whatever was asked for."""
    assert codec_for(body) is codec


# What must not be read

BOMB = b'<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]><a><status>&y;</status></a>'
LATIN = '<?xml version="1.0" encoding="{}"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'
NEVER_XML = {
    "DTD": b"<!DOCTYPE a><a/>",
    "external DTD": b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    "entity bomb": BOMB,
    "external entity": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "parameter entity": b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/"> %x;]><a/>',
    "undefined entity": b"<a>&x;</a>",
    "NUL": b"<a>\x00</a>",
    "NUL before": b"\x00<a/>",
    "UTF-16": '<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16"),
    "UTF-16 with a DTD": LATIN.format("UTF-16").encode("utf-16"),
    "UTF-16 without a mark": LATIN.format("UTF-16").encode("utf-16-le"),
    "UTF-32": LATIN.format("UTF-32").encode("utf-32"),
    "bad UTF-8": b"<a>\xff</a>",
    "overlong UTF-8": b"<a>\xc0\xbc</a>",
    "surrogate in UTF-8": b"<a>\xed\xa0\x80</a>",
    "latin text": '<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode("latin-1"),
    "deep": b"<a>" * 200_000 + b"</a>" * 200_000,
    "deep and open": b"<a>" * 200_000,
    "empty": b"",
    "space": b"  \n",
    "truncated": recorded("create-gift-card.xml")[:-5],
    "cut in a name": b"<a><stat",
    "two roots": b"<a/><b/>",
    "crossed": b"<a><b></a></b>",
    "text": b"Service Unavailable",
    "HTML": b"<!DOCTYPE html><html><body>503</body></html>",
    "sloppy HTML": b"<html><body><br>503</body></html>",
}


@pytest.mark.reveals(
    "exceptions", because="the codec's own error ends in Protocol.read, which raises another one"
)
@pytest.mark.parametrize("name", NEVER_XML)
def test_xml_that_is_dangerous_or_broken_is_refused(name):
    """One error for all of it, before anything is expanded, fetched or recursed into."""
    with pytest.raises(UnreadableBody):
        XML.parse(NEVER_XML[name])
    with pytest.raises(UnreadableBody):
        XML.decode(NEVER_XML[name], CreateGiftCardResponse)


@pytest.mark.parametrize(
    "encoding",
    ["ISO-8859-1", "US-ASCII", "windows-1252", "cp500", "cp037", "utf-7", "UTF-16", "koi8-r", "nonsense"],
)
def test_no_declared_encoding_hides_a_dtd(encoding):
    """The bytes are read as UTF-8 whatever they claim, so a DTD is a DTD in any disguise."""
    disguised = [LATIN.format(encoding).encode()]
    if encoding in ("cp500", "cp037", "utf-7"):
        disguised.append(LATIN.format(encoding).encode(encoding))
    for body in disguised:
        with pytest.raises(UnreadableBody):
            XML.parse(body)


@pytest.mark.parametrize("encoding", ["UTF-8", "utf-8", "US-ASCII", "ISO-8859-1"])
def test_a_declared_encoding_changes_nothing(encoding):
    """Plain ASCII is the same in all of them, and text is read as UTF-8."""
    body = f'<?xml version="1.0" encoding="{encoding}"?><a><gcId>注</gcId></a>'.encode()
    assert XML.decode(body, CreateGiftCardResponse).gc_id == "注"


def test_the_limit_of_levels():
    """The service's own answers have five levels; one more than the limit is refused by name."""
    allowed = b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH
    assert XML.parse(allowed)[0] == "a"
    with pytest.raises(UnreadableBody, match="nested deeper than 32 levels"):
        XML.parse(b"<a>" + allowed + b"</a>")


NEVER_JSON = {
    "truncated": recorded("create-gift-card.json")[:-5],
    "cut in a text": b'{"status":"SUCC',
    "empty": b"",
    "text": b"Service Unavailable",
    "bad UTF-8": b'{"status":"\xff"}',
    "latin text": '{"status":"é"}'.encode("latin-1"),
    "lone surrogate": b'{"status":"\\ud800"}',
    "UTF-16": '{"status":"SUCCESS"}'.encode("utf-16"),
    "NUL": b'{"status":"a\x00b"}',
    "deep lists": b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep objects": b'{"x":' * 200_000 + b"1" + b"}" * 200_000,
    "deep and open": b'{"x":' + b"[" * 200_000,
    "two documents": b"{}{}",
    "list": b"[]",
    "bare text": b'"SUCCESS"',
    "number": b"1",
    "null": b"null",
    "NaN": b'{"x":NaN}',
    "comment": b"{} // no",
}


@pytest.mark.reveals(
    "exceptions", because="the codec's own error ends in Protocol.read, which raises another one"
)
@pytest.mark.parametrize("name", NEVER_JSON)
def test_json_that_is_broken_is_refused(name):
    """One error for all of it, and no RecursionError."""
    with pytest.raises(UnreadableBody):
        JSON.parse(NEVER_JSON[name])
    with pytest.raises(UnreadableBody):
        JSON.decode(NEVER_JSON[name], CreateGiftCardResponse)


def test_an_absurd_exponent_is_refused():
    """A number that no Decimal holds ends in the one error, also where no field is known for it."""
    with pytest.raises(UnreadableBody):
        JSON.parse(b'{"x":1e9999999999999999999999}')
    with pytest.raises(UnreadableBody):
        JSON.decode(
            b'{"availableFunds":{"amount":1e9999999999999999999999,"currencyCode":"USD"}}',
            GetAvailableFundsResponse,
        )


@pytest.mark.parametrize(
    ("body", "kind", "where"),
    [
        (b'{"status":1}', CreateGiftCardResponse, "$.status"),
        (b'{"gcClaimCode":5}', CreateGiftCardResponse, "$.gcClaimCode"),
        (b'{"gcClaimCode":{}}', CreateGiftCardResponse, "$.gcClaimCode"),
        (
            b'{"cardInfo":{"value":{"amount":"NaN","currencyCode":"USD"}}}',
            CreateGiftCardResponse,
            "$.cardInfo.value",
        ),
        (
            b'{"cardInfo":{"value":{"amount":true,"currencyCode":"USD"}}}',
            CreateGiftCardResponse,
            "$.cardInfo.value",
        ),
        (b'{"cardInfo":{"value":{"amount":1}}}', CreateGiftCardResponse, "$.cardInfo.value"),
        (b'{"cardInfo":"none"}', CreateGiftCardResponse, "$.cardInfo"),
        (b'{"cardActivityList":{}}', GetGiftCardActivityPageResponse, "$.cardActivityList"),
        (b"<a><status>1</status><status>2</status></a>", CreateGiftCardResponse, "$.status"),
        (b"<a><gcClaimCode><b>1</b></gcClaimCode></a>", CreateGiftCardResponse, "$.gcClaimCode"),
        (b"<a><cardInfo>none</cardInfo></a>", CreateGiftCardResponse, "$.cardInfo"),
        (b"<a><pageIndex>one</pageIndex></a>", GetGiftCardActivityPageResponse, "$.pageIndex"),
        (
            b"<a><cardActivityList><r>text</r></cardActivityList></a>",
            GetGiftCardActivityPageResponse,
            "$.cardActivityList",
        ),
    ],
)
def test_a_document_of_another_shape_is_refused_by_field(body, kind, where):
    """The error says where, for whoever reports it, and never what stood there."""
    with pytest.raises(UnreadableBody) as caught:
        codec_for(body).decode(body, kind)
    assert where in str(caught.value)


@pytest.mark.reveals(
    "exceptions", because="the codec's own error ends in Protocol.read, which raises another one"
)
@formats
def test_no_error_quotes_the_body(suffix):
    """An unreadable answer may hold a claim code that was issued."""
    code = b"AAAA-BBBBBB-CCCC"
    bodies = {
        "json": [
            b'{"status":["%s"]}' % code,
            b'{"gcClaimCode":"%s"' % code,
            b'{"%s":' % code,
            b'{"cardInfo":"%s"}' % code,
        ],
        "xml": [
            b"<a><cardInfo>%s</cardInfo></a>" % code,
            b"<a>%s" % code,
            b"<a><pageIndex>%s</pageIndex></a>" % code,
        ],
    }
    for body in bodies[suffix]:
        with pytest.raises(UnreadableBody) as caught:
            CODECS[suffix].decode(
                body, GetGiftCardActivityPageResponse if b"pageIndex" in body else CreateGiftCardResponse
            )
        assert code.decode() not in repr(caught.value)


@examples(150)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text('{}[]":,0123456789.eE-truefalsn \\u', max_size=40).map(str.encode),
        st.text("<>/ab&;!?[]=\"' -", max_size=40).map(str.encode),
        st.sampled_from(sorted(ANSWERS.iterdir())).flatmap(_mutilated),
    )
)
def test_no_bytes_raise_anything_else(body):
    """Whatever a broken proxy sends: a value of the shape, or UnreadableBody."""
    for codec in CODECS.values():
        for read in (lambda: codec.parse(body)[1], lambda: codec.decode(body, CreateGiftCardResponse)):  # noqa: B023
            with suppress(UnreadableBody):
                assert isinstance(read(), dict | CreateGiftCardResponse)


@pytest.mark.parametrize(
    "body",
    [
        b"<p><LIST><r><gcId>A</gcId></r><r><gcId>B</gcId></r></LIST></p>",
        b"<p><LIST><gcId>A</gcId></LIST><LIST><gcId>B</gcId></LIST></p>",
        b"<p><LIST><r><gcId>A</gcId></r></LIST><LIST><r><gcId>B</gcId></r></LIST></p>",
    ],
)
def test_no_layout_of_the_activity_list_loses_a_record(body):
    """The XML layout of the page is not public, and a lost record is money that nobody finds again."""
    page = XML.decode(body.replace(b"LIST", b"cardActivityList"), GetGiftCardActivityPageResponse)
    assert [record.gc_id for record in page.card_activity_list or ()] == ["A", "B"]
