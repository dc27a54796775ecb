"""The signature doctor: whatever a signature was refused for, one line says so."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given, strategies as st

from agcod_async import (
    AgcodSession,
    ClockSkewError,
    Credentials,
    CredentialsError,
    Diagnosis,
    Endpoint,
    RetryPolicy,
    ServiceError,
    SignatureError,
)
from agcod_async.clock import utc_now
from agcod_async.diagnosis import Computed, _signature, diagnose, diagnosis_of
from agcod_async.emulator import Emulator, Key, Partner
from agcod_async.signer import SigV4Signer, explain
from agcod_async.wire import HTTPRequest
from tests.support.leaks import SENSITIVE
from tests.support.optional import require
from tests.support.properties import examples
from tests.support.server import CLAIM_CODE
from tests.support.sessions import CREDENTIALS, SECRET_KEY, START
from tests.support.tampering import Passing, Tamper, proxy

ONCE = RetryPolicy(max_attempts=1)
KEY_ID = "AKIDEXAMPLEACME1"
PARTNER = Partner("Acme1", keys={KEY_ID: SECRET_KEY, "AKIDEXAMPLEOTHER": Key("other", "inactive")})


@asynccontextmanager
async def gateway(**options: Any) -> AsyncIterator[tuple[Emulator, int]]:
    """Yield an emulated gateway on a real socket, and its port."""
    require("uvicorn")
    emulator = Emulator([PARTNER], throttle=None, **options)
    async with emulator.serve(tls=False) as server:
        yield emulator, server.port


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[AgcodSession]:
    region = options.pop("region", "us-east-1")
    endpoint = options.pop("endpoint", None) or Endpoint.custom(url, region=region)
    credentials = options.pop("credentials", Credentials(KEY_ID, SECRET_KEY))
    async with AgcodSession("Acme1", credentials, endpoint, **{"retry": ONCE, **options}) as session:
        yield session


async def refused(session: AgcodSession) -> ServiceError:
    """Return the error of a call that is refused, checked for what no error may show."""
    with pytest.raises(ServiceError) as caught:
        await session.get_available_funds()
    error = caught.value
    shown = f"{error} {error!r} {vars(error)!r} {error.diagnosis!r}"
    assert error.diagnosis is not None
    assert SENSITIVE.search(shown) is None
    assert SECRET_KEY not in shown
    assert "\n" not in str(error)
    assert len(error.diagnosis.text) <= 400
    assert str(error).endswith(f"Diagnosis: {error.diagnosis}")
    assert pickle.loads(pickle.dumps(error)).diagnosis == error.diagnosis
    return error


def offline(error: ServiceError) -> Diagnosis:
    """Return what the doctor says to the support report alone."""
    return diagnose(error.support_report().json())


# The twelve faults, against a real server


async def test_a_wrong_secret_is_named():
    """The commonest of all: the gateway computed the very same texts, so only the key is left."""
    async with (
        gateway() as (_, port),
        opened(f"http://127.0.0.1:{port}", credentials=Credentials(KEY_ID, "not-it")) as session,
    ):
        error = await refused(session)
    assert type(error) is SignatureError
    assert error.diagnosis.cause == "secret"
    assert "everything agrees, so only the key is left" in str(error)
    assert offline(error) == error.diagnosis


async def test_a_wrong_region_is_named():
    """Host and region come together; with an endpoint of one's own they may not."""
    async with gateway() as (_, port), opened(f"http://127.0.0.1:{port}", region="eu-west-1") as session:
        error = await refused(session)
    assert (error.diagnosis.cause, error.diagnosis.ours, error.diagnosis.theirs) == (
        "region",
        "eu-west-1",
        "us-east-1",
    )
    assert "this gateway is signed for us-east-1, as na is" in error.diagnosis.text
    assert offline(error) == error.diagnosis


