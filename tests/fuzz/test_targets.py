"""The kept inputs of the fuzzer hold on every Python, without the fuzzer; and its targets can fail."""

from __future__ import annotations

import pytest

from agcod_async import codecs
from tests.fuzz import targets


@pytest.mark.parametrize("name", targets.TARGETS)
def test_every_kept_input_holds(name):
    """What was found once and mended stays mended, and a fuzzer begins with inputs that pass."""
    inputs = targets.seeds(name)
    assert inputs
    for data in inputs:
        targets.TARGETS[name](data)


def test_the_fuzzer_knows_the_names_of_the_service():
    """Guessing `creationRequestId` letter by letter would take it for ever."""
    assert {"creationRequestId", "gcClaimCode", "cardActivityList", "RESEND"} <= targets.words()


def test_a_target_notices_a_broken_guard(monkeypatch):
    """A target that cannot fail finds nothing."""
    monkeypatch.setattr(codecs, "MAX_DEPTH", 10**6)
    deep = b"<a>" * 200 + b"</a>" * 200
    targets.xml(deep)
    monkeypatch.setattr(codecs.XML, "parse", lambda _: ("a", {"a": {"b": {}}}))
    monkeypatch.setattr(codecs, "MAX_DEPTH", 0)
    with pytest.raises(AssertionError):
        targets.xml(deep)


def test_a_target_notices_text_that_has_no_place_in_a_message(monkeypatch):
    """Whoever logs an error logs one bounded line."""
    monkeypatch.setattr("agcod_async.refusals.redact", lambda text: text)
    with pytest.raises(AssertionError):
        targets.header(b"x\n" * 1000)


@pytest.mark.parametrize("name", ["refusals", "signatures"])
def test_a_target_notices_what_the_doctor_must_not_say(name, monkeypatch):
    """It quotes what a gateway sent, and its line is sent on to colleagues and to support."""
    monkeypatch.setattr("agcod_async.diagnosis.wording.masked", lambda text, *_, **__: text)
    canonical = targets.STEPS.canonical_request.replace("/CreateGiftCard", "/AAAA-BBBBBB-CCCC")
    pasted = f"the Canonical String should have been\n'{canonical}'\n".encode()
    with pytest.raises(AssertionError):
        targets.TARGETS[name](pasted if name == "refusals" else b"\0" + pasted)
