from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pickle
import shlex
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, strategies as st

from agcod_async import ConfigurationError, Credentials
from agcod_async.signer import SERVICE, SigV4Signer, explain
from agcod_async.wire import HTTPRequest
from tests.support.properties import examples

VECTORS = Path(__file__).parent / "vectors" / "sigv4"
CREDENTIALS = Credentials("AKIDEXAMPLE", "example-secret-key/DO+NOT+USE")
AT = datetime(2024, 1, 31, 12, tzinfo=UTC)


def request(**changes) -> HTTPRequest:
    fields = {
        "origin": "https://agcod-v2-gamma.amazon.com",
        "path": "/GetAvailableFunds",
        "headers": {
            "accept": "application/json",
            "content-type": "application/json",
            "host": "agcod-v2-gamma.amazon.com",
            "x-amz-target": "com.amazonaws.agcod.AGCODService.GetAvailableFunds",
        },
        "body": b'{"partnerId":"Amzn1"}',
    }
    return HTTPRequest(**fields | changes)


class Vector:
    """One case from its files."""

    def __init__(self, name: str) -> None:
        self._stem = VECTORS / name / name
        given = json.loads(self.text("req.json"))
        self.hashes = {
            key: given.get(key) for key in ("payload_hash", "canonical_hash", "derived_key", "signature")
        }
        self.at = datetime.strptime(given["at"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        self.region, self.secret = given["region"], given["secret_access_key"]
        self.credentials = Credentials(given["access_key_id"], self.secret)
        self.signer = SigV4Signer(self.region, signed_headers=tuple(given["signed_headers"]))
        self.request = HTTPRequest(
            origin=given["origin"],
            path=given["path"],
            headers=given["headers"],
            body=self._stem.with_name(f"{name}.body").read_bytes(),
        )

    def text(self, suffix: str) -> str:
        return self._stem.with_name(f"{self._stem.name}.{suffix}").read_bytes().decode()


def derived_key(secret: str, *parts: str) -> bytes:
    """Derive the key as the documents of Signature Version 4 write it down."""
    key = f"AWS4{secret}".encode()
    for part in parts:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def signature_of(signed: HTTPRequest) -> str:
    return signed.headers["authorization"].rpartition("Signature=")[2]


@pytest.fixture(params=sorted(path.name for path in VECTORS.iterdir()))
def vector(request):
    return Vector(request.param)


def test_vector_payload_hash(vector):
    """Stage one: the bytes that are sent are the bytes that were hashed."""
    assert hashlib.sha256(vector.request.body).hexdigest() == vector.hashes["payload_hash"]


def test_vector_canonical_request(vector):
    """Stage two: the text that the service compares when it refuses a signature."""
    canonical = vector.signer.canonical_request(vector.request, at=vector.at)
    assert canonical == vector.text("creq")
    assert hashlib.sha256(canonical.encode()).hexdigest() == vector.hashes["canonical_hash"]


def test_vector_string_to_sign(vector):
    """Stage three: algorithm, time, scope and hash."""
    assert vector.signer.string_to_sign(vector.text("creq"), at=vector.at) == vector.text("sts")


def test_vector_derived_key(vector):
    """Stage four: the key of day, region and service, as the signature shows it."""
    key = derived_key(vector.secret, f"{vector.at:%Y%m%d}", vector.region, SERVICE, "aws4_request")
    if vector.hashes["derived_key"] is not None:
        assert key.hex() == vector.hashes["derived_key"]
    assert (
        hmac.new(key, vector.text("sts").encode(), hashlib.sha256).hexdigest() == vector.hashes["signature"]
    )


def test_vector_authorization(vector):
    """Stage five: the header as it is sent, beside the date that it signs, on the same bytes."""
    signed = vector.signer.sign(vector.request, vector.credentials, at=vector.at)
    assert signature_of(signed) == vector.hashes["signature"]
    assert signed.headers["authorization"] == vector.text("authz")
    assert signed.headers["x-amz-date"] == f"{vector.at:%Y%m%dT%H%M%SZ}"
    assert signed.body == vector.request.body


def test_the_services_own_example_from_its_printed_hash_on():
    """Its printed canonical request does not hash as printed, but scope, text and last step are ours."""
    at = datetime(2013, 9, 10, 22, 26, 20, tzinfo=UTC)
    head, _, _ = SigV4Signer("us-east-1").string_to_sign("", at=at).rpartition("\n")
    text = f"{head}\n447277eb7144a2280508b8bf047706381beb832306a5b28ee0bb69a00b9bde0d"
    key = bytes.fromhex("48428b0d3bd97f08fbefc9d675975d7d914788ee3bc509ae27decf874f16921b")
    assert (
        hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        == "66872de215ae457cd978a49be377caf7cd3b5ab2914785339c2b8242e3631a71"
    )


# What the service's requests can be made of, and somewhat beyond it.
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
values = st.text(
    st.one_of(st.characters(min_codepoint=32, max_codepoint=126), st.sampled_from(" \té注")), max_size=40
)
hosts = st.tuples(
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True),
    st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format)),
).map("".join)
segments = st.text(
    st.characters(
        min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="/?#\x7f", exclude_categories=["Cs"]
    ),
    min_size=1,
    max_size=12,
).filter(lambda segment: segment not in (".", ".."))
paths = st.lists(segments, min_size=1, max_size=3).map(lambda each: "/" + "/".join(each))
NEW_YEARS = [
    datetime(year, 1, 1, tzinfo=UTC) + off
    for year in (2000, 2025, 2100)
    for off in (timedelta(0), timedelta(seconds=-1))
]
LEAP_DAYS = [datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)]
moments = st.one_of(
    st.sampled_from([*NEW_YEARS, *LEAP_DAYS]),
    st.integers(0, 253_402_127_999_999_999).map(
        lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    ),
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@st.composite
def requests(draw):
    host = draw(hosts)
    return HTTPRequest(
        method=draw(st.sampled_from(["POST", "GET"])),
        origin=f"https://{host}",
        path=draw(paths),
        headers={
            "accept": draw(values),
            "content-type": draw(values),
            "host": host,
            "x-amz-target": draw(values),
        },
        body=draw(st.binary(max_size=80)),
    )


class Botocore:
    """The same request, signed stage by stage by botocore at a given time."""

    def __init__(
        self, request: HTTPRequest, credentials: Credentials, region: str, service: str, stamp: str
    ) -> None:
        self._request = AWSRequest(
            request.method,
            request.origin + request.path,
            headers={**request.headers, "x-amz-date": stamp},
            data=request.body,
        )
        self._request.context["timestamp"] = stamp
        secret = credentials.secret_access_key.reveal()
        auth = SigV4Auth(BotocoreCredentials(credentials.access_key_id, secret), service, region)
        self.canonical_request = auth.canonical_request(self._request)
        self.string_to_sign = auth.string_to_sign(self._request, self.canonical_request)
        auth._inject_signature_to_request(self._request, auth.signature(self.string_to_sign, self._request))
        self.authorization = self._request.headers["Authorization"]


@examples(400)
@given(requests(), keys, keys, names, st.one_of(st.just(SERVICE), names), moments, zones)
def test_botocore_agrees(request, key_id, secret, region, service, moment, zone):
    """The reference implementation finds the same text and the same signature for any request of ours."""
    credentials = Credentials(key_id, secret)
    at = moment.astimezone(zone)
    stamp = f"{moment.year:04}{moment:%m%dT%H%M%SZ}"
    signer = SigV4Signer(region, service)
    theirs = Botocore(request, credentials, region, service, stamp)
    canonical = signer.canonical_request(request, at=at)
    assert canonical == theirs.canonical_request
    assert signer.string_to_sign(canonical, at=at) == theirs.string_to_sign
    signed = signer.sign(request, credentials, at=at)
    assert signed.headers["authorization"] == theirs.authorization
    assert signed.headers["x-amz-date"] == stamp


@examples(30)
@given(
    st.lists(st.tuples(requests(), st.sampled_from(["one", "two"]), st.sampled_from(NEW_YEARS)), max_size=12)
)
def test_one_signer_serves_many_requests(calls):
    """What is remembered between requests (frames, keys, the second) never reaches a wrong one."""
    shared = SigV4Signer("eu-west-1")
    for each, secret, at in calls:
        credentials = Credentials("AKIDEXAMPLE", secret)
        assert shared.sign(each, credentials, at=at) == SigV4Signer("eu-west-1").sign(
            each, credentials, at=at
        )


def test_the_date_header_is_signed_in_its_place():
    """The service takes ``date`` too, in the same form; then x-amz-date is left out."""
    signer = SigV4Signer("us-east-1", date_header="date")
    canonical = "\n".join(
        [
            "POST",
            "/GetAvailableFunds",
            "",
            "accept:application/json",
            "content-type:application/json",
            "date:20240131T120000Z",
            "host:agcod-v2-gamma.amazon.com",
            "x-amz-target:com.amazonaws.agcod.AGCODService.GetAvailableFunds",
            "",
            "accept;content-type;date;host;x-amz-target",
            hashlib.sha256(b'{"partnerId":"Amzn1"}').hexdigest(),
        ]
    )
    assert signer.canonical_request(request(), at=AT) == canonical
    key = derived_key("example-secret-key/DO+NOT+USE", "20240131", "us-east-1", SERVICE, "aws4_request")
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            "20240131T120000Z",
            "20240131/us-east-1/AGCODService/aws4_request",
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    signed = signer.sign(request(), CREDENTIALS, at=AT)
    assert signed.headers["date"] == "20240131T120000Z"
    assert "x-amz-date" not in signed.headers
    assert signed.headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20240131/us-east-1/AGCODService/aws4_request, "
        f"SignedHeaders=accept;content-type;date;host;x-amz-target, Signature={signature}"
    )


