from __future__ import annotations

import pytest

from agcod_async.wire import HTTPRequest, HTTPResponse
from tests.support.optional import require

REQUEST = HTTPRequest(
    origin="https://agcod-v2.amazon.com",
    path="/CreateGiftCard",
    headers={"authorization": "AWS4-HMAC-SHA256 Credential=AKID, Signature=canary"},
    body=b'{"partnerId":"canary"}',
)
RESPONSE = HTTPResponse(status=200, headers={"x": "canary"}, body=b'{"gcClaimCode":"canary"}')


def test_a_request_shows_neither_headers_nor_body():
    """Reprs end up in tracebacks, and tracebacks in other people's logs."""
    assert repr(REQUEST) == "HTTPRequest(POST https://agcod-v2.amazon.com/CreateGiftCard, 22 bytes)"


def test_a_response_shows_neither_headers_nor_body():
    """The body of an answer holds a claim code."""
    assert repr(RESPONSE) == "HTTPResponse(200, 24 bytes)"
    assert "canary" not in f"{RESPONSE} {REQUEST} {[RESPONSE, REQUEST]}"


@pytest.mark.parametrize("value", [REQUEST, RESPONSE])
def test_rich_shows_no_more(value):
    """Its tracebacks with locals do not take the repr of a struct: they ask for each field."""
    pretty = require("rich.pretty")
    assert "canary" not in pretty.pretty_repr({"local": value})


@pytest.mark.parametrize("value", [REQUEST, RESPONSE])
def test_exchanges_are_values(value):
    """What was signed is what is sent: nobody changes it in between."""
    with pytest.raises(AttributeError):
        value.body = b"other"
