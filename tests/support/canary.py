"""
Fails every test that lets a secret out, through whichever channel.

All through the suite, everything is at DEBUG and OpenTelemetry is on. Looked through are: each log record,
each event before the log's own filter, each span and metric, what is printed by this process and by those
it starts, each exception that leaves the package (with the locals of the frames it passed), each pickle,
and each file and table that a test leaves behind. A test that lets one out on purpose says so::

    @pytest.mark.reveals("files", because="the user named a file for codes")
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import pickle
import stat
import subprocess
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from inspect import iscoroutinefunction
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import pytest

import agcod_async
from agcod_async import AgcodError
from agcod_async.events import LOGGER, Event
from tests.support.leaks import Planted

try:
    from rich.pretty import pretty_repr
except ImportError:

    def pretty_repr(_object: object, **_options: int) -> str:
        """Return nothing: there is no rich here."""
        return ""


HAS_TELEMETRY = all(map(find_spec, ("opentelemetry", "opentelemetry.sdk")))
CHANNELS = ("log", "events", "telemetry", "output", "exceptions", "pickles", "files")

# Test dependencies that are compared with, and that log what they sign; the package never runs them.
_STRANGERS = ("boto", "hypothesis", "faker")
_TESTS = Path(__file__).parents[1]
_PACKAGE = str(Path(agcod_async.__file__).parent)
_PLANTERS = (str(_TESTS), str(Path(_PACKAGE, "emulator")))
"""Whose frames may hold codes: tests plant them, and the emulated gateway makes them."""
_pickled = pickle.dumps
_MOST_EXCEPTIONS = 20
"""Of one test. Properties raise thousands, all from the same frames."""
_MOST_EVENTS = 200
"""Of one test, that are made spans and measurements of; each event is looked through nevertheless."""
_LARGEST = 2**24
"""Bytes of a file that is looked through."""


class Canary:
    """Sees what comes out, and remembers the leaks of the running test."""

    def __init__(self) -> None:
        self.planted = Planted()
        self.leaks: list[tuple[str, str]] = []
        self.seen: Counter[str] = Counter()
        self.telemetry: _Telemetry | None = None
        self._exceptions = 0

    def see(self, channel: str, text: str, source: str = "") -> None:
        """Look through *text*, which came out of *channel*."""
        self.seen[channel] += 1
        kind = self.planted.kind_in(text)
        if kind is not None:
            # Where, and never what.
            self.leaks.append((channel, f"{channel}: {kind} in {source or 'it'}"))

    def see_exception(self, error: BaseException) -> None:
        """Look through what *error*, if it leaves the package, shows of itself and of its frames."""
        self._exceptions += 1
        if self._exceptions > _MOST_EXCEPTIONS:
            return
        for each in _chain(error):
            frames = [
                frame for frame, _ in traceback.walk_tb(each.__traceback__) if not _is(frame, _PLANTERS)
            ]
            if not isinstance(each, AgcodError) and not any(_is(frame, _PACKAGE) for frame in frames):
                continue
            name = type(each).__name__
            self.see("exceptions", f"{each} {each!r} {_attributes(each)}", name)
            for frame in frames:
                for local, value in frame.f_locals.items():
                    self.see("exceptions", _shown(value), f"{local} of {frame.f_code.co_qualname}, {name}")

    def see_output(self, streams: Iterable[str | bytes | None]) -> None:
        """Look through what was printed."""
        for stream in streams:
            if stream:
                self.see("output", stream if isinstance(stream, str) else stream.decode("latin-1"))

    def see_file(self, path: Path) -> None:
        """Look through a file."""
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= _LARGEST:
            self.see("files", path.read_bytes().decode("latin-1"), path.name)

    def next_test(self) -> list[tuple[str, str]]:
        """Return the leaks of the test that is over, and forget what it planted."""
        leaks, self.leaks, self._exceptions = self.leaks, [], 0
        self.planted.forget()
        return leaks


CANARY = Canary()


class _Records(logging.Handler):
    """What everybody logs, at any level."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_STRANGERS):
            return
        error = record.exc_info[1] if record.exc_info else None
        CANARY.see("log", f"{record.getMessage()} {record.args!r} {error!r}", record.name)
        if error:
            CANARY.see_exception(error)


