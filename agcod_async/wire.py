"""Requests and responses as plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class HTTPRequest(Struct, frozen=True, kw_only=True):
    """A request ready to be signed or sent. Its repr shows neither headers nor body."""

    method: str = "POST"

    origin: str
    """Scheme and authority, for example ``https://agcod-v2.amazon.com``."""

    path: str
    """Absolute, with no query and no dot segments."""

    headers: Mapping[str, str]
    """Lower-case names; ``host`` is among them, because it is signed."""

    body: bytes

    def __repr__(self) -> str:
        return f"HTTPRequest({self.method} {self.origin}{self.path}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # A Struct's own shows every field, and rich's tracebacks with locals prefer it to the repr.
        return [("method", self.method), ("origin", self.origin), ("path", self.path)]


class HTTPResponse(Struct, frozen=True, kw_only=True):
    """A response read to its end. Its repr shows neither headers nor body."""

    status: int

    headers: Mapping[str, str]
    """Lower-case names."""

    body: bytes

    def __repr__(self) -> str:
        return f"HTTPResponse({self.status}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("status", self.status)]
