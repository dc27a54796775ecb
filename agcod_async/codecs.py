"""Shapes to bytes and back: JSON and XML."""

from __future__ import annotations

import operator
from decimal import Decimal, InvalidOperation
from html import escape
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from xml.parsers import expat

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

MAX_DEPTH = 32
"""Levels of nesting; the service's own answers have five."""


class UnreadableBody(Exception):
    """The bytes are not a document of this format, or not one of this shape."""


class Codec(Protocol):
    """One wire format."""

    @property
    def content_type(self) -> str:
        """The value of content-type and accept."""
        ...

    def encode(self, name: str, shape: msgspec.Struct) -> bytes:
        """Return the body of the operation called *name*."""
        ...

    def decode(self, body: bytes, shape: type[T]) -> T:
        """Return *body* as a *shape*, amounts exact; raise UnreadableBody where it is none."""
        ...

    def parse(self, body: bytes) -> tuple[str, dict[str, Any]]:
        """Return the name of the document, if its format has one, and its content as plain values."""
        ...


class JSONCodec:
    """JSON, the service's ``application/json``."""

    content_type = "application/json"

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder(decimal_format="number").encode
        self._parse = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
        self._decoders = _Decoders()

    def encode(self, name: str, shape: msgspec.Struct) -> bytes:  # noqa: ARG002  (a JSON document has no name)
        """Return *shape* as a bare object."""
        return self._encode(shape)

    def decode(self, body: bytes, shape: type[T]) -> T:
        """Return *body* as a *shape*."""
        try:
            return self._decoders[shape](body)  # type: ignore[no-any-return]  # decodes to its key
        except _UNREADABLE as exc:
            raise UnreadableBody(_position(exc)) from None

    def parse(self, body: bytes) -> tuple[str, dict[str, Any]]:
        """Return ``""`` and the object."""
        try:
            return "", self._parse(body)
        except _UNREADABLE as exc:
            raise UnreadableBody(_position(exc)) from None


class XMLCodec:
    """
    XML, the service's ``application/xml``: no namespaces, no attributes, absent values have no element.

    Documents with a DTD (and so all entities), in another encoding than UTF-8, or with more than
    MAX_DEPTH levels are refused.
    """

    content_type = "application/xml"

    def encode(self, name: str, shape: msgspec.Struct) -> bytes:
        """Return *shape* under a root called ``<nameRequest>``."""
        root = f"{name}Request"
        return f"<{root}>{''.join(_elements(msgspec.to_builtins(shape)))}</{root}>".encode()

    def decode(self, body: bytes, shape: type[T]) -> T:
        """Return *body* as a *shape*, whatever its root is called."""
        _, tree = self.parse(body)
        try:
            return msgspec.convert(tree, shape, strict=False, dec_hook=_CONSTRUCT)
        except msgspec.ValidationError as exc:
            raise UnreadableBody(_position(exc)) from None

    def parse(self, body: bytes) -> tuple[str, dict[str, Any]]:
        """Return the root's name without its namespace prefix, and its children."""
        try:
            [(name, tree)] = _tree(body).items()
        except expat.ExpatError:
            raise UnreadableBody("not XML") from None
        tree = tree if isinstance(tree, dict) else {}
        if _RECORDS in tree:
            tree[_RECORDS] = _records(tree[_RECORDS])
        return name.rpartition(":")[2], tree


# How msgspec makes a ClaimCode of a str: in C, because it runs for every card.
_CONSTRUCT = cast("Callable[[type[Any], Any], Any]", operator.call)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation)


def codec_for(body: bytes) -> Codec:
    """Return the codec that *body* looks like: gateways do not always answer in the format asked for."""
    # White space and XML's byte order mark may come first.
    return XML if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" else JSON


class _Decoders(dict[type[Any], "Callable[[bytes], Any]"]):
    """A decoder for each shape, made when it is first asked for."""

    def __missing__(self, shape: type[Any]) -> Callable[[bytes], Any]:
        self[shape] = decode = msgspec.json.Decoder(shape, strict=False, dec_hook=_CONSTRUCT).decode
        return decode


def _position(exc: Exception) -> str:
    # msgspec names types and the path of a field; its text never quotes a value.
    return f"{type(exc).__name__}: {exc}" if isinstance(exc, msgspec.ValidationError) else type(exc).__name__


def _elements(tree: Mapping[str, object]) -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield f"<{name}>{''.join(_elements(value))}</{name}>"
        elif isinstance(value, bool):
            yield f"<{name}>{str(value).lower()}</{name}>"
        else:
            yield f"<{name}>{escape(str(value), quote=False)}</{name}>"


def _tree(body: bytes) -> dict[str, Any]:
    """Return a document as nested dicts; repeated elements become a list, empty ones None."""
    open_elements: list[dict[str, Any]] = [{}]
    text: list[str] = []

    def start(_name: str, _attributes: object) -> None:
        if len(open_elements) > MAX_DEPTH:
            raise UnreadableBody(f"XML nested deeper than {MAX_DEPTH} levels")
        open_elements.append({})
        text.clear()

    def end(name: str) -> None:
        node = open_elements.pop() or "".join(text).strip() or None
        siblings = open_elements[-1]
        if name not in siblings:
            siblings[name] = node
        elif isinstance(siblings[name], list):
            siblings[name].append(node)
        else:
            siblings[name] = [siblings[name], node]

    # The encoding is given, so that no declared one can hide a DTD; a byte order mark would still win.
    if b"\0" in body:
        raise UnreadableBody("XML with a NUL byte")
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_dtd
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.Parse(body, True)
    return open_elements[0]


def _refuse_dtd(*_: object) -> None:
    raise UnreadableBody("XML with a DTD")


_RECORD_FIELDS = frozenset({"activityStatus", "activityTime", "activityType", "gcId", "requestId"})

# The element whose children are records, whatever each child is called.
_RECORDS = "cardActivityList"


def _records(node: object) -> list[Any]:
    """Return the records that *node* encloses, or that it is where the enclosing element is repeated."""
    if isinstance(node, list):
        return [record for each in node for record in _records(each)]
    if isinstance(node, dict) and not _RECORD_FIELDS.isdisjoint(node):
        return [node]
    found: list[Any] = []
    for child in node.values() if isinstance(node, dict) else ():
        found.extend(child if isinstance(child, list) else [child])
    return found


JSON = JSONCodec()
XML = XMLCodec()
