"""`python -m agcod_async.emulator`."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

pytest.importorskip("uvicorn", reason="pip install agcod-async[emulator]")
pytest.importorskip("trustme", reason="pip install agcod-async[emulator]")

from agcod_async.emulator import Emulator, __main__ as command

from . import foreign


async def _started(lines, *arguments):
    """Run the command in this loop until it has told how to reach it."""
    options = command.parser().parse_args(["--port", "0", *arguments])
    task = asyncio.ensure_future(command.run(options, lines.append))
    while not any(line.startswith("#") for line in lines):
        if task.done():
            await task
        await asyncio.sleep(0)
    return task, dict(shlex.split(line)[1].split("=", 1) for line in lines if line.startswith("export "))


async def _stopped(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _funds(environment):
    """What a stranger finds out with nothing but the printed variables."""
    key = (environment["AGCOD_ACCESS_KEY_ID"], environment["AGCOD_SECRET_ACCESS_KEY"])
    url, body = (
        environment["AGCOD_ENDPOINT"],
        b'{"partnerId":"%b"}' % environment["AGCOD_PARTNER_ID"].encode(),
    )
    from agcod_async.emulator import Emulator

    headers = foreign.signed_headers(
        Emulator(), url, "GetAvailableFunds", body, key=key, region=environment["AGCOD_REGION"]
    )
    async with httpx.AsyncClient(verify=environment.get("AGCOD_CA_FILE", True)) as client:
        return (await client.post(f"{url}/GetAvailableFunds", content=body, headers=headers)).json()


@pytest.mark.filterwarnings("ignore:`verify=<str>` is deprecated:DeprecationWarning")
async def test_the_printed_variables_are_all_a_client_needs():
    """Host, region, trust and keys."""
    lines = []
    task, environment = await _started(lines, "--partner", "Amzn1", "--funds", "5.25", "--currency", "EUR")
    answer = await _funds(environment)
    assert answer["availableFunds"] == {"amount": 5.25, "currencyCode": "EUR"}
    assert "not Amazon" in lines[-1]
    await _stopped(task)


async def test_pages_for_a_browser():
    """On a port of their own, whose address is printed."""
    pytest.importorskip("jinja2", reason="pip install agcod-async[emulator]")
    task, environment = await _started([], "--partner", "Amzn1", "--pages-port", "0")
    async with httpx.AsyncClient(base_url=environment["AGCOD_PAGES_URL"], trust_env=False) as client:
        assert "Portal of Amzn1" in (await client.get("/")).text
    await _stopped(task)


async def test_the_books_survive_a_restart(tmp_path):
    """Saved every second while it runs, and at the end."""
    state, seen = tmp_path / "state.json", []
    for name in ("Acme1a", "Acme1b"):
        task, environment = await _started(
            [], "--plain", "--state", str(state), "--control-port", "0", "--throttle", "off"
        )
        key = (environment["AGCOD_ACCESS_KEY_ID"], environment["AGCOD_SECRET_ACCESS_KEY"])
        url = environment["AGCOD_ENDPOINT"]
        async with httpx.AsyncClient() as client:
            body = json.dumps(foreign.create_fields(name)).encode()
            headers = foreign.signed_headers(Emulator(), url, "CreateGiftCard", body, key=key)
            await client.post(f"{url}/CreateGiftCard", content=body, headers=headers)
            token = {"authorization": f"Bearer {environment['AGCOD_CONTROL_TOKEN']}"}
            shown = await client.get(f"{environment['AGCOD_CONTROL_URL']}/state", headers=token)
            seen.append(shown.json()["funds"]["Acme1"])
        await _stopped(task)
    assert seen == ["9974.5", "9949.0"]


async def test_saving_while_it_runs(tmp_path, monkeypatch):
    """A process that is killed loses a second at most; an idle one writes nothing."""
    monkeypatch.setattr(command, "_SAVE_EVERY", 0.01)
    state = tmp_path / "state.json"
    task, _ = await _started([], "--plain", "--state", str(state))
    while not state.exists():
        await asyncio.sleep(0.01)
    written = state.stat().st_mtime_ns
    await asyncio.sleep(0.03)
    assert state.stat().st_mtime_ns == written
    await _stopped(task)
    task, _ = await _started([], "--plain")
    await asyncio.sleep(0.03)
    await _stopped(task)


async def test_the_certificate_can_be_put_where_it_is_wanted(tmp_path):
    """For a client in a container, say."""
    path = tmp_path / "ca.pem"
    task, environment = await _started([], "--ca-file", str(path))
    assert environment["AGCOD_CA_FILE"] == str(path)
    assert path.read_text().startswith("-----BEGIN CERTIFICATE-----")
    await _stopped(task)


async def test_variables_as_json():
    """For programs: one line, and nothing else."""
    lines = []
    options = command.parser().parse_args(["--port", "0", "--plain", "--json"])
    task = asyncio.ensure_future(command.run(options, lines.append))
    while not lines:
        await asyncio.sleep(0)
    (line,) = lines
    assert (await _funds(json.loads(line)))["status"] == "SUCCESS"
    await _stopped(task)


@pytest.mark.parametrize("model", ["sliding", "fixed", "bucket"])
def test_options_become_an_emulator(model):
    """Throttle model and rate, time, seed and region."""
    options = command.parser().parse_args(
        ["--throttle", model, "--rate", "7", "--burst", "3", "--freeze-at", "2026-03-02T12:00:00+00:00"]
    )
    emulator = command.emulator_of(options)
    throttle = emulator.state.throttle
    assert (throttle.model, throttle.overall.requests, throttle.burst) == (model, 7, 3)
    assert emulator.clock.is_frozen
    assert emulator.partner.funds == Decimal(10_000)


def test_switches_are_turned():
    """Numbers, names, durations, and what is written as JSON."""
    arguments = (
        "request_id_limit=19",
        "load_unit=minor",
        "mock_errors=false",
        "cancel_window=PT5M",
        'invalid_accounts=["a"]',
        'amount_limits={"EUR": ["1", "500.50"]}',
    )
    options = command.parser().parse_args([part for one in arguments for part in ("--set", one)])
    settings = command.emulator_of(options).state.settings
    assert (settings.request_id_limit, settings.load_unit, settings.mock_errors) == (19, "minor", False)
    assert settings.cancel_window == timedelta(minutes=5)
    assert settings.invalid_accounts == {"a"}
    assert settings.amount_limits == {"EUR": (Decimal(1), Decimal("500.50"))}


def test_faults_are_armed_from_the_start():
    """By the same fields as in the control API."""
    options = command.parser().parse_args(["--fault", '{"kind": "drop_after", "probability": 0.05}'])
    (fault,) = command.emulator_of(options).faults.armed.values()
    assert (fault.kind, fault.probability) == ("drop_after", 0.05)


def test_the_module_is_the_command(monkeypatch, capsys):
    """`python -m agcod_async.emulator --help`, in this process, where coverage can see it."""
    monkeypatch.setattr(sys, "argv", ["emulator", "--help"])
    source = Path(command.__file__)
    code = compile(source.read_text(), source, "exec")
    with pytest.raises(SystemExit) as caught:
        exec(code, {"__name__": "__main__", "__package__": "agcod_async.emulator"})
    assert caught.value.code == 0
    assert "not Amazon" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--host", "0.0.0.0"],
        ["--control-port", "0", "--control-token", "short"],
        ["--freeze-at", "2026-03-02T12:00"],
        ["--set", "nonsense=1"],
        ["--set", "load_unit=gold"],
        ["--fault", '{"kind": "nonsense"}'],
    ],
)
def test_what_cannot_be_done_is_said(arguments, capsys):
    """With exit code 2 and a reason."""
    assert command.main(["--port", "0", *arguments]) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(number, tmp_path):
    """A process of its own: variables printed, exit code 0, nothing on stderr."""
    folder = os.fspath(tmp_path)
    arguments = [sys.executable, "-m", "agcod_async.emulator", "--port", "0", "--plain", "--state", "s.json"]
    environment = {**os.environ, "PYTHONPATH": os.fspath(Path.cwd())}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    ) as process:
        for line in process.stdout:
            if line.startswith("#"):
                break
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert (tmp_path / "s.json").exists()
    assert re.search(r"http://localhost:\d+", line)


def test_lines_are_shown_as_they_come(capsys):
    """Whoever waits for the variables reads them from a pipe."""
    command._show("export AGCOD_REGION=us-east-1")
    assert capsys.readouterr().out == "export AGCOD_REGION=us-east-1\n"


def test_ctrl_c_in_this_process():
    """The same through `main`, where coverage can see it."""

    def interrupt_when_up(line):
        if line.startswith("#"):
            os.kill(os.getpid(), signal.SIGINT)

    assert command.main(["--port", "0", "--plain"], interrupt_when_up) == 0
