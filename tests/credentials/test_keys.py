"""What a session does with its provider: in virtual time, against a gateway that knows some keys."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from datetime import timedelta
from typing import Any, Self

import pytest
from hypothesis import given, strategies as st

from agcod_async import (
    AgcodError,
    AgcodSession,
    ConfigurationError,
    Credentials,
    CredentialsError,
    CredentialsUnavailable,
    Event,
    KeyAgeing,
    KeyOverdue,
    KeyRefreshed,
    KeyRefreshFailed,
    KeyRejected,
    LocalThrottle,
    Money,
    ResponseTimeout,
    RetryPolicy,
    RetryScheduled,
    SignatureError,
)
from agcod_async.wire import HTTPRequest, HTTPResponse
from tests.support.leaks import SENSITIVE
from tests.support.properties import examples
from tests.support.sessions import CREATED, NO_RETRY, START, make_session, response
from tests.support.transports import ScriptedTransport
from tests.support.virtual_time import run_virtually

from .providers import NEW, OLD, RENEWED, Vault

UNKNOWN_KEY = response(b'{"message":"The security token included in the request is invalid."}', 403)
MISMATCH = response(b'{"message":"The request signature we calculated does not match"}', 403)


@pytest.fixture
def anyio_backend(virtual_time):
    """Nothing here waits."""
    return virtual_time


class Gateway:
    """Knows some keys, and takes a moment to say so; which key signed is remembered with each request."""

    def __init__(self, *keys: Credentials, latency: float = 0.2) -> None:
        self.keys = {pair.access_key_id for pair in keys}
        self.latency = latency
        self.refusal = UNKNOWN_KEY
        self.signed: list[str] = []
        self.times: list[float] = []

    async def send(self, request: HTTPRequest, /) -> HTTPResponse:
        key = request.headers["authorization"].partition("Credential=")[2].partition("/")[0]
        self.signed.append(key)
        self.times.append(asyncio.get_running_loop().time())
        is_known = key in self.keys
        await asyncio.sleep(self.latency)
        return response(CREATED) if is_known else self.refusal

    async def aclose(self) -> None:
        pass


class Watched:
    """A session, its gateway and its events."""

    def __init__(self, provider: Any, gateway: Any, **options: Any) -> None:
        self.events: list[Event] = []
        self.session = make_session(gateway, credentials=provider, hooks=[self.note], **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.aclose()
        assert all(SENSITIVE.search(repr(event)) is None for event in self.events)

    def note(self, event: Event) -> None:
        if isinstance(event, (*KEY_EVENTS, RetryScheduled)):
            self.events.append(event)

    async def create(self) -> Any:
        return await self.session.create_gift_card("Acme1X0001", Money("25.00", "USD"))

    def told(self, *kinds: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kinds)]


KEY_EVENTS = (KeyRefreshed, KeyRefreshFailed, KeyRejected, KeyAgeing, KeyOverdue)


# Fresh


async def test_a_static_pair_is_never_asked_for():
    """Most programs have one, and pay nothing for what the others need."""
    before = asyncio.all_tasks()
    async with Watched(OLD, Gateway(OLD)) as w:
        await w.create()
        assert asyncio.all_tasks() == before
        assert w.events == []


async def test_calls_share_a_question():
    """A hundred customers at once are one request to the secret store."""
    vault, gateway = Vault(latency=0.5, max_age=60.0), Gateway(OLD)
    async with Watched(vault, gateway) as w:
        await asyncio.gather(*(w.create() for _ in range(100)))
        await asyncio.sleep(59)
        await w.create()
        assert vault.asked == [0.0]
        await w.create()
        await asyncio.sleep(1)
        await w.create()
    assert len(vault.asked) == 2
    assert set(gateway.signed) == {"AKIDOLD00001"}


async def test_a_new_pair_is_used_when_the_old_one_has_its_age():
    """Rotation needs no restart, and somebody is told."""
    vault, gateway = Vault(max_age=10.0), Gateway(OLD, NEW)
    async with Watched(vault, gateway) as w:
        await w.create()
        vault.pair = NEW
        await w.create()
        await asyncio.sleep(10)
        await w.create()
    assert gateway.signed == ["AKIDOLD00001", "AKIDOLD00001", "AKIDNEW00002"]
    assert w.events == [KeyRefreshed(key="****0002", previous="****0001")]


async def test_a_provider_without_an_age_is_asked_before_each_attempt():
    """The simplest provider is right at once, and may become faster later."""
    vault, gateway = Vault(), Gateway(OLD, NEW)
    async with Watched(vault, gateway) as w:
        await w.create()
        vault.pair = NEW
        await w.create()
    assert gateway.signed == ["AKIDOLD00001", "AKIDNEW00002"]
    assert len(vault.asked) == 2


async def test_a_call_is_signed_with_the_pair_of_its_moment():
    """Who stood in line for a minute must not leave with the pair of a minute ago."""
    vault, gateway = Vault(max_age=1.0), Gateway(OLD, NEW, latency=0.0)
    async with Watched(vault, gateway, throttle=LocalThrottle(burst=10)) as w:
        line = [asyncio.create_task(w.create()) for _ in range(600)]
        await asyncio.sleep(20)
        vault.pair = NEW
        await asyncio.gather(*line)
    changed = gateway.signed.index("AKIDNEW00002")
    assert 20 <= gateway.times[changed] < 23
    assert set(gateway.signed[changed:]) == {"AKIDNEW00002"}
    assert len(vault.asked) < 35, "asked while they stood in line, and not by each of them"


# Slow, hanging and failing providers


async def test_a_slow_provider_does_not_bunch_calls():
    """Asked for after the throttle's slot, all slots of two seconds would leave together, and be refused."""
    vault, gateway = Vault(latency=2.0, max_age=30.0), Gateway(OLD)
    async with Watched(vault, gateway, throttle=LocalThrottle(burst=1)) as w:
        await asyncio.gather(*(w.create() for _ in range(30)))
    gaps = [later - earlier for earlier, later in zip(gateway.times, gateway.times[1:], strict=False)]
    assert gateway.times[0] == pytest.approx(2.0)
    assert min(gaps) > 0.1


