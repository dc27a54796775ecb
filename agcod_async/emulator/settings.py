"""The switches: what the public facts leave open, each with a default and a reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Literal

ACTIVITY_NAMES: Mapping[str, str] = {
    "CreateGiftCard": "GCCreation",
    "CancelGiftCard": "GCCancellation",
    "ActivateGiftCard": "GCActivation",
    "DeactivateGiftCard": "GCDeactivation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRange:
    """Physical cards that are known to the gateway: first to last 16-digit number, both included."""

    first: str
    last: str
    currency: str
    amount: Decimal | None = None
    """The printed amount; None for an open card, whose amount is chosen at activation."""

    def holds(self, card_number: str) -> bool:
        """Whether a 19-digit number belongs to this range."""
        return self.first <= card_number[:16] <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    How the gateway behaves where its public description is silent or contradicts itself.

    The defaults follow the recordings where there are any, and the stricter reading elsewhere.
    """

    mock_errors: bool = True
    """Ids such as F2003 are answered with that error, as in the sandbox. Production has none."""

    request_id_limit: int = 40
    """Longest request id. The 2014 recordings say 19."""

    cancel_window: timedelta = timedelta(minutes=15)
    """How long after its creation a card can be cancelled."""

    deactivation_window: timedelta | None = None
    """How long after its activation a card can be deactivated. Unknown; None is for ever."""

    void_window: timedelta | None = None
    """How long after it a balance load can be voided. Unknown; None is for ever."""

    clock_skew: timedelta = timedelta(minutes=15)
    """How far the date of a signature may lie from the gateway's, to either side."""

    amount_limits: Mapping[str, tuple[Decimal, Decimal]] = field(
        default_factory=lambda: {"USD": (Decimal("0.15"), Decimal(2000))}
    )
    """Smallest and largest amount of a digital card by currency. Only those of the US are public."""

    physical_limits: Mapping[str, tuple[Decimal, Decimal]] = field(
        default_factory=lambda: {"USD": (Decimal(1), Decimal(2000))}
    )
    """The same for physical cards."""

    load_limits: Mapping[str, tuple[Decimal, Decimal]] = field(
        default_factory=lambda: {"USD": (Decimal("0.15"), Decimal(2000))}
    )
    """The same for balance loads (Amazon Cash: 5 to 500 USD)."""

    load_unit: Literal["major", "minor"] = "major"
    """Whether the `value` of a balance load counts units or hundredths. Unknown."""

    mismatched_repeat: Literal["original", "refused"] = "original"
    """
    Answer to a known id with another amount. The 2014 recordings return the original card and say
    SUCCESS; what today's service does is unknown. "refused" is F300 OperationNotPermitted.
    """

    cancel_of_unknown: Literal["forgotten", "remembered"] = "forgotten"
    """
    Whether a refused cancel of an id never seen also kills a create of that id that arrives later.
    Recorded: the cancel answers F300 OperationNotPermitted. What it leaves behind is unknown.
    """

    late_cancel_repeat: Literal["success", "refused"] = "success"
    """
    Answer to the repeat of a successful cancel once the time for cancelling is over: unknown. "refused" is
    CancelRequestArrivedAfterTimeLimit, about a card that is dead.
    """

    claimed_card_error: str = "OperationNotPermitted"
    """errorType of a cancel whose card has been redeemed. Unknown."""

    card_ranges: tuple[CardRange, ...] = ()
    """The physical cards there are. Empty: every 19-digit number is an open card."""

    card_checksum: Literal["any", "mod997"] = "any"
    """
    How the last three of the 19 digits are checked. The real algorithm is not published; "mod997"
    (the first sixteen as a number, modulo 997) is this emulator's own, for testing refusals.
    """

    phone_account_type: str = "3"
    """Account type of phone numbers in balance loads. Unknown."""

    voided_barcodes_die: bool = True
    """Whether the barcode (account type 1) of a voided load is refused from then on, as test scripts say."""

    invalid_accounts: frozenset[str] = frozenset()
    """Account ids that balance loads refuse."""

    load_after_void: Literal["refused", "success"] = "refused"
    """Answer to the repeat of a load that was voided. Unknown."""

    page_index_unit: Literal["page", "offset"] = "page"
    """What pageIndex counts. By its name pages; one client sends offsets."""

    window_end_included: bool = True
    """Whether the end of the asked time belongs to it. Unknown."""

    total_counts_no_ops: bool = False
    """Whether totalNumberOfTransactions… counts the no-ops that showNoOps=false hides. Unknown."""

    activity_names: Mapping[str, str] = field(default_factory=lambda: ACTIVITY_NAMES)
    """activityType by operation; what has none is not listed. Only the first two are recorded."""

    error_status: Mapping[str, int] = field(default_factory=dict[str, int])
    """HTTP status by error code. F200 and F300 are recorded as 400; the others default to 400 too."""

    throttled_status: int = 400
    """HTTP status of a throttled request: 400 or 429, unrecorded."""

    denied_status: int = 403
    """HTTP status of a bad signature, key or date."""

    json_exception_name: Literal["__type", "header", "none"] = "__type"
    """Where a JSON refusal of the gateway names its exception: in the body, in x-amzn-ErrorType, nowhere."""

    json_charset: Literal["refused", "accepted"] = "refused"
    """Whether `application/json; charset=utf-8` is still JSON. The docs demand the bare type."""

    xml_error_root: str = "AGCODServiceException"
    """Root element of coded errors in XML. Unknown."""

    funds_xml_root: str = "GetAvailableFunds"
    """Root element of the answer with the funds. The docs leave `Response` out."""

    max_body: int = 65_536
    """Bytes of a request body; more is answered 413 without reading on."""
