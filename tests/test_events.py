from __future__ import annotations

import dataclasses
import logging

import pytest

from agcod_async import ClockCorrected, ConfigurationError, Event, RetryScheduled, UnlistedCurrency
from agcod_async.events import LOGGER, Hooks

RETRY = RetryScheduled(
    operation="CreateGiftCard", request_id="Acme1X1", attempt=1, delay=0.5, error="ConnectionLost"
)
EVENTS = [
    (RETRY, logging.INFO),
    (ClockCorrected(seconds=-300.0), logging.WARNING),
    (UnlistedCurrency(currency_code="XXX", endpoint="na"), logging.WARNING),
]


@pytest.fixture(autouse=True)
def all_levels(caplog):
    caplog.set_level(logging.DEBUG, "agcod_async")


@pytest.mark.parametrize(("event", "level"), EVENTS)
def test_every_event_is_logged_at_its_level(event, level, caplog):
    """The log alone tells the story, also to whoever installs no hook."""
    Hooks(()).emit(event)
    [record] = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("agcod_async", level, str(event))


def test_hooks_are_told_in_order():
    """Metrics and tracing see the same frozen values."""
    seen: list[tuple[str, Event]] = []
    hooks = Hooks([lambda event: seen.append(("first", event)), lambda event: seen.append(("second", event))])
    hooks.emit(RETRY)
    assert seen == [("first", RETRY), ("second", RETRY)]


def test_a_hook_never_breaks_a_call(caplog):
    """What a hook raises is logged by name only: its text may hold anything. The next hook runs."""
    seen: list[Event] = []

    def broken(_event: Event) -> None:
        raise RuntimeError("canary")

    Hooks([broken, seen.append]).emit(RETRY)
    assert seen == [RETRY]
    assert caplog.records[-1].levelno == logging.WARNING
    assert caplog.records[-1].getMessage().endswith("raised RuntimeError")
    assert "canary" not in caplog.text


def test_a_hook_may_end_the_program():
    """Ctrl-C inside of a hook is not an error of the hook."""

    def interrupted(_event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Hooks([interrupted]).emit(RETRY)


def test_hooks_added_later_change_nothing():
    """A session tells those it was made with."""
    hooks: list = []
    told = Hooks(hooks)
    hooks.append(lambda _event: pytest.fail("not one of the session's hooks"))
    told.emit(RETRY)


@pytest.mark.parametrize("event", [event for event, _ in EVENTS])
def test_events_are_values(event):
    """Every hook sees the same event."""
    assert isinstance(event, Event)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(event, dataclasses.fields(event)[0].name, None)


def test_the_log_is_silent_by_default():
    """A library without a configured log prints nothing, not even to stderr's last resort."""
    assert any(type(handler) is logging.NullHandler for handler in LOGGER.handlers)


def test_a_hook_that_would_have_to_be_awaited_is_refused():
    """It would never run, and its author would learn of it from a warning at the end of the program."""

    async def hook(event):
        """Never awaited."""

    with pytest.raises(ConfigurationError, match=r"hooks: .+ is no function"):
        Hooks([hook])