async def test_a_provider_that_hangs_holds_no_slot():
    """Others share the account's rate: theirs is not spent on a call that cannot leave."""
    throttle, gateway = LocalThrottle(burst=10), Gateway(OLD)
    hung = Watched(Vault(latency=1e6), gateway, throttle=throttle, retry=NO_RETRY, credentials_timeout=3.0)
    other = Watched(OLD, gateway, throttle=throttle)
    async with hung, other:
        waiting = [asyncio.create_task(hung.create()) for _ in range(20)]
        await asyncio.sleep(1)
        await asyncio.gather(*(other.create() for _ in range(10)))
        assert gateway.times == [1.0] * 10
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)
    await throttle.aclose()
    assert {type(error) for error in results} == {CredentialsUnavailable}
    assert {error.outcome for error in results} == {"not_sent"}
    assert len({id(error) for error in results}) == 20, "each call has an error of its own"
    assert "credentials: Vault gave none within 3 s" in str(results[0])


async def test_the_timeout_is_by_default_that_of_an_attempt():
    """Six seconds; and what hung for a moment is repeated like a connection that failed."""
    vault = Vault(latency=1e6)
    async with Watched(vault, Gateway(OLD)) as w:
        call = asyncio.create_task(w.create())
        await asyncio.sleep(5.9)
        vault.latency = 0.0
        await call
    assert [event.error for event in w.told(RetryScheduled)] == ["CredentialsUnavailable"]
    assert vault.asked == [0.0, pytest.approx(6.0, abs=0.1)]


