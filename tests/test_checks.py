from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agcod_async import (
    Account,
    AgcodSession,
    ConfigurationError,
    Credentials,
    Endpoint,
    Money,
    RetryPolicy,
    TransactionSource,
)
from agcod_async.checks import is_mock_id
from agcod_async.wire import HTTPResponse
from tests.support.transports import ScriptedTransport

CREDENTIALS = Credentials("AKIDEXAMPLE", "example-secret")
VALUE = Money("25.00", "USD")
ACCOUNT = Account(id="amzn1.account.1", type="2")
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
LONG = "Acme1" + "0" * 36


def create(request_id="Acme1X1", value=VALUE, **options):
    return lambda session: session.create_gift_card(request_id, value, **options)


def create_by_float(session):
    return session.create_gift_card("Acme1X1", Money(0.1, "USD"))


def cancel(request_id="Acme1X1", **options):
    return lambda session: session.cancel_gift_card(request_id, **options)


def activate(request_id="Acme1A1", card_number="1400000000000000123", value=VALUE, **options):
    return lambda session: session.activate_gift_card(request_id, card_number, value, **options)


def deactivate(request_id="Acme1A1", card_number="1400000000000000123"):
    return lambda session: session.deactivate_gift_card(request_id, card_number)


def check(request_id="S1", card_number="1400000000000000123"):
    return lambda session: session.activation_status_check(request_id, card_number)


def page(request_id="R1", start=START, end=END, **options):
    return lambda session: session.get_gift_card_activity_page(request_id, start, end, **options)


def walk(start=START, end=END, **options):
    return lambda session: anext(session.iter_gift_card_activity(start, end, **options))


def load(request_id="Acme1L1", amount=VALUE, account=ACCOUNT, **options):
    return lambda session: session.load_amazon_balance(request_id, amount, account, **options)


def void(request_id="Acme1L1", amount=VALUE, account=ACCOUNT, **options):
    return lambda session: session.void_amazon_balance_load(request_id, amount, account, **options)


def validate(request_id="Acme1L1", amount=VALUE, account=ACCOUNT, **options):
    return lambda session: session.validate_account_for_amazon_balance_load(
        request_id, amount, account, **options
    )


def source(**changes):
    return {"transaction_source": TransactionSource(**{"source_id": "Shop1"} | changes)}


AWARE = r"a datetime with a time zone is needed, such as datetime\(2026, 3, 1, tzinfo=UTC\)"
MUST_BEGIN = "must begin with the partner id 'Acme1'"
TOO_LONG = "41 characters, and at most 40 are allowed"
NO_CONTROL = "control characters and line ends are not allowed"

