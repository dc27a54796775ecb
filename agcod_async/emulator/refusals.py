"""What the gateway refuses with: named errors, the sandbox's mock errors, its own exceptions."""

from dataclasses import dataclass

# Texts seen on the wire or in the docs. The rows with a text of this emulator's own are marked.
NAMED: dict[str, tuple[str, str]] = {
    "InvalidRequestInput": ("F200", "Request body is null"),
    "InvalidCardNumberInput": ("F200", "Card number can't be null or empty"),
    "InvalidPartnerIdInput": ("F200", "Partner Id can't be null or empty"),
    "InvalidAmountInput": ("F200", "Amount can't be null"),
    "InvalidAmountValue": ("F200", "Amount must be larger than 0"),
    "InvalidCurrencyCodeInput": ("F200", "Currency Code can't be null or empty"),
    "CardAlreadyActivatedWithDifferentRequestId": (
        "F200",
        "The card was already activated with a different request id",
    ),
    "MaxAmountExceeded": ("F200", "Max Amount Exceeded"),
    "CurrencyCodeMismatch": ("F200", "Currency Code Mismatch"),
    "FractionalAmountNotAllowed": ("F200", "Fractional Amount Not Allowed"),
    "CancelRequestArrivedAfterTimeLimit": (
        "F200",
        "Cancellation cannot be processed as too much time has elapsed since creation",
    ),
    "InsufficientFunds": ("F300", "Insufficient Funds"),
    "OperationNotPermitted": ("F300", "Operation Not Permitted"),
    "CustomerSurpassedDailyVelocityLimit": ("F300", "Customer has exceeded daily velocity limit"),
    "SystemTemporarilyUnavailable": ("F400", "System Temporarily Unavailable"),
    "GeneralError": ("F500", "General Error"),
    # From here on the texts are the emulator's own.
    "InvalidRequestIdInput": ("F200", "Request Id can't be null or empty"),
    "CardNotFound": ("F200", "Card Not Found"),
    "RequestedDenominationMismatch": ("F200", "Requested Denomination Mismatch"),
    "GcNotReadyForRefund": ("F200", "Gift Card Not Ready For Refund"),
    "RequestIdTooLong": ("F200", "Request Id is too long"),
    "RequestIdMustStartWithPartnerName": ("F200", "Request Id must start with partner name"),
    "InvalidGCIdInput": ("F200", "GC Id is not that of the request id"),
    "InvalidCurrencyInMarketplace": ("F200", "Currency is not used in this marketplace"),
    "AmountBelowMinThreshold": ("F200", "Amount Below Min Threshold"),
    "ExternalReferenceTooLong": ("F200", "External Reference is longer than 100 characters"),
    "ProgramIdNotPresent": ("F200", "Program Id can't be null or empty"),
    "CardNumberTooShort": ("F200", "Card number must have 19 digits"),
    "CardNumberCheckSumError": ("F200", "Card number has a wrong checksum"),
    "ActivationRequestIdAlreadyBeenUsed": ("F200", "Activation Request Id has been used for another card"),
    "NonExistingActivationRequestId": ("F200", "Activation Request Id does not exist"),
    "WrongActivationRequestId": ("F200", "Activation Request Id belongs to another card"),
    "DeactivationNotAllowed": ("F200", "Deactivation Not Allowed"),
    "APIGetGiftCardActivityPageIsDisabled": ("F300", "GetGiftCardActivityPage is disabled for this partner"),
    "InvalidStartDate": ("F200", "Start date is invalid"),
    "InvalidEndDate": ("F200", "End date is invalid"),
    "StartDateAfterEndDate": ("F200", "Start date is after end date"),
    "InvalidPageIndex": ("F200", "Page index must not be negative"),
    "InvalidPageSize": ("F200", "Page size must be larger than 0"),
    "MaxPageSizeExceeded": ("F200", "Page size must not exceed 1000"),
    "InvalidProgramId": ("F300", "Program Id is invalid"),
    "UnknownCustomer": ("F300", "Partner Id is not that of the access key"),
    "BlockedCustomer": ("F300", "Customer is blocked"),
    "CustomerAccountBlocked": ("F300", "Customer account is blocked"),
    "ActiveContractNotFound": ("F300", "No valid contract for the operation"),
    "IssuanceCapExceeded": ("F300", "Issuance cap exceeded"),
    "AccountHasProblems": ("F300", "Account has problems"),
}

MOCKS: dict[str, tuple[str, str]] = {
    "F1000": ("F100", "GeneralError"),
    "F2000": ("F200", "InvalidRequestInput"),
    "F2001": ("F200", "InvalidCardNumberInput"),
    "F2002": ("F200", "InvalidPartnerIdInput"),
    "F2003": ("F200", "InvalidAmountInput"),
    "F2004": ("F200", "InvalidAmountValue"),
    "F2005": ("F200", "InvalidCurrencyCodeInput"),
    "F2010": ("F200", "CardAlreadyActivatedWithDifferentRequestId"),
    "F2015": ("F200", "MaxAmountExceeded"),
    "F2016": ("F200", "CurrencyCodeMismatch"),
    "F2017": ("F200", "FractionalAmountNotAllowed"),
    "F2047": ("F200", "CancelRequestArrivedAfterTimeLimit"),
    "F3003": ("F300", "InsufficientFunds"),
    "F3005": ("F300", "GeneralError"),
    "F3010": ("F300", "CustomerSurpassedDailyVelocityLimit"),
    "F4000": ("F400", "SystemTemporarilyUnavailable"),
    "F5000": ("F500", "GeneralError"),
}
MOCK_SUCCESS = "F0000"


@dataclass(slots=True)
class Refusal(Exception):
    """A coded error: the operation was reached and said no, or that it does not know."""

    code: str
    error_type: str
    message: str

    @property
    def status(self) -> str:
        """The `status` of the operation's response."""
        return "RESEND" if self.code == "F400" else "FAILURE"


@dataclass(slots=True)
class GatewayRefusal(Exception):
    """The gateway said no before any operation was reached."""

    name: str
    message: str | None
    status: int = 400


def refusal(error_type: str, message: str | None = None) -> Refusal:
    """The named error, ready to be raised; names that nobody knows are F300."""
    code, text = NAMED.get(error_type, ("F300", error_type))
    return Refusal(code, error_type, message or text)


def mock_refusal(mock_id: str) -> Refusal:
    """The error that the sandbox answers to a mock id."""
    code, error_type = MOCKS[mock_id]
    return Refusal(code, error_type, NAMED[error_type][1])


def wrong_type() -> GatewayRefusal:
    """A field of the wrong JSON type, or a null amount: recorded with a null Message."""
    return GatewayRefusal("SerializationException", None)
