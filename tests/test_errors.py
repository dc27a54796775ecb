from __future__ import annotations

import copy
import inspect
import pickle
from datetime import UTC, datetime

import pytest

import agcod_async
from agcod_async import ClaimCode, Money, errors
from agcod_async.errors import AgcodError, PostconditionError, ResponseError, ServiceError
from agcod_async.model import CardInfo, CreateGiftCardResponse
from tests.support.copies import TRAVELS

UNKNOWN = " [outcome unknown: repeat with the same id to find out]"
CODE = "AAAA-BBBBBB-CCCC"

# Copied by hand from the design, "Public names": class, outcome, and whether it is retry-safe. A
# ClockSkewError is repeated once, after the clock was corrected.
TABLE = {
    "CampaignStopped": ("not_sent", False),
    "InvalidRewards": ("not_sent", False),
    "InvalidRequestError": ("refused", False),
    "AccountError": ("refused", False),
    "SystemFaultError": ("unknown", False),
    "UnknownServiceError": ("unknown", False),
    "ResendError": ("unknown", True),
    "ThrottlingError": ("refused", True),
    "CredentialsUnavailable": ("not_sent", True),
    "ThrottleTimeout": ("not_sent", False),
    "ThrottleUnavailable": ("not_sent", True),
    "SignatureError": ("refused", False),
    "CredentialsError": ("refused", False),
    "ClockSkewError": ("refused", True),
    "ConnectFailed": ("not_sent", True),
    "ResponseTimeout": ("unknown", True),
    "ConnectionLost": ("unknown", True),
    "GatewayFault": ("unknown", True),
    "MalformedResponse": ("unknown", True),
    "PostconditionError": ("refused", False),
    "ConfigurationError": ("not_sent", False),
    "LedgerError": ("not_sent", False),
    "StaleEntry": ("unknown", False),
    "IllegalTransition": ("unknown", False),
    "OutcomePending": ("unknown", False),
    "RewardAbandoned": ("unknown", False),
    "RewardUndone": ("refused", False),
    "UndoTooLate": ("refused", False),
}
BASES = {"AgcodError", "TransportError", "ResponseError", "ServiceError"}
SERVICE_ERRORS = {
    "InvalidRequestError", "AccountError", "SystemFaultError", "UnknownServiceError", "ResendError",
    "ThrottlingError", "SignatureError", "CredentialsError", "ClockSkewError",
}  # fmt: skip
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, AgcodError)
}
every_class = pytest.mark.parametrize("name", sorted(CLASSES))


def filled(kind: type[AgcodError]) -> AgcodError:
    """Return an error of *kind* with every field set."""
    fields: dict[str, object] = {"operation": "CreateGiftCard", "request_id": "Acme1X1"}
    if issubclass(kind, ResponseError):
        fields |= {"http_status": 400, "aws_request_id": "aws-1", "retry_after": 2.5}
    if issubclass(kind, ServiceError):
        fields |= {"error_code": "F200", "error_type": "SomeName"}
    if kind is errors.ClockSkewError:
        fields |= {
            "signed_at": datetime(2026, 1, 1, tzinfo=UTC),
            "server_date": datetime(2026, 1, 2, tzinfo=UTC),
        }
    error = kind("a reason", **fields)
    error.attempts = 3
    return error


def postcondition() -> PostconditionError:
    response = CreateGiftCardResponse(
        status="SUCCESS",
        creation_request_id="Acme1X1",
        gc_id="A0B1C2D3E4F5G6",
        gc_claim_code=ClaimCode(CODE),
        card_info=CardInfo(card_status="RefundedToPurchaser", value=Money("25.00", "USD")),
    )
    return PostconditionError("the card is refunded", response=response, http_status=200)


def test_the_table_is_complete():
    """An error without a row has no agreed next step."""
    assert set(CLASSES) == set(TABLE) | BASES
    assert set(CLASSES) <= set(agcod_async.__all__)