async def test_a_wrong_service_is_named():
    """Prose of the documents says lower case; the wire wants AGCODService."""
    async with gateway() as (_, port), opened(f"http://127.0.0.1:{port}") as session:
        session._signer = SigV4Signer("us-east-1", "agcodservice")
        error = await refused(session)
    assert (error.diagnosis.cause, error.diagnosis.ours, error.diagnosis.theirs) == (
        "service",
        "agcodservice",
        "AGCODService",
    )
    assert offline(error) == error.diagnosis


@pytest.mark.parametrize(("minutes", "side"), [(20, "ahead of"), (-20, "behind")])
async def test_a_wrong_clock_is_named_with_its_size(minutes, side):
    """Which way, and how far: whoever has to set a clock must know both."""
    off = timedelta(minutes=minutes)
    async with (
        gateway() as (_, port),
        opened(f"http://127.0.0.1:{port}", clock=lambda: utc_now() + off) as session,
    ):
        error = await refused(session)
    assert type(error) is ClockSkewError
    assert error.diagnosis.cause == "clock"
    # A second may pass between signing and answering.
    sizes = {f"this clock is {size} {side} the gateway's" for size in ("20 min", "20 min 1 s", "19 min 59 s")}
    assert any(size in error.diagnosis.text for size in sizes)
    told = offline(error)
    assert told.cause == "clock"
    assert side in told.text


def reindented(passing: Passing) -> Passing:
    return replace(passing, body=json.dumps(json.loads(passing.body), indent=1).encode())


TAMPERED: dict[str, tuple[Tamper, str, str]] = {
    "an altered body": (reindented, "body", "altered after signing"),
    "an emptied body": (lambda passing: replace(passing, body=b""), "body", "saw an empty one"),
    "an added header": (
        lambda passing: passing.with_added("accept", "*/*"),
        "added_header",
        "the header accept differs: signed application/json, the gateway saw application/json,*/*",
    ),
    "a changed header": (
        lambda passing: passing.with_header("content-type", "text/plain; charset=utf-8"),
        "header",
        "the header content-type differs: signed application/json, the gateway saw text/plain; charset",
    ),
    "a removed header": (
        lambda passing: passing.without("x-amz-target"),
        "missing_header",
        "the header x-amz-target differs",
    ),
    "a changed host": (
        lambda passing: passing.with_header("host", "gateway.internal"),
        "host",
        "the gateway saw gateway.internal",
    ),
    "a double-encoded path": (
        lambda passing: replace(passing, path="/GetAvailable%46unds"),
        "double_encoded_path",
        "signed /GetAvailableFunds, the gateway saw /GetAvailable%2546unds",
    ),
    "a rewritten path": (
        lambda passing: replace(passing, path="/api/GetAvailableFunds"),
        "path",
        "the gateway saw /api/GetAvailableFunds",
    ),
    "a query": (
        lambda passing: replace(passing, path="/GetAvailableFunds?tenant=7"),
        "query",
        "the gateway saw tenant=7",
    ),
    "a changed date": (
        lambda passing: passing.with_header("x-amz-date", "20260101T000000Z"),
        "date",
        "the gateway saw 20260101T000000Z",
    ),
    "no signature at all": (
        lambda passing: passing.without("authorization"),
        "missing_header",
        "the Authorization header did not arrive",
    ),
    "half a signature": (
        lambda passing: passing.with_header("authorization", "AWS4-HMAC-SHA256 Credential=AKID/a"),
        "header",
        "the Authorization header arrived damaged",
    ),
}


@pytest.mark.parametrize("wire_format", ["json", "xml"])
@pytest.mark.parametrize("name", TAMPERED)
async def test_what_a_proxy_did_is_named(name, wire_format):
    """Nobody suspects the company's proxy, and it logs nothing."""
    tamper, cause, says = TAMPERED[name]
    if wire_format == "xml":
        if name == "an altered body":
            tamper = lambda passing: replace(passing, body=passing.body + b"\n")  # noqa: E731
        says = says.replace("application/json", "application/xml")
    async with (
        gateway() as (_, port),
        proxy(port, tamper) as url,
        opened(url, wire_format=wire_format) as session,
    ):
        error = await refused(session)
    assert (error.diagnosis.cause, error.diagnosis.text) == (cause, error.diagnosis.text)
    assert says in error.diagnosis.text
    assert offline(error).cause == cause