def test_signing_changes_nothing_but_two_headers():
    """Every attempt signs the same request anew, so the request itself must stay as it is."""
    unsigned = request(headers={**request().headers, "user-agent": "agent", "accept-encoding": "identity"})
    before = dict(unsigned.headers)
    signed = SigV4Signer("us-east-1").sign(unsigned, CREDENTIALS, at=AT)
    assert unsigned.headers == before
    assert {name: value for name, value in signed.headers.items() if name not in before}.keys() == {
        "authorization",
        "x-amz-date",
    }
    assert signed.body is unsigned.body
    assert (signed.method, signed.origin, signed.path) == (unsigned.method, unsigned.origin, unsigned.path)


def test_unsigned_headers_may_change_on_the_way():
    """What HTTP libraries add breaks no signature: only five headers are signed."""
    signer = SigV4Signer("us-east-1")
    other = request(headers={**request().headers, "user-agent": "agent", "content-length": "21"})
    assert signature_of(signer.sign(other, CREDENTIALS, at=AT)) == signature_of(
        signer.sign(request(), CREDENTIALS, at=AT)
    )


@pytest.mark.parametrize("name", ["accept", "content-type", "host", "x-amz-target"])
def test_each_signed_header_counts(name):
    """A proxy that rewrites one of them is found out."""
    signer = SigV4Signer("us-east-1")
    other = request(headers={**request().headers, name: "other"})
    assert signature_of(signer.sign(other, CREDENTIALS, at=AT)) != signature_of(
        signer.sign(request(), CREDENTIALS, at=AT)
    )


