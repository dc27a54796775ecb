"""What the gateway knows: partners and keys, cards, activations, loads, funds, activity."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, Self

import msgspec

from .refusals import refusal
from .settings import Settings
from .throttle import Meters, Throttle
from .values import Request

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


KeyStatus = Literal["active", "inactive", "deleted"]


@dataclass(frozen=True, slots=True)
class Key:
    """The secret of an access key and what its owner has made of it."""

    secret: str = field(repr=False)
    status: KeyStatus = "active"


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner account of the emulated gateway."""

    partner_id: str
    keys: Mapping[str, str | Key] = field(default_factory=dict[str, str | Key], repr=False)
    """Secrets, or :class:`Key` values, by access key id."""
    funds: Decimal | None = Decimal(10_000)
    """None: as in the real sandbox, never at an end and always shown as 0."""
    currency: str = "USD"
    has_activity_page: bool = True
    needs_program_id: bool = False
    programs: frozenset[str] | None = None
    """Approved program ids; None approves all."""
    problem: str | None = None
    """An errorType, such as CustomerAccountBlocked, that every call of this partner is answered with."""

    @property
    def key_statuses(self) -> dict[str, KeyStatus]:
        """How each key stands, by access key id."""
        return {access_key_id: as_key(key).status for access_key_id, key in self.keys.items()}

    @property
    def access_key_id(self) -> str:
        """The first active key. Raises ValueError if there is none."""
        for access_key_id, key in self.keys.items():
            if as_key(key).status == "active":
                return access_key_id
        raise ValueError(
            f"{self.partner_id} has no active key: Partner(…, keys={{'AKID': 'secret'}}) gives one"
        )

    @property
    def secret_access_key(self) -> str:
        """The secret of the first active key."""
        return as_key(self.keys[self.access_key_id]).secret