class _Events(logging.Filter):
    """Every event there is, on its way to the log: before what looks like a secret is masked."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and record.args and isinstance(record.args[0], Event):
            CANARY.see("events", repr(record.args[0]), type(record.args[0]).__name__)
            if CANARY.telemetry:
                CANARY.telemetry.take(record.args[0])
        return True


class _Telemetry:
    """OpenTelemetry with its in-memory exporter, on for the whole suite."""

    def __init__(self) -> None:
        from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
        from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        from agcod_async.telemetry import OpenTelemetryHook

        self._exporter = InMemorySpanExporter()
        traces = TracerProvider(shutdown_on_exit=False)
        traces.add_span_processor(SimpleSpanProcessor(self._exporter))
        # What was measured since the last time, and not all over again.
        self._reader = InMemoryMetricReader(dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA))
        meters = MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)
        self._hook = OpenTelemetryHook(tracer_provider=traces, meter_provider=meters)
        self._contexts: WeakKeyDictionary[object, contextvars.Context] = WeakKeyDictionary()
        self._taken = 0

    def take(self, event: Event) -> None:
        """Do as a hook does, in a context of its own: a test may watch the current span itself."""
        self._taken += 1
        if self._taken > _MOST_EVENTS:
            return
        try:
            place: object = asyncio.current_task() or self
        except RuntimeError:
            place = self
        if place not in self._contexts:
            self._contexts[place] = contextvars.Context()
        self._contexts[place].run(self._hook, event)

    def look_through(self) -> None:
        """Look through what was exported since the last time."""
        if self._taken:
            self._taken = 0
            for span in self._exporter.get_finished_spans():
                events = [(event.name, dict(event.attributes or {})) for event in span.events]
                shown = f"{span.name} {dict(span.attributes or {})} {events} {span.status.description}"
                CANARY.see("telemetry", shown, "a span")
            self._exporter.clear()
            CANARY.see("telemetry", str(self._reader.get_metrics_data()), "metrics")


def pytest_configure(config: pytest.Config) -> None:
    """Before the tests are collected, because modules plant secrets as well."""
    monkeypatch = pytest.MonkeyPatch()
    config.add_cleanup(monkeypatch.undo)
    CANARY.planted.watch(monkeypatch)
    _watch_calls(monkeypatch)


def pytest_collection_finish() -> None:
    """What was planted by now may come out in any test."""
    CANARY.planted.keep()


@pytest.fixture(scope="session", autouse=True)
def canary() -> Iterator[Canary]:
    """Everything at DEBUG and OpenTelemetry on, from the first test to the last."""
    CANARY.telemetry = _Telemetry() if HAS_TELEMETRY else None
    records, events = _Records(logging.NOTSET), _Events()
    root = logging.getLogger()
    level = root.level
    root.addHandler(records)
    root.setLevel(logging.DEBUG)
    LOGGER.filters.insert(0, events)
    yield CANARY
    LOGGER.removeFilter(events)
    root.removeHandler(records)
    root.setLevel(level)


def _watch_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """See what goes through these functions, as everything of the other channels does somewhere."""

    def watch(owner: object, name: str, see: Callable[..., None]) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **options: Any) -> Any:
            result = original(*args, **options)
            see(result, *args)
            return result

        async def awaited(*args: Any, **options: Any) -> Any:
            result = await original(*args, **options)
            see(result, *args)
            return result

        monkeypatch.setattr(owner, name, awaited if iscoroutinefunction(original) else watched)

    watch(pytest.ExceptionInfo, "fill_unfilled", lambda _, __, raised: CANARY.see_exception(raised[1]))
    watch(pytest.CaptureFixture, "readouterr", lambda streams, *_: CANARY.see_output(streams))
    watch(subprocess.Popen, "communicate", lambda streams, *_: CANARY.see_output(streams))
    watch(asyncio.subprocess.Process, "communicate", lambda streams, *_: CANARY.see_output(streams))
    watch(pickle, "dumps", lambda pickled, *_: CANARY.see("pickles", pickled.decode("latin-1")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Look through what a phase of a test printed and, after the last one, through what it left behind."""
    report = yield
    for name, text in report.sections:
        if name.startswith("Captured std") and name.endswith(call.when):
            CANARY.see("output", text, name)
    if call.when == "teardown":
        if CANARY.telemetry:
            CANARY.telemetry.look_through()
        if folder := item.funcargs.get("tmp_path"):
            for path in sorted(folder.rglob("*")):
                CANARY.see_file(path)
        allowed = {mark.args[0] for mark in item.iter_markers("reveals")}
        leaks = [text for channel, text in CANARY.next_test() if channel not in allowed]
        if leaks:
            report.outcome = "failed"
            report.longrepr = f"secrets were let out: {'; '.join(dict.fromkeys(leaks))}"
    return report


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, and what it was raised from or holds."""
    todo, seen = [error], set[int]()
    while todo:
        each = todo.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += [more for more in (each.__cause__, each.__context__) if more]
            todo += each.exceptions if isinstance(each, BaseExceptionGroup) else ()


def _is(frame: FrameType, folders: str | tuple[str, ...]) -> bool:
    return frame.f_code.co_filename.startswith(folders)


def _attributes(error: BaseException) -> str:
    try:
        return f"{error.args!r} {vars(error)!r} {_pickled(error)!r}"
    except Exception:  # noqa: BLE001  (a test's own need not be picklable)
        return f"{error.args!r} {vars(error)!r}"


def _shown(value: object) -> str:
    """Return what tracebacks with locals show of a value: the standard library's and rich's."""
    try:
        return f"{value!r} {pretty_repr(value, max_length=100)}"
    except Exception:  # noqa: BLE001  (half-made objects have no repr; nor is it shown)
        return ""