@pytest.mark.parametrize("name", TABLE)
def test_each_error_knows_its_outcome(name):
    """Callers decide by these two facts about money: what happened, and whether a repeat can harm."""
    error = CLASSES[name]()
    assert (error.outcome, error.is_retry_safe) == TABLE[name]


@every_class
def test_one_base_catches_everything(name):
    """``except AgcodError`` is enough for whoever wants no details."""
    assert issubclass(CLASSES[name], AgcodError)
    assert issubclass(CLASSES[name], ServiceError) is (name in SERVICE_ERRORS | {"ServiceError"})


@every_class
@pytest.mark.parametrize("travel", TRAVELS)
def test_every_error_travels_whole(name, travel):
    """Task queues pickle errors, and the request id in them is the way back to the money."""
    error = filled(CLASSES[name])
    error.outcome = "unknown"
    travelled = TRAVELS[travel](error)
    assert type(travelled) is type(error)
    assert vars(travelled) == vars(error)
    assert travelled.args == error.args
    assert str(travelled) == str(error)


@every_class
def test_errors_can_be_made_without_arguments(name):
    """Exceptions are rebuilt from nothing in many places."""
    assert CLASSES[name]().message == ""


def test_an_outcome_belongs_to_one_error():
    """A call whose earlier attempt is unknown says so without changing what the class means."""
    error = errors.ThrottlingError("slow down")
    error.outcome = "unknown"
    assert errors.ThrottlingError.outcome == "refused"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.ConfigurationError("value: too small"), "value: too small"),
        (
            filled(errors.AccountError),
            "CreateGiftCard Acme1X1: SomeName (F200, HTTP 400): a reason",
        ),
        (
            errors.ThrottlingError("Rate exceeded", http_status=429),
            "ThrottlingError (HTTP 429): Rate exceeded",
        ),
        (
            filled(errors.ResendError),
            "CreateGiftCard Acme1X1: SomeName (F200, HTTP 400): a reason" + UNKNOWN,
        ),
        (errors.ConnectFailed("no route"), "no route"),
        (
            errors.GatewayFault("no verdict", http_status=503),
            "HTTP 503: no verdict [outcome unknown]",
        ),
        (
            errors.MalformedResponse("not XML", http_status=200, operation="Cancel", request_id="A1"),
            "Cancel A1: unreadable answer (HTTP 200): not XML" + UNKNOWN,
        ),
    ],
)
def test_the_text_names_call_code_and_next_step(error, text):
    """A log line is enough to know which reward it was and what to do."""
    assert str(error) == text


def test_configuration_errors_are_value_errors():
    """Validation frameworks expect them to be, and msgspec turns them into its own."""
    assert issubclass(errors.ConfigurationError, ValueError)


def test_a_postcondition_error_holds_the_answer():
    """Whoever asked can look at what the service said, code included."""
    assert postcondition().response.gc_claim_code == ClaimCode(CODE)


@pytest.mark.parametrize("travel", TRAVELS)
def test_a_postcondition_error_leaves_its_code_behind(travel):
    """An error that is queued or stored keeps every fact, and not the money."""
    error = TRAVELS[travel](postcondition())
    assert error.response.gc_claim_code is None
    assert error.response.gc_id == "A0B1C2D3E4F5G6"
    assert error.response.card_info == postcondition().response.card_info
    assert error.http_status == 200


def test_a_pickled_postcondition_error_has_no_code_in_its_bytes():
    """Neither the answer nor anything it remembers carries the code along."""
    error = postcondition()
    error.response.with_document(lambda: {"gcClaimCode": CODE, "extra": CODE})
    assert CODE.encode() not in pickle.dumps(error)
    assert copy.copy(error).response.unknown_fields == {}
    assert CODE not in f"{error} {error!r} {error.response!r}"


def test_a_postcondition_error_without_an_answer_travels():
    """The field is optional, and its absence survives too."""
    assert pickle.loads(pickle.dumps(PostconditionError("why"))).response is None
