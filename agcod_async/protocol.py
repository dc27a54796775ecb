"""Shape to request, response to shape or error. No I/O."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from . import codecs
from .checks import check_prefix, check_shape, is_mock_id
from .errors import MalformedResponse, PostconditionError, ResponseError
from .model import (
    ActivateGiftCardResponse,
    ActivationStatusCheckResponse,
    CardInfo,
    CreateGiftCardResponse,
    DeactivateGiftCardResponse,
    GetAvailableFundsResponse,
    Operation,
    Response,
    Shape,
)
from .refusals import Verdict, facts_of, refusal, signing_time, unreadable
from .secret import redact
from .wire import HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .endpoints import Endpoint
    from .money import Money

O = TypeVar("O", bound=Response)  # noqa: E741  (what comes out)

SUCCESS = "SUCCESS"

# What is plainly no live card. The set of statuses is open: any other may well be one.
_DEAD = frozenset({"RefundedToPurchaser", "Expired", "AwaitingActivation"})

# Operations whose answers must repeat the id: seen on the wire, and money hangs on it.
_ECHOED = (CreateGiftCardResponse, ActivateGiftCardResponse)


class Protocol:
    """
    The service's language, for one partner at one endpoint.

    Args:
        endpoint: whose host and target the requests name.
        codec: the format of requests and of the answers asked for.
        partner_id: what every request id begins with.
        user_agent: the User-Agent header.
    """

    def __init__(self, endpoint: Endpoint, codec: codecs.Codec, partner_id: str, user_agent: str) -> None:
        self._endpoint = endpoint
        self._codec = codec
        self._partner_id = partner_id
        self._user_agent = user_agent
        self._headers = cache(self._make_headers)

    def request(self, operation: Operation[Shape, Response], shape: Shape) -> HTTPRequest:
        """
        Return the unsigned request: encoded once, so that every attempt sends the same bytes.

        Raises:
            ConfigurationError: the service could only refuse this; nothing has been sent.
        """
        check_shape(shape)
        if operation.has_prefixed_id:
            assert operation.id_field is not None
            request_id: str = getattr(shape, operation.id_field)
            mock_ids = self._endpoint.environment != "production"
            check_prefix(operation.id_field, request_id, self._partner_id, mock_ids=mock_ids)
        return self.carrying(operation, self._codec.encode(operation.name, shape))

    def carrying(self, operation: Operation[Shape, Response], body: bytes) -> HTTPRequest:
        """Return the unsigned request with *body* as it is, whatever the service may think of it."""
        return HTTPRequest(
            origin=self._endpoint.origin,
            path=operation.path,
            headers=self._headers(operation.target),
            body=body,
        )

    def read(
        self, operation: Operation[Shape, O], shape: Shape, signed: HTTPRequest, response: HTTPResponse
    ) -> O:
        """
        Return the answer to *shape*, or raise what it amounts to.

        Raises:
            ServiceError: the service or its gateway refused, or could not say.
            PostconditionError: it said SUCCESS, about something else than was asked for.
            GatewayFault, MalformedResponse: no verdict could be read.
        """
        reason = "no verdict in the body"
        try:
            answer = _decode(operation.response, response.body)
            if answer.status == SUCCESS:
                _verify(operation, shape, answer, response)
                return answer
        except codecs.UnreadableBody as exc:
            reason = str(exc)
        raise _not_success(reason, signed, response)

    def _make_headers(self, target: str) -> Mapping[str, str]:
        return {
            "accept": self._codec.content_type,
            "accept-encoding": "identity",
            "content-type": self._codec.content_type,
            "host": self._endpoint.host,
            "user-agent": self._user_agent,
            "x-amz-target": target,
        }


def _decode(kind: type[O], body: bytes) -> O:
    codec = codecs.codec_for(body)
    answer = codec.decode(body, kind)
    if answer.status is None:
        # The service's documents call it statusCode here and there.
        status = codec.parse(body)[1].get("statusCode")
        answer = replace(answer, status=status) if isinstance(status, str) else answer
    return answer.with_document(lambda: _fields(codec, body))


def _fields(codec: codecs.Codec, body: bytes) -> dict[str, Any]:
    try:
        return codec.parse(body)[1]
    except codecs.UnreadableBody:
        # What is known could be read, what is not cannot.
        return {}


def _not_success(reason: str, signed: HTTPRequest, response: HTTPResponse) -> ResponseError:
    facts = facts_of(response)
    try:
        root, tree = codecs.codec_for(response.body).parse(response.body)
    except codecs.UnreadableBody:
        return unreadable(reason, response, facts)
    verdict = Verdict.find(root, tree, response.headers)
    if verdict.status == SUCCESS:
        return MalformedResponse(reason, **facts)
    return refusal(verdict, response, facts, signing_time(signed.headers))


def _verify(operation: Operation[Shape, O], shape: Shape, answer: O, response: HTTPResponse) -> None:
    """Hold a SUCCESS against what was asked for: after a cancel, a create still says SUCCESS."""
    check = _Check(operation, shape, answer, facts_of(response))
    check.id()
    check.same("card_number", getattr(answer, "card_info", None))
    check.same("gc_id", answer)
    match answer:
        case CreateGiftCardResponse():
            check.present("gcClaimCode", answer.gc_claim_code)
            check.card(answer.card_info, "Fulfilled")
        case ActivateGiftCardResponse():
            check.card(answer.card_info, "Activated")
        case DeactivateGiftCardResponse():
            if answer.card_info and answer.card_info.card_status == "Activated":
                raise check.wrong("the card is still active")
        case ActivationStatusCheckResponse():
            check.present("cardInfo", answer.card_info)
        case GetAvailableFundsResponse():
            check.present("availableFunds", answer.available_funds)
        case _:
            pass


class _Check:
    """Compares one answer with its request."""

    def __init__(
        self, operation: Operation[Shape, Response], shape: Shape, answer: Response, facts: dict[str, Any]
    ) -> None:
        self._operation = operation
        self._shape = shape
        self._answer = answer
        self._facts = facts

    def wrong(self, reason: str, *, proves_nothing: bool = False) -> PostconditionError:
        error = PostconditionError(reason, response=self._answer, **self._facts)
        if proves_nothing:
            # It leaves open what became of the card that was asked for.
            error.outcome = "unknown"
        return error

    def present(self, field: str, value: object) -> None:
        if value is None:
            raise MalformedResponse(f"SUCCESS without {field}", **self._facts)

    def id(self) -> None:
        field = self._operation.id_field
        if field is None:
            return
        asked: str = getattr(self._shape, field)
        echoed: str | None = getattr(self._answer, field)
        if echoed is None and isinstance(self._answer, _ECHOED) and not is_mock_id(asked):
            self.present(field, None)
        if echoed is not None and echoed != asked:
            raise self.wrong(f"the answer is about {redact(echoed)}", proves_nothing=True)

    def same(self, field: str, holder: object) -> None:
        """The card that was named is the one that is answered about, where both are."""
        asked, answered = getattr(self._shape, field, None), getattr(holder, field, None)
        if asked is not None and answered is not None and asked != answered:
            raise self.wrong(f"the answer is about another {field}", proves_nothing=True)

    def card(self, card: CardInfo | None, live: str) -> None:
        self.present("cardInfo", card)
        assert card is not None
        self.present("cardInfo.cardStatus", card.card_status)
        self.present("cardInfo.value", card.value)
        status = card.card_status or ""
        if status != live:
            raise self.wrong(f"the card is {redact(status)}, not {live}", proves_nothing=status not in _DEAD)
        asked: Money = getattr(self._shape, "value")  # noqa: B009
        if card.value != asked:
            raise self.wrong(f"the card has {redact(str(card.value))}, not {asked}: the id was used before")