async def test_a_provider_that_begins_to_hang_slows_nobody_down():
    """With a pair in hand, its failure is a warning and no outage."""
    vault, gateway = Vault(max_age=5.0), Gateway(OLD, latency=0.0)
    async with Watched(vault, gateway) as w:
        await w.create()
        vault.latency = 1e6
        for _ in range(100):
            await asyncio.sleep(1)
            begin = asyncio.get_running_loop().time()
            await w.create()
            assert asyncio.get_running_loop().time() - begin <= 0.25
        text = "credentials: Vault gave none within 6 s"
        assert w.events == [KeyRefreshFailed(key="****0001", error=text)], "told once"
        vault.latency, vault.pair = 0.0, NEW
        gateway.keys.add(NEW.access_key_id)
        await asyncio.sleep(12)
        await w.create()
        await asyncio.sleep(12)
        await w.create()
    assert gateway.signed[-1] == "AKIDNEW00002"


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (OSError(5, "Input/output error"), "Vault failed: OSError Input/output error"),
        (ValueError("canary-secret-key"), "Vault failed: ValueError"),
        (("AKID", "canary-secret-key"), "Vault returned tuple, not Credentials"),
        (ConfigurationError("key.json: others have access"), "others have access"),
        (CredentialsUnavailable("key.json: it is empty"), "it is empty"),
    ],
)
async def test_the_last_good_pair_is_kept(failure, says):
    """A file that is half written, a vault that is sealed: rewards go on, and somebody is told, once each."""
    vault, gateway = Vault(max_age=1.0), Gateway(OLD)
    async with Watched(vault, gateway) as w:
        await w.create()
        for _ in range(2):
            vault.pair = failure
            for _ in range(3):
                await asyncio.sleep(1)
                await w.create()
            vault.pair = OLD
            await asyncio.sleep(1)
            await w.create()
        assert [type(event) for event in w.events] == [KeyRefreshFailed, KeyRefreshFailed]
        assert says in w.events[0].error
    assert len(vault.asked) == 9, "and it is asked again all the while"


FAILURES = {"raises": ValueError("canary-secret-key"), "returns text": "canary-secret-key"}


@pytest.mark.parametrize("name", FAILURES)
async def test_without_a_pair_the_error_is_clear_and_clean(name):
    """Nothing was sent, what to mend is said, and no frame of the provider travels with the error."""
    kinds = (ConfigurationError, CredentialsUnavailable)
    async with Watched(Vault(FAILURES[name]), ScriptedTransport(), retry=NO_RETRY) as w:
        with pytest.raises(kinds, match="credentials: Vault") as caught:
            await w.create()
    error = caught.value
    assert (error.outcome, error.operation, error.request_id) == ("not_sent", "CreateGiftCard", "Acme1X0001")
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "get_credentials" not in shown
    assert SENSITIVE.search(shown + repr(pickle.dumps(error))) is None


async def test_what_only_a_person_can_mend_is_not_repeated():
    """A file that everybody may read is still one in a second."""
    vault = Vault(ConfigurationError("credentials: key.json: others have access"))
    async with Watched(vault, ScriptedTransport()) as w:
        with pytest.raises(ConfigurationError, match="others have access"):
            await w.create()
        assert len(vault.asked) == 1
        vault.pair = CredentialsUnavailable("credentials: key.json: it is empty")
        with pytest.raises(CredentialsUnavailable, match="it is empty"):
            await w.create()
    assert len(vault.asked) == 6


async def test_a_failing_provider_hides_no_unknown():
    """Send 1 timed out and may have charged: that no key is to be had afterwards does not undo it."""
    vault = Vault()

    def time_out(_: HTTPRequest) -> HTTPResponse:
        vault.pair, w.session._keys._pair = OSError("sealed"), None
        raise ResponseTimeout

    async with Watched(vault, ScriptedTransport(time_out)) as w:
        with pytest.raises(CredentialsUnavailable) as caught:
            await w.create()
    assert caught.value.outcome == "unknown"


async def test_closing_ends_a_question_under_way():
    """No task outlives the session, and calls that waited for a pair are told why."""
    before = asyncio.all_tasks()
    vault = Vault(latency=1e6)
    async with Watched(vault, ScriptedTransport()) as w:
        call = asyncio.create_task(w.create())
        await asyncio.sleep(1)
    with pytest.raises(ConfigurationError, match="this session is closed"):
        await call
    assert asyncio.all_tasks() == before
    assert len(vault.asked) == 1


async def test_a_provider_that_will_not_be_cancelled_does_not_hold_up_the_end():
    """It is left to itself after a second."""

    class Stubborn:
        async def get_credentials(self) -> Credentials:
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    if asyncio.get_running_loop().time() > 100:
                        raise

    before = asyncio.all_tasks()
    session = make_session(ScriptedTransport(), credentials=Stubborn(), retry=NO_RETRY)
    with pytest.raises(CredentialsUnavailable, match="Stubborn gave none within 6 s"):
        await session.create_gift_card("Acme1X0001", Money("25.00", "USD"))
    await session.aclose()
    assert asyncio.get_running_loop().time() == pytest.approx(7.0)
    await asyncio.sleep(100)
    [left] = asyncio.all_tasks() - before
    left.cancel()
    await asyncio.wait({left})


