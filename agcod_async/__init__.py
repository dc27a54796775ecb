"""The safe way to turn money into Amazon gift cards from asyncio Python."""

from ._version import __version__
from .credentials import Credentials, CredentialsProvider, EnvironmentCredentials
from .endpoints import Endpoint
from .errors import (
    AccountError,
    AgcodError,
    ClockSkewError,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    CredentialsError,
    GatewayFault,
    InvalidRequestError,
    MalformedResponse,
    Outcome,
    PostconditionError,
    ResendError,
    ResponseError,
    ResponseTimeout,
    ServiceError,
    SignatureError,
    SystemFaultError,
    ThrottlingError,
    TransportError,
    UnknownServiceError,
)
from .events import ClockCorrected, Event, Hook, RetryScheduled, UnlistedCurrency
from .model import Account, TransactionSource
from .money import Money
from .retry import RetryPolicy
from .secret import ClaimCode, Secret
from .session import AgcodSession
from .throttle import LocalThrottle, Throttle

__all__ = [
    "Account",
    "AccountError",
    "AgcodError",
    "AgcodSession",
    "ClaimCode",
    "ClockCorrected",
    "ClockSkewError",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectionLost",
    "Credentials",
    "CredentialsError",
    "CredentialsProvider",
    "Endpoint",
    "EnvironmentCredentials",
    "Event",
    "GatewayFault",
    "Hook",
    "InvalidRequestError",
    "LocalThrottle",
    "MalformedResponse",
    "Money",
    "Outcome",
    "PostconditionError",
    "ResendError",
    "ResponseError",
    "ResponseTimeout",
    "RetryPolicy",
    "RetryScheduled",
    "Secret",
    "ServiceError",
    "SignatureError",
    "SystemFaultError",
    "Throttle",
    "ThrottlingError",
    "TransactionSource",
    "TransportError",
    "UnknownServiceError",
    "UnlistedCurrency",
    "__version__",
]
