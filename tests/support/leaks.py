"""Fails every test during which a secret was logged, by anybody, at any level."""

from __future__ import annotations

import logging
import re

import pytest

SENSITIVE = re.compile(
    r"\b[A-Z0-9]{4}-[A-Z0-9]{6}-[A-Z0-9]{4}\b"  # a claim code
    r"|Signature=[0-9a-f]{64}"  # an Authorization header
    r"|canary-secret-key"  # the planted secret key
)
# Test dependencies that are compared with, and that log what they sign; the package never runs them.
_STRANGERS = ("boto", "hypothesis", "faker")


class LeakDetector(logging.Handler):
    """Remembers the records in which something sensitive stood."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.leaks: list[str] = []
        self.records = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_STRANGERS):
            return
        self.records += 1
        text = f"{record.getMessage()} {record.args!r} {record.exc_info!r}"
        if SENSITIVE.search(text):
            self.leaks.append(f"{record.name}: {SENSITIVE.sub('<leak>', text)}")


@pytest.fixture(scope="session")
def leak_detector():
    """Every logger of the process at DEBUG, watched."""
    detector = LeakDetector()
    root = logging.getLogger()
    level = root.level
    root.addHandler(detector)
    root.setLevel(logging.DEBUG)
    yield detector
    root.removeHandler(detector)
    root.setLevel(level)


@pytest.fixture(autouse=True)
def no_leaks(leak_detector):
    """No test logs a claim code, a signature or the planted secret key."""
    yield
    leaks, leak_detector.leaks = leak_detector.leaks, []
    assert not leaks, f"secrets were logged: {leaks}"
