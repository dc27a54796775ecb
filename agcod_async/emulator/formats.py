"""JSON and XML as the gateway speaks them, parsed and written with the standard library alone."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Literal, cast
from xml.parsers import expat
from xml.sax.saxutils import escape

from .refusals import GatewayRefusal
from .settings import Settings

Format = Literal["json", "xml"]
MAX_DEPTH = 16
# What may be half of a pair by itself, which no text that is sent on can hold.
_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def request_format(headers: Mapping[str, str], settings: Settings) -> Format:
    """JSON only for exactly `application/json`; everything else is read as XML."""
    content_type = headers.get("content-type", "").strip().lower()
    if settings.json_charset == "accepted":
        content_type = content_type.partition(";")[0].rstrip()
    return "json" if content_type == "application/json" else "xml"


def answer_format(headers: Mapping[str, str]) -> Format:
    """What `accept` asks for, independently of the body: `*/*` means XML."""
    return "json" if "application/json" in headers.get("accept", "").lower() else "xml"


def parse(body: bytes, form: Format) -> dict[str, object]:
    """The fields of a request body. Raises GatewayRefusal for what is no object."""
    return _parse_json(body) if form == "json" else _parse_xml(body)


def _parse_json(body: bytes) -> dict[str, object]:
    try:
        value: object = _DECODER.decode(body.decode())
        if _LONE_SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except (ValueError, ArithmeticError, RecursionError):
        raise GatewayRefusal("SerializationException", "Unable to parse the request body.") from None
    if not isinstance(value, dict):
        text = f"class {_java_name(value)} is not an expected Json type"
        raise GatewayRefusal("SerializationException", text)
    return cast("dict[str, object]", value)


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


# Made once: json.loads makes one for each body.
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse_constant)


def _java_name(value: object) -> str:
    kinds = ((str, "java.lang.String"), (bool, "java.lang.Boolean"), (Decimal, "java.lang.Number"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "java.util.List")


def _parse_xml(body: bytes) -> dict[str, object]:
    reader = _XMLReader()
    try:
        reader.parser().Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):
        raise GatewayRefusal("SerializationException", "Unable to parse the request body.") from None
    root = reader.root
    return cast("dict[str, object]", root) if isinstance(root, dict) else {}


class _XMLReader:
    """Elements to a dictionary of dictionaries and texts; attributes and the root's name say nothing."""

    def __init__(self) -> None:
        self.root: object = None
        self._open: list[tuple[dict[str, object], list[str]]] = []

    def parser(self) -> expat.XMLParserType:
        """A parser that fills the reader; not kept, because the two would keep each other."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        return parser

    def _start(self, _name: str, _attributes: object) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise ValueError("too deep")
        self._open.append(({}, []))

    def _end(self, name: str) -> None:
        children, texts = self._open.pop()
        value: object = children or "".join(texts).strip()
        if self._open:
            self._open[-1][0][name] = value
        else:
            self.root = value

    def _text(self, text: str) -> None:
        self._open[-1][1].append(text)

    def _doctype(self, *_: object) -> None:
        # A document type can define entities that explode.
        raise ValueError("no document type is allowed")


def render(fields: Mapping[str, object], root: str, form: Format) -> bytes:
    """Write a body: JSON with sorted keys, explicit nulls and a final LF; XML without what is absent."""
    if form == "json":
        return (_json(fields) + "\n").encode()
    return f"<{root}>{_xml_children(fields)}</{root}>".encode()


def amount_text(amount: Decimal) -> str:
    """A plain number with at least one decimal, as recorded: 500.0, 25.5, 0.15."""
    text = format(amount.normalize(), "f")
    return text if "." in text else f"{text}.0"


def java_date(at: datetime) -> str:
    """The Java form of dates: `Tue Mar 04 22:59:59 UTC 2036`, in English whatever the locale."""
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[at.weekday()]
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[at.month - 1]
    return f"{day} {month} {at:%d %H:%M:%S} UTC {at.year}"


def _json(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, dict | Mapping):
        fields = cast("Mapping[str, object]", value)
        return "{" + ",".join([f'"{key}":{_json(fields[key])}' for key in sorted(fields)]) + "}"
    if isinstance(value, Decimal) or not isinstance(value, Sequence):
        return _scalar(value)
    return "[" + ",".join(map(_json, cast("Sequence[object]", value))) + "]"


def _scalar(value: object) -> str:
    return amount_text(value) if isinstance(value, Decimal) else str(value).lower()


def _xml_children(fields: Mapping[str, object]) -> str:
    return "".join(
        _xml(name, value) for name, value in fields.items() if value is not None and name != "__type"
    )


def _xml(name: str, value: object) -> str:
    if isinstance(value, str):
        content = escape(_NO_XML.sub("\ufffd", value), {"\r": "&#13;"})
    elif isinstance(value, Mapping):
        content = _xml_children(cast("Mapping[str, object]", value))
    elif isinstance(value, Sequence):
        content = "".join(_xml("member", item) for item in cast("Sequence[object]", value))
    else:
        content = _scalar(value)
    return f"<{name}>{content}</{name}>"
