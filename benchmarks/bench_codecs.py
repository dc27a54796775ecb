"""Reading answers: JSON against bare msgspec and pydantic, XML against bare expat and xmltodict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import msgspec

from agcod_async import model
from agcod_async.codecs import JSON, XML

from .answers import CREATE_JSON, CREATE_XML, activity_json
from .measure import Row, compare, main, micro, optional, skipped

if TYPE_CHECKING:
    from types import ModuleType

_BARE, _FLOOR = "bare msgspec", "bare expat"


class _Bare(msgspec.Struct, rename="camel"):
    """The same fields in msgspec's own types: no Money, no ClaimCode, no dates."""


class _Value(_Bare):
    amount: Decimal
    currency_code: str


class _Card(_Bare):
    card_number: str | None = None
    card_status: str | None = None
    expiration_date: str | None = None
    value: _Value | None = None


class _Create(_Bare):
    status: str | None = None
    creation_request_id: str | None = None
    card_info: _Card | None = None
    gc_claim_code: str | None = None
    gc_id: str | None = None
    gc_expiration_date: str | None = None


class _Activity(_Bare):
    activity_status: str | None = None
    activity_time: str | None = None
    activity_type: str | None = None
    card_number: str | None = None
    card_value: _Value | None = None
    failure_code: str | None = None
    gc_id: str | None = None
    is_real_op: str | None = None
    partner_id: str | None = None
    request_id: str | None = None


class _Page(_Bare):
    status: str | None = None
    card_activity_list: list[_Activity] | None = None
    page_index: int | None = None
    request_id: str | None = None
    total_number_of_transactions_in_requested_time_frame: int | None = None


def run() -> Iterator[Row]:
    page = activity_json()
    pydantic = optional("pydantic")
    yield from _json("decode JSON, one card", CREATE_JSON, model.CreateGiftCardResponse, _Create, pydantic)
    yield from _json("decode JSON, 1000 rows", page, model.GetGiftCardActivityPageResponse, _Page, pydantic)
    yield from _xml()


def _json(
    label: str, body: bytes, shape: type[model.Response], bare: type[_Bare], pydantic: ModuleType | None
) -> Iterator[Row]:
    decode = msgspec.json.Decoder(bare).decode
    candidates: dict[str, Callable[[], object]] = {
        "codec": lambda: JSON.decode(body, shape),
        _BARE: lambda: decode(body),
    }
    if pydantic:
        validate = _pydantic_model(pydantic, bare).model_validate_json
        candidates["pydantic"] = lambda: validate(body)
    timings = micro(candidates)
    yield compare(timings, label, "codec", _BARE, goal=1.5)
    if pydantic:
        yield compare(timings, label, "codec", "pydantic", goal=1 / 3)
    else:
        yield skipped(label, "pydantic")


def _pydantic_model(pydantic: ModuleType, shape: type[_Bare]) -> Any:
    """Return the pydantic model of the same fields."""
    from pydantic.alias_generators import to_camel

    made: dict[type, Any] = {}

    def convert(kind: type[_Bare]) -> Any:
        fields: dict[str, Any] = {}
        for each in msgspec.structs.fields(kind):
            default = ... if each.required else each.default
            fields[each.name] = (replaced(each.type), default)
        config = pydantic.ConfigDict(alias_generator=to_camel)
        return pydantic.create_model(kind.__name__, __config__=config, **fields)

    def replaced(kind: Any) -> Any:
        if kind == list[_Activity] | None:
            return list.__class_getitem__(made[_Activity]) | None
        for each, model_of_it in made.items():
            if kind == each | None:
                return model_of_it | None
        return kind

    for each in (_Value, _Card, _Activity):
        made[each] = convert(each)
    return convert(shape)


def _xml() -> Iterator[Row]:
    label = "decode XML, one card"
    candidates: dict[str, Callable[[], object]] = {
        "codec": lambda: XML.decode(CREATE_XML, model.CreateGiftCardResponse),
        _FLOOR: lambda: expat.ParserCreate().Parse(CREATE_XML, True),
    }
    xmltodict = optional("xmltodict")
    if xmltodict:
        candidates["xmltodict"] = lambda: xmltodict.parse(CREATE_XML)
    timings = micro(candidates)
    yield compare(timings, label, "codec", _FLOOR, goal=4.5)
    if xmltodict:
        yield compare(timings, label, "codec", "xmltodict")
    else:
        yield skipped(label, "xmltodict")


if __name__ == "__main__":
    main(run)
