"""Whatever arrives, an answer comes back, and the gateway is none the worse for it."""

import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from agcod_async.emulator import Clock, Emulator, Request
from agcod_async.emulator.values import OPERATION_NAMES

from . import foreign
from .conftest import NOON

HEADER = st.text(st.characters(codec="latin-1"), max_size=60)
ODD_TEXTS = ["", "Acme1", "Acme1a", "F2003", "USD", "JPY", "\x00", "\ud800", "<a>&amp;", "٣" * 19, "1" * 50]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(ODD_TEXTS), st.text(max_size=3)
)
GOOD = {
    **foreign.create_fields("Acme1a"),
    **foreign.card_fields("Acme1a"),
    **foreign.load_fields("Acme1a"),
    **foreign.page_fields(
        programId="", externalReference="", gcId="", showNoOps=False, pageIndex=0, pageSize=9
    ),
}
NAMES = st.sampled_from(sorted({*GOOD, *GOOD["value"], *GOOD["amount"], *GOOD["account"]}))
VALUES = st.recursive(SCALARS, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=5)
# Mostly right, because what is wrong at the first look never meets the second.
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3).map(lambda odd: GOOD | odd)


def _emulator():
    clock = Clock()
    clock.freeze(NOON)
    return Emulator(clock=clock, throttle=None)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["POST", "GET", "PUT", "é"]),
    st.sampled_from([f"/{name}" for name in OPERATION_NAMES]) | HEADER,
    HEADER,
    st.dictionaries(
        st.sampled_from(["authorization", "x-amz-date", "date", "host", "accept", "content-type"]), HEADER
    ),
    st.binary(max_size=60),
)
def test_any_request_gets_an_answer(method, path, query, headers, body):
    """Unsigned noise in every place of a request: refused, and nothing is kept of it."""
    emulator = _emulator()
    request = Request(method=method, path=path, query=query, headers=headers, body=body)
    answer = emulator.deliver(request).answer
    assert answer.status in (403, 404) or path == "/sping"
    assert not emulator.state.activity


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(OPERATION_NAMES),
    OBJECTS | SCALARS | st.lists(SCALARS),
    st.sampled_from([foreign.JSON, foreign.XML]),
)
def test_any_signed_json_gets_a_readable_answer(operation, fields, accept):
    """Wrong types, absurd numbers, half characters and control codes, by somebody with a key."""
    emulator = _emulator()
    answer = emulator.handle(foreign.request(emulator, operation, json.dumps(fields).encode(), accept=accept))
    assert answer.status in {200, 400}
    if accept == foreign.JSON:
        assert isinstance(json.loads(answer.body), dict)
    else:
        foreign.parse_xml(answer.body)
    emulator.state.restore(emulator.state.snapshot())
    assert emulator.state.funds["Acme1"] + emulator.state.spent("Acme1") == 10_000


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(OPERATION_NAMES),
    st.binary(max_size=200),
    st.sampled_from([foreign.JSON, foreign.XML, ""]),
)
def test_any_signed_bytes_are_refused(operation, body, content_type):
    """What is no request is a 400, in whatever format it was meant to be."""
    emulator = _emulator()
    request = foreign.request(emulator, operation, body, content_type=content_type)
    assert emulator.handle(request).status == 400


@pytest.mark.parametrize("accept", [foreign.JSON, foreign.XML])
def test_control_characters_come_back_readable(emulator, accept):
    """An id with a bell in it is odd, but an answer that nobody can parse would be a lie."""
    request_id = "Acme1\x07\r"
    request = foreign.request(emulator, "CreateGiftCard", foreign.create_fields(request_id), accept=accept)
    answer = emulator.handle(request)
    if accept == foreign.JSON:
        assert json.loads(answer.body)["creationRequestId"] == request_id
    else:
        assert foreign.parse_xml(answer.body).findtext("creationRequestId") == "Acme1\ufffd\r"


@pytest.mark.parametrize(
    ("escaped", "status"), [('"\\ud83d\\ude00"', 200), ('"\\ud83d"', 400), ('"\\uDE00\\uD83D"', 400)]
)
def test_half_characters_are_refused(emulator, escaped, status):
    """A pair of surrogates is a character; half of one is nothing that could be written back."""
    fields = foreign.create_fields("Acme1a") | {"externalReference": "REFERENCE"}
    body = json.dumps(fields).replace('"REFERENCE"', escaped).encode()
    assert emulator.handle(foreign.request(emulator, "CreateGiftCard", body)).status == status


def test_a_compressed_body_is_not_inflated(emulator):
    """A gzip bomb is just bytes that are no JSON."""
    bomb = gzip.compress(bytes(10_000_000))
    request = foreign.request(emulator, "CreateGiftCard", bomb)
    request = replace(request, headers={**request.headers, "content-encoding": "gzip"})
    assert emulator.handle(request).status == 400
