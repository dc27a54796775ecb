from __future__ import annotations

import decimal
import json
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from agcod_async import ConfigurationError, Money
from agcod_async.codecs import JSON, XML
from agcod_async.model import CreateGiftCardRequest
from agcod_async.money import minor_digits, payable
from tests.support.copies import TRAVELS
from tests.support.properties import examples

quick = examples(60)
currencies = st.sampled_from(["USD", "EUR", "JPY", "KWD", "ZZZ"])


@st.composite
def amounts(draw, currency):
    """An amount that the currency can express, written in any of the ways Decimal knows."""
    digits = minor_digits(currency)
    amount = Decimal(draw(st.integers(1, 10**12 - 1))).scaleb(-digits)
    return draw(st.sampled_from([amount, amount.normalize(), Decimal(f"{amount:E}")]))


@pytest.mark.parametrize(
    ("given_amount", "amount"),
    [
        ("25.00", "25.00"),
        (25, "25"),
        (Decimal("0.15"), "0.15"),
        ("-1", "-1"),
        (0, "0"),
        (10**40, "1" + "0" * 40),
    ],
)
def test_an_amount_is_kept_exactly(given_amount, amount):
    """Money is what the caller wrote, digit by digit; whether it can be paid is asked later."""
    money = Money(given_amount, "USD")
    assert type(money.amount) is Decimal
    assert money.amount.as_tuple() == Decimal(amount).as_tuple()


@pytest.mark.parametrize(
    "amount", [0.1, 25.0, float("nan"), float("inf"), True, False, None, b"25", [25], 1j]
)
def test_whatever_is_not_str_int_or_decimal_is_refused(amount):
    """0.1 is not a float, and True is not a dollar: the message says what to give instead."""
    with pytest.raises(
        ConfigurationError, match=rf"amount is a {type(amount).__name__}: give str, int or Decimal"
    ):
        Money(amount, "USD")


@pytest.mark.parametrize("amount", ["", "abc", "25,00", "$25", "1.2.3", "0x10"])
def test_text_that_is_no_number_is_refused(amount):
    """A thousands comma or a currency sign is a mistake to be told, not to be guessed at."""
    with pytest.raises(ConfigurationError, match="amount is not a plain number: give one such as"):
        Money(amount, "USD")


@pytest.mark.parametrize(
    "amount", ["NaN", "sNaN", "Infinity", "-inf", Decimal("NaN"), Decimal("sNaN"), Decimal("inf")]
)
def test_an_amount_must_be_finite(amount):
    """NaN compares false with every limit, so it must not get as far as a limit."""
    with pytest.raises(ConfigurationError, match=r"not a (finite|plain) number"):
        Money(amount, "USD")


def test_a_coarse_decimal_context_changes_no_amount():
    """An application's context of six digits neither rounds nor refuses somebody's money."""
    with decimal.localcontext() as context:
        context.prec = 6
        context.traps[decimal.Inexact] = True
        money = payable("value", Money("12345678.90", "USD"))
        assert str(money) == "12345678.90 USD"
    assert money.amount == Decimal("12345678.90")


def test_a_decimal_context_without_traps_lets_no_nan_in():
    """Where the context turns errors into NaN, text that is no number is refused all the same."""
    with decimal.localcontext() as context:
        context.traps[decimal.InvalidOperation] = False
        with pytest.raises(ConfigurationError, match=r"not a (finite|plain) number"):
            Money("abc", "USD")


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("USD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("CLP", 0), ("KWD", 3), ("BHD", 3), ("ZZZ", 2)],
)
def test_minor_digits_follow_iso_4217(currency, digits):
    """A yen has no cents and a dinar has a thousand fils; unknown currencies count as most do."""
    assert minor_digits(currency) == digits


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money("25", "USD"), "25.00 USD"),
        (Money("25.5", "EUR"), "25.50 EUR"),
        (Money(Decimal("2E+3"), "USD"), "2000.00 USD"),
        (Money("500.0", "JPY"), "500 JPY"),
        (Money("1.5", "KWD"), "1.500 KWD"),
        (Money("0.001", "USD"), "0.001 USD"),
        (Money("-3", "USD"), "-3.00 USD"),
        (Money(Decimal("1E+400000"), "USD"), "1E+400000 USD"),
        (Money(Decimal("-1E+400000"), "USD"), "-1E+400000 USD"),
        (Money(Decimal("1E-400000"), "USD"), "1E-400000 USD"),
    ],
)
def test_text_has_the_digits_of_the_currency(money, text):
    """People read it in errors; an absurd amount in an answer must not blow up the error that tells of it."""
    assert str(money) == text


