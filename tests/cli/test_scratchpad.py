"""`agcod sign`: every step of a signature, and nothing sent."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
from shutil import which

import pytest

from agcod_async.emulator import Request
from tests.test_signer import Vector

CREATE = (
    "sign", "CreateGiftCard", "--field", "creationRequestId=Acme1x1", "--field", "value.amount=25.00",
    "--field", "value.currencyCode=USD",
)  # fmt: skip
AT = ("--at", "20260301T120000Z")


def test_a_published_vector(offline):
    """The Scratchpad's own numbers, from its own body."""
    vector = Vector("create-gift-card-json")
    (offline.folder / "request.json").write_bytes(vector.request.body)
    cli = offline.with_environ(
        AGCOD_ENDPOINT="na-sandbox",
        AGCOD_PARTNER_ID="Amzn1",
        AGCOD_ACCESS_KEY_ID=vector.credentials.access_key_id,
        AGCOD_SECRET_ACCESS_KEY=vector.secret,
    )
    arguments = ("sign", "CreateGiftCard", "--json-body", "@request.json", "--at", "20240131T120000Z")
    shown = cli(*arguments, "--reveal").record
    assert shown["payload_hash"] == vector.hashes["payload_hash"]
    assert shown["canonical_request"] == vector.text("creq")
    assert shown["string_to_sign"] == vector.text("sts")
    assert shown["signature"] == vector.hashes["signature"]
    assert shown["headers"]["authorization"] == vector.text("authz")
    masked = cli(*arguments)
    assert vector.hashes["signature"] not in masked.out
    assert masked.record["signature"] == "****"
    assert masked.record["canonical_request"] == shown["canonical_request"]


@pytest.mark.parametrize("wire_format", ["json", "xml"])
def test_fields_become_the_body_that_a_session_sends(cli, emulator, wire_format):
    """Amounts are numbers, the partner id is filled in, and the gateway accepts it."""
    shown = cli.with_environ(AGCOD_WIRE_FORMAT=wire_format)(*CREATE, "--reveal").record
    words = shlex.split(shown["curl"])
    headers = dict(word.split(": ", 1) for word in words[6:-2:2]) | {
        "host": cli.environ["AGCOD_ENDPOINT"][8:]
    }
    body = words[-1].encode()
    answer = emulator.handle(Request(method="POST", path="/CreateGiftCard", headers=headers, body=body))
    assert answer.status == 200
    assert emulator.state.funds["Acme1"] == 9975
    assert hashlib.sha256(body).hexdigest() == shown["payload_hash"]


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
@pytest.mark.reveals("output", because="curl prints the gateway's answer")
def test_the_curl_line_works(cli, emulator):
    """What is shown can be run as it stands, over TLS."""
    line = cli(*CREATE, "--reveal").record["curl"]
    words = [*shlex.split(line), "--cacert", cli.environ["AGCOD_CA_FILE"], "--noproxy", "*"]
    done = subprocess.run(words, capture_output=True, timeout=30, check=True)
    assert json.loads(done.stdout)["status"] == "SUCCESS"
    assert emulator.state.funds["Acme1"] == 9975


def test_on_a_terminal(cli):
    """Texts of several lines stand under their names, and the signature is masked."""
    result = cli("sign", "get-available-funds", *AT, terminal=True)
    assert result.code == 0
    assert "canonical request:\n  POST\n  /GetAvailableFunds\n\n  accept:application/json\n" in result.out
    assert "string to sign:\n  AWS4-HMAC-SHA256\n  20260301T120000Z\n" in result.out
    assert "  authorization: AWS4-HMAC-SHA256 Credential=" in result.out
    assert "signature:\n  ****\n" in result.out
    assert "--reveal shows it" in result.err
    assert "masked" not in cli("sign", "GetAvailableFunds", "--reveal", terminal=True).err


def test_a_body_from_the_input(cli):
    """A pipe is the natural source; the bytes are signed as they are."""
    shown = cli("sign", "CreateGiftCard", "--json-body", "-", typed='{"a": 1}').out
    assert hashlib.sha256(b'{"a": 1}').hexdigest() in shown
    text = cli("sign", "CreateGiftCard", "--json-body", '{"a":1}').record
    assert text["payload_hash"] == hashlib.sha256(b'{"a":1}').hexdigest()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sign", "CreateGiftCart"), "there is no operation 'CreateGiftCart'"),
        (("sign", "Nonsense"), "there is no operation"),
        ((*CREATE, "--json-body", "{}"), "exclude each other"),
        ((*CREATE, "--field", "value.amuont=1"), "value.amuont: CreateGiftCard has no such field"),
        ((*CREATE, "--field", "colour=red"), "colour: CreateGiftCard has no such field"),
        ((*CREATE, "--field", "partnerId.x=1"), "partnerId has a value of its own"),
        ((*CREATE, "--field", "programId.x=1"), "--field: Expected `str | null`, got `object`"),
        ((*CREATE, "--field", "programId"), "is not NAME=VALUE"),
        ((*CREATE, "--field", "value..x=1"), "is not NAME=VALUE"),
        (("sign", "CreateGiftCard"), "--field: Object missing required field"),
        ((*CREATE, "--field", "creationRequestId=Other1"), "must begin with the partner id"),
        (
            ("sign", "CreateGiftCard", "--json-body", "@missing.json"),
            "--json-body @missing.json: No such file",
        ),
        (("sign", "GetAvailableFunds", "--at", "soon"), "--at 'soon' is no time"),
    ],
)
def test_what_cannot_be_signed_is_named(cli, arguments, says):
    """A misspelt field would otherwise be signed, sent and ignored."""
    result = cli(*arguments)
    assert result.code == 2
    assert says in result.error["message"]
    assert result.out == ""


def test_a_near_miss_is_suggested(cli):
    """Operation names are long."""
    assert cli("sign", "CreateGiftCart").error["fix"] == "did you mean 'CreateGiftCard'?"
    assert "CancelGiftCard" in cli("sign", "Nonsense").error["fix"]


def test_production_is_asked_for(offline):
    """A revealed curl line of production spends money."""
    cli = offline.with_environ(
        AGCOD_ENDPOINT="na",
        AGCOD_PARTNER_ID="Acme1",
        AGCOD_ACCESS_KEY_ID="AKIDEXAMPLE",
        AGCOD_SECRET_ACCESS_KEY="secret",
    )
    assert "is production" in cli("sign", "GetAvailableFunds").error["message"]
    assert cli("sign", "GetAvailableFunds", "--production").code == 0