async def test_a_cancelled_call_leaves_the_question_to_the_others():
    """The first caller hung up; the second still gets the answer that was on its way."""
    vault, gateway = Vault(latency=1.0, max_age=60.0), Gateway(OLD)
    async with Watched(vault, gateway) as w:
        first, second = (asyncio.create_task(w.create()) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        await second
        assert first.cancelled()
    assert (vault.asked, len(gateway.signed)) == ([0.0], 1)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), "6"])
def test_a_timeout_that_is_none_is_refused(timeout):
    """A provider that is never waited for has no pair, ever."""
    with pytest.raises(ConfigurationError, match="credentials_timeout: seconds greater than 0"):
        make_session(ScriptedTransport(), credentials_timeout=timeout)


# Refused


@pytest.mark.parametrize(
    ("new", "refusal"),
    [(NEW, UNKNOWN_KEY), (NEW, MISMATCH), (RENEWED, MISMATCH)],
    ids=["key", "pair", "secret"],
)
async def test_a_refused_pair_is_replaced_and_the_call_repeated(new, refusal):
    """The key was rotated away a moment ago: the customer notices nothing."""
    vault = Vault(max_age=3600.0)
    transport = ScriptedTransport(response(CREATED), refusal, response(CREATED))
    async with Watched(vault, transport) as w:
        await w.create()
        vault.pair = new
        await w.create()
    refused, repeated = transport.requests[1:]
    assert f"Credential={new.access_key_id}/" in repeated.headers["authorization"]
    assert repeated.body is refused.body
    assert w.told(*KEY_EVENTS) == [KeyRefreshed(key=new.masked_id, previous="****0001")]


@pytest.mark.parametrize(("refusal", "kind"), [(UNKNOWN_KEY, CredentialsError), (MISMATCH, SignatureError)])
async def test_without_another_pair_nothing_is_repeated(refusal, kind):
    """A wrong key stays wrong, and every repeat brings it closer to being locked."""
    for provider in (OLD, Vault(OLD, max_age=3600.0)):
        transport = ScriptedTransport(refusal)
        async with Watched(provider, transport) as w:
            with pytest.raises(kind) as caught:
                await w.create()
        assert (caught.value.outcome, caught.value.attempts) == ("refused", 1)
        assert w.told(*KEY_EVENTS) == []


async def test_a_call_is_repeated_once():
    """A gateway that refuses the new pair too is believed."""
    vault = Vault(max_age=3600.0)

    def refuse(_: HTTPRequest) -> HTTPResponse:
        vault.pair = Credentials(f"AKIDMORE{len(transport.requests)}", "more")
        return UNKNOWN_KEY

    transport = ScriptedTransport(refuse, refuse, refuse)
    async with Watched(vault, transport) as w:
        with pytest.raises(CredentialsError):
            await w.create()
    assert len(transport.requests) == 2


async def test_refusals_that_come_together_ask_once():
    """Fifty calls in flight with the old key: one question, and all go on with the new one."""
    vault, gateway = Vault(max_age=3600.0, latency=0.1), Gateway(OLD)
    async with Watched(vault, gateway) as w:
        await w.create()
        vault.pair, gateway.keys = NEW, {NEW.access_key_id}
        await asyncio.gather(*(w.create() for _ in range(50)))
    assert len(vault.asked) == 2
    assert gateway.signed[1:] == ["AKIDOLD00001"] * 50 + ["AKIDNEW00002"] * 50
    assert w.told(*KEY_EVENTS) == [KeyRefreshed(key="****0002", previous="****0001")]


async def test_a_refusal_that_comes_late_asks_nobody():
    """The others have replaced the pair meanwhile; the late one only repeats."""
    vault, gateway = Vault(max_age=3600.0), Gateway(OLD)
    async with Watched(vault, gateway) as w:
        await w.create()
        vault.pair, gateway.keys = NEW, {NEW.access_key_id}
        gateway.latency = 30.0
        late = asyncio.create_task(w.create())
        await asyncio.sleep(1)
        gateway.latency = 0.1
        await w.create()
        assert len(vault.asked) == 2
        await late
    assert len(vault.asked) == 2
    assert gateway.signed[1:] == ["AKIDOLD00001", "AKIDOLD00001", "AKIDNEW00002", "AKIDNEW00002"]


