"""The safe way to turn money into Amazon gift cards from asyncio Python."""

from typing import TYPE_CHECKING

from ._version import __version__
from .credentials import (
    CallableCredentials,
    Credentials,
    CredentialsProvider,
    EnvironmentCredentials,
    FileCredentials,
    ProfileCredentials,
)
from .endpoints import Endpoint
from .errors import (
    AccountError,
    AgcodError,
    CampaignStopped,
    ClockSkewError,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    CredentialsError,
    CredentialsUnavailable,
    GatewayFault,
    IllegalTransition,
    InvalidRequestError,
    InvalidRewards,
    LedgerError,
    MalformedResponse,
    Outcome,
    OutcomePending,
    PostconditionError,
    Problem,
    ResendError,
    ResponseError,
    ResponseTimeout,
    RewardAbandoned,
    RewardUndone,
    ServiceError,
    SignatureError,
    StaleEntry,
    SystemFaultError,
    ThrottleTimeout,
    ThrottleUnavailable,
    ThrottlingError,
    TransportError,
    UndoTooLate,
    UnknownServiceError,
)
from .events import (
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    CallStarted,
    ClockCorrected,
    Event,
    FundsUnreadable,
    Hook,
    KeyAgeing,
    KeyOverdue,
    KeyRefreshed,
    KeyRefreshFailed,
    KeyRejected,
    LowFunds,
    RateChanged,
    RetryScheduled,
    RewardNeedsPerson,
    RewardStep,
    ThrottleStoreBack,
    ThrottleStoreLost,
    ThrottleWaited,
    UnlistedCurrency,
)
from .model import Account, TransactionSource
from .money import Money
from .retry import RetryPolicy
from .secret import ClaimCode, Secret
from .session import AgcodSession
from .signing import Diagnosis
from .support import Exchange, SupportReport
from .throttle import LocalThrottle, Priority, Throttle

if TYPE_CHECKING:
    from .issuer import Issuer
    from .receipts import IssuedGiftCard, Receipt

__all__ = [
    "Account",
    "AccountError",
    "AgcodError",
    "AgcodSession",
    "AttemptEnded",
    "AttemptStarted",
    "CallEnded",
    "CallStarted",
    "CallableCredentials",
    "CampaignStopped",
    "ClaimCode",
    "ClockCorrected",
    "ClockSkewError",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectionLost",
    "Credentials",
    "CredentialsError",
    "CredentialsProvider",
    "CredentialsUnavailable",
    "Diagnosis",
    "Endpoint",
    "EnvironmentCredentials",
    "Event",
    "Exchange",
    "FileCredentials",
    "FundsUnreadable",
    "GatewayFault",
    "Hook",
    "IllegalTransition",
    "InvalidRequestError",
    "InvalidRewards",
    "IssuedGiftCard",
    "Issuer",
    "KeyAgeing",
    "KeyOverdue",
    "KeyRefreshFailed",
    "KeyRefreshed",
    "KeyRejected",
    "LedgerError",
    "LocalThrottle",
    "LowFunds",
    "MalformedResponse",
    "Money",
    "Outcome",
    "OutcomePending",
    "PostconditionError",
    "Priority",
    "Problem",
    "ProfileCredentials",
    "RateChanged",
    "Receipt",
    "ResendError",
    "ResponseError",
    "ResponseTimeout",
    "RetryPolicy",
    "RetryScheduled",
    "RewardAbandoned",
    "RewardNeedsPerson",
    "RewardStep",
    "RewardUndone",
    "Secret",
    "ServiceError",
    "SignatureError",
    "StaleEntry",
    "SupportReport",
    "SystemFaultError",
    "Throttle",
    "ThrottleStoreBack",
    "ThrottleStoreLost",
    "ThrottleTimeout",
    "ThrottleUnavailable",
    "ThrottleWaited",
    "ThrottlingError",
    "TransactionSource",
    "TransportError",
    "UndoTooLate",
    "UnknownServiceError",
    "UnlistedCurrency",
    "__version__",
]


def __getattr__(name: str) -> object:
    # Whoever needs no ledger does not wait for its import.
    if name in ("IssuedGiftCard", "Issuer", "Receipt"):
        from . import issuer

        globals().update({each: getattr(issuer, each) for each in ("IssuedGiftCard", "Issuer", "Receipt")})
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
