"""Requests signed by somebody else's code, for asking the emulator what it thinks of them."""

import json
from collections.abc import Mapping
from datetime import datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from agcod_async.emulator import Emulator, Request

JSON = "application/json"
XML = "application/xml"


def signed_headers(
    emulator: Emulator,
    url: str,
    operation: str,
    body: bytes,
    *,
    accept: str = JSON,
    content_type: str = JSON,
    at: datetime | None = None,
    key: tuple[str, str] | None = None,
    region: str = "us-east-1",
) -> dict[str, str]:
    """The headers of a request, signed by botocore at the emulator's time."""
    headers = {
        "accept": accept,
        "content-type": content_type,
        "x-amz-target": f"com.amazonaws.agcod.AGCODService.{operation}",
    }
    request = AWSRequest("POST", f"{url}/{operation}", headers=headers, data=body)
    request.context["timestamp"] = (at or emulator.clock()).strftime("%Y%m%dT%H%M%SZ")
    access_key_id, secret = key or (emulator.partner.access_key_id, emulator.partner.secret_access_key)
    signer = _Signer(Credentials(access_key_id, secret), "AGCODService", region)
    signer.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


class _Signer(SigV4Auth):
    """botocore's signer at a given time instead of the machine's."""

    def add_auth(self, request: AWSRequest) -> None:
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        self._inject_signature_to_request(
            request, self.signature(self.string_to_sign(request, canonical), request)
        )

    def _set_necessary_date_headers(self, request: AWSRequest) -> None:
        request.headers["X-Amz-Date"] = request.context["timestamp"]


def request(
    emulator: Emulator, operation: str, fields: Mapping[str, object] | bytes, **options: object
) -> Request:
    """A signed request as it arrives at the gateway."""
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    host = "agcod-v2-gamma.amazon.com"
    headers = {"host": host, **signed_headers(emulator, f"https://{host}", operation, body, **options)}
    return Request(method="POST", path=f"/{operation}", headers=headers, body=body)


def ask(
    emulator: Emulator, operation: str, fields: Mapping[str, object] | bytes, **options: object
) -> tuple[int, dict[str, object]]:
    """The status and the JSON fields of the answer to a signed request."""
    answer = emulator.handle(request(emulator, operation, fields, **options))
    return answer.status, json.loads(answer.body)


def create_fields(request_id: str, amount: object = 25.5, currency: str = "USD") -> dict[str, object]:
    """The fields of a CreateGiftCard request of the default partner."""
    return {
        "creationRequestId": request_id,
        "partnerId": "Acme1",
        "value": {"currencyCode": currency, "amount": amount},
    }