async def test_an_answer_that_was_on_its_way_is_not_the_last_word():
    """It may have been read before the key was changed: a refusal that comes meanwhile asks again."""
    vault, gateway = Vault(max_age=1.0), Gateway(OLD)
    async with Watched(vault, gateway) as w:
        await w.create()
        await asyncio.sleep(2)
        # A slow answer is under way with the old pair, as the calls are that go on with it.
        vault.latency = 2.0
        gateway.keys = {NEW.access_key_id}
        call = asyncio.create_task(w.create())
        await asyncio.sleep(0.1)
        vault.latency, vault.pair = 0.0, NEW
        await call
    assert gateway.signed == ["AKIDOLD00001", "AKIDOLD00001", "AKIDNEW00002"]


async def test_a_dead_key_does_not_storm_the_secret_store():
    """Ten refused calls a second are one question a second, whose answer each of them waits for."""
    vault, gateway = Vault(max_age=3600.0), Gateway(latency=0.0)
    async with Watched(vault, gateway, retry=NO_RETRY) as w:
        calls = []
        for _ in range(100):
            calls.append(asyncio.create_task(w.create()))
            await asyncio.sleep(0.1)
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in results} == {CredentialsError}
    assert 10 <= len(vault.asked) <= 13
    assert asyncio.get_running_loop().time() < 11.5


async def test_a_refusal_waits_for_an_answer_of_its_own():
    """The last question found nothing, a moment before the new pair was there: it is asked again."""
    vault, gateway = Vault(max_age=3600.0), Gateway(latency=0.0)
    async with Watched(vault, gateway) as w:
        with pytest.raises(CredentialsError):
            await w.create()
        await asyncio.sleep(0.3)
        vault.pair, gateway.keys = NEW, {NEW.access_key_id}
        await w.create()
        assert asyncio.get_running_loop().time() < 1.1


async def test_a_provider_that_hangs_does_not_hide_the_refusal():
    """It is waited for, and then the refusal is what it is."""
    vault, gateway = Vault(max_age=3600.0), Gateway(latency=0.0)
    async with Watched(vault, gateway, credentials_timeout=2.0) as w:
        gateway.keys = {OLD.access_key_id}
        await w.create()
        gateway.keys, vault.latency = set(), 1e6
        begin = asyncio.get_running_loop().time()
        with pytest.raises(CredentialsError):
            await w.create()
        assert asyncio.get_running_loop().time() - begin == pytest.approx(2.0)


@pytest.mark.parametrize("retry", [RetryPolicy(), NO_RETRY])
async def test_a_refusal_of_the_key_does_not_settle_an_unknown(retry):
    """Send 1 timed out and may have charged; send 2 met a dead key. Nobody may call that refused."""
    transport = ScriptedTransport(ResponseTimeout(), *[UNKNOWN_KEY] * 2)
    async with Watched(Vault(max_age=3600.0), transport, retry=retry) as w:
        with pytest.raises(AgcodError) as caught:
            await w.create()
    assert caught.value.outcome == "unknown"


async def test_an_unknown_is_settled_with_the_new_key():
    """The same bytes under the same id, whichever key signs them."""
    vault = Vault(max_age=3600.0)

    def refuse(_: HTTPRequest) -> HTTPResponse:
        vault.pair = NEW
        return UNKNOWN_KEY

    transport = ScriptedTransport(ResponseTimeout(), refuse, response(CREATED))
    async with Watched(vault, transport) as w:
        assert (await w.create()).gc_id
    first, second, third = transport.requests
    assert first.body is second.body is third.body
    assert "Credential=AKIDNEW00002/" in third.headers["authorization"]


# A new pair that does not work


async def test_a_new_pair_that_is_refused_gives_way_to_the_old_one():
    """A slip in the new secret, or a gateway that does not know the key yet: the old one still works."""
    vault, gateway = Vault(max_age=5.0), Gateway(OLD, latency=0.0)
    async with Watched(vault, gateway) as w:
        await w.create()
        vault.pair = NEW
        for _ in range(50):
            await asyncio.sleep(1)
            await w.create()
        rejected = KeyRejected(key="****0002", used="****0001")
        assert w.told(*KEY_EVENTS) == [KeyRefreshed(key="****0002", previous="****0001"), rejected]
        assert gateway.signed.count("AKIDNEW00002") == 1
        gateway.keys.add(NEW.access_key_id)
        for _ in range(30):
            await asyncio.sleep(1)
            await w.create()
    assert gateway.signed[-10:] == ["AKIDNEW00002"] * 10, "it is tried again after a minute"


