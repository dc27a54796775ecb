"""AgcodSession: the one path of a call."""

from __future__ import annotations

import os
import string
import sys
from copy import copy
from functools import cache
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Literal, NamedTuple, Self, TypedDict, TypeVar

from . import codecs, model, paging
from ._version import __version__
from .call import CallReviewer
from .checks import check_partner_id
from .clock import SkewedClock, utc_now
from .credentials import CredentialsProvider, Keys, credentials_from
from .dates import wire_date
from .endpoints import Endpoint
from .environment import Variables, configure_log, endpoint_from, require_variable
from .errors import ConfigurationError, CredentialsError, SignatureError, ThrottleTimeout
from .events import Hook, Hooks, UnlistedCurrency
from .lifetime import Lifetime
from .money import Money, payable
from .protocol import Protocol
from .retry import Retries, RetryPolicy
from .signer import SigV4Signer
from .throttle import LocalThrottle, Priority, Throttle, throttle_from
from .throttle.none import NoThrottle
from .transport import HTTPClient, HTTPXTransport, Rehearsal, Transport
from .watch import watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Unpack

_CODECS: Mapping[str, codecs.Codec] = {"json": codecs.JSON, "xml": codecs.XML}

R = TypeVar("R", bound=model.Response)
L = TypeVar("L", bound=model.LoadAmazonBalanceRequest)


class SessionOptions(TypedDict, total=False):
    """The keyword options of :class:`AgcodSession`, all optional."""

    wire_format: Literal["json", "xml"]
    timeout: float
    credentials_timeout: float | None
    retry: RetryPolicy
    throttle: Throttle
    priority: Priority
    max_wait: float | None
    http_client: HTTPClient
    transport: Transport
    hooks: Sequence[Hook]
    user_agent_suffix: str
    clock: Callable[[], datetime]
    rng: Random


class _CallOptions(NamedTuple):
    """What views of one session may have each for itself."""

    priority: Priority
    max_wait: float | None
    sign_by: datetime | None = None