def test_each_second_and_each_day_has_its_own_signature():
    """A signature lives 15 minutes, a key one day: neither is used beyond."""
    signer = SigV4Signer("us-east-1")
    moments = [AT, AT + timedelta(seconds=1), AT + timedelta(days=1), AT]
    first, *others, again = [signature_of(signer.sign(request(), CREDENTIALS, at=at)) for at in moments]
    assert len({first, *others}) == 3
    assert again == first
    assert signer.credential_scope(AT) == "20240131/us-east-1/AGCODService/aws4_request"
    assert signer.credential_scope(AT + timedelta(days=1)).startswith("20240201/")


def test_a_rotated_secret_is_used_at_once():
    """Derived keys are remembered per secret."""
    signer = SigV4Signer("us-east-1")
    rotated = Credentials("AKIDEXAMPLE", "another-secret")
    assert signature_of(signer.sign(request(), CREDENTIALS, at=AT)) != signature_of(
        signer.sign(request(), rotated, at=AT)
    )


def test_a_naive_time_is_refused():
    """It would sign for another hour on every machine."""
    signer = SigV4Signer("us-east-1")
    for use in (
        lambda at: signer.sign(request(), CREDENTIALS, at=at),
        lambda at: signer.canonical_request(request(), at=at),
        lambda at: signer.string_to_sign("", at=at),
        signer.credential_scope,
    ):
        with pytest.raises(ConfigurationError, match="clock: a signature needs a datetime with a time zone"):
            use(AT.replace(tzinfo=None))


@pytest.mark.parametrize("signed_headers", [(), ("host",), ("accept", "x-amz-target")])
def test_the_host_is_always_signed(signed_headers):
    """Signature Version 4 demands it: a signature must not open another host's door."""
    with pytest.raises(
        ConfigurationError, match="signed_headers: host and at least one more header are signed"
    ):
        SigV4Signer("us-east-1", signed_headers=signed_headers)


def test_host_and_one_more_are_enough():
    """The fewest that can be signed, beside the date."""
    signer = SigV4Signer("us-east-1", signed_headers=("accept", "host"))
    assert (
        "SignedHeaders=accept;host;x-amz-date,"
        in signer.sign(request(), CREDENTIALS, at=AT).headers["authorization"]
    )