async def test_a_pair_on_probation_is_better_than_none():
    """The old key was deleted before the new one had proved itself: there is nothing to wait for."""
    vault, gateway = Vault(max_age=5.0), Gateway(OLD, latency=0.0)
    async with Watched(vault, gateway) as w:
        await w.create()
        vault.pair = NEW
        await asyncio.sleep(5)
        await w.create()
        assert gateway.signed[-1] == "AKIDOLD00001"
        gateway.keys = {NEW.access_key_id}
        await asyncio.sleep(2)
        await w.create()
    assert gateway.signed[-2:] == ["AKIDOLD00001", "AKIDNEW00002"]


async def test_two_dead_keys_are_not_tried_in_turns_for_ever():
    """Each call sends two requests at most, and the store is asked once a second."""
    vault, gateway = Vault(max_age=5.0), Gateway(OLD, latency=0.0)
    async with Watched(vault, gateway) as w:
        await w.create()
        vault.pair, gateway.keys = NEW, set()
        await asyncio.sleep(5)
        for _ in range(50):
            before = len(gateway.signed)
            with pytest.raises(CredentialsError):
                await w.create()
            assert len(gateway.signed) - before <= 2
            await asyncio.sleep(0.2)
    assert len(vault.asked) < asyncio.get_running_loop().time() + 3
    assert len(w.told(*KEY_EVENTS)) < 10


# Age


async def days(session: Watched, number: int) -> None:
    for _ in range(number * 24):
        await asyncio.sleep(3600)
        await session.create()


@pytest.mark.parametrize("is_static", [True, False])
async def test_a_pair_that_ages_is_told_of_once_a_day(is_static):
    """From 150 days on with a warning, at 180 as an error, however many calls there are."""
    pair = Credentials("AKIDOLD00001", "s", key_created=START - timedelta(days=148, hours=12))
    provider = pair if is_static else Vault(pair, max_age=60.0)
    async with Watched(provider, Gateway(OLD, latency=0.0)) as w:
        await days(w, 1)
        assert w.events == []
        await days(w, 33)
        told = w.told(*KEY_EVENTS)
        ageing = [event for event in told if isinstance(event, KeyAgeing)]
        overdue = [event for event in told if isinstance(event, KeyOverdue)]
        assert told == [*ageing, *overdue]
        assert [event.days_left for event in ageing] == list(range(30, 0, -1))
        assert [event.days_left for event in overdue] == [0, -1]
        assert {event.key for event in told} == {"****0001"}


async def test_a_session_knows_the_days_that_are_left():
    """A job that takes a week asks before it begins."""
    pair = Credentials("AKIDOLD00001", "s", key_created=START - timedelta(days=175))
    async with Watched(Vault(pair), ScriptedTransport()) as w:
        assert await w.session.key_days_left() == 5
    async with Watched(OLD, ScriptedTransport()) as w:
        assert await w.session.key_days_left() is None
    with pytest.raises(ConfigurationError, match="closed"):
        await w.session.key_days_left()


async def test_a_young_pair_ends_the_warnings():
    """The new pair has an age of its own."""
    old = Credentials("AKIDOLD00001", "s", key_created=START - timedelta(days=170))
    new = Credentials("AKIDNEW00002", "s", key_created=START)
    vault, gateway = Vault(old, max_age=1.0), Gateway(OLD, NEW, latency=0.0)
    async with Watched(vault, gateway) as w:
        await w.create()
        vault.pair = new
        await days(w, 3)
    assert [type(event) for event in w.events] == [KeyAgeing, KeyRefreshed]


# Several partners


