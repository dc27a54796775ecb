"""Ctrl-C: once, and what is in flight ends; twice, and it ends at once. The ledger is true after both."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest

from agcod_async.cli import command as commands
from agcod_async.cli.app import run
from agcod_async.cli.command import Invocation, run_command
from agcod_async.cli.exits import CommandError, ExitCode
from agcod_async.cli.output import Output
from agcod_async.cli.process import Process
from agcod_async.emulator import Fault, FaultKind
from tests.cli.world import Stream

REWARD = ("create", "order-1", "25.00", "USD", "--yes")


def state(cli):
    with sqlite3.connect(cli.folder / "rewards.db") as ledger:
        (found,) = ledger.execute("SELECT state FROM entries").fetchone()
    ledger.close()
    return found


def start(cli, emulator, seconds):
    """Begin a reward whose answer takes its time, as a process of its own."""
    emulator.faults.arm(Fault(FaultKind.DELAY, "CreateGiftCard", seconds=seconds))
    process = cli.process(*REWARD)
    while not emulator.faults.fired:
        time.sleep(0.01)
    emulator.faults.clear()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once(cli, emulator, number):
    """The answer that is on its way is waited for, and noted."""
    with start(cli, emulator, 1.0) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, state(cli)) == (130, "issued")
    assert "Traceback" not in out + err
    again = cli(*REWARD)
    assert (again.code, emulator.state.funds["Acme1"]) == (0, 9975)


def test_twice(cli, emulator):
    """Nothing is waited for; the ledger says that a request may have left."""
    with start(cli, emulator, 30.0) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, state(cli)) == (130, "sent")
    assert "Traceback" not in out + err


def invocation():
    streams = [Stream(is_terminal=True) for _ in range(3)]
    process = Process(stdin=streams[0], stdout=streams[1], stderr=streams[2], environ={})
    return Invocation(process, Output(process.stdout, process.stderr, as_json=False)), streams[2]


def interrupt(times=1):
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_command_that_looks_at_the_flag():
    """It ends by itself, and says that it was told to."""
    made, err = invocation()

    async def act(context):
        interrupt()
        assert await context.stopped_within(10)
        return ExitCode.OK

    assert run_command(made, {}, act) == ExitCode.INTERRUPTED
    assert "Ctrl-C again" in err.getvalue()


def test_a_command_that_does_not_end(monkeypatch):
    """After a while it is cut."""
    monkeypatch.setattr(commands, "GRACE", 0.05)
    made, _ = invocation()

    async def act(context):
        interrupt()
        await asyncio.sleep(60)

    assert run_command(made, {}, act) == ExitCode.INTERRUPTED


def test_an_error_after_ctrl_c_is_still_shown():
    """What could not be finished is said; the exit code says why."""
    made, err = invocation()

    async def act(context):
        interrupt()
        await context.stopping.wait()
        raise CommandError("half done", fix="run it again")

    assert run_command(made, {}, act) == ExitCode.INTERRUPTED
    assert "half done" in err.getvalue()


def test_a_cancellation_of_its_own_is_an_error():
    """Only a signal makes an interruption."""
    made, _ = invocation()

    async def act(context):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_command(made, {}, act)


def test_where_loops_have_no_signal_handlers():
    """On Windows Ctrl-C is an exception."""
    made, err = invocation()

    async def act(context):
        raise KeyboardInterrupt

    assert run_command(made, {}, act) == ExitCode.INTERRUPTED
    assert err.getvalue() == "agcod: stopped\n"


def test_a_reader_that_has_gone(cli):
    """`agcod activity | head -1` ends quietly."""
    cli("create", "order-1", "5.00", "USD", "--yes")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    with cli.process("activity", "--json", "--from", f"{yesterday}") as process:
        process.stdout.close()
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (ExitCode.INTERRUPTED, "")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as pipe:
        process = Process(
            stdout=pipe, stderr=Stream(is_terminal=False), environ=cli.environ, folder=cli.folder
        )
        assert run(["funds"], process) == ExitCode.INTERRUPTED
    assert process.stderr.getvalue() == ""


def test_ctrl_c_at_the_prompt(cli, emulator):
    """Nothing was sent, and nothing is left."""

    class Interrupted(Stream):
        def readline(self, *_):
            interrupt()
            raise AssertionError("nobody interrupted")

    process = Process(
        stdin=Interrupted(is_terminal=True),
        stdout=Stream(is_terminal=True),
        stderr=Stream(is_terminal=True),
        environ=cli.environ,
        folder=cli.folder,
    )
    assert run(REWARD[:-1], process) == 130
    assert process.stderr.getvalue().endswith("agcod: stopped: nothing was sent\n")
    assert emulator.state.funds["Acme1"] == 10_000