# Each call, and the message: the field first, then the fix.
REFUSED = [
    # ids
    *[
        (call(request_id="Other1X1"), f"{field}: 'Other1X1' {MUST_BEGIN}")
        for field, calls in {
            "creation_request_id": (create, cancel),
            "activation_request_id": (activate, deactivate),
            "load_balance_request_id": (load, void, validate),
        }.items()
        for call in calls
    ],
    *[
        (call(request_id=LONG), f"{field}: {TOO_LONG}")
        for field, calls in {
            "creation_request_id": (create, cancel),
            "activation_request_id": (activate, deactivate),
            "status_check_request_id": (check,),
            "request_id": (page,),
            "load_balance_request_id": (load, void, validate),
        }.items()
        for call in calls
    ],
    (create("acme1X1"), f"creation_request_id: 'acme1X1' {MUST_BEGIN}"),
    (create("F20001"), f"creation_request_id: 'F20001' {MUST_BEGIN}"),
    (create("f2000"), f"creation_request_id: 'f2000' {MUST_BEGIN}"),
    (create(""), "creation_request_id: text is needed, got ''"),
    (create(None), "creation_request_id: text is needed, got None"),
    (create(4711), "creation_request_id: text is needed, got 4711"),
    (create(b"Acme1X1"), "creation_request_id: text is needed, got b'Acme1X1'"),
    (create("Acme1\n"), f"creation_request_id: {NO_CONTROL}"),
    (create("Acme1\x00"), f"creation_request_id: {NO_CONTROL}"),
    (create("Acme1\ud800"), f"creation_request_id: {NO_CONTROL}"),
    (check(""), "status_check_request_id: text is needed, got ''"),
    (check(None), "status_check_request_id: text is needed, got None"),
    (page(""), "request_id: text is needed, got ''"),
    (page(None), "request_id: text is needed, got None"),
    # amounts
    (create_by_float, "amount is a float: give str, int or Decimal"),
    (create(value=0.1), r"value: expected Money, such as Money\('25.00', 'USD'\), got float"),
    (create(value=None), r"value: expected Money, such as Money\('25.00', 'USD'\), got NoneType"),
    (create(value=Decimal(25)), r"value: expected Money, such as Money\('25.00', 'USD'\), got Decimal"),
    (create(value=Money("-1", "USD")), "value: amount -1 must be greater than 0"),
    (create(value=Money(0, "USD")), "value: amount 0 must be greater than 0"),
    (create(value=Money("0.001", "USD")), "value: amount 0.001 is too fine: USD has at most 2 decimals"),
    (create(value=Money("500.5", "JPY")), "value: amount 500.5 is too fine: JPY has no decimals"),
    (create(value=Money("1", "usd")), "value: currency 'usd' is not an ISO 4217 code such as 'USD'"),
    (activate(value=Money("-1", "USD")), "value: amount -1 must be greater than 0"),
    (load(amount=Money("500.5", "JPY")), "amount: amount 500.5 is too fine: JPY has no decimals"),
    (void(amount=Money(0, "USD")), "amount: amount 0 must be greater than 0"),
    (validate(amount=25), "amount: expected Money"),
    # cards
    *[
        (call(card_number=number), f"card_number: text is needed, got {number!r}")
        for call in (activate, deactivate, check)
        for number in ("", None, 1400000000000000123)
    ],
    (activate(card_number="1" * 41), f"card_number: {TOO_LONG}"),
    (cancel(gc_id=""), "gc_id: text is needed, got ''"),
    (cancel(gc_id="A" * 101), "gc_id: 101 characters, and at most 100 are allowed"),
    # options
    (create(program_id="p" * 101), "program_id: 101 characters, and at most 100 are allowed"),
    (activate(program_id=""), "program_id: text is needed, got ''"),
    (create(product_type="p" * 51), "product_type: 51 characters, and at most 50 are allowed"),
    (create(external_reference="注" * 101), "external_reference: 101 characters, and at most 100 "),
    (create(external_reference="two\nlines"), f"external_reference: {NO_CONTROL}"),
    (create(external_reference="\ufffe"), f"external_reference: {NO_CONTROL}"),
    # activity
    (page(start=START.replace(tzinfo=None)), f"utc_start_date: {AWARE}"),
    (page(end=END.replace(tzinfo=None)), f"utc_end_date: {AWARE}"),
    (page(start="2026-03-01"), f"utc_start_date: {AWARE}"),
    (page(start=END, end=START), "utc_end_date: must be after utc_start_date"),
    (page(start=START, end=START), "utc_end_date: must be after utc_start_date"),
    (page(page_size=1001), "page_size: a whole number from 1 to 1000 is needed, got 1001"),
    (page(page_size=0), "page_size: a whole number from 1 to 1000 is needed, got 0"),
    (page(page_size=10.0), "page_size: a whole number from 1 to 1000 is needed, got 10.0"),
    (page(page_size=True), "page_size: a whole number from 1 to 1000 is needed, got True"),
    (page(page_size=None), "page_size: a whole number from 1 to 1000 is needed, got None"),
    (page(page_index=-1), "page_index: a whole number from 0 to 2147483647 is needed, got -1"),
    (page(page_index="0"), "page_index: a whole number from 0 to 2147483647 is needed, got '0'"),
    (page(show_no_ops="yes"), "show_no_ops: True or False is needed, got 'yes'"),
    (walk(start=START.replace(tzinfo=None)), f"utc_start_date: {AWARE}"),
    (walk(page_size=1001), "page_size: a whole number from 1 to 1000 is needed, got 1001"),
    # balance loads
    (load(account=None), "account: expected Account, got NoneType"),
    (load(account="amzn1.account.1"), "account: expected Account, got str"),
    (void(account={"id": "1", "type": "2"}), "account: expected Account, got dict"),
    (load(account=Account(id="", type="2")), "id: text is needed, got ''"),
    (load(account=Account(id="1", type=2)), "type: text is needed, got 2"),
    (load(account=Account(id="1" * 201, type="2")), "id: 201 characters, and at most 200 are allowed"),
    (load(transaction_source="Shop1"), "transaction_source: expected TransactionSource, got str"),
    (validate(**source(source_id="s" * 41)), f"source_id: {TOO_LONG}"),
    (load(**source(source_id=None)), "source_id: text is needed, got None"),
    (load(**source(institution_id="")), "institution_id: text is needed, got ''"),
    (load(**source(source_details="s" * 201)), "source_details: 201 characters, and at most 200 are allowed"),
]  # fmt: skip