class AgcodSession:
    """
    A partner's connection to one endpoint, shared by all tasks of one event loop.

    Every call is throttled, signed afresh for each attempt, and repeated where that can do no harm.
    Use it with ``async with``, or call :meth:`aclose` in the end.

    Args:
        partner_id: the id that the service gave you; every request id begins with it.
        credentials: a :class:`Credentials` pair, or a provider of pairs, which may change at any time.
        endpoint: for example ``Endpoint.NA_SANDBOX``. There is no default: production is written out.
        wire_format: ``json`` or ``xml``.
        timeout: seconds for one attempt, from connecting to the end of the answer; the service advises 6.
        credentials_timeout: seconds for a provider to give a pair; by default the same as *timeout*.
        retry: when and how often a call is repeated.
        throttle: what keeps the account's rate; by default 10/s, and 1/s where the service says so.
        priority: ``interactive``, or ``bulk`` for calls that let interactive ones go first.
        max_wait: seconds a call waits for the throttle at most, before a ThrottleTimeout; None: for ever.
        http_client: an httpx or httpx2 ``AsyncClient`` of yours, which stays yours to close.
        transport: instead of an HTTP client, anything that turns a request into a response.
        hooks: called with each :class:`Event`; what a hook raises never reaches a call.
        user_agent_suffix: added to the User-Agent header.
        clock: returns the aware time in UTC, for signatures.
        rng: the randomness of back-off and of ids for activity pages.

    Raises:
        ConfigurationError: an argument cannot work; the message names it.
    """

    def __init__(
        self,
        partner_id: str,
        credentials: CredentialsProvider,
        endpoint: Endpoint,
        *,
        wire_format: Literal["json", "xml"] = "json",
        timeout: float = 6.0,
        credentials_timeout: float | None = None,
        retry: RetryPolicy | None = None,
        throttle: Throttle | None = None,
        priority: Priority = "interactive",
        max_wait: float | None = None,
        http_client: HTTPClient | None = None,
        transport: Transport | None = None,
        hooks: Sequence[Hook] = (),
        user_agent_suffix: str = "",
        clock: Callable[[], datetime] = utc_now,
        rng: Random | None = None,
    ) -> None:
        check_partner_id(partner_id)
        if not isinstance(endpoint, Endpoint):
            raise ConfigurationError("endpoint: an Endpoint is needed, such as Endpoint.NA_SANDBOX")
        if not hasattr(credentials, "get_credentials"):
            raise ConfigurationError(
                "credentials: Credentials, or an object with get_credentials(), are needed"
            )
        if wire_format not in _CODECS:
            raise ConfigurationError(f"wire_format: {wire_format!r} is neither 'json' nor 'xml'")
        if transport is not None and http_client is not None:
            raise ConfigurationError("transport: give a transport or an http_client, not both")
        self.partner_id = partner_id
        self.endpoint = endpoint
        self.hooks = Hooks(hooks)
        self.rng = SystemRandom() if rng is None else rng
        self.clock = clock
        self._clock = SkewedClock(clock)
        self._signer = SigV4Signer(endpoint.region)
        self._protocol = Protocol(endpoint, _CODECS[wire_format], partner_id, _user_agent(user_agent_suffix))
        self._retries = Retries(retry or RetryPolicy(), self.rng)
        self._throttle = LocalThrottle(hooks=hooks) if throttle is None else throttle
        self._options = _CallOptions(priority, max_wait)
        self._transport = transport or HTTPXTransport(http_client, timeout=timeout, ca_file=endpoint.ca_file)
        self._keys = Keys(
            credentials,
            timeout=timeout if credentials_timeout is None else credentials_timeout,
            hooks=self.hooks,
            clock=self._clock.now,
        )
        self._lifetime = Lifetime()
        self._lifetime.own(self._keys)
        if transport is None:
            self._lifetime.own(self._transport)
        if throttle is None:
            self._lifetime.own(self._throttle)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Unpack[SessionOptions]) -> Self:
        """
        Return a session configured by the environment.

        Read are ``AGCOD_PARTNER_ID``, ``AGCOD_ACCESS_KEY_ID``, ``AGCOD_SECRET_ACCESS_KEY`` and
        ``AGCOD_ENDPOINT`` (``na-sandbox``, ``eu`` …, or a URL, which needs ``AGCOD_REGION`` and may have
        ``AGCOD_CA_FILE``). Instead of the pair itself, ``AGCOD_CREDENTIALS_FILE`` names a file (JSON or TOML)
        that has it, ``AGCOD_PROFILE`` a profile of the AWS tools, or ``AGCOD_KEYRING`` a service of the
        system's keyring. ``AGCOD_THROTTLE_URL`` names the Redis through which processes share the
        account's rate. ``AGCOD_LOG=debug`` (``info`` …) prints this package's log to stderr.

        Raises:
            ConfigurationError: a variable is missing or cannot be used; the message names it.
            CredentialsUnavailable: there is no pair in the place that is named.
        """
        environ = Variables(os.environ if environ is None else environ)
        endpoint = endpoint_from(environ)
        credentials = credentials_from(environ)
        configure_log(environ)
        partner_id = require_variable(environ, "AGCOD_PARTNER_ID")
        shared = None
        if "throttle" not in options:
            shared = throttle_from(environ, partner_id, endpoint, options.get("hooks", ()))
        if shared is not None:
            options["throttle"] = shared
        session = cls(partner_id, credentials, endpoint, **options)
        if shared is not None:
            session._lifetime.own(shared)
        return session

    def with_options(
        self,
        *,
        priority: Priority | None = None,
        max_wait: float | None = None,
        sign_by: datetime | None = None,
        hooks: Sequence[Hook] = (),
    ) -> Self:
        """
        Return a view of this session whose calls have other options; it shares everything else.

        ``await session.with_options(priority="bulk").create_gift_card(...)``

        Args:
            priority: see :class:`AgcodSession`.
            max_wait: see :class:`AgcodSession`.
            sign_by:
                no attempt is signed later than this, by the clock that signs; what would be, because it
                waited or its process stood still, ends in a ThrottleTimeout.
            hooks: are told of what happens in the view's own calls, besides those of the session.
        """
        view, mine = copy(self), self._options
        options = _CallOptions(
            priority or mine.priority,
            mine.max_wait if max_wait is None else max_wait,
            sign_by or mine.sign_by,
        )
        vars(view).update(_options=options, hooks=self.hooks.joined_by(hooks))
        return view

    def signing_time(self) -> datetime:
        """Return the time that signatures bear: this machine's, as the gateway has corrected it."""
        return self._clock.now()

    def rehearsal(self) -> Self:
        """
        Return a view whose calls are signed as they would be now, and sent nowhere.

        Each ends in an AgcodError whose ``exchange`` has every step. It takes no slot of the throttle, and
        no hook is told.
        """
        view = copy(self)
        vars(view).update(
            hooks=Hooks(()),
            _options=_CallOptions("interactive", None),
            _throttle=NoThrottle(),
            _transport=Rehearsal(),
        )
        return view

    # Gift cards

    async def create_gift_card(
        self,
        creation_request_id: str,
        value: Money,
        *,
        program_id: str | None = None,
        product_type: str | None = None,
        external_reference: str | None = None,
    ) -> model.CreateGiftCardResponse:
        """
        Create a gift card and return its claim code.

        Calling again with the same id and value returns the same card and costs nothing, which is also
        how to get a claim code back: it must not be stored.

        Args:
            creation_request_id: begins with the partner id, at most 40 characters; one per card.
            value: the service refuses amounts outside the country's limits (US: 0.15 to 2,000).
            program_id: for resellers, at most 100 characters.
            product_type: for product vouchers, at most 50 characters.
            external_reference: your own text, at most 100 characters.

        Raises:
            ServiceError: refused, or :class:`ResendError` when the service cannot say.
            PostconditionError: the id belongs to a card that was refunded, or has another value.
            AgcodError: with ``outcome == "unknown"`` the card may exist: call again with the same id.
        """
        amount = self._payable("value", value)
        shape = model.CreateGiftCardRequest(
            creation_request_id=creation_request_id,
            partner_id=self.partner_id,
            value=amount,
            program_id=program_id,
            product_type=product_type,
            external_reference=external_reference,
        )
        return await self._call(model.CREATE_GIFT_CARD, shape)

    async def cancel_gift_card(
        self, creation_request_id: str, *, gc_id: str | None = None
    ) -> model.CancelGiftCardResponse:
        """
        Cancel a card that nobody has claimed, within 15 minutes of its creation.

        Args:
            creation_request_id: that of the create.
            gc_id: of the card, where it is known.
        """
        shape = model.CancelGiftCardRequest(
            creation_request_id=creation_request_id, partner_id=self.partner_id, gc_id=gc_id
        )
        return await self._call(model.CANCEL_GIFT_CARD, shape)

    # Physical cards

    async def activate_gift_card(
        self,
        activation_request_id: str,
        card_number: str,
        value: Money,
        *,
        program_id: str | None = None,
        product_type: str | None = None,
    ) -> model.ActivateGiftCardResponse:
        """
        Put *value* on a physical card; the same id again returns the first outcome.

        Args:
            activation_request_id: begins with the partner id, at most 40 characters.
            card_number: 19 digits, checksum included.
            value: the wanted amount of an open card, the printed one of a fixed card.
            program_id: for resellers, at most 100 characters.
            product_type: for product vouchers, at most 50 characters.
        """
        amount = self._payable("value", value)
        shape = model.ActivateGiftCardRequest(
            activation_request_id=activation_request_id,
            partner_id=self.partner_id,
            card_number=card_number,
            value=amount,
            program_id=program_id,
            product_type=product_type,
        )
        return await self._call(model.ACTIVATE_GIFT_CARD, shape)

    async def deactivate_gift_card(
        self, activation_request_id: str, card_number: str
    ) -> model.DeactivateGiftCardResponse:
        """Take an activation back; *activation_request_id* is that of the activation."""
        shape = model.DeactivateGiftCardRequest(
            activation_request_id=activation_request_id, partner_id=self.partner_id, card_number=card_number
        )
        return await self._call(model.DEACTIVATE_GIFT_CARD, shape)

    async def activation_status_check(
        self, status_check_request_id: str, card_number: str
    ) -> model.ActivationStatusCheckResponse:
        """Ask for the state of a physical card; the id is free (at most 40 characters)."""
        shape = model.ActivationStatusCheckRequest(
            status_check_request_id=status_check_request_id,
            partner_id=self.partner_id,
            card_number=card_number,
        )
        return await self._call(model.ACTIVATION_STATUS_CHECK, shape)

    # Account

    async def get_gift_card_activity_page(
        self,
        request_id: str,
        utc_start_date: datetime,
        utc_end_date: datetime,
        *,
        page_index: int = 0,
        page_size: int = 1000,
        show_no_ops: bool = False,
    ) -> model.GetGiftCardActivityPageResponse:
        """
        Return one page of what happened on the account; at most one call per second.

        Args:
            request_id: free, at most 40 characters.
            utc_start_date: an aware datetime; any time zone.
            utc_end_date: an aware datetime after it.
            page_index: from 0.
            page_size: 1 to 1000.
            show_no_ops: whether repeats and failed calls are listed too.
        """
        start, end = wire_date(utc_start_date, "utc_start_date"), wire_date(utc_end_date, "utc_end_date")
        if utc_start_date >= utc_end_date:
            raise ConfigurationError("utc_end_date: must be after utc_start_date")
        shape = model.GetGiftCardActivityPageRequest(
            request_id=request_id,
            partner_id=self.partner_id,
            utc_start_date=start,
            utc_end_date=end,
            page_index=page_index,
            page_size=page_size,
            show_no_ops=show_no_ops,
        )
        return await self._call(model.GET_GIFT_CARD_ACTIVITY_PAGE, shape)

    def iter_gift_card_activity(
        self,
        utc_start_date: datetime,
        utc_end_date: datetime,
        *,
        page_size: int = 1000,
        show_no_ops: bool = False,
    ) -> AsyncGenerator[model.CardActivity, None]:
        """
        Return all records from *utc_start_date* to *utc_end_date*, ascending; a page per second.

        A hook is told (ActivityIncomplete) when fewer come than the service announced.
        """
        # Now, and not when the first record is asked for.
        for field, date in (("utc_start_date", utc_start_date), ("utc_end_date", utc_end_date)):
            wire_date(date, field)

        async def fetch(page_index: int) -> model.GetGiftCardActivityPageResponse:
            alphanumerics = string.ascii_letters + string.digits
            request_id = self.partner_id + "".join(self.rng.choices(alphanumerics, k=16))
            return await self.get_gift_card_activity_page(
                request_id,
                utc_start_date,
                utc_end_date,
                page_index=page_index,
                page_size=page_size,
                show_no_ops=show_no_ops,
            )

        return paging.records(fetch, self.hooks)

    async def get_available_funds(self) -> model.GetAvailableFundsResponse:
        """Return what can still be spent; at most one call per second. The sandbox always says 0."""
        shape = model.GetAvailableFundsRequest(partner_id=self.partner_id)
        return await self._call(model.GET_AVAILABLE_FUNDS, shape)

    async def key_days_left(self) -> int | None:
        """Return the days until the key pair in use has to be replaced; None where its age is not known."""
        self._lifetime.loop()
        await self._keys.freshen()
        return self._keys.current().days_left(self._clock.now())

    # Balance loads

    async def load_amazon_balance(
        self,
        load_balance_request_id: str,
        amount: Money,
        account: model.Account,
        *,
        transaction_source: model.TransactionSource | None = None,
    ) -> model.BalanceLoadResponse:
        """
        Load *amount* onto a customer's balance; the same id again returns the first outcome.

        Args:
            load_balance_request_id: begins with the partner id, at most 40 characters.
            amount: sent as it is; see :class:`BalanceAmount` about its unit.
            account: whose balance.
            transaction_source: where it was paid.
        """
        shape = self._balance_load(
            model.LoadAmazonBalanceRequest, load_balance_request_id, amount, account, transaction_source
        )
        return await self._call(model.LOAD_AMAZON_BALANCE, shape)

    async def void_amazon_balance_load(
        self,
        load_balance_request_id: str,
        amount: Money,
        account: model.Account,
        *,
        transaction_source: model.TransactionSource | None = None,
    ) -> model.BalanceLoadResponse:
        """Take a load back; every argument must be that of the load."""
        shape = self._balance_load(
            model.VoidAmazonBalanceLoadRequest, load_balance_request_id, amount, account, transaction_source
        )
        return await self._call(model.VOID_AMAZON_BALANCE_LOAD, shape)

    async def validate_account_for_amazon_balance_load(
        self,
        load_balance_request_id: str,
        amount: Money,
        account: model.Account,
        *,
        transaction_source: model.TransactionSource | None = None,
    ) -> model.BalanceLoadResponse:
        """Ask whether a load would be possible (Amazon Cash); loads nothing."""
        shape = self._balance_load(
            model.ValidateAccountForAmazonBalanceLoadRequest,
            load_balance_request_id,
            amount,
            account,
            transaction_source,
        )
        return await self._call(model.VALIDATE_ACCOUNT_FOR_AMAZON_BALANCE_LOAD, shape)

    def _balance_load(
        self,
        kind: type[L],
        load_balance_request_id: str,
        amount: Money,
        account: model.Account,
        transaction_source: model.TransactionSource | None,
    ) -> L:
        value = self._payable("amount", amount)
        return kind(
            load_balance_request_id=load_balance_request_id,
            partner_id=self.partner_id,
            amount=model.BalanceAmount(currency_code=value.currency_code, value=str(value.amount)),
            account=account,
            transaction_source=transaction_source,
        )

    # The path of a call

    async def _call(self, operation: model.Operation[model.Shape, R], shape: model.Shape) -> R:
        clock = self._lifetime.loop().time
        priority, max_wait, sign_by = self._options
        request = self._protocol.request(operation, shape)
        call = self._reviewer(operation, shape)
        with watch(self.hooks, operation.name, call.request_id, self.endpoint.host, clock) as seen:
            async for attempt in self._retries.attempts(call):
                with attempt, seen.attempt() as trial:
                    # Before the throttle: a provider that is slow or hangs holds no slot and bunches nobody.
                    await self._keys.freshen()
                    trial.queued()
                    await self._throttle.acquire(operation.name, priority=priority, max_wait=max_wait)
                    trial.granted()
                    self._lifetime.check()
                    # Signed last, because a signature is only good for minutes, and with the newest pair.
                    call.signed_with = credentials = self._keys.current()
                    at = self._clock.now()
                    if sign_by is not None and at > sign_by:
                        raise ThrottleTimeout("it is too late to send this: it waited too long for its turn")
                    signed = self._signer.sign(request, credentials, at=at)
                    call.request, call.response = signed, None
                    sent = clock()
                    call.response = response = await self._transport.send(signed)
                    trial.answered(response.status)
                    try:
                        answer = self._protocol.read(operation, shape, signed, response)
                    except (CredentialsError, SignatureError):
                        # Rotated away, perhaps: with another pair the call goes on.
                        await self._keys.replace(credentials)
                        raise
                    self._keys.accepted(credentials)
                    self._throttle.accepted(operation.name, clock() - sent)
                    self._retries.earn(attempt.attempt_number)
                    return answer
        raise AssertionError("unreachable")

    # Life cycle

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`aclose` was called."""
        return self._lifetime.is_over

    async def aclose(self) -> None:
        """Close the session and the HTTP client it made; a client of yours stays open."""
        await self._lifetime.end()

    async def __aenter__(self) -> Self:
        self._lifetime.loop()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"AgcodSession({self.partner_id!r}, {self.endpoint.name!r})"

    def _reviewer(self, operation: model.Operation[model.Shape, R], shape: model.Shape) -> CallReviewer:
        return CallReviewer(
            operation.name,
            getattr(shape, operation.id_field) if operation.id_field else None,
            partner_id=self.partner_id,
            endpoint=self.endpoint,
            policy=self._retries.policy,
            throttle=self._throttle,
            clock=self._clock,
            keys=self._keys,
            hooks=self.hooks,
        )

    def _payable(self, field: str, value: Money) -> Money:
        amount = payable(field, value)
        known = self.endpoint.currencies
        if known and amount.currency_code not in known:
            self.hooks.emit(UnlistedCurrency(currency_code=amount.currency_code, endpoint=self.endpoint.name))
        return amount


@cache
def _user_agent(suffix: str) -> str:
    if not (suffix.isascii() and suffix.isprintable()):
        raise ConfigurationError("user_agent_suffix: printable ASCII only")
    major, minor = sys.version_info[:2]
    return f"agcod-async/{__version__} python/{major}.{minor} {suffix}".rstrip()
