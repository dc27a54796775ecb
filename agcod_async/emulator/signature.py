"""AWS Signature Version 4 from the verifying side, with any set of signed headers."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qsl, quote

from .refusals import GatewayRefusal
from .values import Request

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "AGCODService"
_BASIC = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details.\n\n"
    "The Canonical String for this request should have been\n'{}'\n\n"
    "The String-to-Sign should have been\n'{}'\n"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an Authorization header says about itself."""

    access_key_id: str
    scope: str
    signed_headers: str
    signature: str = field(repr=False)


def read_claim(header: str | None) -> Claim:
    """Parse the Authorization header; the commas may or may not be followed by a space."""
    if not header:
        raise GatewayRefusal("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    algorithm, _, rest = header.partition(" ")
    parts = {name: value for name, _, value in (part.strip().partition("=") for part in rest.split(","))}
    try:
        access_key_id, _, scope = parts["Credential"].partition("/")
        claim = Claim(access_key_id, scope, parts["SignedHeaders"], parts["Signature"])
    except KeyError as missing:
        text = f"Authorization header requires {missing} parameter."
        raise GatewayRefusal("IncompleteSignatureException", text, 403) from None
    if algorithm != ALGORITHM:
        raise GatewayRefusal("IncompleteSignatureException", "Unsupported signing algorithm.", 403)
    return claim


def read_date(headers: Mapping[str, str]) -> str:
    """The signing date as text: x-amz-date, or a `date` header in the same ISO basic form."""
    date = headers.get("x-amz-date") or headers.get("date") or ""
    if not _BASIC.fullmatch(date):
        text = "Date must be in ISO-8601 'basic format' in an x-amz-date or date header."
        raise GatewayRefusal("IncompleteSignatureException", text, 403)
    return date


def canonical_request(request: Request, signed_headers: str) -> str:
    """The canonical form of what arrived, over exactly the headers that the claim names."""
    headers = request.headers
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed_headers.split(";")]
    query = "" if not request.query else _canonical_query(request.query)
    digest = hashlib.sha256(request.body).hexdigest()
    # SigV4 encodes the path as sent once more; for the paths of this service that changes nothing.
    path = quote(request.path, safe="/-_.~")
    return "\n".join((request.method, path, query, *lines, "", signed_headers, digest))


def string_to_sign(canonical: str, date: str, scope: str) -> str:
    """The text that is signed."""
    return f"{ALGORITHM}\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def verify(request: Request, now: datetime, region: str, secrets: Mapping[str, str], skew: timedelta) -> str:
    """
    Return the access key id that signed the request.

    Raises:
        GatewayRefusal: Unknown key, another signature than the one computed here (the text shows what
            was computed), or a date too far from *now*.
    """
    claim = read_claim(request.headers.get("authorization"))
    secret = secrets.get(claim.access_key_id)
    if secret is None:
        text = "The security token included in the request is invalid."
        raise GatewayRefusal("UnrecognizedClientException", text, 403)
    date = read_date(request.headers)
    # The scope is the gateway's own: a claim for another day, region or service cannot match it.
    scope = f"{date[:8]}/{region}/{SERVICE}/aws4_request"
    canonical = canonical_request(request, claim.signed_headers)
    to_sign = string_to_sign(canonical, date, scope)
    signature = hmac.new(_signing_key(secret, date[:8], region), to_sign.encode(), "sha256").hexdigest()
    is_same = hmac.compare_digest(signature.encode(), claim.signature.encode())
    if not is_same or scope != claim.scope or "host" not in claim.signed_headers.split(";"):
        raise GatewayRefusal("InvalidSignatureException", _MISMATCH.format(canonical, to_sign), 403)
    _check_date(date, now, skew)
    return claim.access_key_id


def _check_date(date: str, now: datetime, skew: timedelta) -> None:
    try:
        at = datetime.fromisoformat(date)
    except ValueError:
        raise GatewayRefusal("IncompleteSignatureException", "Date does not exist.", 403) from None
    if abs(now - at) > skew:
        text = f"Request expired: {date} is more than {skew} away from {now:%Y%m%dT%H%M%SZ}."
        raise GatewayRefusal("RequestExpired", text, 403)


def _canonical_query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    return "&".join(
        sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
    )


@lru_cache(maxsize=256)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