async def test_a_sandbox_key_in_production_is_recognised():
    """The day of going live: the code works, the endpoint is changed, and the key is forgotten."""
    async with gateway() as (_, port):
        production = replace(Endpoint.NA, host=f"127.0.0.1:{port}", scheme="http")
        sandbox_key = Credentials("AKIDSANDBOXKEY01", "sandbox-secret")
        async with opened("", endpoint=production, credentials=sandbox_key) as session:
            error = await refused(session)
    assert type(error) is CredentialsError
    assert error.diagnosis.cause == "other_environment"
    assert "na (production) does not know the key AKID…EY01: most likely it is a key of na-sandbox" in str(
        error
    )


async def test_a_key_made_inactive_is_told_from_an_unknown_one():
    """It worked this morning: that is known here, though the gateway gives both the same answer."""
    async with gateway() as (emulator, port), opened(f"http://127.0.0.1:{port}") as session:
        await session.get_available_funds()
        emulator.state.add_partner(replace(PARTNER, keys={KEY_ID: Key(SECRET_KEY, "inactive")}))
        error = await refused(session)
    assert type(error) is CredentialsError
    assert error.diagnosis.cause == "inactive_key"
    assert "took the key AKID…CME1 before and does not any more" in error.diagnosis.text


@pytest.mark.parametrize("key_id", ["AKIDEXAMPLEACME2", "AKIDEXAMPLEOTHER"])
async def test_an_unknown_key_is_named(key_id):
    """Mistyped, or inactive from the start: nothing in the answer tells them apart, and the line says so."""
    async with (
        gateway() as (_, port),
        opened(f"http://127.0.0.1:{port}", credentials=Credentials(key_id, "other")) as session,
    ):
        error = await refused(session)
    assert type(error) is CredentialsError
    assert error.diagnosis.cause == "unknown_key"
    assert "mistyped, inactive or deleted, or of another environment" in error.diagnosis.text
    assert offline(error).cause == "unknown_key"


# One difference in a canonical request


def signed(**changes: Any) -> HTTPRequest:
    headers = {
        "accept": "application/json",
        "content-type": "application/json",
        "host": "agcod-v2-gamma.amazon.com",
        "x-amz-target": "com.amazonaws.agcod.AGCODService.CreateGiftCard",
    }
    request = HTTPRequest(
        origin="https://agcod-v2-gamma.amazon.com", path="/CreateGiftCard", headers=headers, body=b'{"a":1}'
    )
    signer = changes.pop("signer", SigV4Signer("us-east-1"))
    return signer.sign(request, CREDENTIALS, at=START)


STEPS = explain(signed())
OURS = Computed(canonical_request=STEPS.canonical_request, string_to_sign=STEPS.string_to_sign)
LINES = STEPS.canonical_request.split("\n")
SCOPE = STEPS.string_to_sign.split("\n")
words = st.text(
    st.characters(
        min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Zs"]
    ),
    min_size=1,
    max_size=30,
)
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)


def refusal(canonical: list[str], scope: list[str] | None = None) -> str:
    """Write the refusal of a gateway that computed these."""
    text = "\n".join(canonical)
    to_sign = [*(scope or SCOPE)[:3], hashlib.sha256(text.encode()).hexdigest()]
    quoted = "\n".join(to_sign)
    return (
        "The request signature we calculated does not match the signature you provided. Check your AWS "
        "Secret Access Key and signing method. Consult the service documentation for details.\n\n"
        f"The Canonical String for this request should have been\n'{text}'\n\n"
        f"The String-to-Sign should have been\n'{quoted}'\n"
    )


def with_line(index: int, line: str) -> list[str]:
    return [*LINES[:index], line, *LINES[index + 1 :]]


