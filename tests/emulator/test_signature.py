"""The verifying side of SigV4."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agcod_async.emulator import Emulator, Key, Partner, Request, signature
from agcod_async.emulator.refusals import GatewayRefusal

from . import foreign

SKEW = timedelta(minutes=15)


def _flip(text: str, index: int) -> str:
    """Another byte at one place: the next of its own kind, so that the form stays valid."""
    old = text[index]
    alphabets = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    new = next((each[each.index(old) - 1] for each in alphabets if old in each), "x")
    return text[:index] + new + text[index + 1 :]


def _refusal(emulator, request):
    with pytest.raises(GatewayRefusal) as caught:
        signature.verify(request, emulator.clock(), "us-east-1", emulator.state.secrets, SKEW)
    return caught.value


def _message(emulator, request):
    answer = emulator.handle(request)
    assert answer.status == 403
    return json.loads(answer.body)


def _with_header(request, name, value):
    return replace(request, headers={**request.headers, name: value})


def _with_claim(request, old, new):
    claim = request.headers["authorization"]
    assert old in claim
    return _with_header(request, "authorization", claim.replace(old, new))


def _tampered(request):
    """Every request that differs from a signed one by one byte, in every place that is signed."""
    yield "method", replace(request, method="PUT")
    for index in range(1, len(request.path)):
        yield f"path[{index}]", replace(request, path=_flip(request.path, index))
    for name in ("accept", "content-type", "host", "x-amz-target"):
        for index in range(len(request.headers[name])):
            yield f"{name}[{index}]", _with_header(request, name, _flip(request.headers[name], index))
    for index, char in enumerate(request.headers["x-amz-date"]):
        if char.isdigit():
            changed = _flip(request.headers["x-amz-date"], index)
            yield f"date[{index}]", _with_header(request, "x-amz-date", changed)
    for index in range(len(request.body)):
        body = request.body[:index] + bytes([request.body[index] ^ 1]) + request.body[index + 1 :]
        yield f"body[{index}]", replace(request, body=body)
    scope = request.headers["authorization"].partition("/")[2].partition(",")[0]
    for index in range(len(scope)):
        yield f"scope[{index}]", _with_claim(request, scope, _flip(scope, index))
    signed = request.headers["authorization"].rpartition("=")[2]
    for index in range(len(signed)):
        yield f"signature[{index}]", _with_claim(request, signed, _flip(signed, index))


def test_one_wrong_byte_anywhere_is_refused_with_what_was_computed(emulator):
    """
    Method, path, headers, body, date, region, service and signature are all covered, and the refusal
    names the canonical request and the string to sign that the gateway made of what it received.
    """
    request = foreign.request(emulator, "CreateGiftCard", foreign.create_fields("Acme1x"))
    places = 0
    for place, changed in _tampered(request):
        assert emulator.handle(changed).status == 403, place
        refused = _refusal(emulator, changed)
        assert refused.name == "InvalidSignatureException", place
        claim = signature.read_claim(changed.headers["authorization"])
        canonical = signature.canonical_request(changed, claim.signed_headers)
        assert f"The Canonical String for this request should have been\n'{canonical}'" in refused.message
        assert "The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n" in refused.message
        places += 1
    assert places > 300
    assert emulator.handle(request).status == 200


@pytest.mark.parametrize("index", range(len("example-secret-key/DO+NOT+USE")))
def test_a_secret_that_is_off_by_one_byte_is_refused(emulator, index):
    """The secret never travels, so only the signature can tell."""
    partner = emulator.partner
    key = (partner.access_key_id, _flip(partner.secret_access_key, index))
    request = foreign.request(emulator, "GetAvailableFunds", {"partnerId": "Acme1"}, key=key)
    assert _message(emulator, request)["__type"] == "InvalidSignatureException"


def test_an_unknown_key_id_is_named_as_the_service_names_it(emulator):
    """A wrong key id has an answer of its own, without any canonical request."""
    for index in range(len("AKIDEXAMPLE")):
        key = (_flip("AKIDEXAMPLE", index), emulator.partner.secret_access_key)
        request = foreign.request(emulator, "GetAvailableFunds", {"partnerId": "Acme1"}, key=key)
        assert _message(emulator, request)["message"] == (
            "The security token included in the request is invalid."
        )


@pytest.mark.parametrize("minutes", [-15, 15])
def test_the_skew_window_is_fifteen_minutes_to_either_side(emulator, clock, minutes):
    """The border is inside; a second further is RequestExpired."""
    edge = clock() + timedelta(minutes=minutes)
    request = foreign.request(emulator, "GetAvailableFunds", {"partnerId": "Acme1"}, at=edge)
    assert emulator.handle(request).status == 200
    beyond = edge + timedelta(seconds=1 if minutes > 0 else -1)
    request = foreign.request(emulator, "GetAvailableFunds", {"partnerId": "Acme1"}, at=beyond)
    assert _message(emulator, request)["__type"] == "RequestExpired"


# Published by the makers of a Node client, and by Amazon's Scratchpad: nobody here made them.
NODE = Request(
    method="POST",
    path="/CreateGiftCard",
    headers={
        "accept": "application/json",
        "content-type": "application/json",
        "content-length": "94",
        "host": foreign.HOST,
        "x-amz-date": "20170918T133138Z",
        "x-amz-target": "com.amazonaws.agcod.AGCODService.CreateGiftCard",
        "authorization": "AWS4-HMAC-SHA256 "
        "Credential=fake-aws-key/20170918/us-east-1/AGCODService/aws4_request, "
        "SignedHeaders=accept;content-length;content-type;host;x-amz-date;x-amz-target, "
        "Signature=e9d5479b216d39a2dd949f5971383c871ab420a6c6b3380f98e9851a8349e260",
    },
    body=b'{"creationRequestId":"Test001","partnerId":"Test","value":{"amount":123,"currencyCode":"USD"}}',
)
SCRATCHPAD = Request(
    method="POST",
    path="/CreateGiftCard",
    headers={
        "accept": "application/json",
        "host": "agcod-v2-fe-gamma.amazon.com",
        "x-amz-date": "20160708T073147Z",
        "x-amz-target": "com.amazonaws.agcod.AGCODService.CreateGiftCard",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKID/20160708/us-west-2/AGCODService/aws4_request, "
        "SignedHeaders=accept;host;x-amz-date;x-amz-target, "
        "Signature=a47dd06c1bcff61e8c96fee2c87c4230a4dd5f7d4ffb5b958897027a3acae54b",
    },
    body=b'{"creationRequestId":"","partnerId":"Amazon","value":{"currencyCode":"USD","amount":null}}',
)


@pytest.mark.parametrize(
    ("request_", "region", "secrets", "key"),
    [
        (NODE, "us-east-1", {"fake-aws-key": "fake-secret-key"}, "fake-aws-key"),
        (SCRATCHPAD, "us-west-2", {"AKID": "SECRET"}, "AKID"),
    ],
    ids=["node", "scratchpad"],
)
def test_published_vectors_are_accepted(request_, region, secrets, key):
    """Two signatures that others published, over two other sets of headers."""
    now = datetime.strptime(request_.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert signature.verify(request_, now, region, secrets, SKEW) == key
    with pytest.raises(GatewayRefusal):
        signature.verify(replace(request_, body=b"{}"), now, region, secrets, SKEW)


def _signed(emulator, headers, signed_names, body=b'{"partnerId":"Acme1"}', query=""):
    """A request signed by the textbook over any names: the signature is what the gateway would compute."""
    unsigned = Request(method="POST", path="/GetAvailableFunds", query=query, headers=headers, body=body)
    date = signature.read_date(headers)
    scope = f"{date[:8]}/us-east-1/AGCODService/aws4_request"
    to_sign = signature.string_to_sign(signature.canonical_request(unsigned, signed_names), date, scope)
    key = signature._signing_key(emulator.partner.secret_access_key, date[:8], "us-east-1")
    signed = signature.hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    claim = f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope},SignedHeaders={signed_names},Signature={signed}"
    return replace(unsigned, headers={**headers, "authorization": claim})


BASE = {"host": foreign.HOST, "x-amz-date": "20260302T120000Z", "content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        (BASE, "content-type;host;x-amz-date"),
        ({**BASE, "date": "Mon, 02 Mar 2026 12:00:00 GMT"}, "content-type;date;host;x-amz-date"),
        ({"host": foreign.HOST, "date": "20260302T120000Z"}, "date;host"),
        (
            {**BASE, "x-amz-target": "com.amazonaws.agcod.AGCODService./GetAvailableFunds"},
            "host;x-amz-target",
        ),
        ({**BASE, "accept": "  application/json   ,  */* "}, "accept;host;x-amz-date"),
    ],
    ids=["no target", "two dates", "date header", "malformed target", "folded spaces"],
)
def test_any_set_of_signed_headers_will_do(emulator, headers, names):
    """The service checks what SignedHeaders names and no more; clients in the wild use all of these."""
    assert emulator.handle(_signed(emulator, headers, names)).status != 403


def test_a_query_is_part_of_what_is_signed(emulator):
    """In sorted and encoded form, as SigV4 has it."""
    request = _signed(emulator, BASE, "host;x-amz-date", query="b=2&a=1%2F3&c")
    assert "\na=1%2F3&b=2&c=\n" in signature.canonical_request(request, "host")
    assert emulator.handle(request).status == 200
    assert emulator.handle(replace(request, query="b=2&a=1")).status == 403


def test_the_host_must_be_signed(emulator):
    """A signature that does not cover the host could be replayed elsewhere."""
    assert emulator.handle(_signed(emulator, BASE, "content-type;x-amz-date")).status == 403


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"authorization": ""}, "MissingAuthenticationTokenException"),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/x"}, "IncompleteSignatureException"),
        ({"authorization": "Basic Credential=AKIDEXAMPLE/x, SignedHeaders=host, Signature=0"},
         "IncompleteSignatureException"),
        ({"x-amz-date": "", "date": "Mon, 02 Mar 2026 12:00:00 GMT"}, "IncompleteSignatureException"),
        ({"x-amz-date": "20260302T120000"}, "IncompleteSignatureException"),
    ],
)  # fmt: skip
def test_what_is_no_signature_is_named(emulator, change, name):
    """Every malformed claim has a name, and none of them an accident."""
    request = foreign.request(emulator, "GetAvailableFunds", {"partnerId": "Acme1"})
    changed = replace(request, headers={**request.headers, **change})
    assert _message(emulator, changed)["__type"] == name


def test_a_date_that_does_not_exist_is_refused(emulator):
    """A well-signed 31st of February."""
    request = _signed(emulator, {**BASE, "x-amz-date": "20260231T120000Z"}, "host;x-amz-date")
    assert _refusal(emulator, request).name == "IncompleteSignatureException"


def test_several_partners_with_several_keys(clock):
    """Active keys work, inactive and deleted ones are unknown, and each leads to its own account."""
    one = Partner("Acme1", keys={"K1": "s1", "K2": Key("s2"), "K3": Key("s3", "inactive")})
    two = Partner("Amzn1", keys={"K4": Key("s4", "deleted"), "K5": "s5"}, currency="EUR")
    emulator = Emulator([one, two], clock=clock)
    asked = {name: {"partnerId": "Acme1"} for name in ("K1", "K2", "K3")}
    asked |= {name: {"partnerId": "Amzn1"} for name in ("K4", "K5")}
    seen = {}
    for index, (name, fields) in enumerate(asked.items()):
        clock.shift(timedelta(seconds=1))
        key = (name, f"s{index + 1}")
        seen[name] = emulator.handle(foreign.request(emulator, "GetAvailableFunds", fields, key=key)).status
    assert seen == {"K1": 200, "K2": 200, "K3": 403, "K4": 403, "K5": 200}
    assert two.access_key_id == "K5"
    assert foreign.refused(
        emulator, "GetAvailableFunds", {"partnerId": "Amzn1"}, key=("K2", "s2")
    ) == "UnknownCustomer"  # fmt: skip


def test_a_partner_without_an_active_key_says_so():
    """Rather than failing somewhere inside."""
    partner = Partner("Acme1", keys={"K": Key("s", "inactive")})
    with pytest.raises(ValueError, match="Acme1 has no active key"):
        _ = partner.secret_access_key


def test_no_secret_is_in_a_repr(emulator):
    """Reprs end up in tracebacks, and tracebacks in other people's logs."""
    secret = emulator.partner.secret_access_key
    claim = signature.read_claim("AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host, Signature=5ec2e7")
    request = foreign.request(emulator, "CreateGiftCard", foreign.create_fields("Acme1x"))
    emulator.handle(request)
    shown = repr((emulator.partner, emulator.state, claim, Key(secret), request))
    assert secret not in shown
    assert "5ec2e7" not in shown
    assert not re.search(r"Signature=", shown)
