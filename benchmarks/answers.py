"""Answers as the service gives them, made up."""

from __future__ import annotations

import json

REQUEST_ID = "Acme1X1"

CREATE_JSON = (
    b'{"cardInfo":{"cardNumber":null,"cardStatus":"Fulfilled","expirationDate":null,'
    b'"value":{"amount":25.00,"currencyCode":"USD"}},"creationRequestId":"Acme1X1",'
    b'"gcClaimCode":"XXXX-XXXXXX-XXXX","gcExpirationDate":"Tue Mar 04 22:59:59 UTC 2036",'
    b'"gcId":"A0B1C2D3E4F5G6","status":"SUCCESS"}'
)

CREATE_XML = (
    b"<CreateGiftCardResponse><creationRequestId>Acme1X1</creationRequestId><cardInfo><cardStatus>Fulfilled"
    b"</cardStatus><value><amount>25.00</amount><currencyCode>USD</currencyCode></value></cardInfo>"
    b"<gcClaimCode>XXXX-XXXXXX-XXXX</gcClaimCode><gcExpirationDate>Tue Mar 04 22:59:59 UTC 2036"
    b"</gcExpirationDate><gcId>A0B1C2D3E4F5G6</gcId><status>SUCCESS</status></CreateGiftCardResponse>"
)


def activity_json(rows: int = 1000) -> bytes:
    """Return a page of activity: four creations to a cancellation, which has no value."""
    records = [
        {
            "activityStatus": "Success",
            "activityTime": f"Mon Mar 02 10:{row // 60 % 60:02}:{row % 60:02} UTC 2026",
            "activityType": "GCCreation" if row % 5 else "GCCancellation",
            "cardNumber": None,
            "cardValue": {"amount": 15.25, "currencyCode": "EUR"} if row % 5 else None,
            "failureCode": None,
            "gcId": f"A0B1C2D3E{row:05}",
            "isRealOp": "true",
            "partnerId": "Acme1",
            "requestId": f"Acme1X{row:05}",
        }
        for row in range(rows)
    ]
    page = {
        "cardActivityList": records,
        "pageIndex": 0,
        "requestId": "Acme1R1",
        "status": "SUCCESS",
        "totalNumberOfTransactionsInRequestedTimeFrame": rows,
    }
    return json.dumps(page, separators=(",", ":")).encode()