@examples(200)
@given(data=st.data())
def test_a_single_difference_is_the_one_that_is_named(data):
    """Whatever one thing differs, the doctor names that thing, with both sides of it."""
    part = data.draw(
        st.sampled_from(["method", "path", "query", "header", "new header", "gone header", "body"])
    )
    word = data.draw(words)
    if part == "method":
        assume(word != "POST")
        found, expected = with_line(0, word), ("method", None)
    elif part == "path":
        path = "/" + word
        assume(path != "/CreateGiftCard" and "%" not in path)
        found, expected = with_line(1, path), ("path", None)
    elif part == "query":
        found, expected = with_line(2, word), ("query", None)
    elif part == "header":
        index = data.draw(st.integers(3, 7))
        name, _, value = LINES[index].partition(":")
        assume(word != value and not word.startswith(f"{value},") and not word.endswith(f",{value}"))
        cause = {"host": "host", "x-amz-date": "date"}.get(name, "header")
        found, expected = with_line(index, f"{name}:{word}"), (cause, name)
    elif part == "new header":
        name = data.draw(names)
        assume(name not in STEPS.signed_headers.split(";"))
        found = [*LINES[:8], f"{name}:{word}", *LINES[8:-2], f"{STEPS.signed_headers};{name}", LINES[-1]]
        expected = ("added_header", name)
    elif part == "gone header":
        index = data.draw(st.integers(3, 7))
        name = LINES[index].partition(":")[0]
        found, expected = with_line(index, f"{name}:"), ("missing_header", name)
    else:
        digest = data.draw(st.text("0123456789abcdef", min_size=64, max_size=64))
        assume(digest != LINES[-1])
        found, expected = with_line(len(LINES) - 1, digest), ("body", None)
    for form in (str, lambda text: json.dumps({"Message": text})):
        diagnosis = _signature_of(form(refusal(found)))
        assert (diagnosis.cause, diagnosis.name) == expected, diagnosis
        assert "also:" not in diagnosis.text


def _signature_of(text: str) -> Diagnosis:
    """Diagnose as a session does: against what was signed."""
    error = SignatureError("mismatch", error_type="InvalidSignatureException")
    return diagnosis_of(error, text.encode(), STEPS, Endpoint.NA_SANDBOX, was_accepted=False)


@examples(60)
@given(path=st.lists(st.sampled_from("/CreateGiftCard"), unique=True, min_size=1), rounds=st.integers(1, 3))
def test_any_double_encoding_is_recognised(path, rounds):
    """It is the one change of a path that is nobody's intention."""
    encoded = "".join(f"%{ord(char):02X}" if char in path else char for char in "/CreateGiftCard")
    for _ in range(rounds):
        encoded = quote(encoded, safe="/")
    diagnosis = _signature_of(refusal(with_line(1, encoded)))
    assert diagnosis.cause == "double_encoded_path"


@examples(60)
@given(region=names, service=names)
def test_a_single_difference_in_the_scope_is_the_one_that_is_named(region, service):
    """The scope is the other half of what is signed."""
    day, _, _, end = SCOPE[2].split("/")
    other_region = [*SCOPE[:2], f"{day}/{region}/AGCODService/{end}", SCOPE[3]]
    other_service = [*SCOPE[:2], f"{day}/us-east-1/{service}/{end}", SCOPE[3]]
    assert _signature_of(refusal(LINES, other_region)).cause == "region"
    assert _signature_of(refusal(LINES, other_service)).cause == "service"


def test_two_differences_are_both_named():
    """The first leads, the others are not hidden."""
    lines = with_line(0, "GET")
    lines[-1] = "0" * 64
    diagnosis = _signature_of(refusal(lines))
    assert diagnosis.cause == "method"
    assert diagnosis.text.endswith("; also: body")


