"""The exit codes: each is produced, as a user would meet it, and each error has a code and a fix."""

from __future__ import annotations

import signal
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal

import pytest

import agcod_async
from agcod_async import AgcodError, AgcodSession, CredentialsError, LedgerError, PostconditionError
from agcod_async.cli.exits import MEANINGS, CommandError, ExitCode, described, exit_code_of, fix_for
from agcod_async.emulator import Fault, FaultKind
from agcod_async.errors import CampaignStopped

REWARD = ("create", "order-1", "25.00", "USD", "--yes")


def _refused(cli, emulator):
    emulator.state.funds["Acme1"] = Decimal(1)
    return cli(*REWARD)


def _pending(cli, emulator):
    emulator.faults.arm(Fault(FaultKind.RESEND_BEFORE))
    return cli(*REWARD, "--wait", "0.5")


def _unknown(cli, emulator):
    emulator.faults.arm(Fault(FaultKind.DROP_AFTER))
    return cli("funds")


def _unreachable(cli, emulator):
    emulator.faults.arm(Fault(FaultKind.REFUSE_CONNECTION))
    return cli("funds")


def _abandoned(cli, emulator):
    assert _pending(cli, emulator).code == ExitCode.PENDING
    with sqlite3.connect(cli.folder / "rewards.db") as ledger:
        ledger.execute("UPDATE entries SET due_at = 1, unknown_since = 1, lease_until = NULL")
    ledger.close()
    return cli("recover", "--yes")


def _interrupted(cli, emulator):
    emulator.faults.arm(Fault(FaultKind.DELAY, "GetAvailableFunds", seconds=1.0))
    with cli.process("funds") as process:
        while not emulator.faults.fired:
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    return type("Result", (), {"code": process.returncode, "out": out, "err": err})


def _unexpected(cli, emulator):
    async def fail(self):
        raise RuntimeError("no AAAA-BBBBBB-CCCC in here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AgcodSession, "get_available_funds", fail)
        result = cli("funds")
    assert "AAAA-BBBBBB-CCCC" not in result.err
    assert result.error["error"] == "RuntimeError"
    return result


PRODUCED = {
    ExitCode.OK: lambda cli, emulator: cli("funds"),
    ExitCode.UNEXPECTED: _unexpected,
    ExitCode.USAGE: lambda cli, emulator: cli.with_environ(AGCOD_SECRET_ACCESS_KEY="wrong")("funds"),
    ExitCode.REFUSED: _refused,
    ExitCode.PENDING: _pending,
    ExitCode.UNAVAILABLE: _unreachable,
    ExitCode.LEDGER: lambda cli, emulator: cli(*REWARD, "--ledger", "no/such/folder.db"),
    ExitCode.ABANDONED: _abandoned,
    ExitCode.INTERRUPTED: _interrupted,
}
# `agcod reconcile` and the threshold of `agcod funds` have their own tests.
ELSEWHERE = {ExitCode.DIFFERENCE, ExitCode.ALERT}


def test_every_code_is_produced():
    """A code without a test would be a promise that nobody has seen kept."""
    assert set(PRODUCED) | ELSEWHERE == set(ExitCode) == set(MEANINGS)


@pytest.mark.parametrize("code", PRODUCED, ids=lambda code: code.name)
def test_exit_codes(cli, emulator, code):
    """Against the gateway, each the way a user would meet it."""
    assert PRODUCED[code](cli, emulator).code == code


def test_a_question_without_an_answer(cli, emulator):
    """Also where no money is at stake, what may have been executed is not called a failure."""
    assert _unknown(cli, emulator).code == ExitCode.PENDING


ERRORS = sorted(
    (each for each in vars(agcod_async).values() if isinstance(each, type) and issubclass(each, AgcodError)),
    key=lambda each: each.__name__,
)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("outcome", ["refused", "unknown", "not_sent"])
def test_every_error_has_a_code(kind, outcome):
    """Unknown is always 5, but for what is given up; no error looks like success or a difference."""
    error = kind("why", request_id="Acme1x")
    error.outcome = outcome
    code = exit_code_of(error)
    # A campaign that stops was told to, or has crossed a threshold of its own.
    stops = {ExitCode.ALERT, ExitCode.INTERRUPTED} if kind is CampaignStopped else set()
    assert code in {2, 4, 5, 6, 8, 9} | stops
    if outcome == "unknown":
        assert code == (ExitCode.ABANDONED if kind.__name__ == "RewardAbandoned" else ExitCode.PENDING)
        assert fix_for(error)
    facts = described(error)
    assert (facts["error"], facts["outcome"], facts["request_id"]) == (kind.__name__, outcome, "Acme1x")


def test_what_is_described():
    """The service's own names go with it: its support asks for them."""
    facts = described(
        CredentialsError(
            "no", error_code="F300", error_type="AccessDenied", aws_request_id="abc", http_status=403
        )
    )
    assert (facts["error_code"], facts["error_type"], facts["aws_request_id"]) == (
        "F300",
        "AccessDenied",
        "abc",
    )
    pending = agcod_async.OutcomePending("wait", reference="order-1", since=datetime(2026, 3, 1, tzinfo=UTC))
    assert described(pending)["reference"] == "order-1"
    assert described(CommandError("no", fix="yes"))["fix"] == "yes"
    assert fix_for(PostconditionError("another amount")) is None
    assert described(OSError(28, "No space left on device"))["message"] == "OSError: No space left on device"
    assert described(ValueError("AAAA-BBBBBB-CCCC"))["message"] == "an unexpected ValueError"
    assert exit_code_of(LedgerError("full")) == ExitCode.LEDGER