def test_equal_amounts_are_equal_money():
    """25.5 in an answer is the 25.50 that was asked for; another currency never is."""
    assert Money("25.5", "USD") == Money("25.50", "USD")
    assert hash(Money("25.5", "USD")) == hash(Money("25.50", "USD"))
    assert Money("25.5", "USD") != Money("25.5", "CAD")
    assert Money("25.5", "USD") != Money("25.51", "USD")


@pytest.mark.parametrize("travel", TRAVELS)
def test_money_travels(travel):
    """Jobs carry amounts between processes."""
    assert TRAVELS[travel](Money("25.50", "USD")) == Money("25.50", "USD")


def test_money_is_a_value():
    """Nobody changes an amount after it was checked."""
    with pytest.raises(AttributeError):
        Money("1", "USD").amount = Decimal(2)


@pytest.mark.parametrize(
    ("money", "amount"),
    [
        (Money("25", "USD"), "25.00"),
        (Money(Decimal("2E+3"), "USD"), "2000.00"),
        (Money("500.00", "JPY"), "500"),
        (Money("1.5", "KWD"), "1.500"),
        (Money("0.01", "USD"), "0.01"),
        (Money("999999999999.99", "USD"), "999999999999.99"),
    ],
)
def test_payable_money_has_all_minor_digits(money, amount):
    """One amount has one form on the wire, so that repeats send the same bytes."""
    assert str(payable("value", money).amount) == amount


@pytest.mark.parametrize("amount", ["0", "-0", "-1", "-0.01", Decimal("0E+5"), 10**12, Decimal("1E+30")])
def test_amounts_that_cannot_be_paid_are_refused(amount):
    """Zero and negative amounts, and a number of digits that can only be a slip."""
    with pytest.raises(ConfigurationError, match=r"value: amount .* must be greater than 0 and below 10\^12"):
        payable("value", Money(amount, "USD"))


@pytest.mark.parametrize(
    ("money", "rule"),
    [
        (Money("500.5", "JPY"), "JPY has no decimals"),
        (Money("0.001", "USD"), "USD has at most 2 decimals"),
        (Money("1.0001", "KWD"), "KWD has at most 3 decimals"),
        (Money("1.00000000000000000000000000000000000001", "USD"), "USD has at most 2 decimals"),
    ],
)
def test_fractions_of_the_smallest_unit_are_refused(money, rule):
    """Rounding money silently would pay another amount than the caller's books say."""
    with pytest.raises(ConfigurationError, match=f"amount: amount .* is too fine: {rule}"):
        payable("amount", money)


@pytest.mark.parametrize("currency", ["usd", "US", "USDX", "", "U$D", "ÜSD", None, 840])
def test_a_currency_must_look_like_one(currency):
    """The set is open, its form is not: a typing slip is caught before anything is sent."""
    with pytest.raises(ConfigurationError, match=r"value: currency .* is not an ISO 4217 code such as 'USD'"):
        payable("value", Money("1", currency))


@pytest.mark.parametrize("value", [25, "25.00 USD", None, Decimal(25), ("25", "USD")])
def test_only_money_is_payable(value):
    """An amount without a currency is no amount: the message shows how to write one."""
    with pytest.raises(
        ConfigurationError, match=r"value: expected Money, such as Money\('25.00', 'USD'\), got"
    ):
        payable("value", value)


@quick
@given(st.data(), currencies)
def test_every_payable_amount_reaches_the_wire_exactly(data, currency):
    """Whatever form an amount was given in: same number, plain digits, no exponent, no float noise."""
    amount = data.draw(amounts(currency))
    money = payable("value", Money(amount, currency))
    assert money.amount == amount
    shape = CreateGiftCardRequest(creation_request_id="Acme11", partner_id="Acme1", value=money)
    number = JSON.encode("CreateGiftCard", shape).partition(b'"amount":')[2].partition(b",")[0]
    element = XML.encode("CreateGiftCard", shape).partition(b"<amount>")[2].partition(b"<")[0]
    assert number == element
    assert set(number) <= set(b"0123456789.")
    assert Decimal(number.decode()) == amount
    assert json.loads(number, parse_float=Decimal) == amount


@quick
@given(st.decimals(allow_nan=True, allow_infinity=True), currencies)
def test_no_amount_makes_anything_but_money_or_a_configuration_error(amount, currency):
    """Every Decimal there is either can be paid as it is, or is refused in one way."""
    try:
        money = payable("value", Money(amount, currency))
    except ConfigurationError:
        return
    assert money.amount == amount
    assert -money.amount.as_tuple().exponent == minor_digits(currency)


@quick
@given(st.decimals(allow_nan=False, allow_infinity=False), currencies)
def test_text_is_short_and_exact(amount, currency):
    """Any amount an answer may hold can be printed, in no more room than its own digits need."""
    text = str(Money(amount, currency))
    assert text.endswith(f" {currency}")
    assert Decimal(text.removesuffix(f" {currency}")) == amount
    assert len(text) <= len(str(amount)) + 24
