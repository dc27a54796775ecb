"""LoadAmazonBalance, VoidAmazonBalanceLoad and ValidateAccountForAmazonBalanceLoad."""

import re
from decimal import Decimal

import msgspec

from .call import Asked, Call, Outcome, checked_money, operation_id
from .refusals import refusal
from .state import Load

_BARCODE = "1"
_US_PHONE = re.compile(r"\d{10}", re.ASCII)


def load_amazon_balance(call: Call) -> Outcome:
    """Put money on an account, once per request id."""
    request_id = operation_id(call, "loadBalanceRequestId")
    asked = _asked(call)
    account_id = _account(call)
    load = call.state.loads.get(request_id)
    if load is None:
        return Outcome(_answer(call, _loaded(call, request_id, account_id, asked)))
    is_theirs = load.partner_id == call.partner.partner_id and load.account_id == account_id
    is_refused = not load.is_live and call.state.settings.load_after_void == "refused"
    if not is_theirs or is_refused:
        raise refusal("OperationNotPermitted")
    return Outcome(_answer(call, load), is_real=False)


def _loaded(call: Call, request_id: str, account_id: str, asked: Asked) -> Load:
    call.state.charge(call.partner.partner_id, asked.amount)
    load = Load(
        load_balance_request_id=request_id,
        partner_id=call.partner.partner_id,
        account_id=account_id,
        amount=asked.amount,
        currency=asked.currency,
        loaded_at=call.now,
    )
    call.state.loads[request_id] = load
    return load


def void_amazon_balance_load(call: Call) -> Outcome:
    """Take a load back, given the same amount and account; repeats succeed."""
    request_id = operation_id(call, "loadBalanceRequestId")
    load = call.state.loads.get(request_id)
    asked, account_id = _asked(call), call.fields.group("account").text("id")
    if load is None or (load.partner_id, load.account_id) != (call.partner.partner_id, account_id):
        raise refusal("OperationNotPermitted")
    if asked != Asked(load.amount, load.currency):
        raise refusal("OperationNotPermitted")
    if load.is_live:
        _void(call, load)
    return Outcome(_answer(call, load), is_real=load.is_live)


def _void(call: Call, load: Load) -> None:
    state, window = call.state, call.state.settings.void_window
    if window is not None and call.now - load.loaded_at > window:
        raise refusal("CancelRequestArrivedAfterTimeLimit")
    state.loads[load.load_balance_request_id] = msgspec.structs.replace(load, is_live=False)
    state.refund(load.partner_id, load.amount)
    if state.settings.voided_barcodes_die and call.fields.group("account").text("type") == _BARCODE:
        state.dead_accounts.add(load.account_id)


def validate_account(call: Call) -> Outcome:
    """Whether a load to this account could work; nothing changes."""
    request_id = operation_id(call, "loadBalanceRequestId")
    asked = _asked(call)
    _account(call)
    return Outcome(_fields(call, request_id, asked.amount, asked.currency), is_real=False)


def _asked(call: Call) -> Asked:
    money = call.fields.group("amount")
    value = money.number("value", may_be_quoted=True)
    if value is not None and call.state.settings.load_unit == "minor":
        value = value if money.text("currencyCode") == "JPY" else value / 100
    return checked_money(call, value, money.text("currencyCode"), call.state.settings.load_limits)


def _account(call: Call) -> str:
    account, settings = call.fields.group("account"), call.state.settings
    account_id = account.text("id")
    is_bad_phone = account.text("type") == settings.phone_account_type and not _is_phone(call, account_id)
    is_dead = account_id in call.state.dead_accounts or account_id in settings.invalid_accounts
    if not account_id or is_bad_phone or (is_dead and not _is_repeat(call, account_id)):
        raise refusal("OperationNotPermitted")
    return account_id


def _is_phone(call: Call, account_id: str) -> bool:
    return call.partner.currency != "USD" or _US_PHONE.fullmatch(account_id) is not None


def _is_repeat(call: Call, account_id: str) -> bool:
    load = call.state.loads.get(call.fields.text("loadBalanceRequestId"))
    return load is not None and load.account_id == account_id


def _answer(call: Call, load: Load) -> dict[str, object]:
    return _fields(call, load.load_balance_request_id, load.amount, load.currency)


def _fields(call: Call, request_id: str, amount: Decimal, currency: str) -> dict[str, object]:
    value = amount * 100 if call.state.settings.load_unit == "minor" and currency != "JPY" else amount
    money = {"currencyCode": currency, "value": value}
    return {"loadBalanceRequestId": request_id, "amount": money, "status": "SUCCESS"}