def test_a_changed_date_is_one_difference():
    """It stands in three places of the two texts."""
    other = "20260302T000000Z"
    lines = with_line(6, f"x-amz-date:{other}")
    scope = [SCOPE[0], other, SCOPE[2].replace("20260301", "20260302"), ""]
    diagnosis = _signature_of(refusal(lines, scope))
    assert (diagnosis.cause, diagnosis.name) == ("date", "x-amz-date")
    assert "also" not in diagnosis.text
    assert _signature_of(refusal(LINES, scope)).cause == "date"


def test_a_rewritten_list_of_signed_headers_is_named():
    """The headers are the same, and their order in Authorization is not."""
    lines = [*LINES[:-2], "host;accept;content-type;x-amz-date;x-amz-target", LINES[-1]]
    assert _signature_of(refusal(lines)).name == "authorization"


# Texts of every kind, offline

PASTED: dict[str, tuple[str, str]] = {
    "the emulator's own": (refusal(LINES), "unclear"),
    "a GET": (refusal(with_line(0, "GET")), "method"),
    "a health check's path": (refusal(with_line(1, "/sping/CreateGiftCard")), "path"),
    "an encoded path": (refusal(with_line(1, "/Create%2547iftCard")), "double_encoded_path"),
    "a query": (refusal(with_line(2, "a=b")), "query"),
    "two accepts": (refusal(with_line(3, "accept:application/json,*/*")), "added_header"),
    "a header that did not arrive": (refusal(with_line(7, "x-amz-target:")), "missing_header"),
    "an empty body": (
        refusal([*LINES[:-1], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]),
        "body",
    ),
    "a signed connection header": (
        refusal(
            [
                *LINES[:4],
                "connection:keep-alive",
                *LINES[4:-2],
                "accept;connection;content-type;host;x-amz-date;x-amz-target",
                LINES[-1],
            ]
        ),
        "added_header",
    ),
    "a forwarded header": (
        refusal([*LINES[:8], "x-forwarded-for:10.0.0.1", *LINES[8:-2], "x-forwarded-for", LINES[-1]]),
        "added_header",
    ),
    "the service in lower case": (
        refusal(LINES, [*SCOPE[:2], SCOPE[2].replace("AGCODService", "agcodservice"), ""]),
        "service",
    ),
    "another region than the host's": (
        refusal(LINES, [*SCOPE[:2], SCOPE[2].replace("us-east-1", "us-west-2"), ""]),
        "region",
    ),
    "another day than the date's": (
        refusal(LINES, [*SCOPE[:2], SCOPE[2].replace("20260301", "20260302"), ""]),
        "date",
    ),
    "only the string to sign": (
        "The String-to-Sign should have been\n'"
        + "\n".join(SCOPE).replace("us-east-1/AGCOD", "x/agcod")
        + "'",
        "service",
    ),
    "only the canonical request": (
        "The Canonical String for this request should have been '" + "\n".join(with_line(0, "PUT")) + "'",
        "method",
    ),
    "without its empty lines": (
        "The Canonical String for this request should have been\n'"
        + "\n".join(line for line in with_line(0, "GET") if line)
        + "'\n\nThe String-to-Sign should have been\n'"
        + "\n".join(SCOPE)
        + "'",
        "method",
    ),
    "with a quotation that cannot be read": (
        "The Canonical String for this request should have been\n'POST'",
        "unclear",
    ),
    "a part of JSON": (json.dumps({"message": refusal(with_line(0, "GET"))})[1:-1], "method"),
    "a part of XML": (
        "<Message>" + refusal(with_line(2, "a=1&b=2")).replace("&", "&amp;").replace("'", "&apos;"),
        "query",
    ),
    "XML": (
        f"<SignatureException><Message>{refusal(with_line(0, 'GET'))}</Message></SignatureException>",
        "method",
    ),
    "with Windows line ends": (refusal(with_line(0, "GET")).replace("\n", "\r\n"), "method"),
    "deeper inside": (
        json.dumps({"errors": [{"code": "x"}, {"message": refusal(with_line(0, "GET"))}]}),
        "method",
    ),
    "too deep inside": (json.dumps({"a": [[[[[[[[[[refusal(with_line(0, "GET"))]]]]]]]]]]}), "method"),
    "a mismatch without a quotation": ("The request signature we calculated does not match", "unclear"),
    "another region, in AWS's words": (
        "InvalidSignatureException: Credential should be scoped to a valid region, not 'eu-west-1'.",
        "region",
    ),
    "another service, in AWS's words": (
        "signature: Credential should be scoped to correct service",
        "service",
    ),
    "another day, in AWS's words": (
        "SignatureDoesNotMatch: Date in Credential scope does not match YYYYMMDD from ISO-8601 version",
        "date",
    ),
    "an incomplete signature": (
        "IncompleteSignatureException: Authorization header requires Signature",
        "header",
    ),
    "no Authorization": (
        '{"__type":"MissingAuthenticationTokenException","message":"Missing"}',
        "missing_header",
    ),
    "an unknown key": ('{"message":"The security token included in the request is invalid."}', "unknown_key"),
    "an inactive key": ('{"message":"The access key is inactive"}', "inactive_key"),
    "no access": ('{"__type":"AccessDeniedException","message":"no"}', "not_allowed"),
    "a late signature": (
        (
            "Signature expired: 20260301T120000Z is now earlier than 20260301T121500Z "
            "(20260301T123000Z - 15 min.)"
        ),
        "clock",
    ),
    "an early signature": (
        "Signature not yet current: 20260301T130000Z is still later than 20260301T121500Z",
        "clock",
    ),
    "a late signature without times": ("RequestExpired", "clock"),
    "a moment that never was": (
        "Signature expired: 20261399T996060Z is earlier than 20261399T996060Z",
        "clock",
    ),
    "a report without a refusal": ('{"exchange": {"canonical_request": 7}}', "unclear"),
    "nothing": ("", "unclear"),
}


