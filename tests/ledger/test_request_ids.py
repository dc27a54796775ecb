"""Request ids: the same on every machine, for ever."""

from __future__ import annotations

import json
import os
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from agcod_async import ConfigurationError
from agcod_async.ledger.request_ids import request_id

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "request_ids.json").read_text("utf-8"))
PARTNERS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=20)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["request_id"])
def test_ids_never_change(vector):
    """A lost ledger meets the same cards only as long as these ids stay as they are: never edit them."""
    made = request_id(vector["partner_id"], vector["reference"], vector["generation"])
    assert made == vector["request_id"]


def test_ids_do_not_depend_on_the_process():
    """Another process with another hash seed makes the same id."""
    code = "from agcod_async.ledger.request_ids import request_id; print(request_id('Acme1', 'order-1', 1))"
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert made == {request_id("Acme1", "order-1", 1)}


@given(PARTNERS, st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 10**6))
def test_ids_are_what_the_service_takes(partner_id, reference, generation):
    """The partner id, then letters and digits, at most forty in all, and room for a hash in every one."""
    made = request_id(partner_id, reference, generation)
    assert made.startswith(partner_id)
    assert made.isascii()
    assert made.isalnum()
    assert len(partner_id) + 20 <= len(made) <= 40


@given(
    PARTNERS,
    st.text("01\0a", max_size=4),
    st.text("01\0a", max_size=4),
    st.integers(1, 99),
    st.integers(1, 99),
)
def test_ids_differ(partner_id, one, other, first, second):
    """Each reference and generation has an id of its own, however alike they are."""
    if (one, first) != (other, second):
        assert request_id(partner_id, one, first) != request_id(partner_id, other, second)


@pytest.mark.parametrize("partner_id", ["", "Ac me", "Acmé", "A" * 21, None])
def test_a_partner_id_that_leaves_no_room_is_refused(partner_id):
    """An id without room for a hash would meet somebody else's card."""
    with pytest.raises(ConfigurationError, match="partner_id"):
        request_id(partner_id, "order-1", 1)
