"""`agcod bulk run` for real: killed in the middle, and at the account's real rate on a real clock."""

from __future__ import annotations

import csv
import json
import time

import pytest

from agcod_async.emulator import Emulator, Fault, FaultKind, Throttle
from agcod_async.ledger.request_ids import request_id

pytestmark = pytest.mark.once


def write(folder, count):
    rows = "".join(f"order-{number:04},{number % 7 + 1}.25,USD\n" for number in range(count))
    (folder / "rewards.csv").write_text("reference,amount,currency\n" + rows, encoding="utf-8")
    return {f"order-{number:04}": f"{number % 7 + 1}.25" for number in range(count)}


FAULTS = (
    Fault(FaultKind.DROP_BEFORE, operation="CreateGiftCard", probability=0.03),
    Fault(FaultKind.DROP_AFTER, operation="CreateGiftCard", probability=0.03),
    Fault(FaultKind.RESEND_AFTER, operation="CreateGiftCard", probability=0.03),
    Fault(FaultKind.FAULT_AFTER, operation="CreateGiftCard", probability=0.03),
    Fault(FaultKind.GARBAGE, operation="CreateGiftCard", probability=0.02),
    Fault(FaultKind.DUPLICATE, operation="CreateGiftCard", probability=0.03, seconds=0.5),
)


def test_killed_twice_in_the_middle_nobody_is_paid_twice(cli, emulator):
    """300 rewards, faults of six kinds, kill -9 at two places: file, ledger, report and gateway agree."""
    wanted = write(cli.folder, 300)
    for fault in FAULTS:
        emulator.faults.arm(fault)
    for issued in (60, 70):
        process = cli.process("bulk", "run", "rewards.csv", "--yes")
        assert process.stdout is not None
        for _ in range(issued):
            assert json.loads(process.stdout.readline())["state"] == "issued"
        process.kill()
        process.communicate()

    last = cli.process("bulk", "run", "rewards.csv", "--yes", "--results", "out.csv")
    out, err = last.communicate(timeout=200)
    assert (last.returncode, err) == (0, "")
    summary = json.loads(out.splitlines()[-1])
    assert (summary["rewards"], summary["issued"], summary["unknown"]) == (300, 300, 0)
    assert len(emulator.faults.fired) > 30

    rows = list(csv.DictReader((cli.folder / "out.csv").read_text().splitlines()))
    assert {row["reference"]: row["amount"] for row in rows if row["state"] == "issued"} == wanted
    cards = {name: card for name, card in emulator.state.cards.items() if card.is_live}
    assert {row["request_id"]: row["gc_id"] for row in rows} == {
        name: card.gc_id for name, card in cards.items()
    }
    assert set(cards) == {request_id("Acme1", reference, 1) for reference in wanted}
    total = sum(float(amount) * 100 for amount in wanted.values())
    [status] = cli("bulk", "status", "rewards.csv").records
    assert (status["state"], status["count"], float(status["amount"]) * 100) == ("issued", 300, total)
    assert emulator.state.spent("Acme1") * 100 == total
    assert summary["funds"] is not None


@pytest.fixture
def strict(tmp_path):
    """The command line, and a gateway that lets ten pass in any second."""
    from .world import Cli, serving

    emulator = Emulator(throttle=Throttle(model="sliding"))
    with serving(emulator) as environment:
        yield Cli(tmp_path, {**environment, "AGCOD_LOG": "info"}), emulator


@pytest.mark.alone
def test_the_accounts_rate_on_a_real_clock(strict):
    """
    Nothing is refused for its rate, from the first receipt to the last.

    On an idle machine it goes at 94 % of the rate or more, as tests/bulk/test_rate.py holds without a
    clock; a busy one wakes up late for each slot.
    """
    cli, emulator = strict
    write(cli.folder, 200)
    process = cli.process("bulk", "run", "rewards.csv", "--yes")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["state"] == "issued"
    start = time.perf_counter()
    rest = [json.loads(process.stdout.readline()) for _ in range(199)]
    passed = time.perf_counter() - start
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert {receipt["state"] for receipt in rest} == {"issued"}
    # The throttle says so on every refusal for the rate.
    assert "RateChanged" not in err
    assert emulator.state.spent("Acme1") == sum(number % 7 + 1.25 for number in range(200))
    assert 199 / passed >= 9.0, 199 / passed
