"""AWS Signature Version 4, pure: the time is an argument, and nothing is sent."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from msgspec.structs import replace

from .errors import ConfigurationError
from .secret import Secret
from .signing import SigningSteps

if TYPE_CHECKING:
    from .credentials import Credentials
    from .wire import HTTPRequest

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "AGCODService"
"""The service's name in scope and key: this case exactly, whatever its documents say in prose."""

_sha256 = hashlib.sha256
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class _Moment(NamedTuple):
    """A second, as signatures write it."""

    second: int | None
    stamp: str
    scope: str
    preamble: str


class SigV4Signer:
    """
    Signs requests for one region.

    Signed are ``accept``, ``content-type``, ``host``, the date and ``x-amz-target``, as in the service's
    own sample; other headers may be added on the way without harm. Other sets can be given.

    Args:
        region: the region in the credential scope, for example ``us-east-1``.
        service: the service in the credential scope.
        date_header:
            ``x-amz-date``, or ``date``, which the service also takes when it is written in the same ISO
            basic form.
        signed_headers: the headers to sign besides the date; a request must have all of them.
    """

    def __init__(
        self,
        region: str,
        service: str = SERVICE,
        *,
        date_header: Literal["x-amz-date", "date"] = "x-amz-date",
        signed_headers: tuple[str, ...] = ("accept", "content-type", "host", "x-amz-target"),
    ) -> None:
        if "host" not in signed_headers or len(signed_headers) < 2:
            raise ConfigurationError("signed_headers: host and at least one more header are signed")
        self._scope_tail = f"{region}/{service}/aws4_request"
        self._date_header = date_header
        self._names = sorted(signed_headers)
        self._signed_headers = ";".join(sorted((*signed_headers, date_header)))
        self._values = itemgetter(*self._names)
        self._moment = _Moment(None, "", "", "")
        # A request differs from the one before it in date and body only, a key is good for a day.
        self._frame = lru_cache(maxsize=64)(self._make_frame)
        self._pads = lru_cache(maxsize=8)(self._make_pads)

    def sign(self, request: HTTPRequest, credentials: Credentials, *, at: datetime) -> HTTPRequest:
        """Return a copy of *request* that carries its date and its signature, good for 15 minutes."""
        _, stamp, scope, preamble = self._moment_of(at)
        digest = _sha256(self._canonical(request, stamp).encode()).hexdigest()
        inner, outer = self._pads(credentials.secret_access_key.reveal(), stamp[:8])
        inner, outer = inner.copy(), outer.copy()
        inner.update(f"{preamble}{digest}".encode())
        outer.update(inner.digest())
        authorization = (
            f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
            f"SignedHeaders={self._signed_headers}, Signature={outer.hexdigest()}"
        )
        headers = {**request.headers, self._date_header: stamp, "authorization": authorization}
        return replace(request, headers=headers)

    def canonical_request(self, request: HTTPRequest, *, at: datetime) -> str:
        """Return what is hashed: the service prints the same text when it refuses a signature."""
        return self._canonical(request, self._moment_of(at).stamp)

    def string_to_sign(self, canonical_request: str, *, at: datetime) -> str:
        """Return what the derived key signs."""
        return self._moment_of(at).preamble + _sha256(canonical_request.encode()).hexdigest()

    def credential_scope(self, at: datetime) -> str:
        """Return day, region, service and terminator, for example ``20240131/us-east-1/…``."""
        return self._moment_of(at).scope

    def _moment_of(self, at: datetime) -> _Moment:
        if at.tzinfo is None:
            raise ConfigurationError("clock: a signature needs a datetime with a time zone")
        second = int(at.timestamp())
        # Written once a second, and whole, so that threads may share a signer.
        moment = self._moment
        if moment[0] != second:
            stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
            scope = f"{stamp[:8]}/{self._scope_tail}"
            moment = self._moment = _Moment(second, stamp, scope, f"{ALGORITHM}\n{stamp}\n{scope}\n")
        return moment

    def _canonical(self, request: HTTPRequest, stamp: str) -> str:
        before, after = self._frame(request.method, request.path, self._values(request.headers))
        return f"{before}{stamp}{after}{_sha256(request.body).hexdigest()}"

    def _make_frame(self, method: str, path: str, values: tuple[str, ...]) -> tuple[str, str]:
        """Return what stands in a canonical request before the date and between date and payload hash."""
        before, after = [method, quote(path, safe="/~"), ""], [""]
        for name, value in zip(self._names, values, strict=True):
            lines = before if name < self._date_header else after
            lines.append(f"{name}:{' '.join(value.split())}")
        before.append(f"{self._date_header}:")
        return "\n".join(before), "\n".join([*after, "", self._signed_headers, ""])

    def _make_pads(self, secret: str, day: str) -> tuple[Any, Any]:
        """Return HMAC's two hash states for the derived key: all that a signature needs of it."""
        key = f"AWS4{secret}".encode()
        for part in (day, *self._scope_tail.split("/")):
            key = hmac.digest(key, part.encode(), "sha256")
        block = key.ljust(_sha256().block_size, b"\0")
        return _sha256(block.translate(_INNER_PAD)), _sha256(block.translate(_OUTER_PAD))


def explain(signed: HTTPRequest) -> SigningSteps:
    """
    Return every step behind the signature that *signed* carries, found by the signer that made it.

    Raises:
        ConfigurationError: the request carries no signature of this kind.
    """
    try:
        _, credential, names, signature = signed.headers["authorization"].split(" ")
        # From the right: a key id may contain what separates.
        access_key_id, *parts = credential.removeprefix("Credential=").removesuffix(",").rsplit("/", 4)
        _, region, service, _ = parts
        signed_headers = names.removeprefix("SignedHeaders=").removesuffix(",")
        headers = signed_headers.split(";")
        date_header: Literal["x-amz-date", "date"] = "x-amz-date" if "x-amz-date" in headers else "date"
        others = tuple(name for name in headers if name != date_header)
        signer = SigV4Signer(region, service, date_header=date_header, signed_headers=others)
        at = datetime.strptime(signed.headers[date_header], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        canonical = signer.canonical_request(signed, at=at)
    except (KeyError, ValueError):
        raise ConfigurationError("request: it carries no signature to explain") from None
    return SigningSteps(
        request=signed,
        payload_hash=canonical.rpartition("\n")[2],
        canonical_request=canonical,
        credential_scope="/".join(parts),
        string_to_sign=signer.string_to_sign(canonical, at=at),
        signed_headers=signed_headers,
        access_key_id=access_key_id,
        signature=Secret(signature.removeprefix("Signature=")),
    )
