"""Requests signed by somebody else's code, for asking the emulator what it thinks of them."""

import json
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from agcod_async.emulator import Emulator, Request

JSON = "application/json"
XML = "application/xml"
HOST = "agcod-v2-gamma.amazon.com"


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
    region: str | None = None,
) -> dict[str, str]:
    """The headers of a request, signed by botocore at the emulator's time."""
    headers = {
        "accept": accept,
        "content-type": content_type,
        "host": url.partition("://")[2],
        "x-amz-target": f"com.amazonaws.agcod.AGCODService.{operation}",
    }
    request = AWSRequest("POST", f"{url}/{operation}", headers=headers, data=body)
    request.context["timestamp"] = (at or emulator.clock()).strftime("%Y%m%dT%H%M%SZ")
    access_key_id, secret = key or (emulator.partner.access_key_id, emulator.partner.secret_access_key)
    signer = _Signer(Credentials(access_key_id, secret), "AGCODService", region or emulator.state.region)
    signer.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


class _Signer(SigV4Auth):
    """botocore's signer at a given time instead of the machine's."""

    def add_auth(self, request: AWSRequest) -> None:
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        signature = self.signature(self.string_to_sign(request, canonical), request)
        self._inject_signature_to_request(request, signature)

    def _set_necessary_date_headers(self, request: AWSRequest) -> None:
        request.headers["X-Amz-Date"] = request.context["timestamp"]


def request(emulator: Emulator, operation: str, fields: object, **options: Any) -> Request:
    """A signed request as it arrives at the gateway."""
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    headers = signed_headers(emulator, f"https://{HOST}", operation, body, **options)
    return Request(method="POST", path=f"/{operation}", headers=headers, body=body)


def ask(emulator: Emulator, operation: str, fields: object, **options: Any) -> tuple[int, dict[str, Any]]:
    """The status and the JSON fields of the answer to a signed request."""
    answer = emulator.handle(request(emulator, operation, fields, **options))
    return answer.status, json.loads(answer.body)


def refused(emulator: Emulator, operation: str, fields: object, **options: Any) -> str:
    """The errorType of a request that must be refused with a coded error."""
    status, answer = ask(emulator, operation, fields, **options)
    assert status == 400
    assert answer["agcodResponse"]["status"] == "FAILURE"
    return answer["errorType"]


def create_fields(
    request_id: str, amount: object = 25.5, currency: str = "USD", **more: object
) -> dict[str, Any]:
    """The fields of a CreateGiftCard request of the default partner."""
    value = {"currencyCode": currency, "amount": amount}
    return {"creationRequestId": request_id, "partnerId": "Acme1", "value": value, **more}


def cancel_fields(request_id: str, **more: object) -> dict[str, Any]:
    """The fields of a CancelGiftCard request."""
    return {"creationRequestId": request_id, "partnerId": "Acme1", **more}


def card_fields(request_id: str, number: str = "1400000000000000123", amount: object = 50) -> dict[str, Any]:
    """The fields of the three requests about physical cards."""
    return {
        "activationRequestId": request_id,
        "statusCheckRequestId": request_id,
        "partnerId": "Acme1",
        "cardNumber": number,
        "value": {"currencyCode": "USD", "amount": amount},
    }


def load_fields(
    request_id: str, amount: object = "50", account: str = "amz1.account.1", kind: str = "2"
) -> dict[str, Any]:
    """The fields of the three requests about balances."""
    return {
        "loadBalanceRequestId": request_id,
        "partnerId": "Acme1",
        "amount": {"currencyCode": "USD", "value": amount},
        "account": {"id": account, "type": kind},
    }


def page_fields(**more: object) -> dict[str, Any]:
    """The fields of a GetGiftCardActivityPage request for March 2026."""
    return {
        "requestId": "page",
        "partnerId": "Acme1",
        "utcStartDate": "2026-03-01T00:00:00",
        "utcEndDate": "2026-04-01T00:00:00Z",
        **more,
    }


def parse_xml(body: bytes) -> ET.Element:
    """What a client that trusts the gateway sees."""
    return ET.fromstring(body)