@pytest.mark.parametrize("name", PASTED)
def test_a_pasted_refusal_is_explained(name):
    """A colleague's screenshot, a ticket, a log of another client: text is all there is."""
    text, cause = PASTED[name]
    diagnosis = diagnose(text)
    assert diagnosis.cause == cause, diagnosis
    assert "\n" not in diagnosis.text
    assert len(diagnosis.text) <= 400


def test_the_size_of_a_skew_is_read_from_the_text():
    """Proxies drop the Date header; AWS writes both times into the message."""
    assert "30 min behind" in diagnose(PASTED["a late signature"][0]).text
    assert "45 min ahead of" in diagnose(PASTED["an early signature"][0]).text
    assert "set this clock" in diagnose("RequestExpired").text


@pytest.mark.parametrize(
    ("seconds", "size"), [(86400 + 3600, "1 d 1 h"), (3600 * 24 * 400, "400 d"), (901, "15 min 1 s")]
)
def test_sizes_are_written_in_units_people_use(seconds, size):
    """81000 s are hard to see on a clock."""
    error = ClockSkewError("", signed_at=START, server_date=START + timedelta(seconds=seconds))
    text = diagnosis_of(error, b"", STEPS, Endpoint.NA, was_accepted=True).text
    assert f"this clock is {size} behind the gateway's" in text


def test_clocks_that_agree_are_not_blamed():
    """A request held back by a proxy for half an hour is refused for its time, and the clock is right."""
    error = ClockSkewError("", signed_at=START, server_date=START + timedelta(seconds=2))
    text = diagnosis_of(error, b"", STEPS, Endpoint.NA, was_accepted=True).text
    assert "the clocks agree" in text
    assert "held or repeated" in text


def test_texts_that_agree_but_not_in_their_hash_are_not_blamed_on_the_key():
    """Something was lost when the text was quoted."""
    text = refusal(LINES).replace(SCOPE[3], "0" * 64)
    assert _signature_of(text).cause == "unclear"


