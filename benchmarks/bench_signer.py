"""
The signer against the hashing that no signer can save, botocore and awscrt.

Whoever takes the time as an argument gets it as one: reading a clock is no part of signing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO

from agcod_async import Credentials
from agcod_async.signer import SERVICE, SigV4Signer
from agcod_async.wire import HTTPRequest

from .measure import Row, compare, main, micro, optional, skipped

_KEY_ID, _SECRET, _REGION = "AKIDEXAMPLE", "example-secret-key/DO+NOT+USE", "us-east-1"
_HOST = "agcod-v2-gamma.amazon.com"
_BODY = b'{"creationRequestId":"Acme1X1","partnerId":"Acme1","value":{"amount":25.00,"currencyCode":"USD"}}'
_HEADERS = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "host": _HOST,
    "user-agent": "benchmark",
    "x-amz-target": "com.amazonaws.agcod.AGCODService.CreateGiftCard",
}
_FLOOR = "hashing floor"
_NOW = datetime.now(UTC)
_REQUEST = HTTPRequest(origin=f"https://{_HOST}", path="/CreateGiftCard", headers=_HEADERS, body=_BODY)


def run() -> Iterator[Row]:
    candidates = {"signer": _ours(), _FLOOR: _floor()}
    goals = {"botocore": 1 / 12, "awscrt": 1 / 5}
    for package, make in (("botocore", _botocore), ("awscrt", _awscrt)):
        if optional(package):
            candidates[package] = make()
        else:
            yield skipped("sign", package)
    timings = micro(candidates)
    yield compare(timings, "sign", "signer", _FLOOR, goal=2.0)
    for package in [name for name in goals if name in candidates]:
        yield compare(timings, "sign", "signer", package, goal=goals[package])


def _ours() -> Callable[[], object]:
    signer, credentials = SigV4Signer(_REGION), Credentials(_KEY_ID, _SECRET)
    return lambda: signer.sign(_REQUEST, credentials, at=_NOW)


def _floor() -> Callable[[], object]:
    """Return two SHA-256 and an HMAC from two saved pad states, over the real texts."""
    signer = SigV4Signer(_REGION)
    canonical = signer.canonical_request(_REQUEST, at=_NOW)
    string_to_sign = signer.string_to_sign(canonical, at=_NOW).encode()
    canonical_bytes = canonical.encode()
    sha256 = hashlib.sha256
    inner_pad, outer_pad = sha256(b"6" * 64), sha256(b"\\" * 64)

    def floor() -> str:
        sha256(_BODY).hexdigest()
        sha256(canonical_bytes).hexdigest()
        inner, outer = inner_pad.copy(), outer_pad.copy()
        inner.update(string_to_sign)
        outer.update(inner.digest())
        return outer.hexdigest()

    return floor


def _botocore() -> Callable[[], object]:
    request_type = optional("botocore.awsrequest").AWSRequest
    credentials = optional("botocore.credentials").Credentials(_KEY_ID, _SECRET)
    auth = optional("botocore.auth").SigV4Auth(credentials, SERVICE, _REGION)

    def sign() -> None:
        url = f"https://{_HOST}/CreateGiftCard"
        auth.add_auth(request_type("POST", url, headers=dict(_HEADERS), data=_BODY))

    return sign


def _awscrt() -> Callable[[], object]:
    auth, http = optional("awscrt.auth"), optional("awscrt.http")
    provider = auth.AwsCredentialsProvider.new_static(_KEY_ID, _SECRET)

    def sign() -> object:
        request = http.HttpRequest(
            "POST", "/CreateGiftCard", http.HttpHeaders(_HEADERS.items()), BytesIO(_BODY)
        )
        config = auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
            credentials_provider=provider,
            region=_REGION,
            service=SERVICE,
            date=_NOW,
        )
        return auth.aws_sign_request(request, config).result()

    return sign


if __name__ == "__main__":
    main(run)