ACCEPTED = [
    create("Acme1"),
    create("Acme1" + "0" * 35),
    create("Acme1=!&*-}%_"),
    create("F0000"),
    cancel("F2047", gc_id="A0B1C2D3E4F5G6"),
    create(external_reference="注" * 100, program_id="p" * 100, product_type="p" * 50),
    create(value=Money(500, "JPY")),
    check("anything goes"),
    page(page_index=2**31 - 1, page_size=1000, show_no_ops=True),
    load(**source(institution_id="i" * 40, source_details="{}")),
]


class Refusing:
    """Answers everything with a refusal, so that what was sent is known and nothing else matters."""

    def __init__(self) -> None:
        body = b'{"errorCode":"F200","errorType":"Any","message":"any"}'
        self.transport = ScriptedTransport(*[HTTPResponse(status=400, headers={}, body=body)] * 2)

    def session(self, endpoint=Endpoint.NA_SANDBOX, **options) -> AgcodSession:
        return AgcodSession(
            "Acme1",
            CREDENTIALS,
            endpoint,
            transport=self.transport,
            retry=RetryPolicy(max_attempts=1),
            **options,
        )


@pytest.mark.parametrize("wire_format", ["json", "xml"])
@pytest.mark.parametrize(("call", "message"), REFUSED)
async def test_bad_input_is_refused_before_anything_is_sent(call, message, wire_format):
    """The message begins with the field and names the fix; no request left, so no money is in doubt."""
    service = Refusing()
    async with service.session(wire_format=wire_format) as session:
        with pytest.raises(ConfigurationError, match=f"^{message}") as caught:
            await call(session)
    assert service.transport.requests == []
    assert (caught.value.outcome, caught.value.is_retry_safe, caught.value.attempts) == ("not_sent", False, 0)


@pytest.mark.parametrize("call", ACCEPTED)
async def test_input_at_the_limits_is_sent(call):
    """What the service might accept is the service's to refuse."""
    service = Refusing()
    async with service.session() as session:
        with pytest.raises(Exception, match="F200"):
            await call(session)
    assert len(service.transport.requests) == 1


@pytest.mark.parametrize("endpoint", [Endpoint.NA, Endpoint.EU, Endpoint.FE])
async def test_mock_ids_stay_out_of_production(endpoint):
    """There they are ids like others, and would only be refused for their prefix."""
    service = Refusing()
    async with service.session(endpoint) as session:
        with pytest.raises(
            ConfigurationError, match="creation_request_id: 'F2003' is a mock id, which only the sandbox"
        ):
            await create("F2003")(session)
    assert service.transport.requests == []


async def test_mock_ids_work_with_an_emulator():
    """A custom endpoint may be an emulator, which knows them."""
    service = Refusing()
    async with service.session(Endpoint.custom("https://localhost:8443", region="us-east-1")) as session:
        with pytest.raises(Exception, match="F200"):
            await create("F2003")(session)
    assert b'"creationRequestId":"F2003"' in service.transport.requests[0].body


@pytest.mark.parametrize(
    ("request_id", "is_mock"),
    [
        ("F0000", True),
        ("F2003", True),
        ("F200", False),
        ("F20000", False),
        ("f2003", False),
        ("Acme1F2003", False),
        (None, False),
    ],
)
def test_mock_ids_are_known_by_their_form(request_id, is_mock):
    """An F and four digits, and nothing else."""
    assert is_mock_id(request_id) is is_mock


@pytest.mark.parametrize("partner_id", ["", "Acme 1", "Acme-1", "Ácme1", None, 5, "Acme1\n"])
def test_a_partner_id_is_letters_and_digits(partner_id):
    """Every request id begins with it."""
    with pytest.raises(
        ConfigurationError, match=r"^partner_id: the letters and digits that the service gave you"
    ):
        AgcodSession(partner_id, CREDENTIALS, Endpoint.NA_SANDBOX, transport=ScriptedTransport())