def test_the_order_of_signed_headers_does_not_matter():
    """The canonical form sorts them."""
    signer = SigV4Signer("us-east-1", signed_headers=("x-amz-target", "host", "content-type", "accept"))
    assert signer.sign(request(), CREDENTIALS, at=AT) == SigV4Signer("us-east-1").sign(
        request(), CREDENTIALS, at=AT
    )


# Explained


@examples(150)
@given(
    requests(),
    keys,
    keys,
    names,
    names,
    moments,
    st.sampled_from(["x-amz-date", "date"]),
    st.sampled_from([("accept", "content-type", "host", "x-amz-target"), ("accept", "host")]),
)
def test_an_explanation_is_of_the_very_signature(
    request, key_id, secret, region, service, moment, date_header, signed_headers
):
    """Every step leads to the signature that was sent: there is no second signer that could disagree."""
    credentials = Credentials(key_id, secret)
    signer = SigV4Signer(region, service, date_header=date_header, signed_headers=signed_headers)
    at = moment.replace(microsecond=0)
    signed = signer.sign(request, credentials, at=moment)
    steps = explain(signed)
    assert steps.request is signed
    assert steps.payload_hash == hashlib.sha256(request.body).hexdigest()
    assert steps.canonical_request == signer.canonical_request(request, at=at)
    assert steps.credential_scope == signer.credential_scope(at)
    assert steps.access_key_id == key_id
    assert steps.signed_headers == ";".join(sorted((*signed_headers, date_header)))
    hashed = hashlib.sha256(steps.canonical_request.encode()).hexdigest()
    assert steps.string_to_sign.split("\n")[3] == hashed
    key = derived_key(secret, f"{at:%Y%m%d}", region, service, "aws4_request")
    signature = hmac.new(key, steps.string_to_sign.encode(), hashlib.sha256).hexdigest()
    assert steps.signature.reveal() == signature
    assert steps.authorization(reveal=True) == signed.headers["authorization"]


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic dXNlcjpwYXNz", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c"],
)
def test_only_a_signed_request_can_be_explained(authorization):
    """What was not signed here has no steps to show."""
    headers = {**request().headers, "x-amz-date": "20240131T120000Z"}
    unsigned = request(
        headers=headers if authorization is None else {**headers, "authorization": authorization}
    )
    with pytest.raises(ConfigurationError, match="request: it carries no signature to explain"):
        explain(unsigned)


def test_the_steps_are_masked_unless_asked():
    """They are looked at on shared screens, and pasted into tickets."""
    steps = explain(SigV4Signer("us-east-1").sign(request(), CREDENTIALS, at=AT))
    signature = steps.signature.reveal()
    masked, revealed = steps.as_dict(), steps.as_dict(reveal=True)
    assert list(masked) == [
        "payload_hash",
        "canonical_request",
        "credential_scope",
        "string_to_sign",
        "signed_headers",
        "signature",
        "headers",
        "curl",
    ]
    assert signature not in f"{masked} {steps!r} {steps}"
    assert f"{revealed}".count(signature) == 3
    assert masked["signature"] == "****"
    assert masked["headers"]["authorization"].endswith("Signature=****")
    assert {name for name in masked if masked[name] != revealed[name]} == {"signature", "headers", "curl"}
    with pytest.raises(TypeError, match="refuses pickling"):
        pickle.dumps(steps)


@pytest.mark.parametrize(
    "body", [b'{"partnerId":"Acme1","it\'s":"$HOME `x`"}', "{'注文':\n1}".encode(), b"@file", b""]
)
def test_the_curl_line_sends_the_same_request(body):
    """Pasted into a shell, it must not lose a byte: the signature is over all of them."""
    signed = SigV4Signer("us-east-1").sign(request(body=body), CREDENTIALS, at=AT)
    words = shlex.split(explain(signed).curl(reveal=True))
    sent = words[-1].encode()
    if words[0] == "echo":
        assert words[2:6] == ["|", "base64", "-d", "|"]
        assert sent == b"@-"
        sent, words = base64.b64decode(words[1]), words[6:]
    assert sent == body
    assert words[:5] == ["curl", "-sS", "-X", "POST", signed.origin + signed.path]
    headers = dict(word.split(": ", 1) for word in words[6:-2:2])
    assert headers | {"host": "agcod-v2-gamma.amazon.com"} == dict(signed.headers)
