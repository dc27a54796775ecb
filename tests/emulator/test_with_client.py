"""The client of this package and the emulator: two codes by two hands that check each other."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

import agcod_async
from agcod_async import AgcodSession, Credentials, Endpoint, Money, RetryPolicy
from agcod_async.emulator import Clock, Emulator, Partner, Request, signature
from agcod_async.model import Account
from agcod_async.signer import SigV4Signer
from agcod_async.testing import NoThrottle
from agcod_async.wire import HTTPRequest

NUMBER = "1400000000000000123"
TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
SECONDS = st.integers(0, 100 * 365 * 86_400)


@given(TEXT, TEXT, st.binary(max_size=300), SECONDS)
def test_whatever_the_client_signs_the_gateway_accepts(secret, host, body, at):
    """And one more byte in the body it does not."""
    at = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
    unsigned = HTTPRequest(
        origin="https://localhost",
        path="/CreateGiftCard",
        headers={"accept": "*/*", "content-type": "a", "host": host, "x-amz-target": "t"},
        body=body,
    )
    signed = SigV4Signer("eu-west-1").sign(unsigned, Credentials("AKID", secret), at=at)
    request = Request(method="POST", path=signed.path, headers=signed.headers, body=signed.body)
    skew = timedelta(minutes=15)
    assert signature.verify(request, at, "eu-west-1", {"AKID": secret}, skew) == "AKID"
    changed = Request(method="POST", path=signed.path, headers=signed.headers, body=signed.body + b" ")
    with pytest.raises(signature.GatewayRefusal):
        signature.verify(changed, at, "eu-west-1", {"AKID": secret}, skew)


def _session(emulator, credentials=None, **options):
    partner = emulator.partner
    return AgcodSession(
        partner.partner_id,
        credentials or Credentials(partner.access_key_id, partner.secret_access_key),
        Endpoint.custom("https://localhost", region=emulator.state.region),
        http_client=emulator.http_client(),
        clock=emulator.clock,
        throttle=NoThrottle(),
        retry=RetryPolicy(max_attempts=1),
        **options,
    )


@pytest.mark.parametrize("wire_format", ["json", "xml"])
async def test_every_operation_in_both_formats(emulator, clock, wire_format):
    """All ten, each with what its documentation promises."""
    session, value = _session(emulator, wire_format=wire_format), Money("25.50", "USD")
    card = await session.create_gift_card("Acme1a", value, external_reference="注文-42 <&>")
    assert (card.card_info.value, card.card_info.card_status) == (value, "Fulfilled")
    assert card.gc_claim_code.reveal() == emulator.state.claim_code(card.gc_id)
    clock.shift(timedelta(seconds=1))
    cancelled = await session.cancel_gift_card("Acme1a", gc_id=card.gc_id)
    assert cancelled.gc_id == card.gc_id
    active = await session.activate_gift_card("Acme1b", NUMBER, value)
    assert (active.card_info.card_status, active.card_info.card_number) == ("Activated", NUMBER)
    checked = await session.activation_status_check("any", NUMBER)
    assert checked.card_info == active.card_info
    ended = await session.deactivate_gift_card("Acme1b", NUMBER)
    assert ended.card_info.card_status == "AwaitingActivation"
    account = Account(id="amz1.account.1", type="2")
    for operation in (
        session.validate_account_for_amazon_balance_load,
        session.load_amazon_balance,
        session.void_amazon_balance_load,
    ):
        assert (await operation("Acme1c", value, account)).status == "SUCCESS"
    funds = await session.get_available_funds()
    assert (funds.available_funds, funds.timestamp) == (Money("10000", "USD"), clock())
    window = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    page = await session.get_gift_card_activity_page("page", *window, show_no_ops=True)
    records = [one async for one in session.iter_gift_card_activity(*window, page_size=1, show_no_ops=True)]
    assert records == page.card_activity_list
    kinds = ["GCCreation", "GCCancellation", "GCActivation", "GCDeactivation"]
    assert [one.activity_type for one in records] == kinds
    assert records[0].card_value == value


@pytest.mark.parametrize("wire_format", ["json", "xml"])
@pytest.mark.parametrize(
    ("mock_id", "error"),
    [
        ("F1000", "SystemFaultError"),
        ("F2003", "InvalidRequestError"),
        ("F2047", "InvalidRequestError"),
        ("F3003", "AccountError"),
        ("F4000", "ResendError"),
        ("F5000", "UnknownServiceError"),
    ],
)
async def test_mock_errors_have_their_class(emulator, wire_format, mock_id, error):
    """Class by code, with type and text as they came."""
    with pytest.raises(getattr(agcod_async, error)) as caught:
        await _session(emulator, wire_format=wire_format).create_gift_card(mock_id, Money("1.00", "USD"))
    assert caught.value.error_code == mock_id[:2] + "00"
    assert caught.value.http_status == 400


@pytest.mark.parametrize("wire_format", ["json", "xml"])
@pytest.mark.parametrize(
    ("kind", "error", "outcome"),
    [
        ("refuse_connection", "ConnectFailed", "not_sent"),
        ("expired_certificate", "ConnectFailed", "not_sent"),
        ("drop_before", "ConnectionLost", "unknown"),
        ("drop_after", "ConnectionLost", "unknown"),
        ("deliver_late", "ConnectionLost", "unknown"),
        ("truncated", "ConnectionLost", "unknown"),
        ("delay", "ResponseTimeout", "unknown"),
        ("slow_drip", "ResponseTimeout", "unknown"),
        ("resend_before", "ResendError", "unknown"),
        ("resend_after", "ResendError", "unknown"),
        ("fault_before", "GatewayFault", "unknown"),
        ("fault_after", "GatewayFault", "unknown"),
        ("garbage", "MalformedResponse", "unknown"),
        ("bad_utf8", "MalformedResponse", "unknown"),
        ("deep_nesting", "MalformedResponse", "unknown"),
        ("gzip_bomb", "MalformedResponse", "unknown"),
        ("throttle_storm", "ThrottlingError", "refused"),
    ],
)
async def test_faults_have_their_class_and_outcome(emulator, wire_format, kind, error, outcome):
    """What the gateway did to a call is what the client says of it; the same call then settles it."""
    timeout = 0.1 if error == "ResponseTimeout" else 6.0
    session = _session(emulator, wire_format=wire_format, timeout=timeout)
    emulator.faults.once(kind, seconds=3600)
    with pytest.raises(getattr(agcod_async, error)) as caught:
        await session.create_gift_card("Acme1a", Money("1.00", "USD"))
    assert caught.value.outcome == outcome
    card = await session.create_gift_card("Acme1a", Money("1.00", "USD"))
    assert card.gc_id == emulator.state.cards["Acme1a"].gc_id
    assert emulator.partner.funds == 9999


@pytest.mark.parametrize("kind", ["duplicate", "skewed_date", "wrong_content_type"])
async def test_faults_that_need_not_hurt(emulator, kind):
    """A client that reads the body and repeats by id never notices."""
    emulator.faults.once(kind, seconds=3600)
    assert (await _session(emulator).create_gift_card("Acme1a", Money("1.00", "USD"))).gc_id
    assert emulator.partner.funds == 9999


async def test_a_wrong_clock_is_learnt_from_the_date(emulator):
    """The gateway refuses a signature from twenty minutes ago; the client corrects itself once."""
    partner, late = emulator.partner, Clock(lambda: emulator.clock() - timedelta(minutes=20))
    session = AgcodSession(
        partner.partner_id,
        Credentials(partner.access_key_id, partner.secret_access_key),
        Endpoint.custom("https://localhost", region="us-east-1"),
        http_client=emulator.http_client(),
        clock=late,
        throttle=NoThrottle(),
    )
    assert (await session.get_available_funds()).available_funds == Money("10000", "USD")


@pytest.mark.parametrize("wire_format", ["json", "xml"])
async def test_yen(clock, wire_format):
    """No minor unit, on either side."""
    partner = Partner("Acme1", keys={"A": "s"}, currency="JPY", funds=Decimal(1000))
    emulator = Emulator([partner], clock=clock, region="us-west-2")
    card = await _session(emulator, wire_format=wire_format).create_gift_card("Acme1a", Money(500, "JPY"))
    assert card.card_info.value == Money(500, "JPY")
    assert card.gc_expiration_date == datetime(2036, 3, 2, 14, 59, 59, tzinfo=UTC)
    assert emulator.partner.funds == 500


async def test_a_wrong_secret_is_a_signature_error(emulator):
    """Refused by the gateway, and known to have done nothing."""
    session = _session(emulator, credentials=Credentials("AKIDEXAMPLE", "wrong"))
    with pytest.raises(agcod_async.SignatureError) as caught:
        await session.create_gift_card("Acme1a", Money("1.00", "USD"))
    assert caught.value.outcome == "refused"
    assert not emulator.state.cards