def as_key(key: str | Key) -> Key:
    """A bare secret stands for an active key."""
    return Key(key) if isinstance(key, str) else key


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A digital gift card. Its claim code is not kept: it is a function of the seed and the gcId."""

    creation_request_id: str
    partner_id: str
    gc_id: str
    amount: Decimal
    currency: str
    created_at: datetime
    expires_at: datetime | None
    is_cancelled: bool = False
    is_claimed: bool = False

    @property
    def is_live(self) -> bool:
        """Whether the partner has paid for it for good."""
        return not self.is_cancelled

    @property
    def charged_at(self) -> datetime:
        """When it was paid for."""
        return self.created_at

    def status(self, now: datetime) -> str:
        """The cardStatus."""
        if self.is_cancelled:
            return "RefundedToPurchaser"
        return "Expired" if self.expires_at and now > self.expires_at else "Fulfilled"


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """The activation of a physical card."""

    activation_request_id: str
    partner_id: str
    card_number: str
    amount: Decimal
    currency: str
    activated_at: datetime
    is_live: bool = True

    @property
    def charged_at(self) -> datetime:
        """When it was paid for."""
        return self.activated_at


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A load of somebody's balance."""

    load_balance_request_id: str
    partner_id: str
    account_id: str
    amount: Decimal
    """In units of the currency, whatever unit the wire uses."""
    currency: str
    loaded_at: datetime
    is_live: bool = True

    @property
    def charged_at(self) -> datetime:
        """When it was paid for."""
        return self.loaded_at


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the activity log."""

    at: datetime
    kind: str
    partner_id: str
    request_id: str
    gc_id: str | None
    card_number: str | None
    amount: Decimal | None
    """As asked in that call; None for reversals."""
    currency: str | None
    failure_code: str | None
    is_real: bool


class Books(msgspec.Struct, kw_only=True):
    """What survives a restart. No claim code and no secret is among it."""

    seed: int = 0
    serial: int = 0
    """Counts requests; with the seed it makes every id."""
    funds: dict[str, Decimal | None] = {}
    cards: dict[str, Card] = {}
    """By creationRequestId."""
    activations: dict[str, Activation] = {}
    """By activationRequestId."""
    active_cards: dict[str, str] = {}
    """The activationRequestId that each active physical card owes its state to, by card number."""
    loads: dict[str, Load] = {}
    """By loadBalanceRequestId."""
    activity: list[Activity] = []
    buried: set[str] = set()
    """Request ids whose cancel came before their create, where the switch says that they are remembered."""
    dead_accounts: set[str] = set()


@dataclass(frozen=True, slots=True)
class Late:
    """A request that will arrive when its sender has given up."""

    due: datetime
    request: Request


class State(Books, kw_only=True):
    """The books, and what they are kept for. Changed in place by the core, and by nothing else."""

    region: str = "us-east-1"
    partners: dict[str, Partner] = {}
    settings: Settings = msgspec.field(default_factory=Settings)
    throttle: Throttle | None = None
    secrets: dict[str, str] = {}
    owners: dict[str, str] = {}
    meters: dict[str, Meters] = {}
    late: list[Late] = []
    """Ascending by time."""

    def __repr__(self) -> str:
        return f"State({len(self.cards)} cards, {len(self.activations)} activations, {len(self.loads)} loads)"

    def add_partner(self, partner: Partner) -> None:
        """Open an account, or change its keys and terms; funds that it has are kept."""
        self.partners[partner.partner_id] = partner
        self.funds.setdefault(partner.partner_id, partner.funds)
        for access_key_id in [name for name, owner in self.owners.items() if owner == partner.partner_id]:
            del self.owners[access_key_id]
            self.secrets.pop(access_key_id, None)
        for access_key_id, value in partner.keys.items():
            self.owners[access_key_id] = partner.partner_id
            key = as_key(value)
            if key.status == "active":
                self.secrets[access_key_id] = key.secret

    def admits(self, partner_id: str, operation: str, now: datetime) -> bool:
        """Whether the throttle lets a request pass; if so it is counted."""
        if self.throttle is None:
            return True
        if partner_id not in self.meters:
            self.meters[partner_id] = Meters(self.throttle)
        return self.meters[partner_id].admits(operation, now)

    def charge(self, partner_id: str, amount: Decimal) -> None:
        """Take money, or raise InsufficientFunds."""
        funds = self.funds[partner_id]
        if funds is None:
            return
        if funds < amount:
            raise refusal("InsufficientFunds")
        self.funds[partner_id] = funds - amount

    def refund(self, partner_id: str, amount: Decimal) -> None:
        """Give money back."""
        funds = self.funds[partner_id]
        if funds is not None:
            self.funds[partner_id] = funds + amount

    def spent(self, partner_id: str, since: datetime | None = None, until: datetime | None = None) -> Decimal:
        """
        What live cards, active physical cards and loads have cost: funds at start less funds now.

        With times, only what was paid for from *since* to *until*.
        """
        owned: tuple[Card | Activation | Load, ...] = (
            *self.cards.values(),
            *self.activations.values(),
            *self.loads.values(),
        )
        return sum(
            (
                one.amount
                for one in owned
                if one.is_live
                and one.partner_id == partner_id
                and (since is None or one.charged_at >= since)
                and (until is None or one.charged_at <= until)
            ),
            Decimal(0),
        )

    def next_id(self) -> str:
        """An x-amzn-RequestId: like everything here a function of the seed and what happened before."""
        self.serial += 1
        text = hashlib.sha256(f"{self.seed}/{self.serial}".encode()).hexdigest()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"

    def gc_id(self, creation_request_id: str, currency: str) -> str:
        """A gcId: 16 digits in Japan, A and 13 letters or digits elsewhere."""
        digest = self._digest("gcId", creation_request_id)
        if currency == "JPY":
            return f"{int.from_bytes(digest[:8]) % 10**16:016d}"
        return "A" + _letters(digest, 13)

    def claim_code(self, gc_id: str) -> str:
        """The claim code of a card: letters and digits in groups of 4, 6 and 4."""
        text = _letters(self._digest("claim", gc_id), 14)
        return f"{text[:4]}-{text[4:10]}-{text[10:]}"

    def key(self, number: int) -> tuple[str, str]:
        """Access key id and secret of a new pair, as long as real ones."""
        digest = self._digest("key", str(number))
        return "AKIA" + _letters(digest, 16), b64encode(digest[:30]).decode()

    def _digest(self, purpose: str, text: str) -> bytes:
        return hashlib.sha256(f"{self.seed}/{purpose}/{text}".encode()).digest()

    def snapshot(self) -> bytes:
        """The books as JSON, without any secret."""
        return msgspec.json.encode(Books(**{name: getattr(self, name) for name in Books.__struct_fields__}))

    def restore(self, snapshot: bytes) -> Self:
        """Go back to a snapshot; partners, keys and switches stay as they are."""
        books = msgspec.json.decode(snapshot, type=Books)
        for name in Books.__struct_fields__:
            setattr(self, name, getattr(books, name))
        for partner in self.partners.values():
            self.funds.setdefault(partner.partner_id, partner.funds)
        self.meters.clear()
        self.late.clear()
        return self


def _letters(digest: bytes, count: int) -> str:
    return "".join(_ALPHABET[byte & 31] for byte in digest[:count])