async def test_partners_in_one_process_do_not_meet():
    """An agency issues for many: each session has its own pair, provider, failures and events."""
    vaults = [Vault(Credentials(f"AKIDPARTNER{n}", f"canary-secret-key-{n}"), max_age=5.0) for n in range(5)]
    gateways = [Gateway(vault.pair, latency=0.1) for vault in vaults]
    partners = [Watched(vault, gateway) for vault, gateway in zip(vaults, gateways, strict=True)]
    for _ in range(3):
        await asyncio.gather(*(partner.create() for partner in partners for _ in range(10)))
        await asyncio.sleep(5)
    vaults[1].pair = Credentials("AKIDROTATED", "canary-secret-key-rotated")
    gateways[1].keys = {"AKIDROTATED"}
    vaults[2].pair = OSError("sealed")
    vaults[3].latency = 1e6
    for _ in range(3):
        await asyncio.gather(*(partner.create() for partner in partners for _ in range(10)))
        await asyncio.sleep(5)
    assert [set(gateway.signed) for gateway in gateways] == [
        {f"AKIDPARTNER{n}"} | ({"AKIDROTATED"} if n == 1 else set()) for n in range(5)
    ]
    kinds = [{type(event) for event in partner.told(*KEY_EVENTS)} for partner in partners]
    assert kinds == [set(), {KeyRefreshed}, {KeyRefreshFailed}, {KeyRefreshFailed}, set()]
    for partner in partners:
        await partner.session.aclose()


async def test_views_of_a_session_share_its_pair():
    """Bulk and interactive calls of one partner are rotated together."""
    vault, gateway = Vault(max_age=3600.0), Gateway(OLD)
    async with Watched(vault, gateway) as w:
        view: AgcodSession = w.session.with_options(priority="bulk")
        await w.create()
        await view.create_gift_card("Acme1X0001", Money("25.00", "USD"))
    assert len(vault.asked) == 1


def test_an_age_of_a_provider_that_is_none_is_refused():
    """Whoever means "never" says math.inf, and hears of it when the session is made."""
    with pytest.raises(ConfigurationError, match="max_age: seconds of at least 0"):
        make_session(ScriptedTransport(), credentials=Vault(max_age=-1.0))


# Whatever happens


PORTAL = st.lists(
    st.tuples(
        st.sampled_from(["publish", "activate", "deactivate", "fail", "mend", "slow", "quick"]),
        st.sampled_from([OLD, NEW]),
        st.integers(0, 6),
    ),
    max_size=25,
)


@examples(150)
@given(actions=PORTAL, max_age=st.sampled_from([0.0, 1.0, 5.0, 3600.0]), latency=st.sampled_from([0.0, 0.2]))
def test_a_published_key_that_works_is_found(actions, max_age, latency):
    """
    Whatever happened before: a call fails only if no working pair was to be had while it ran.

    The provider is slow at times, fails at times, hands out dead pairs and takes them back; what the
    session has learnt from all that must never keep it from a pair that is there and works.
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        vault, gateway = Vault(max_age=max_age), Gateway(OLD, latency=latency)
        since = 0.0
        failures: list[tuple[float, float]] = []

        async def call(w: Watched) -> None:
            begin = loop.time()
            try:
                await w.create()
            except AgcodError:
                failures.append((begin, loop.time()))

        good: list[tuple[float, float]] = []

        def is_good() -> bool:
            pair = vault.pair
            return isinstance(pair, Credentials) and pair.access_key_id in gateway.keys

        async with Watched(vault, gateway) as w, asyncio.TaskGroup() as group:
            published: Credentials = OLD
            since = 0.0 if is_good() else -1.0
            for action, pair, pause in [*actions, ("mend", OLD, 20)]:
                if since >= 0:
                    good.append((since, loop.time()))
                match action:
                    case "publish":
                        published = pair
                        vault.pair = pair if isinstance(vault.pair, Credentials) else vault.pair
                    case "activate":
                        gateway.keys = gateway.keys | {pair.access_key_id}
                    case "deactivate":
                        gateway.keys = gateway.keys - {pair.access_key_id}
                    case "fail":
                        vault.pair = OSError("sealed")
                    case "mend":
                        vault.pair = published
                    case "slow":
                        vault.latency = 0.4
                    case _:
                        vault.latency = 0.0
                since = loop.time() if is_good() else -1.0
                for _ in range(pause):
                    group.create_task(call(w))
                    await asyncio.sleep(0.3)
            if since >= 0:
                good.append((since, loop.time() + 100))
        # Answers and refusals of before may be under way for a moment.
        margin = 1.0
        for begin, end in failures:
            assert not any(low + margin <= begin and end < high for low, high in good), (begin, end, good)

    run_virtually(main())