def test_an_answer_that_quotes_nothing_points_at_the_key_first():
    """Some gateways echo nothing; the next step is named all the same."""
    diagnosis = _signature_of('{"message":"The request signature we calculated does not match"}')
    assert diagnosis.cause == "unclear"
    assert "Check the secret key first" in diagnosis.text


# Hostile texts


def _timed(act: Callable[[], Diagnosis]) -> tuple[Diagnosis, float]:
    began = time.process_time()
    return act(), time.process_time() - began


garbage = st.one_of(
    st.text(),
    st.binary().map(lambda each: each.decode("latin-1")),
    st.lists(
        st.sampled_from(
            ["The Canonical String", "String-to-Sign", "'", "\n", "POST", "host:", ";", "/", "%25", "a" * 500,
             "{", "}", "<a>", "</a>", "&amp;", "\\n", "Signature=", "expired", CLAIM_CODE, ",",
             "20260301T120000Z"]
        ),
        max_size=60,
    ).map("".join),
)  # fmt: skip


@examples(300)
@given(garbage)
def test_garbage_is_survived(text):
    """The text is a stranger's: it raises nothing, shows no secret, and stays one bounded line."""
    for act in (lambda: diagnose(text), lambda: _signature_of(text)):
        diagnosis = act()
        shown = [diagnosis.text, diagnosis.name or "", diagnosis.ours or "", diagnosis.theirs or ""]
        assert all(each.isprintable() and len(each) <= 400 for each in shown)
        assert CLAIM_CODE not in repr(diagnosis)
        assert pickle.loads(pickle.dumps(diagnosis)) == diagnosis


BOMBS = {
    "apostrophes": "The Canonical String 'String-to-Sign '" + "'" * 10**6,
    "announcements": "canonical string string-to-sign " * 40_000,
    "lines": "The Canonical String\n'" + "\n" * 500_000 + "'\nThe String-to-Sign\n'a\nb\nc/d/e/f\ng'",
    "headers": refusal([*LINES[:3], *(f"x-{number}:y" for number in range(50_000)), *LINES[-3:]]),
    "a long path": refusal(with_line(1, "/" + "%25" * 60_000)),
    "a long header": refusal(with_line(3, "accept:" + "Signature = " * 20_000)),
    "hex": refusal(with_line(3, "accept:" + "ab" * 100_000)),
    "white space": refusal(with_line(3, "accept:Credential" + " " * 200_000)),
    "braces": "{" * 10**6,
    "nested": '{"a":' * 10**5 + "1" + "}" * 10**5,
    "elements": "<a>" * 10**5,
    "entities": "&amp;" * 10**5 + "canonical string 'a' string-to-sign 'b'",
    "times": "expired " + "20260301T120000Z " * 10**5,
    "digits": "expired " + "1" * 10**6,
    "escapes": "\\n" * 10**6,
    "zeros": "\0" * 10**6,
    "a report": json.dumps({"exchange": {"response_body": refusal(with_line(1, "/" + "%" * 10**5))}}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_no_text_takes_long(name):
    """A hostile answer must not stop the event loop: a hundred milliseconds is the limit for a megabyte."""
    for act in (lambda: diagnose(BOMBS[name]), lambda: _signature_of(BOMBS[name])):
        diagnosis, seconds = min((_timed(act) for _ in range(3)), key=lambda timed: timed[1])
        assert seconds < 0.1
        assert len(diagnosis.text) <= 400


def test_what_the_gateway_writes_is_cleaned():
    """Control characters steer terminals, and a hash in a log line is noise."""
    signature = signed().headers["authorization"].rpartition("=")[2]
    diagnosis = _signature_of(refusal(with_line(3, f"accept:\x1b[31m{CLAIM_CODE} {signature}")))
    assert diagnosis.theirs == f" [31m**** {signature[:8]}…"


def test_the_hidden_texts_are_those_of_the_signer():
    """The doctor compares the very texts that the signer hashed."""
    assert _signature(refusal(LINES), OURS).cause == "secret"
    assert datetime(2026, 3, 1, 12, tzinfo=UTC) == START
